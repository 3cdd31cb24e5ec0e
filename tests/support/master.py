# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A master that starts each of its children again as soon as it has ended: master.py RECORD KIND...

A child of the kind "plain" ends on SIGTERM, "deaf" ignores it, "stopped" has stopped itself. RECORD has the number of
births so far, and of refused ones.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def child(kind: str) -> None:
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        signal.pause()


def main(record: str, *kinds: str) -> None:
    wanted = list(kinds)
    living: dict[int, str] = {}
    births = refused = 0
    while True:
        while wanted:
            try:
                pid = os.fork()
            except OSError:
                refused += 1
                break
            if pid == 0:
                child(wanted[-1])
            living[pid] = wanted.pop()
            births += 1
        with open(record + ".draft", "w", encoding="ascii") as file:
            file.write(f"{births} {refused}\n")
        os.replace(record + ".draft", record)
        time.sleep(0.002)
        while living:
            pid, _status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            wanted.append(living.pop(pid))


if __name__ == "__main__":
    main(*sys.argv[1:])
