# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the objects and at all processes, judged.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import collections
import itertools
import operator
import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable
from .._kernel.sysv_ipc import KINDS, NO_TIME, SEMAPHORES, Calls, Facts, Object, Tables, Touch, Unseen
from .._process.selection import Matcher
from .clock import Clock
from .people import UNITS, People, Wanted
from .selection import Selection
from .verdict import CONTAINER, HIDDEN, HOST, Case, Judge, Verdict, World, shows_strangers

# Seconds: what times in the tables are rounded down to, and as much again for a clock that is being slewed.
_TOLD_APART = 2.0

_IDENTIFIER, _KEY, _FACTS = map(operator.attrgetter, Object._fields)


class Judged(t.NamedTuple):
    """A case, what follows, and the objects that it is the case of."""

    case: Case
    verdict: Verdict
    members: list[Object]


class Host(t.NamedTuple):
    """Where to look. Tests give other places than the host's own."""

    processes: ProcessTable
    tables: Tables
    calls: Calls
    units: str = UNITS

    @classmethod
    def here(cls, proc_root: str = "/proc") -> Host:
        processes = ProcessTable(proc_root)
        processes.check()
        return cls(processes, Tables(proc_root), Calls())


class Look(t.NamedTuple):
    """``objects`` are all of the host by kind, ``judged`` those that are selected. ``missing``: kinds that the kernel
    lacks; ``began`` is by the wall clock."""

    objects: dict[str, list[Object]]
    judged: list[Judged]
    judge: Judge
    people: People
    missing: list[str]
    began: float

    @property
    def world(self) -> World:
        return self.judge.world

    @property
    def matched(self) -> int:
        return sum(len(one.members) for one in self.judged)


# By what their lines say: who touched these arrays last.
Settled = t.Mapping[Facts, t.Mapping[int, Touch]]


def look(host: Host, selection: Selection, time_budget: float, settled: Settled | None = None) -> Look:
    """Objects first, then processes: whoever made an object that is seen is older than the list of processes.

    Raises Refused where the kernel has no System V IPC.
    """
    began, deadline = time.time(), time.monotonic() + time_budget
    objects, missing = _objects(host.tables)
    cases = _cases(host.calls, objects, selection, deadline, settled or {})
    people = People(host.processes, host.units)
    judge = Judge(_world(people, selection, [case for case, _members in cases]))
    judged = [Judged(case, judge.judge(case), members) for case, members in cases if _is_selected(case, selection)]
    return Look(objects, judged, judge, people, missing, began)


def settled(judged: t.Iterable[Judged], seen: Look) -> Settled:
    """Arrays of one semaphore whose line in the table tells of any touch since that look: each touch writes its second
    there (semop(2), semctl(2)), and the last one was before the look. They need not be asked again."""
    found: dict[Facts, dict[int, Touch]] = collections.defaultdict(dict)
    for case, _verdict, members in judged:
        touch = case.touch
        if case.facts.nsems != 1 or not isinstance(touch, Touch) or touch.pids[0] <= 0 or touch.waiters:
            continue
        if not seen.world.clock.step and case.last_touch < seen.began - _TOLD_APART:
            found[case.facts].update(dict.fromkeys(map(_IDENTIFIER, members), touch))
    return found


def _objects(tables: Tables) -> tuple[dict[str, list[Object]], list[str]]:
    found = {kind: tables.read(kind) for kind in KINDS}
    missing = [kind for kind in KINDS if found[kind] is None]
    if len(missing) == len(KINDS):
        raise Refused(
            f"{tables.root}/sysvipc is missing: this kernel has no System V IPC (CONFIG_SYSVIPC), or the /proc here "
            "is not whole. Without it there are no such objects; with it, mount a whole /proc and run again."
        )
    return {kind: table or [] for kind, table in found.items()}, missing


def _cases(
    calls: Calls,
    objects: dict[str, list[Object]],
    selection: Selection,
    deadline: float,
    settled: Settled,
) -> list[tuple[Case, list[Object]]]:
    """All objects, those that are alike together. Those that are not selected tell who uses what."""
    by_names = bool(selection.ids or selection.keys)
    groups = [group for table in objects.values() for group in _by_facts(table)]
    touches: dict[int, Touch | Unseen] = {}
    meant: list[Object] = []
    others: list[Object] = []
    for group in groups:
        facts = group[0].facts
        if facts.kind == SEMAPHORES:
            known = settled.get(facts, {})
            asked = [array for array in group if array.id not in known] if known else group
            touches.update(known)
            if by_names:
                meant += filter(selection.selects, asked)
                others += itertools.filterfalse(selection.selects, asked)
            else:
                (meant if selection.selects_facts(facts) else others).extend(asked)
    touches.update(calls.touches(meant, deadline))
    touches.update(calls.touches(others, deadline))
    names = selection.names if by_names else None
    cases = [
        case for group in groups for case in _split(group, touches if group[0].facts.kind == SEMAPHORES else {}, names)
    ]
    return sorted(cases, key=lambda case: (KINDS.index(case[0].facts.kind), case[1][0].id))


def _split(
    group: t.Sequence[Object], touches: t.Mapping[int, Touch | Unseen], names: t.Callable[[Object], bool] | None
) -> t.Iterator[tuple[Case, list[Object]]]:
    """Objects that say the same, by what else tells them apart: who touched them, whether they have a key, and whether
    the user ``names`` them."""
    facts = group[0].facts
    named_in_table = Touch(facts.pids)
    told = map(touches.get, map(_IDENTIFIER, group), itertools.repeat(named_in_table))
    privates = map((0).__eq__, map(_KEY, group))
    hows = list(zip(map(id, told), privates, map(names, group) if names else itertools.repeat(False)))
    for (_touch, is_private, is_named), members in alike(hows, group):
        yield Case(facts, touches.get(members[0].id, named_in_table), is_private, is_named), members


def _by_facts(table: t.Sequence[Object]) -> t.Iterable[list[Object]]:
    return [members for _facts, members in alike(list(map(id, map(_FACTS, table))), table)]


_Mark = t.TypeVar("_Mark")


def alike(marks: t.Sequence[_Mark], objects: t.Sequence[Object]) -> t.Iterable[tuple[_Mark, list[Object]]]:
    """The objects of each mark, in their order."""
    if len(set(marks)) == 1:  # as thousands that one service left
        return [(marks[0], list(objects))]
    found: dict[_Mark, list[Object]] = collections.defaultdict(list)
    for mark, one in zip(marks, objects):
        found[mark].append(one)
    return found.items()


def _is_selected(case: Case, selection: Selection) -> bool:
    return selection.selects_facts(case.facts) and (case.is_named or not (selection.ids or selection.keys))


def _world(people: People, selection: Selection, cases: t.Sequence[Case]) -> World:
    table = people.table
    clock = people.clock(case.facts.ctime for case in cases)
    selected = [case for case in cases if _is_selected(case, selection)]
    users = {uid for case in selected for uid in (case.facts.uid, case.facts.cuid)} - {0}
    wanted = Wanted(frozenset(users), _named(people, clock, cases), any(case.needs_root for case in selected))
    denied = table.denied
    matter = people.matter(
        wanted,
        clock,
        [Matcher(selector, table) for selector in selection.service],
        [Matcher(selector, table) for selector in selection.bystanders],
    )
    gap = people.gap
    if any(case.touch is NO_TIME for case in cases):
        gap = NO_TIME.reason
    elif table.denied > denied and any(selector.exes or selector.units for selector in selection.service):
        gap = "programs and units of other users may not be seen by this one"
    return World(
        matter,
        clock,
        _sight(table),
        any(map(shows_strangers, cases)) or sysv_ipc.namespace("ipc", "self", table.root) == sysv_ipc.INITIAL_IPC,
        bool(selection.service),
        gap,
    )


def _named(people: People, clock: Clock, cases: t.Iterable[Case]) -> dict[int, set[int]]:
    """Living processes that objects name, with the owners and creators of those that they may really have touched."""
    named: dict[int, set[int]] = {}
    for case in cases:
        for pid in set(case.pids) & people.processes.keys():
            owners = named.setdefault(pid, set())
            if clock.step or not people.is_younger(pid, clock, case.last_touch):
                owners.update((case.facts.uid, case.facts.cuid))
    return named


def _sight(table: ProcessTable) -> str:
    if table.hides_others():
        return HIDDEN
    return HOST if sysv_ipc.namespace("pid", "self", table.root) == sysv_ipc.INITIAL_PID else CONTAINER
