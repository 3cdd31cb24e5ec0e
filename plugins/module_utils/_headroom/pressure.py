# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, load and pressure stall information: no limit of theirs is counted, they help to read those that are.

Sources: proc_meminfo(5), proc_loadavg(5), Documentation/accounting/psi.rst.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._kernel.processes import ProcessTable

_STALLED = ("cpu", "memory", "io")
_MEMORY = {
    "MemTotal": "total",
    "MemAvailable": "available",
    "SwapTotal": "swap_total",
    "SwapFree": "swap_free",
    "Committed_AS": "committed",
    "CommitLimit": "commit_limit",
}


def context(table: ProcessTable) -> dict[str, t.Any]:
    """What cannot be read is null: PSI may be left out of the kernel or switched off at boot."""
    root = table.root
    uptime = _numbers(_read(root + "/uptime"))
    return {
        "memory": parse_memory(_read(root + "/meminfo")),
        "pressure": {kind: parse_pressure(_read(f"{root}/pressure/{kind}")) for kind in _STALLED},
        "load": _numbers(_read(root + "/loadavg"))[:3],
        "processors": os.cpu_count(),
        "uptime_s": int(uptime[0]) if uptime else None,
    }


def parse_memory(content: str) -> dict[str, int | None]:
    """In bytes; the kernel's kB are 1024 of them."""
    found = {
        name: int(kilobytes) * 1024 for name, kilobytes in re.findall(r"^(\w+):\s+([0-9]+) kB$", content, re.MULTILINE)
    }
    return {ours: found.get(kernels) for kernels, ours in _MEMORY.items()}


def parse_pressure(content: str) -> dict[str, float | None] | None:
    """Percent of the last 10, 60 and 300 seconds in which some tasks, or all of them at once (``full``), waited."""
    found = {
        f"{kind}_avg{span}": float(value)
        for kind, averages in re.findall(r"^(some|full) (.*)$", content, re.MULTILINE)
        for span, value in re.findall(r"\bavg(10|60|300)=([0-9]+\.[0-9]+)\b", averages)
    }
    if not found:
        return None
    return {f"{kind}_avg{span}": found.get(f"{kind}_avg{span}") for kind in ("some", "full") for span in (10, 60, 300)}


def _numbers(content: str) -> list[float]:
    """The leading fields of a line that are numbers."""
    numbers: list[float] = []
    for field in content.split():
        if not re.match(r"^[0-9]+(\.[0-9]+)?$", field):
            break
        numbers.append(float(field))
    return numbers


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
