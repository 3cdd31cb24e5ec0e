# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files: of the whole host, of each process against its own limit, and the inotify limits of each user.

RLIMIT_NOFILE stops every process, root's too (getrlimit(2)); fs.file-max stops all that lack CAP_SYS_ADMIN
(proc_sys_fs(5)); the inotify limits count all processes of a user together (inotify(7)), and fail with the same "too
many open files".

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._descriptors.identity import Order
from .._descriptors.members import SANDBOX
from .._kernel.descriptors import DescriptorTables, Holding, Kcmp
from .._kernel.rlimits import Rlimits
from .survey import Holder, Limit, Resource, Survey, Task

INCIDENT = "fd_leak"
_NO_LIMIT = 1 << 53  # what fs.file-max is where it is off is larger
_HOLDERS = 3
_MOST_LINKS = 100_000  # that are read to find inotify instances, some 0.4 s
_WATCH = b"inotify wd:"
_Held = t.List[t.Tuple[Task, Holding]]


class _Instance(t.NamedTuple):
    task: Task
    watches: int


def limits(survey: Survey, top: int) -> list[Limit]:
    tables = DescriptorTables(survey.table.root)
    held = _held(survey, tables)
    own = sorted(_of_processes(survey, held), key=lambda limit: limit.scarcity)[: max(0, top)]
    return [*_of_host(tables, held), *own]


def inotify_limits(survey: Survey, top: int) -> list[Limit]:
    """At most ``top`` users for each of the two limits."""
    tables = DescriptorTables(survey.table.root)
    instances = _instances(survey, tables, _held(survey, tables))
    found = [
        *_of_users(tables, "max_user_instances", instances, lambda _one: 1, top),
        *_of_users(tables, "max_user_watches", instances, lambda one: one.watches, top),
    ]
    if tables.denied:
        survey.gaps.append(
            f"the descriptors of {tables.denied} processes may not be looked at: run as root, in a container with "
            "CAP_SYS_PTRACE"
        )
    return found


def _held(survey: Survey, tables: DescriptorTables) -> _Held:
    """The processes that hold descriptors, the largest first."""
    found = []
    for task in survey.tasks:
        if survey.is_over:
            survey.gaps.append("the time budget ended before all descriptors were counted: raise time_budget")
            break
        holding = tables.holding(task.process.pid)
        if holding is not None:
            found.append((task, holding))
    return sorted(found, key=lambda one: (-one[1].descriptors, one[1].pid))


def _holder(task: Task, used: int) -> Holder:
    return Holder(task.process.name, used, task.user, task.unit, task.process.pid)


def _of_host(tables: DescriptorTables, held: _Held) -> list[Limit]:
    numbers = tables.numbers("sys/fs/file-nr")
    if len(numbers) != 3:
        return []
    limit = numbers[2] if numbers[2] < _NO_LIMIT else None
    holders = [_holder(task, holding.descriptors) for task, holding in held[:_HOLDERS]]
    return [Limit("host", "fs.file-max", numbers[0], limit, holders, stops_root=False)]


def _of_processes(survey: Survey, held: _Held) -> t.Iterator[Limit]:
    """But for a limit so small that the process gave it to itself, to open no more at all."""
    rlimits = Rlimits(survey.table.root)
    for task, holding in held:
        known = rlimits.get(holding.pid, "nofile")
        if known is None or known.soft is None or known.soft < SANDBOX:
            continue
        yield Limit(
            f"process {holding.pid} {task.process.name}",
            "RLIMIT_NOFILE",
            holding.descriptors,
            known.soft,
            [_holder(task, holding.descriptors)],
            options={"fd_leak_units": [task.unit]} if task.unit.endswith(".service") else {},
        )


def _instances(survey: Survey, tables: DescriptorTables, held: _Held) -> list[_Instance]:
    """Inherited ones once."""
    order = Order(Kcmp())
    found = []
    left = _MOST_LINKS
    for task, holding in held:
        if left <= 0 or survey.is_over:
            survey.gaps.append("not all descriptors were looked at for inotify: the largest holders were")
            break
        left -= holding.descriptors
        for numbers, links in tables.links(holding, holding.descriptors):
            for number, link in zip(numbers, links):
                if link == b"anon_inode:inotify" and order.is_new((holding.pid, int(number))):
                    found.append(_Instance(task, (tables.info(holding, number) or b"").count(_WATCH)))
    return found


def _of_users(
    tables: DescriptorTables,
    name: str,
    instances: t.Sequence[_Instance],
    weight: t.Callable[[_Instance], int],
    top: int,
) -> list[Limit]:
    limit = next(iter(tables.numbers(f"sys/fs/inotify/{name}")), None)
    users: dict[str, dict[int, tuple[Task, int]]] = {}
    for one in instances:
        processes = users.setdefault(one.task.user, {})
        pid = one.task.process.pid
        processes[pid] = (one.task, processes.get(pid, (one.task, 0))[1] + weight(one))
    found = []
    for user, processes in users.items():
        largest = sorted(processes.values(), key=lambda one: (-one[1], one[0].process.pid))
        found.append(
            Limit(
                f"user {user}",
                f"fs.inotify.{name}",
                sum(used for _task, used in largest),
                limit,
                [_holder(task, used) for task, used in largest[:_HOLDERS]],
                options={} if limit is None else {"fd_leak_sysctl": {f"fs.inotify.{name}": 2 * limit}},
            )
        )
    return sorted(found, key=lambda one: one.scarcity)[: max(0, top)]


RESOURCE = Resource("descriptors", INCIDENT, limits)
INOTIFY = Resource("inotify", INCIDENT, inotify_limits)
