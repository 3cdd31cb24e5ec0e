# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be stopped whole: the cgroups, users and process groups of the victims, and who else is in them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel import cgroups, signals
from .._kernel.processes import Process, ProcessTable
from .plan import SCOPES, Scope, selectiveness
from .selection import Selector

_MOST_SCOPES = 64
_OF_ANOTHER_NAMESPACE = 0  # how cgroup.procs lists a process that has no number here


def kinds(selector: Selector, method: str) -> tuple[str, ...]:
    """Which kinds of scope are worth a look, the strongest first."""
    if method != "auto":
        return (method,) if method in SCOPES else ()
    if selectiveness(selector):
        return ()
    return SCOPES if signals.can_assume_users() else ("cgroup", "group")


def survey(
    kinds: t.Sequence[str],
    table: ProcessTable,
    hierarchies: cgroups.Hierarchies,
    victims: t.Sequence[Process],
    others: t.Sequence[Process],
    judge: t.Callable[[int], bool],
) -> list[Scope]:
    """The scopes of each kind in turn, until one holds nothing but victims.

    ``judge`` looks again at a number: gone by now, or a victim. A cgroup has it asked of one of its victims and of each
    number that was none in the pass.
    """
    look: dict[str, t.Callable[[], list[Scope]]] = {
        "cgroup": lambda: _cgroups(table, hierarchies, victims, others, judge),
        "user": lambda: _users(table, victims, others, judge),
        "group": lambda: _groups(victims, others, judge),
    }
    found: list[Scope] = []
    for kind in kinds if victims else ():
        scopes = look[kind]()
        found += scopes
        if scopes and all(scope.strangers == 0 for scope in scopes):
            break
    return found


def _cgroups(
    table: ProcessTable,
    hierarchies: cgroups.Hierarchies,
    victims: t.Sequence[Process],
    others: t.Sequence[Process],
    judge: t.Callable[[int], bool],
) -> list[Scope]:
    """The cgroups of the victims, each with all below it; the first that holds a stranger ends the search.

    Who was born since the pass is not looked at: who is looked at, once all are frozen, is everybody.
    """
    strange = {process.pid for process in others} | {_OF_ANOTHER_NAMESPACE}
    covered: set[int] = set()
    scopes: list[Scope] = []
    for process in victims:
        if process.pid in covered:
            continue
        paths = table.cgroups(process.pid)
        if paths is None:
            continue  # gone since
        directory = hierarchies.directory("freezer", paths)
        if directory is None or directory == hierarchies.top(directory) or len(scopes) >= _MOST_SCOPES:
            return []
        held = cgroups.members(directory) or set()
        if process.pid not in held or not cgroups.can_freeze(directory):
            found = table.read(process.pid)
            if found is None or found.is_dead:
                continue
            return []
        strangers = sum(1 for pid in {process.pid} | held & strange if not judge(pid))
        scopes = [scope for scope in scopes if not scope.target.startswith(directory + "/")]
        scopes.append(Scope("cgroup", directory, len(held) - strangers, strangers))
        if strangers:
            return scopes
        covered |= held
    return scopes


def _users(
    table: ProcessTable, victims: t.Sequence[Process], others: t.Sequence[Process], judge: t.Callable[[int], bool]
) -> list[Scope]:
    """By real or saved uid, as kill(2) counts. Root's are never taken whole."""
    counts: dict[int, int] = {}
    for process in victims:
        uid = process.owner
        if uid == 0:  # root's, or not dumpable: only its status tells
            status = table.status(process.pid)
            if status is None:
                continue
            uid = status.real_uid
        counts[uid] = counts.get(uid, 0) + 1
    if 0 in counts or len(counts) > _MOST_SCOPES:
        return []
    strangers = dict.fromkeys(counts, 0)
    for process in others:
        for uid in _reachable_as(table, process):
            if uid in strangers and not judge(process.pid):
                strangers[uid] += 1
    return [Scope("user", str(uid), count, strangers[uid]) for uid, count in counts.items()]


def _reachable_as(table: ProcessTable, process: Process) -> set[int]:
    if process.is_kernel_thread:
        return set()
    status = table.status(process.pid)
    return {process.owner} if status is None else {status.real_uid, status.saved_uid}


def _groups(victims: t.Sequence[Process], others: t.Sequence[Process], judge: t.Callable[[int], bool]) -> list[Scope]:
    counts: dict[int, int] = {}
    for process in victims:
        counts[process.pgid] = counts.get(process.pgid, 0) + 1
    if len(counts) > _MOST_SCOPES or not counts.keys().isdisjoint((0, 1)):
        return []
    strangers = dict.fromkeys(counts, 0)
    for process in others:
        if process.pgid in strangers and not judge(process.pid):
            strangers[process.pgid] += 1
    return [Scope("group", str(pgid), count, strangers[pgid]) for pgid, count in counts.items()]
