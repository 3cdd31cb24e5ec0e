# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: one file for each counted resource, joined here.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import json
import shlex
import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable
from . import descriptors, filesystems, ipc, pressure, process_slots, reserve, spawning, spool, without_proc
from .survey import Limit, Resource, Survey

SCHEMA_VERSION = 2
RESOURCES: tuple[Resource, ...] = (
    process_slots.RESOURCE,
    filesystems.INODES,
    filesystems.BLOCKS,
    ipc.SEMAPHORES,
    ipc.SHARED_MEMORY,
    ipc.MESSAGE_QUEUES,
    descriptors.RESOURCE,
    descriptors.INOTIFY,
    spool.RESOURCE,
    spawning.RESOURCE,
)
NAMES = [resource.name for resource in RESOURCES]

_HOLDERS = 3
_LEFT_OUT = 20
_LEAST_PAUSE = 0.1
_LONGEST_PAUSE = 600.0
_Entry = t.Dict[str, t.Any]


class Way(t.NamedTuple):
    """How a kind of host is read."""

    table: t.Callable[[], ProcessTable]
    resources: tuple[Resource, ...]
    names_suspects: bool


class Reading(t.NamedTuple):
    """One pass over the chosen resources."""

    at: float
    survey: Survey
    limits: list[tuple[Resource, Limit]]
    coverage: list[_Entry]


def report(
    top: int,
    time_budget: float,
    proc_root: str = "/proc",
    only: t.Collection[str] = (),
    samples: int = 1,
    interval: float = 10.0,
    include_fuse: bool = False,
    way: Way | None = None,
) -> dict[str, t.Any]:
    """The chosen resources, or all, in one pass; in two with ``samples`` 2. Raises Refused where there is no /proc."""
    started = time.monotonic()
    way = way or _way(proc_root)
    table = way.table()
    table.check()
    chosen = [resource for resource in way.resources if not only or resource.name in only]
    earlier = None
    if samples > 1:
        earlier = _read(chosen, table, time_budget, top, include_fuse)
        time.sleep(interval)
        table = way.table()
    reading = _read(chosen, table, time_budget, top, include_fuse)
    survey = reading.survey
    missing = sorted(set(only) - {resource.name for resource in chosen})
    coverage = [*reading.coverage, *map(_absent, missing)]
    reasons = [*dict.fromkeys(survey.gaps), *_denied(table)]
    reasons += [f"{entry['resource']}: {entry['reason']}" for entry in coverage if entry["reason"]]
    return {
        "schema_version": SCHEMA_VERSION,
        "resources": _rendered(reading, earlier),
        "reserve": _reserve(reading, top) if way.names_suspects else None,
        "process_table": process_slots.table(survey, top),
        "suspects": process_slots.suspects(survey, top) if way.names_suspects else [],
        "context": pressure.context(table),
        "coverage": coverage,
        "left_out": [{"what": what, "reason": reason} for what, reason in sorted(survey.left_out.items())[:_LEFT_OUT]],
        "left_out_total": len(survey.left_out),
        "partial": bool(reasons),
        "partial_reasons": reasons,
        "elapsed_ms": int((time.monotonic() - started) * 1000),
    }


def _reserve(reading: Reading, top: int) -> _Entry | None:
    """Only where the process slots were read."""
    if not any(entry["resource"] == process_slots.RESOURCE.name and entry["read"] for entry in reading.coverage):
        return None
    return reserve.reserve(reading.survey, top)


def _way(proc_root: str) -> Way:
    if without_proc.is_needed(proc_root):
        return Way(without_proc.table, without_proc.registry(), names_suspects=False)
    return Way(lambda: ProcessTable(proc_root), RESOURCES, names_suspects=True)


def pause(seconds: float) -> float:
    """Between two samples: long enough to tell something, and not for ever."""
    if not _LEAST_PAUSE <= seconds <= _LONGEST_PAUSE:
        raise Refused(f"interval: {seconds:g} s is out of range: give {_LEAST_PAUSE:g}s to {_LONGEST_PAUSE / 60:g}m.")
    return seconds


def _read(chosen: t.Sequence[Resource], table: ProcessTable, budget: float, top: int, include_fuse: bool) -> Reading:
    """First what takes no look at the processes: on a host that is full of them that look may take all the time."""
    deadline = time.monotonic() + budget
    bare = Survey(table, [], 0, [], deadline, {}, include_fuse)
    coverage: dict[str, _Entry] = {}
    limits: list[tuple[Resource, Limit]] = []
    _read_each([one for one in chosen if not one.needs_processes], bare, top, limits, coverage)
    heavy = [one for one in chosen if one.needs_processes]
    began = time.monotonic()
    survey = Survey.take(table, deadline, include_fuse) if heavy else bare._replace(gaps=[], left_out={})
    first = _entry("process_table", began)
    _read_each(heavy, survey, top, limits, coverage)
    survey = survey._replace(gaps=[*survey.gaps, *bare.gaps], left_out={**bare.left_out, **survey.left_out})
    return Reading(time.monotonic(), survey, limits, [first, *(coverage[one.name] for one in chosen)])


def _read_each(
    chosen: t.Iterable[Resource],
    survey: Survey,
    top: int,
    limits: list[tuple[Resource, Limit]],
    coverage: dict[str, _Entry],
) -> None:
    for resource in chosen:
        began = time.monotonic()
        reason = None
        try:
            limits += [(resource, limit) for limit in resource.limits(survey, top)]
        except Refused as refusal:
            reason = str(refusal)
        except OSError as error:
            reason = f"{error.filename or 'the kernel'} cannot be read ({error.strerror})"
        coverage[resource.name] = _entry(resource.name, began, reason)


def _entry(name: str, began: float, reason: str | None = None) -> _Entry:
    cost = round((time.monotonic() - began) * 1000, 1)
    return {"resource": name, "read": reason is None, "reason": reason, "cost_ms": cost}


def _absent(name: str) -> _Entry:
    """It was asked for, and this kind of host does not count it."""
    return {"resource": name, "read": False, "reason": "it is not counted on this system", "cost_ms": 0.0}


def _denied(table: ProcessTable) -> list[str]:
    if not table.denied:
        return []
    return [f"{table.denied} reads below {table.root} were denied: run as root, in a container with CAP_SYS_PTRACE"]


def _rendered(reading: Reading, earlier: Reading | None) -> list[_Entry]:
    """The scarcest first; of each resource the scarcest limit is binding."""
    before = {_key(resource, limit): limit.used for resource, limit in earlier.limits} if earlier else {}
    minutes = (reading.at - earlier.at) / 60 if earlier else 0.0
    rendered, bound = [], set()
    for resource, limit in sorted(reading.limits, key=lambda pair: pair[1].scarcity):
        binding = limit.limit is not None and resource.name not in bound
        if binding:
            bound.add(resource.name)
        incident = resource.incident if limit.incident is None else limit.incident
        rendered.append(
            {
                "resource": resource.name,
                "scope": limit.scope,
                "limit_name": limit.limit_name,
                "measure": limit.measure,
                "used": limit.used,
                "limit": limit.limit,
                "free": limit.left,
                "share": limit.share,
                "binding": binding,
                "stops_root": limit.stops_root,
                "growth": _growth(limit, before.get(_key(resource, limit)), minutes),
                "holders": [holder._asdict() for holder in limit.holders[:_HOLDERS]],
                "incident": incident,
                "options": dict(limit.options) if incident else {},
                "remedy": _remedy(incident, limit.options),
            }
        )
    return rendered


def _key(resource: Resource, limit: Limit) -> tuple[str, str, str]:
    return (resource.name, limit.scope, limit.limit_name)


def _growth(limit: Limit, before: int | None, minutes: float) -> _Entry | None:
    """Between the two samples; None without a first one of this limit."""
    if before is None or minutes <= 0:
        return None
    per_minute = round((limit.used - before) / minutes, 2)
    left = limit.left
    full_in = None if left is None or per_minute <= 0 else int(left / per_minute * 60)
    return {"per_minute": per_minute, "full_in_s": full_in}


def _remedy(incident: str, options: t.Mapping[str, t.Any]) -> str:
    """Empty where this collection has no remedy."""
    if not incident:
        return ""
    line = f"ansible-playbook hostcare.remediation.{incident} -e hostcare_hosts=THIS_HOST"
    return line + (f" -e {shlex.quote(json.dumps(options, sort_keys=True))}" if options else "")
