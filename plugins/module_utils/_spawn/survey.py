# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Request, watch, verdict, result: what `spawn_info` does.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable, text
from .._process.selection import seconds
from .evidence import Evidence, Spawner, gather
from .verdict import BUSY, CRASH_LOOP, FINE, ORDER, RUNAWAY, Thresholds, Verdict, judge
from .watch import INVOCATIONS, Seen, Watch

_LEAST, _LONGEST = 0.2, 600.0  # seconds
_MOST_SPAWNERS = 3

Entry = t.Dict[str, t.Any]


class Request(t.NamedTuple):
    """Checked. Times in seconds; no ``units`` are all."""

    units: frozenset[str] = frozenset()
    duration: float = 5.0
    at_once: float = 2.0
    thresholds: Thresholds = Thresholds()
    top: int = 10


def parse(given: t.Mapping[str, t.Any]) -> Request:
    """Raises Refused, which names the option, the reason and the next step."""
    duration = seconds(given["duration"], "duration")
    if not _LEAST <= duration <= _LONGEST:
        raise Refused(f"duration: {duration:g} s is out of range: give {_LEAST:g}s to {_LONGEST / 60:g}m.")
    at_once = seconds(given["at_once"], "at_once")
    if not 0 < at_once <= _LONGEST:
        raise Refused(f"at_once: {at_once:g} s is out of range: give more than 0 and at most {_LONGEST / 60:g}m.")
    for option in ("min_rate", "min_growth"):
        if given[option] < 1:
            raise Refused(f"{option}: {given[option]} is less than 1: give how many it takes to count as a storm.")
    if given["top"] < 0:
        raise Refused(f"top: {given['top']} is negative: give 0 or more.")
    thresholds = Thresholds(float(given["min_rate"]), given["min_growth"])
    return Request(frozenset(given["unit"] or ()), duration, at_once, thresholds, given["top"])


def run(request: Request, proc_root: str = "/proc", invocations: str = INVOCATIONS) -> Entry:
    """Raises Refused where the host cannot be watched."""
    started = time.monotonic()
    table = ProcessTable(proc_root)
    table.check()
    hidden = table.hides_others()
    seen = Watch(table, invocations).run(request.duration)
    judged = verdicts(seen, request, free_numbers(table))
    denied = table.denied
    reasons = ["/proc hides the processes of other users (hidepid): run as root to see all"] if hidden else []
    if denied:
        reasons.append(f"{denied} reads below {table.root} were denied: run as root")
    listed = [one for one in judged if not request.units or one[0].place.unit in request.units]
    return {
        "groups": [_group(evidence, verdict) for evidence, verdict in listed[: request.top]],
        "groups_total": len(listed),
        "storms": sum(1 for _evidence, verdict in listed if verdict.verdict in (CRASH_LOOP, RUNAWAY)),
        "births": sum(evidence.births for evidence, _verdict in listed),
        "numbers": seen.numbers,
        "seconds": round(seen.seconds, 2),
        "glimpses": seen.glimpses,
        "partial": bool(reasons),
        "partial_reasons": reasons,
        "elapsed_ms": int((time.monotonic() - started) * 1000),
    }


def verdicts(seen: Seen, request: Request, free: int | None) -> list[tuple[Evidence, Verdict]]:
    """Storms first, then those with the most births."""
    gathered = gather(seen.births, seen.places, seen.began, seen.seconds, request.at_once, free, seen.branches)
    judged = [(evidence, judge(evidence, request.thresholds)) for evidence in gathered]
    return sorted(judged, key=lambda one: (ORDER.index(one[1].verdict), -one[0].per_minute, one[0].place.path))


def free_numbers(table: ProcessTable) -> int | None:
    """The process numbers that are left, as far as they can be counted."""
    return max(0, table.pid_max() - len(table.pids()))


def _group(evidence: Evidence, verdict: Verdict) -> Entry:
    place = evidence.place
    return {
        "unit": text(place.unit),
        "cgroup": text(place.path),
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "restarted": verdict.restarted,
        "per_minute": evidence.per_minute,
        "births": evidence.births,
        "at_once": evidence.at_once,
        "starts": place.starts,
        "refused": place.refused,
        "limit": place.limit,
        "processes": place.after,
        "grown": evidence.grown,
        "lasting": place.lasting,
        "main_pid": place.main or None,
        "spawner": None if verdict.spawner is None else _spawner(verdict.spawner),
        "spawners": [_spawner(spawner) for spawner in evidence.spawners[:_MOST_SPAWNERS]],
        "spawners_total": len(evidence.spawners),
        "selector": selector(evidence),
        "children_of": _children_of(evidence, verdict),
    }


def _spawner(spawner: Spawner) -> Entry:
    return {**spawner._asdict(), "branch": spawner.branch or None}


def selector(evidence: Evidence) -> Entry:
    """Ready for spawn_throttle; empty where the place is the root of all or its name is no text."""
    place = evidence.place
    if text(place.path) != place.path or place.path in ("/", ""):
        return {}
    return {"unit": [place.unit]} if "/" not in place.unit else {"cgroup": [place.path]}


def _children_of(evidence: Evidence, verdict: Verdict) -> int | None:
    """Whose descendants to end: those of the job the main process started, or of the main process itself."""
    if verdict.verdict in (FINE, BUSY) or verdict.restarted or verdict.spawner is None:
        return None
    spawner = verdict.spawner
    return spawner.branch or (evidence.place.main if spawner.pid == 1 else spawner.pid) or None
