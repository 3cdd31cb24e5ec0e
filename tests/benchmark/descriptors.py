# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The descriptors of a thousand processes with a hundred each: counted, and told by kind. Processor time and memory."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.tests.support.descriptors import Field, program, tool_command

COUNT, CLASSIFY = "count", "classify"
COUNT_MS, CLASSIFY_RATIO, PEAK_MIB = 15.0, 1.3, 16.0  # what ours must keep to
_PYTHON = "/usr/bin/python3"  # what a managed node has; that of these tests is built with other options
_PSUTIL = {
    COUNT: "import psutil; print(sum(one.num_fds() for one in psutil.process_iter()))",
    CLASSIFY: (
        "import psutil\n"
        "for one in psutil.process_iter():\n"
        "    with one.oneshot():\n"
        "        one.num_fds(), one.open_files(), getattr(one, 'net_connections', one.connections)(kind='all')\n"
    ),
}


class Contender(NamedTuple):
    """``is_ours``: it tells its own cost, without the start of its interpreter, which is Ansible's."""

    job: str
    label: str
    command: list[str]
    is_ours: bool = False


def _part(job: str) -> list[str]:
    return [_PYTHON, str(Path(__file__).with_name("descriptor_parts.py")), job]


def _contenders() -> list[Contender]:
    return [
        Contender(COUNT, "C", [program("fdlimit"), "count"]),
        Contender(COUNT, "ours", _part(COUNT), True),
        Contender(COUNT, "psutil", [sys.executable, "-c", _PSUTIL[COUNT]]),
        Contender(CLASSIFY, "C", [program("fdlimit"), "classify"]),
        Contender(CLASSIFY, "ours", _part(CLASSIFY), True),
        Contender(CLASSIFY, "ours, the whole report", tool_command("survey", cost=True, max_links=1 << 20), True),
        Contender(CLASSIFY, "lsof", ["lsof", "-nP", "-w"]),
        Contender(CLASSIFY, "lsfd", ["lsfd", "--noheadings"]),
        Contender(CLASSIFY, "psutil", [sys.executable, "-c", _PSUTIL[CLASSIFY]]),
    ]


def measure(processes: int, each: int, tries: int) -> list[dict[str, Any]]:
    """The contenders take turns; a row for each, with its median."""
    contenders = _contenders()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with Field(processes + 500) as field:
        field.crowd("crowd.service", processes, each)
        for _try in range(tries):
            for one in contenders:
                found.setdefault((one.job, one.label), []).append(_cost(field, one, processes * each))
    rows = []
    for (job, label), costs in found.items():
        limit = statistics.median(cpu for cpu, _peak in found[job, "C"])
        cpu = statistics.median(cpu for cpu, _peak in costs)
        peak = max(peak for _cpu, peak in costs)
        rows.append({"job": job, "who": label, "cpu_ms": cpu * 1e3, "x_c": cpu / limit, "peak_mib": peak})
    return rows


def _cost(field: Field, one: Contender, least: int) -> tuple[float, float]:
    """Seconds of processor time, and the most memory in MiB."""
    told = field.cost_of(one.command)
    if not one.is_ours:
        return told.cpu_seconds, told.peak_kib / 1024
    own = json.loads(told.out)
    seen = own["host"]["descriptors"] if "host" in own else own["descriptors"]
    if seen < least:
        raise RuntimeError(f"{one.label} counted {seen} descriptors of {least}")
    return float(own["cpu_seconds"]), own["peak_kib"] / 1024


def lines(rows: list[dict[str, Any]], processes: int, each: int) -> list[str]:
    made = [f"{f'descriptors of {processes} processes with {each} each':<48}{'cpu ms':>8}{'x C':>7}{'MiB':>7}"]
    for row in rows:
        name = f"{row['job']}, {row['who']}"
        made.append(f"{name:<48}{row['cpu_ms']:>8.1f}{row['x_c']:>7.2f}{row['peak_mib']:>7.1f}")
    return made


def keeps_to_limits(rows: list[dict[str, Any]]) -> bool:
    ours = {row["job"]: row for row in rows if row["who"] == "ours"}
    return (
        ours[COUNT]["cpu_ms"] <= COUNT_MS
        and ours[CLASSIFY]["x_c"] <= CLASSIFY_RATIO
        and ours[CLASSIFY]["peak_mib"] <= PEAK_MIB
    )
