# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of the process slots when all who are not trusted take what their limits let them have.

The kernel keeps no slot for root: what the limits of the others leave over is all there is (fork(2), cgroup-v2.rst).
Trusted are the kernel, PID 1, and the slice in which role harden keeps sshd and the standby.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

from .._kernel import cgroups
from .._kernel.processes import text
from .process_slots import host_limits
from .survey import Survey, Task

# A task keeps its own number and those of its process group and its session, whose leaders may both be dead
# (setpgid(2), setsid(2)): whoever wants to, takes three numbers with each task.
_NUMBERS_PER_TASK = 3
_TRUSTED = re.compile(r"^/(init\.scope|hostcare\.slice)(/|$)")
# Another user may log in to a slice at any time, though not to the slice of one user.
_ONE_USER = re.compile(r"/user-[0-9]+\.slice$")
_PIDS_MAX, _NPROC = "pids.max", "RLIMIT_NPROC"


class Ceiling(t.NamedTuple):
    """A limit on all of the host; ``each`` is what a task takes of it at most."""

    scope: str
    limit_name: str
    limit: int
    used: int
    each: int = 1


class Pool(t.NamedTuple):
    """Who shares one limit. ``at_most`` is None where there is no limit."""

    scope: str
    used: int
    at_most: int | None
    limited_by: str = ""


def reserve(survey: Survey, top: int) -> dict[str, t.Any] | None:
    """At most ``top`` pools. None where the host does not tell its limits."""
    found = ceilings(survey)
    return judge(found, pools(survey), max(0, top)) if found else None


# --- the judgement ---


def judge(found: t.Sequence[Ceiling], untrusted: t.Sequence[Pool], top: int) -> dict[str, t.Any]:
    """By the ceiling that leaves least. Of those that only together break the reserve, the fewest are named."""
    limits = [pool.at_most for pool in untrusted]
    used = sum(pool.used for pool in untrusted)
    tasks = None if None in limits else sum(limit for limit in limits if limit is not None)

    def room(ceiling: Ceiling) -> int:
        return ceiling.limit - max(0, ceiling.used - used)

    def left(ceiling: Ceiling) -> int:
        return room(ceiling) - ceiling.each * (tasks or 0)

    binding = min(found, key=lambda ceiling: (left(ceiling), ceiling.scope, ceiling.limit_name))
    at_most = None if tasks is None else binding.each * tasks
    ranked = sorted(untrusted, key=_size)
    breaks = _breakers(ranked, room(binding), binding.each)
    return {
        "scope": binding.scope,
        "limit_name": binding.limit_name,
        "limit": binding.limit,
        "kept": binding.limit - room(binding),
        "at_most": at_most,
        "slots": None if at_most is None else left(binding),
        "pools": [
            {
                "scope": pool.scope,
                "used": pool.used,
                "at_most": pool.at_most,
                "limited_by": pool.limited_by,
                "breaks": breaks.get(pool.scope, ""),
            }
            for pool in ranked[:top]
        ],
        "pools_total": len(ranked),
    }


def _size(pool: Pool) -> tuple[int, int, str]:
    """The largest first, and before all who has no limit."""
    return (-pool.at_most if pool.at_most is not None else -(1 << 62), -pool.used, pool.scope)


def _breakers(ranked: t.Sequence[Pool], room: int, each: int) -> dict[str, str]:
    """``alone`` who can take all of the room; if nobody can, ``together`` the largest ones that can."""
    alone = {
        pool.scope: "alone" for pool in ranked if pool.at_most is None or (pool.at_most and each * pool.at_most >= room)
    }
    if alone:
        return alone
    taken, together = 0, {}
    for pool in ranked:
        if not pool.at_most:
            break
        taken += each * pool.at_most
        together[pool.scope] = "together"
        if taken >= room:
            return together
    return {}


# --- the host ---


def ceilings(survey: Survey) -> list[Ceiling]:
    """Those of the kernel, and of the cgroups in which all of the host is, as in a container."""
    found = [
        Ceiling(limit.scope, limit.limit_name, limit.limit, limit.used, _each(limit.limit_name))
        for limit in host_limits(survey)
        if limit.limit is not None
    ]
    hierarchies = cgroups.Hierarchies(survey.table.root)
    scope = survey.table.scope()
    outermost = {hierarchies.top(task.cgroup) for task in survey.tasks if task.cgroup}
    for top in sorted(outermost):
        for directory in [*cgroups.ancestors(top + scope, top), top]:
            limit, used = (cgroups.number(directory, name) for name in (_PIDS_MAX, "pids.current"))
            if limit is not None and used is not None:
                path = text(directory[len(top) :]) or "/"
                found.append(Ceiling(f"cgroup {path}", _PIDS_MAX, limit, used))
    return found


def _each(limit_name: str) -> int:
    return _NUMBERS_PER_TASK if limit_name == "kernel.pid_max" else 1


def pools(survey: Survey) -> list[Pool]:
    """Each of the outermost cgroups that has a limit, with all below it; and each cgroup that no limit holds."""
    hierarchies = cgroups.Hierarchies(survey.table.root)
    scope = survey.table.scope()
    members: dict[tuple[str, str], list[Task]] = {}
    owners: dict[str, tuple[str, str]] = {}
    for task in survey.tasks:
        if task.process.is_dead:  # it starts nothing more, and a v1 hierarchy shows it at its top
            continue
        if task.cgroup not in owners:
            top = hierarchies.top(task.cgroup)
            owners[task.cgroup] = _pool_of(task.cgroup, top + scope if _is_in(task.cgroup, top + scope) else top)
        members.setdefault(owners[task.cgroup], []).append(task)
    return [
        _pool(survey, directory, path, tasks)
        for (directory, path), tasks in members.items()
        if not _TRUSTED.match(path) and not _is_pid_1(tasks)
    ]


def _is_in(directory: str, outer: str) -> bool:
    return directory == outer or directory.startswith(outer + "/")


def _pool_of(leaf: str, top: str) -> tuple[str, str]:
    """The directory, and its path from where the cgroups of this host begin."""
    way = [*cgroups.ancestors(leaf, top)]
    limited = [directory for directory in way if cgroups.number(directory, _PIDS_MAX) is not None]
    directory = limited[-1] if limited else leaf
    return directory, directory[len(top) :] or "/"


def _is_pid_1(tasks: t.Sequence[Task]) -> bool:
    """Where no service manager made groups, the first process is in a pool with all the others."""
    return [task.process.pid for task in tasks] == [1]


def _pool(survey: Survey, directory: str, path: str, tasks: t.Sequence[Task]) -> Pool:
    limit = cgroups.number(directory, _PIDS_MAX) if directory else None
    counted = cgroups.number(directory, "pids.current") if limit is not None else None
    used = sum(task.process.threads for task in tasks) if counted is None else counted
    scope = f"cgroup {text(path)}" if directory else "host"
    of_users = None if _is_of_many(path) else _of_users(survey, tasks)
    if of_users is not None and (limit is None or of_users < limit):
        return Pool(scope, used, max(used, of_users), _NPROC)
    if limit is None:
        return Pool(scope, used, None)
    return Pool(scope, used, max(used, limit), _PIDS_MAX)  # moving a process in is never refused


def _is_of_many(path: str) -> bool:
    return path.endswith(".slice") and _ONE_USER.search(path) is None


def _of_users(survey: Survey, tasks: t.Sequence[Task]) -> int | None:
    """What all users of a pool may have together. None with root among them, or one without a limit."""
    total = 0
    for user in {task.user for task in tasks}:
        theirs = [task for task in tasks if task.user == user]
        sample = theirs[:: max(1, len(theirs) // 4)][:4]
        limits = [survey.table.nproc_limit(task.process.pid, hard=True) for task in sample]
        if user == "root" or None in limits:
            return None
        total += max(limit for limit in limits if limit is not None)
    return total
