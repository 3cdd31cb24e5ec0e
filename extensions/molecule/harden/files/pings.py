# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Ask a host with `ansible -m ping`, each time over a fresh connection: pings.py HOST TIMES SECONDS INVENTORY...

Prints how many answered, and how long that took.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def main(host: str, times: int, most: float, inventories: list[str]) -> None:
    ansible = str(Path(sys.executable).with_name("ansible"))
    command = [ansible, host, "-m", "ansible.builtin.ping", *(word for one in inventories for word in ("-i", one))]
    fresh = {**os.environ, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"}
    fresh["ANSIBLE_TIMEOUT"] = str(int(most))
    took, said = [], ""
    for _again in range(times):
        started = time.monotonic()
        answer = subprocess.run(command, env=fresh, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and "pong" in answer.stdout:
            took.append(time.monotonic() - started)
        else:
            said = " ".join((answer.stdout + answer.stderr).split())[-300:]
    print(f"{len(took)} of {times} answered", end="")
    if took:
        print(f", in {min(took):.1f} s to {max(took):.1f} s, mostly {statistics.median(took):.1f} s", end="")
    print(f"; the last that did not: {said}" if said else "")
    sys.exit(0 if len(took) == times and max(took) <= most else 3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
