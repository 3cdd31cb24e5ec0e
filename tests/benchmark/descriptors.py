# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The descriptors of a thousand processes with a hundred each: counted, and told by kind. Processor time and memory."""

from __future__ import annotations

import json
import resource
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.tests.support.descriptors import Field, program, tool_command

COUNT, CLASSIFY = "count", "classify"
COUNT_MS, CLASSIFY_RATIO, PEAK_MIB = 15.0, 1.3, 16.0  # what ours must keep to
_SLOW = 5.0  # seconds of processor time, after which a peer has no second turn
_WORK = Path(__file__).resolve().parents[2] / ".work"
# What a managed node has, as that of these tests is built with other options. Ours is compiled before it is measured.
_PYTHON = ("env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={_WORK}/pycache", "/usr/bin/python3")
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
    return [*_PYTHON, str(Path(__file__).with_name("descriptor_parts.py")), job]


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
    found: dict[tuple[str, str], list[tuple[float, float]]] = {(one.job, one.label): [] for one in contenders}
    with Field(processes + 500) as field:
        for one in contenders:
            if one.is_ours:
                field.cost_of(one.command)
        field.crowd("crowd.service", processes, each)
        for _try in range(tries):
            for one in contenders:
                costs = found[one.job, one.label]
                if not costs or costs[-1][0] < _SLOW:
                    costs.append(_cost(field, one, processes * each))
    rows = []
    for (job, label), costs in found.items():
        limit = statistics.median(cpu for cpu, _peak in found[job, "C"])
        cpu = statistics.median(cpu for cpu, _peak in costs)
        peak = max(peak for _cpu, peak in costs)
        rows.append({"job": job, "who": label, "cpu_ms": cpu * 1e3, "x_c": cpu / limit, "peak_mib": peak})
    return rows


def _cost(field: Field, one: Contender, least: int) -> tuple[float, float]:
    """Seconds of processor time, and the most memory in MiB: none where it is less than this program's own, as the
    kernel takes that over at exec(2)."""
    told = field.cost_of(one.command)
    if not one.is_ours:
        own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return told.cpu_seconds, told.peak_kib / 1024 if told.peak_kib > own_peak else 0.0
    own = json.loads(told.out)
    seen = own["host"]["descriptors"] if "host" in own else own["descriptors"]
    if seen < least:
        raise RuntimeError(f"{one.label} counted {seen} descriptors of {least}")
    return float(own["cpu_seconds"]), own["peak_kib"] / 1024


def lines(rows: list[dict[str, Any]], processes: int, each: int) -> list[str]:
    made = [f"{f'descriptors of {processes} processes with {each} each':<48}{'cpu ms':>8}{'x C':>7}{'MiB':>7}"]
    for row in rows:
        name = f"{row['job']}, {row['who']}"
        peak = f"{row['peak_mib']:.1f}" if row["peak_mib"] else "few"
        made.append(f"{name:<48}{row['cpu_ms']:>8.1f}{row['x_c']:>7.2f}{peak:>7}")
    return made


def keeps_to_limits(rows: list[dict[str, Any]]) -> bool:
    ours = {row["job"]: row for row in rows if row["who"] == "ours"}
    return (
        ours[COUNT]["cpu_ms"] <= COUNT_MS
        and ours[CLASSIFY]["x_c"] <= CLASSIFY_RATIO
        and ours[CLASSIFY]["peak_mib"] <= PEAK_MIB
    )
