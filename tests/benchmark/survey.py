# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""headroom_info on a host that is full of everything: how long one pass takes, and what of it each resource costs.

Run inside an arena it builds the host around itself and measures: survey.py ARRAYS FILES TRIES
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.tests.benchmark.contenders import NAME, USER
from ansible_collections.hostcare.remediation.tests.support.storm import Arena

BUDGET_MS = 5000  # of one pass over 10,000 processes, 32,000 arrays and 1,000,000 queue files
_CLONE_NEWIPC, _IPC_PRIVATE = 0x08000000, 0
_SPOOL = Path("/var/spool/postfix")


def measure(processes: int, arrays: int, files: int, tries: int) -> list[dict[str, Any]]:
    """A row for each resource and one for the whole pass: the median in milliseconds."""
    with Arena(processes + 1000) as arena:
        arena.bomb("crowd", "--count", str(processes), name=NAME, user=USER)
        arena.wait_population(processes, timeout=120)
        command = [sys.executable, __file__, str(arrays), str(files), str(tries)]
        done = arena.run(command, timeout=300)
    if done.returncode:
        raise RuntimeError(f"the survey failed: {done.stderr.decode()}")
    return list(json.loads(done.stdout))


def lines(rows: list[dict[str, Any]], processes: int, arrays: int, files: int) -> list[str]:
    heading = f"survey of {processes} processes, {arrays} arrays, {files} queue files"
    verdict = "within" if is_in_budget(rows) else "OVER"
    return [
        f"{heading:<60}{'ms':>8}",
        *(f"{row['resource']:<60}{row['ms']:>8.1f}" for row in rows),
        f"{verdict} the budget of {BUDGET_MS} ms",
    ]


def is_in_budget(rows: list[dict[str, Any]]) -> bool:
    return all(row["ms"] <= BUDGET_MS for row in rows if row["resource"] == "all")


def _host(arrays: int, files: int) -> None:
    """An IPC namespace and a mail queue of this program's own, both full; the arena has given it the rest."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWIPC):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/sys/kernel/sem").write_text(f"250 {max(32000, arrays)} 32 {arrays}\n")
    for _array in range(arrays):
        if libc.semget(_IPC_PRIVATE, 1, 0o600) < 0:
            raise OSError(ctypes.get_errno(), "semget")
    _SPOOL.mkdir(parents=True, exist_ok=True)
    for directory, options in (("/etc/postfix", "size=1m"), (_SPOOL, f"nr_inodes={files + 100}")):
        Path(directory).mkdir(exist_ok=True)
        if libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount", str(directory))
    Path("/etc/postfix/main.cf").write_text(f"queue_directory = {_SPOOL}\nmail_owner = mail\n")
    maildrop = _SPOOL / "maildrop"
    maildrop.mkdir()
    directory = os.open(maildrop, os.O_RDONLY)
    for number in range(files):
        os.close(os.open(f"{number:X}", os.O_CREAT | os.O_WRONLY, 0o744, dir_fd=directory))


def _main(arrays: int, files: int, tries: int) -> None:
    _host(arrays, files)
    costs: dict[str, list[float]] = {}
    for _try in range(tries):
        report = resources.report(10, BUDGET_MS / 1000)
        for entry in report["coverage"]:
            costs.setdefault(entry["resource"], []).append(entry["cost_ms"])
        costs.setdefault("all", []).append(report["elapsed_ms"])
    if report["partial"]:
        raise RuntimeError(f"not everything was read: {report['partial_reasons']}")
    print(json.dumps([{"resource": name, "ms": statistics.median(times)} for name, times in costs.items()]))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
