# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What headroom_info found on many hosts, judged and brought into one order: the worst host first.

A host that is in trouble, or in the wrong hands, may answer anything: every value is checked for its type here, and
every text is made printable. Who renders a fleet still has to escape for the form it renders to.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import clip, safe
from ansible_collections.hostcare.remediation.plugins.plugin_utils._slots import reserve_words

Data = t.Mapping[str, t.Any]

CRITICAL, UNREACHABLE, FAILED, WARNING, FINE = "critical", "unreachable", "failed", "warning", "fine"
STATES = (CRITICAL, UNREACHABLE, FAILED, WARNING, FINE)  # the worst first

TITLES = {
    "process_slots": "process slots",
    "semaphores": "semaphores",
    "shared_memory": "shared memory",
    "message_queues": "message queues",
    "descriptors": "descriptors",
    "inotify": "inotify",
    "maildrop": "maildrop",
    "spawning": "births a minute",
    "inodes": "inodes",
    "blocks": "disk space",
}
_MOST_LIMITS = 40  # of one host
_MOST_COLUMNS = 16
# Apache takes two arrays to start; the role process_storm wants 16 slots to be free afterwards.
_LEAST_FREE = {"semaphores": 2, "process_slots": 16}
_SMALL_GROUP = 16  # tasks
_WHOM = ("selector", "units")
_LONGEST = 300  # characters of one text
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class Thresholds(t.NamedTuple):
    """From which share on a limit is a warning, or critical; ``horizon``: seconds to exhaustion that are a warning."""

    warning: float = 0.8
    critical: float = 0.95
    horizon: float = 3600.0

    def checked(self) -> Thresholds:
        if not 0 < self.warning <= self.critical <= 1:
            raise Refused(
                f"warning is {self.warning:g} and critical {self.critical:g}: give parts of a limit between 0 and 1, "
                "the warning no larger than what is critical, such as 0.8 and 0.95."
            )
        return self


class Holder(t.NamedTuple):
    name: str
    used: int
    user: str
    unit: str
    pid: int | None


class Limit(t.NamedTuple):
    """One limit of one host. ``share`` is None, as ``limit`` is, where nothing limits it."""

    resource: str
    scope: str
    name: str
    measure: str
    used: int
    limit: int | None
    free: int | None
    share: float | None
    stops_root: bool
    per_minute: float | None
    full_in: int | None
    holders: tuple[Holder, ...]
    incident: str
    options: Data
    level: str


class Host(t.NamedTuple):
    """``state`` is the worst level of a limit, or says why there is none; ``reason`` then has the words."""

    name: str
    state: str
    reason: str
    limits: tuple[Limit, ...]
    incidents: tuple[str, ...]
    suspects: tuple[Data, ...]
    context: Data
    processes: Data
    gaps: tuple[str, ...]
    left_out: tuple[str, ...]
    elapsed_ms: int | None
    reserve: str = ""  # of process slots, in words

    @property
    def cells(self) -> dict[str, Limit]:
        """Of each resource the scarcest limit: the limits stand in this order."""
        cells: dict[str, Limit] = {}
        for limit in self.limits:
            cells.setdefault(limit.resource, limit)
        return cells

    @property
    def worst(self) -> Limit | None:
        return self.limits[0] if self.limits else None


class Fleet(t.NamedTuple):
    """``resources`` are the columns. ``generated`` is a time as text, UTC."""

    generated: str
    thresholds: Thresholds
    hosts: tuple[Host, ...]
    resources: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        counts = dict.fromkeys(STATES, 0)
        for host in self.hosts:
            counts[host.state] += 1
        return counts

    def plan(self, incidents: t.Sequence[str]) -> dict[str, list[str]]:
        """For each incident that is there the hosts, in the order given."""
        plan = {incident: [host.name for host in self.hosts if incident in host.incidents] for incident in incidents}
        return {incident: hosts for incident, hosts in plan.items() if hosts}


def assemble(
    results: t.Mapping[str, t.Any], thresholds: Thresholds, incidents: t.Sequence[str], generated: str
) -> Fleet:
    """From the result of headroom_info of each host, None where there is none. ``incidents`` are those with a role."""
    hosts = sorted((_host(name, result, thresholds, incidents) for name, result in results.items()), key=_badness)
    seen = {limit.resource for host in hosts for limit in host.limits}
    known = [resource for resource in TITLES if resource in seen]
    columns = (*known, *sorted(seen - set(known)))[:_MOST_COLUMNS]
    return Fleet(generated, thresholds, tuple(hosts), columns)


def title(resource: str) -> str:
    return TITLES.get(resource, resource.replace("_", " "))


def document(fleet: Fleet, incidents: t.Sequence[str]) -> dict[str, t.Any]:
    """The whole fleet as plain data."""
    return {
        "schema_version": 1,
        "generated": fleet.generated,
        "thresholds": fleet.thresholds._asdict(),
        "counts": fleet.counts,
        "resources": list(fleet.resources),
        "plan": fleet.plan(incidents),
        "hosts": [_host_document(host) for host in fleet.hosts],
    }


def artifact(fleet: Fleet, incidents: t.Sequence[str], most: int) -> dict[str, t.Any]:
    """Small: the counts, the plan, and the worst hosts in a line each."""
    troubled = [host for host in fleet.hosts if host.state != FINE]
    return {
        "schema_version": 1,
        "generated": fleet.generated,
        "hosts": len(fleet.hosts),
        "counts": fleet.counts,
        "plan": fleet.plan(incidents),
        "worst": [_artifact_line(host) for host in troubled[:most]],
        "worst_total": len(troubled),
    }


def _artifact_line(host: Host) -> dict[str, t.Any]:
    worst = host.worst
    return {
        "host": host.name,
        "state": host.state,
        "reason": host.reason,
        "resource": worst.resource if worst else "",
        "scope": worst.scope if worst else "",
        "limit": worst.name if worst else "",
        "percent": percent(worst.share) if worst else None,
    }


def _host_document(host: Host) -> dict[str, t.Any]:
    limits = [{**limit._asdict(), "holders": [holder._asdict() for holder in limit.holders]} for limit in host.limits]
    return {**host._asdict(), "limits": limits}


def percent(share: float | None) -> int | None:
    """Whole percent, and never 100 while there is something left, nor 0 while something is used."""
    if share is None:
        return None
    if share >= 1:
        return int(share * 100)
    return min(99, max(1 if share > 0 else 0, round(share * 100)))


# --- one host ---


def _host(name: str, result: t.Any, thresholds: Thresholds, incidents: t.Sequence[str]) -> Host:
    """The name is the inventory's and stays as it is: hosts are found by it."""
    name = str(name)
    if not isinstance(result, t.Mapping):
        return _silent(name, FAILED, "it gave no result")
    if result.get("unreachable") is True:
        return _silent(name, UNREACHABLE, _reason(result, "no connection"))
    if not isinstance(result.get("resources"), (list, tuple)):
        return _silent(name, FAILED, _reason(result, "it gave no result"))
    limits = _bounded(sorted(_limits(result["resources"], thresholds), key=_scarcity))
    levels = {limit.level for limit in limits}
    found = {limit.incident for limit in limits if limit.level == CRITICAL}
    return Host(
        name=name,
        state=next((level for level in (CRITICAL, WARNING) if level in levels), FINE),
        reason="",
        limits=tuple(limits),
        incidents=tuple(incident for incident in incidents if incident in found),
        suspects=tuple(_suspects(result.get("suspects"))),
        context=_context(result.get("context")),
        processes=_counts(result.get("process_table")),
        gaps=tuple(_text(gap) for gap in _list(result.get("partial_reasons"))[:20]),
        left_out=tuple(_left_out(result.get("left_out"))),
        elapsed_ms=_integer(result.get("elapsed_ms")),
        reserve=reserve_words(result.get("reserve")),
    )


def _silent(name: str, state: str, reason: str) -> Host:
    return Host(name, state, reason, (), (), (), {}, {}, (), (), None)


def _reason(result: Data, otherwise: str) -> str:
    message = result.get("msg")
    return _text(" ".join(message.split())) if isinstance(message, str) and message.strip() else otherwise


def _badness(host: Host) -> tuple[t.Any, ...]:
    share = host.worst.share if host.worst is not None else None
    return (STATES.index(host.state), -(share or 0.0), _natural(host.name))


def _natural(name: str) -> list[tuple[int, t.Any]]:
    """web2 before web10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(0, int(part)) if part.isascii() and part.isdigit() else (1, part) for part in parts]


def _bounded(limits: t.Sequence[Limit]) -> list[Limit]:
    """The scarcest, and the scarcest of each resource in any case, in their order."""
    first: dict[str, int] = {}
    for number, limit in enumerate(limits):
        first.setdefault(limit.resource, number)
    others = [number for number, limit in enumerate(limits) if first[limit.resource] != number]
    return [limits[number] for number in sorted([*first.values(), *others][:_MOST_LIMITS])]


def _scarcity(limit: Limit) -> tuple[t.Any, ...]:
    order = {CRITICAL: 0, WARNING: 1, FINE: 2}
    return (order[limit.level], -(limit.share or 0.0), limit.resource, limit.scope, limit.name)


def _limits(found: t.Sequence[t.Any], thresholds: Thresholds) -> t.Iterator[Limit]:
    for one in found:
        resource, used = _identifier(_mapping(one).get("resource")), _integer(_mapping(one).get("used"))
        if not resource or used is None:
            continue
        growth = _mapping(one.get("growth"))
        incident = _identifier(one.get("incident"))
        limit = Limit(
            resource=resource,
            scope=_text(one.get("scope")),
            name=_text(one.get("limit_name")),
            measure="bytes" if one.get("measure") == "bytes" else "count",
            used=used,
            limit=_integer(one.get("limit")),
            free=_integer(one.get("free")),
            share=_number(one.get("share")),
            stops_root=one.get("stops_root") is not False,
            per_minute=_number(growth.get("per_minute")),
            full_in=_integer(growth.get("full_in_s")),
            holders=tuple(_holders(one.get("holders"))),
            incident=incident,
            options=_options(incident, _mapping(one.get("options"))),
            level=FINE,
        )
        yield limit._replace(level=_level(limit, thresholds))


def _options(incident: str, given: Data) -> Data:
    """Whom to act on, and no other variable of the role: the rest is for those to say who run it."""
    names = [f"{incident}_{suffix}" for suffix in _WHOM]
    return {name: _plain(given[name]) for name in names if given.get(name)}


def _level(limit: Limit, thresholds: Thresholds) -> str:
    if _is_meant(limit):
        return FINE
    share = limit.share
    if share is not None and (share >= thresholds.critical or _is_too_little(limit)):
        return CRITICAL
    if share is not None and share >= thresholds.warning:
        return WARNING
    return WARNING if limit.full_in is not None and limit.full_in <= thresholds.horizon else FINE


def _is_meant(limit: Limit) -> bool:
    """Nothing may be used and nothing is, or a service was given room for itself and no more (TasksMax=1)."""
    if limit.limit == 0:
        return limit.used == 0
    is_a_small_group = limit.scope.startswith("cgroup ") and limit.limit is not None and limit.limit < _SMALL_GROUP
    return limit.resource == "process_slots" and is_a_small_group


def _is_too_little(limit: Limit) -> bool:
    """Whatever part of the limit it is: with so little left what the limit is for cannot be started."""
    least = _LEAST_FREE.get(limit.resource, 0) if limit.scope == "host" else 0
    return limit.free is not None and limit.used > 0 and limit.free < least


def _holders(found: t.Any) -> t.Iterator[Holder]:
    for one in _list(found)[:3]:
        if isinstance(one, t.Mapping):
            yield Holder(
                _text(one.get("name")),
                _integer(one.get("used")) or 0,
                _text(one.get("user")),
                _text(one.get("unit")),
                _integer(one.get("pid")),
            )


def _suspects(found: t.Any) -> t.Iterator[Data]:
    """As they are: an option for a shell is made of a suspect, and that has to name exactly what is meant."""
    for one in _list(found)[:3]:
        if isinstance(one, t.Mapping) and isinstance(one.get("selector"), t.Mapping):
            yield {
                "selector": _plain(one["selector"]),
                "processes": _integer(one.get("processes")) or 0,
                "share": _number(one.get("share")),
                "young": _integer(one.get("young")) or 0,
                "reasons": [_text(reason) for reason in _list(one.get("reasons"))[:5]],
            }


def _plain(value: t.Any, depth: int = 4) -> t.Any:
    """The same of the language's own types."""
    if isinstance(value, t.Mapping) and depth:
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [_plain(item, depth - 1) for item in value[:100]]
    number = _integer(value)
    return value if isinstance(value, bool) or value is None else number if number is not None else str(value)


def _context(found: t.Any) -> Data:
    """Numbers only, each of them or null."""
    given = _mapping(found)
    memory, pressure = _mapping(given.get("memory")), _mapping(given.get("pressure"))
    return {
        "memory_total": _integer(memory.get("total")),
        "memory_available": _integer(memory.get("available")),
        "swap_total": _integer(memory.get("swap_total")),
        "swap_free": _integer(memory.get("swap_free")),
        "pressure": {kind: _number(_mapping(pressure.get(kind)).get("some_avg60")) for kind in ("cpu", "memory", "io")},
        "load": [number for number in map(_number, _list(given.get("load"))[:3]) if number is not None],
        "processors": _integer(given.get("processors")),
        "uptime_s": _integer(given.get("uptime_s")),
    }


def _counts(found: t.Any) -> Data:
    given = _mapping(found)
    keys = ("processes", "threads", "kernel_threads", "zombies", "stopped", "uninterruptible")
    return {key: _integer(given.get(key)) or 0 for key in keys}


def _left_out(found: t.Any) -> t.Iterator[str]:
    for one in _list(found)[:20]:
        if isinstance(one, t.Mapping):
            yield f"{_text(one.get('what'))}: {_text(one.get('reason'))}"


# --- one value ---


def _text(value: t.Any) -> str:
    """Printable and of bounded length; what is none of these three is empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return clip(safe(str(value)[: 4 * _LONGEST]), _LONGEST)


def _identifier(value: t.Any) -> str:
    return str(value) if isinstance(value, str) and _IDENTIFIER.match(value) else ""


def _mapping(value: t.Any) -> Data:
    return value if isinstance(value, t.Mapping) else {}


def _list(value: t.Any) -> t.Sequence[t.Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _integer(value: t.Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return int(value) if abs(value) < 1 << 63 else None


def _number(value: t.Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e18:
        return None
    return float(value) if math.isfinite(value) else None
