# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the objects and at all processes, judged.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable
from .._kernel.sysv_ipc import KINDS, NO_TIME, SEMAPHORES, Calls, Object, Tables, Touch
from .._process.selection import Matcher
from .clock import Clock
from .people import UNITS, People, Wanted
from .selection import Selection
from .verdict import CONTAINER, HIDDEN, HOST, Case, Judge, Verdict, World, shows_strangers


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
    lacks."""

    objects: dict[str, list[Object]]
    judged: list[Judged]
    judge: Judge
    people: People
    missing: list[str]

    @property
    def world(self) -> World:
        return self.judge.world

    @property
    def matched(self) -> int:
        return sum(len(one.members) for one in self.judged)


def look(host: Host, selection: Selection, time_budget: float, before: t.Sequence[Judged] = ()) -> Look:
    """Objects first, then processes: whoever made an object that is seen is older than the list of processes.

    Of what was seen ``before`` and will be looked at once more, only whether it was touched since, if that is enough.
    Raises Refused where the kernel has no System V IPC.
    """
    deadline = time.monotonic() + time_budget
    objects, missing = _objects(host.tables)
    cases = _cases(host.calls, objects, selection, deadline, _touched(before))
    people = People(host.processes, host.units)
    judge = Judge(_world(people, selection, [case for case, _members in cases]))
    judged = [Judged(case, judge.judge(case), members) for case, members in cases if _is_selected(case, selection)]
    return Look(objects, judged, judge, people, missing)


def _touched(judged: t.Sequence[Judged]) -> dict[int, Touch]:
    """The arrays among them of one semaphore that nobody slept on."""
    return {
        member.id: one.case.touch
        for one in judged
        if one.case.facts.kind == SEMAPHORES and isinstance(one.case.touch, Touch) and not one.case.touch.waiters
        for member in one.members
        if len(one.case.touch.pids) == 1
    }


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
    before: t.Mapping[int, Touch],
) -> list[tuple[Case, list[Object]]]:
    """All objects, those that are alike together. Those that are not selected tell who uses what."""
    parts: tuple[list[Object], list[Object]] = ([], [])
    for array in objects[SEMAPHORES]:
        parts[not selection.selects(array)].append(array)
    touches = {**calls.touches(parts[0], deadline, before), **calls.touches(parts[1], deadline)}
    by_names = bool(selection.ids or selection.keys)
    cases: dict[tuple[int, int, bool, bool], tuple[Case, list[Object]]] = {}
    named_in_table: dict[tuple[int, ...], Touch] = {}
    for kind, table in objects.items():
        for found in table:
            facts = found.facts
            told = facts.pids if kind != SEMAPHORES else None
            touch = touches[found.id] if told is None else named_in_table.setdefault(told, Touch(told))
            is_named = by_names and selection.names(found)
            alike = (id(facts), id(touch), found.key == 0, is_named)
            if alike not in cases:
                cases[alike] = (Case(facts, touch, found.key == 0, is_named), [])
            cases[alike][1].append(found)
    return list(cases.values())


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
