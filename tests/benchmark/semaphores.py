# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Thousands of arrays that dead processes left: ours, the peers, and a C program that makes the same system calls.

Each try has an IPC and a PID namespace of its own. Read the ratios.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".work" / "collections"))

from ansible_collections.hostcare.remediation.tests.support.ipc.bench import HERE, program

UID = 54321
SAME = "C, the same looks"
OURS = "ours"
LOOP = "shell loop, ipcrm each"
CHECKING_LOOP = "shell loop, check each"
_IDS = f"ipcs -s | awk '$3 == {UID} {{print $2}}'"
_TOUCHER = "pid=$(ipcs -s -i $i | awk '/^semnum/ {getline; print $5}')"
CONTENDERS = {
    SAME: [program("csem"), "looks", str(UID)],
    "C, one look": [program("csem"), "once", str(UID)],
    OURS: [sys.executable, str(HERE / "tool.py"), "1", json.dumps({"owner": [str(UID)], "max_removals": 1 << 20})],
    "ipcrm --all=sem": ["ipcrm", "--all=sem"],
    "xargs ipcrm": ["sh", "-c", f"{_IDS} | sed 's/^/-s/' | xargs ipcrm"],
    LOOP: ["sh", "-c", f"for i in $({_IDS}); do ipcrm -s $i; done"],
    # As much as a shell can look at: whether the process that touched it last is alive.
    CHECKING_LOOP: ["sh", "-c", f"for i in $({_IDS}); do {_TOUCHER}; kill -0 $pid 2>&- || ipcrm -s $i; done"],
}
LOOPS_UP_TO = 10000  # arrays: beyond it the loop takes minutes
LEFT_FOR = 3.0  # seconds since they were touched: what is leaked lies there for longer
_NAMESPACES = ("unshare", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")


def measure(counts: tuple[int, ...], tries: int) -> list[dict[str, Any]]:
    """A row for each number of arrays and contender: the best try, since others at work on the machine can only add to
    it. Ours leaves out the start of its interpreter."""
    found: dict[tuple[int, str], list[float]] = {}
    for count in counts:
        for number in range(tries):
            for label in CONTENDERS:
                if label in (LOOP, CHECKING_LOOP) and (count > LOOPS_UP_TO or number):
                    continue
                found.setdefault((count, label), []).append(_try(count, label))
    best = {key: min(times) for key, times in found.items()}
    return [
        {
            "arrays": count,
            "contender": label,
            "ms": milliseconds,
            "x_c": milliseconds / best[count, SAME],
            "x_ours": milliseconds / best[count, OURS],
        }
        for (count, label), milliseconds in best.items()
    ]


def _try(count: int, label: str) -> float:
    command = [*_NAMESPACES, sys.executable, str(Path(__file__).resolve()), str(count), label]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{label} with {count} arrays: {done.stderr}")
    return float(done.stdout)


def _inside(count: int, label: str) -> None:
    """In namespaces that have nothing in them yet."""
    Path("/proc/sys/kernel/sem").write_text("32000 1024000000 500 32000")
    subprocess.run([program("csem"), "make", str(count), str(UID)], check=True)
    time.sleep(LEFT_FOR)
    started = time.perf_counter()
    done = subprocess.run(CONTENDERS[label], stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    if label == OURS:
        seconds = json.loads(done.stdout)["seconds"]
    left = len(Path("/proc/sysvipc/sem").read_text().splitlines()) - 1
    if left:
        raise RuntimeError(f"{left} arrays are left")
    print(seconds * 1e3)


def lines(rows: list[dict[str, Any]]) -> list[str]:
    table = [f"{'remove arrays of the dead':<28}{'arrays':>8}{'ms':>10}{'x C':>8}{'x ours':>8}"]
    table += [
        f"{row['contender']:<28}{row['arrays']:>8}{row['ms']:>10.1f}{row['x_c']:>8.2f}{row['x_ours']:>8.2f}"
        for row in rows
    ]
    return table


if __name__ == "__main__":
    _inside(int(sys.argv[1]), sys.argv[2])
