# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Births a minute of those who storm: children that fail at once, units that are started again and again, growth
without end. Who only works has no limit here.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.processes import ProcessTable, text
from .._spawn import survey as spawning
from .._spawn.evidence import Evidence
from .._spawn.verdict import CRASH_LOOP, RUNAWAY, Verdict
from .._spawn.watch import Watch
from .survey import Holder, Limit, Resource, Survey

_FIRST_LOOK = 1.0  # seconds in which the kernel gives out a number, or nothing storms
_BETWEEN = 0.1
_WATCH = 1.0
_LONGER = 3.0  # where a unit was started anew meanwhile: systemd waits 0.1 s by default, and longer where it is busy
_MOST_PROCESSES = 5000  # more than these take too long to watch, and are a storm of another kind
_KINDS = {CRASH_LOOP: "crash loop", RUNAWAY: "runaway"}


def limits(survey: Survey, top: int) -> list[Limit]:
    table = ProcessTable(survey.table.root)  # what is denied in a glimpse is gone or counted elsewhere
    if len(table.pids()) > _MOST_PROCESSES:
        survey.left_out["births a minute"] = f"more than {_MOST_PROCESSES} processes take too long to watch"
        return []
    if survey.deadline - time.monotonic() < _FIRST_LOOK + _WATCH:
        survey.left_out["births a minute"] = f"watching them takes {_FIRST_LOOK + _WATCH:g} s: raise time_budget"
        return []
    if not _stirs(table):
        return []
    request = spawning.Request()
    found = _storms(survey, table, request)
    return [_limit(evidence, verdict, request) for evidence, verdict in found[: max(0, top)]]


RESOURCE = Resource("spawning", "spawn_storm", limits, needs_processes=False)


def _storms(survey: Survey, table: ProcessTable, request: spawning.Request) -> list[tuple[Evidence, Verdict]]:
    """Watched for longer where the evidence is too thin, if the time allows it."""
    for duration in (_WATCH, _LONGER):
        if survey.deadline - time.monotonic() < duration:
            survey.left_out["births a minute"] = f"watching them for {duration:g} s more takes a longer time_budget"
            break
        seen = Watch(table).run(duration)
        judged = spawning.verdicts(seen, request, spawning.free_numbers(table))
        found = [(evidence, verdict) for evidence, verdict in judged if verdict.verdict in _KINDS]
        if found or not any(evidence.place.starts for evidence, _verdict in judged):
            return found
    return []


def _stirs(table: ProcessTable) -> bool:
    """Whether anything is born at all; on a host that is busy, this takes a moment only."""
    first = table.load()[1]
    until = time.monotonic() + _FIRST_LOOK
    while time.monotonic() < until:
        time.sleep(_BETWEEN)
        if table.load()[1] != first:
            return True
    return False


def _limit(evidence: Evidence, verdict: Verdict, request: spawning.Request) -> Limit:
    unit = text(evidence.place.unit)
    used = max(int(evidence.per_minute), int(request.thresholds.min_rate) + 1)
    holders = [Holder(one.name, one.births, unit=unit, pid=one.pid) for one in evidence.spawners]
    options: dict[str, t.Any] = {"spawn_storm_units": [unit]} if spawning.selector(evidence) else {}
    # a storm that cannot be acted on by a unit or a cgroup of its own is told, and has no remedy here
    incident = None if options else ""
    return Limit(
        f"unit {unit}", _KINDS[verdict.verdict], used, int(request.thresholds.min_rate), holders,
        incident=incident, options=options,
    )  # fmt: skip
