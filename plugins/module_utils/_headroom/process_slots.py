# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process slots: every limit at which fork(2) fails with EAGAIN, what counts against it, who holds it.

Each thread takes a slot. ``kernel.pid_max`` and ``kernel.threads-max`` stop root too, RLIMIT_NPROC does not
(fork(2), setrlimit(2)); ``pids.max`` of every cgroup on the way up stops everybody (cgroup-v2.rst).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel import cgroups
from .._kernel.errors import Refused
from .._kernel.processes import text
from .._process.guard import Guard
from .survey import Holder, Limit, Resource, Survey, Task

_SUSPECT_LEAST = 50  # processes; below it no group is out of proportion
_SUSPECT_SHARE = 0.25
_RESERVED = 300
_HOLDERS = 3


def limits(survey: Survey, top: int) -> list[Limit]:
    """Host, users and cgroups: at most ``top`` users and cgroups."""
    top = max(0, top)
    found = host_limits(survey)
    for others in (_users(survey), _cgroups(survey)):
        found += sorted(others, key=lambda limit: limit.scarcity)[:top]
    return found


RESOURCE = Resource("process_slots", "process_storm", limits)


def host_limits(survey: Survey) -> list[Limit]:
    table = survey.table
    machine_tasks = table.load()[0]
    in_namespace = survey.threads + survey.kernel_threads + _lost_numbers(survey)
    holders = _holders(survey.tasks)
    return [
        Limit("host", "kernel.pid_max", in_namespace, table.number("sys", "kernel", "pid_max"), holders),
        Limit("host", "kernel.threads-max", machine_tasks, table.number("sys", "kernel", "threads-max"), holders),
    ]


def _lost_numbers(survey: Survey) -> int:
    """Free numbers below 300, which the kernel gives out in its first round only (RESERVED_PIDS, kernel/pid.c)."""
    numbers = [task.process.pid for task in survey.tasks]
    if survey.table.load()[1] >= max(numbers, default=0):
        return 0  # the first round, as far as can be seen
    return max(0, _RESERVED - survey.kernel_threads - sum(1 for number in numbers if number < _RESERVED))


def _users(survey: Survey) -> list[Limit]:
    """The limit of a user is the smallest one that any of a few of his processes has. Root is exempt and left out."""
    by_user: dict[str, list[Task]] = {}
    for task in survey.tasks:
        if task.user != "root":
            by_user.setdefault(task.user, []).append(task)
    found = []
    for user, tasks in by_user.items():
        sample = [survey.table.nproc_limit(task.process.pid) for task in tasks[:: max(1, len(tasks) // 4)][:4]]
        known = [limit for limit in sample if limit is not None]
        used = sum(task.process.threads for task in tasks)
        limit = min(known) if known else None
        found.append(Limit(f"user {user}", "RLIMIT_NPROC", used, limit, _holders(tasks), stops_root=False))
    return found


def _cgroups(survey: Survey) -> list[Limit]:
    """Every cgroup with a limit that holds one of the processes, however far above it."""
    hierarchies = cgroups.Hierarchies(survey.table.root)
    inside: dict[str, list[Task]] = {}
    leaves: dict[str, list[Task]] = {}
    for task in survey.tasks:
        leaves.setdefault(task.cgroup, []).append(task)
    for leaf, tasks in leaves.items():
        top = hierarchies.top(leaf)
        for directory in [*cgroups.ancestors(leaf, top), top] if leaf else []:
            inside.setdefault(directory, []).extend(tasks)
    found = []
    for directory, tasks in inside.items():
        limit = cgroups.number(directory, "pids.max")
        used = cgroups.number(directory, "pids.current")
        if limit is not None and used is not None:
            path = text(directory[len(hierarchies.top(directory)) :]) or "/"
            found.append(Limit(f"cgroup {path}", "pids.max", used, limit, _holders(tasks)))
    return found


def _holders(tasks: list[Task]) -> list[Holder]:
    counts: dict[tuple[str, str, str], int] = {}
    for task in tasks:
        key = (task.process.name, task.user, task.unit)
        counts[key] = counts.get(key, 0) + task.process.threads
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_HOLDERS]
    return [Holder(name, count, user, unit) for (name, user, unit), count in largest]


def table(survey: Survey, top: int) -> dict[str, t.Any]:
    """The process table in numbers: totals and the largest groups by name, user, unit and parent."""
    processes = [task.process for task in survey.tasks]
    names = {process.pid: process.name for process in processes}
    return {
        "processes": len(processes),
        "threads": survey.threads,
        "kernel_threads": survey.kernel_threads,
        "zombies": sum(1 for process in processes if process.is_dead),
        "stopped": sum(1 for process in processes if process.is_stopped),
        "uninterruptible": sum(1 for process in processes if process.state == "D"),
        "by_name": _grouped(survey.tasks, lambda task: task.process.name, top),
        "by_user": _grouped(survey.tasks, lambda task: task.user, top),
        "by_unit": _grouped(survey.tasks, lambda task: task.unit, top),
        "by_parent": [
            {"pid": group.pop("key"), "key": names.get(pid, "?"), **group}
            for group in _grouped(survey.tasks, lambda task: task.process.ppid, top)
            for pid in [group["key"]]
        ],
        "zombie_parents": _zombie_parents(survey, top),
    }


def _grouped(tasks: list[Task], key: t.Callable[[Task], t.Any], top: int) -> list[dict[str, t.Any]]:
    groups: dict[t.Any, list[Task]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    largest = sorted(groups.items(), key=lambda item: (-len(item[1]), str(item[0])))[: max(0, top)]
    return [
        {
            "key": name,
            "processes": len(members),
            "threads": sum(task.process.threads for task in members),
            "zombies": sum(1 for task in members if task.process.is_dead),
            "young": sum(1 for task in members if task.young),
        }
        for name, members in largest
    ]


def _zombie_parents(survey: Survey, top: int) -> list[dict[str, t.Any]]:
    counts: dict[int, int] = {}
    for task in survey.tasks:
        if task.process.is_dead:
            counts[task.process.ppid] = counts.get(task.process.ppid, 0) + 1
    by_pid = {task.process.pid: task for task in survey.tasks}
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: max(0, top)]
    return [
        {
            "pid": pid,
            "name": by_pid[pid].process.name if pid in by_pid else "?",
            "user": by_pid[pid].user if pid in by_pid else "?",
            "unit": by_pid[pid].unit if pid in by_pid else "?",
            "zombies": count,
        }
        for pid, count in worst
    ]


def suspects(survey: Survey, top: int) -> list[dict[str, t.Any]]:
    """Groups of one name and user out of proportion, worst first. A proposal, not a verdict."""
    guard = Guard(survey.table, [task.process for task in survey.tasks], include_containers=True)
    groups: dict[tuple[bytes, str], list[Task]] = {}
    for task in survey.tasks:
        groups.setdefault((task.process.comm, task.user), []).append(task)
    total = max(1, len(survey.tasks))
    found = []
    for (comm, user), tasks in groups.items():
        share = len(tasks) / total
        young = sum(1 for task in tasks if task.young)
        if len(tasks) < _SUSPECT_LEAST or (share < _SUSPECT_SHARE and young * 4 < total):
            continue
        reasons = [f"{len(tasks)} of {total} processes ({share:.0%}) are {text(comm)} of {user}"]
        if young:
            reasons.append(f"{young} of them started within the last minute")
        units = sorted({task.unit for task in tasks})
        if len(units) == 1:
            reasons.append(f"all are in {units[0]}")
        if all(_is_protected(guard, task) for task in tasks[:20]):
            reasons.append("they are protected, so rogue_process would leave them alone")
        found.append(
            {
                "selector": _selector(comm, user, units),
                "processes": len(tasks),
                "share": round(share, 4),
                "young": young,
                "reasons": reasons,
            }
        )
    return sorted(found, key=_suspicion)[: max(0, top)]


def _suspicion(suspect: dict[str, t.Any]) -> tuple[int, int, str]:
    return (-suspect["young"], -suspect["processes"], str(suspect["selector"]))


def _is_protected(guard: Guard, task: Task) -> bool:
    try:
        return guard.reason(task.process) is not None
    except Refused:
        return False


def _selector(comm: bytes, user: str, units: list[str]) -> dict[str, t.Any]:
    """Ready for rogue_process: the unit narrows it where there is one for all. A name that is no text, or none at all,
    is given as a regular expression."""
    name = text(comm)
    plain = bool(comm) and name.encode("utf-8") == comm
    exactly = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in comm)
    selector: dict[str, t.Any] = {"name": [name]} if plain else {"name_regex": f"^{exactly}\\Z"}
    selector["user"] = [user]
    if len(units) == 1 and "." in units[0] and not units[0].startswith("/") and "\\x" not in units[0]:
        selector["unit"] = units
    return selector
