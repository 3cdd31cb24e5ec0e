# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be counted on a host without a /proc of Linux: FreeBSD, by sysctl(3) and psutil.

Process slots (kern.maxproc, kern.maxprocperuid), open files (kern.maxfiles), inodes and space of file systems. The last
ten processes are root's (sys/kern/kern_fork.c), and so are the last 5 % of the files (sys/kern/kern_descrip.c).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from .._descriptors.psutil_table import PsutilTable, sysctl_by_name
from .._kernel.errors import Refused
from . import filesystems
from .survey import Holder, Limit, Resource, Survey, Task

Sysctl = t.Callable[[str], t.Optional[int]]

_HOLDERS = 3
# Others are made up by the kernel, or show another one that may hang (nullfs, unionfs).
_COUNTED = frozenset({"ext2fs", "hammer2", "msdosfs", "tmpfs", "ufs", "zfs"})


def is_needed(proc_root: str) -> bool:
    """On Linux a missing /proc is a fault, which ProcessTable tells of."""
    return os.uname().sysname != "Linux" and not os.path.exists(proc_root + "/self")


def table() -> PsutilTable:
    return PsutilTable()


def _process_slots(sysctl: Sysctl, survey: Survey, top: int) -> list[Limit]:
    by_user: dict[str, list[Task]] = {}
    for task in survey.tasks:
        by_user.setdefault(task.user, []).append(task)
    each = sysctl("kern.maxprocperuid")
    users = [
        Limit(f"user {user}", "kern.maxprocperuid", len(tasks), each, _largest(tasks), stops_root=False)
        for user, tasks in by_user.items()
        if user != "root"
    ]
    whole = Limit("host", "kern.maxproc", len(survey.tasks), sysctl("kern.maxproc"), _largest(survey.tasks))
    return [whole, *sorted(users, key=lambda limit: limit.scarcity)[: max(0, top)]]


def _largest(tasks: t.Sequence[Task]) -> list[Holder]:
    counts: dict[tuple[str, str], int] = {}
    for task in tasks:
        counts[task.process.name, task.user] = counts.get((task.process.name, task.user), 0) + 1
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_HOLDERS]
    return [Holder(name, count, user) for (name, user), count in largest]


def _descriptors(sysctl: Sysctl, survey: Survey, _top: int) -> list[Limit]:
    used = sysctl("kern.openfiles")
    if used is None:
        raise Refused(
            "kern.openfiles cannot be read here: this system is none whose open files this collection counts."
        )
    held = []
    for task in survey.tasks:
        if survey.is_over:
            survey.gaps.append("the time budget ended before all descriptors were counted: raise time_budget")
            break
        count = t.cast(PsutilTable, survey.table).descriptors(task.process.pid)
        if count:
            held.append(Holder(task.process.name, count, task.user, pid=task.process.pid))
    held.sort(key=lambda holder: (-holder.used, holder.pid or 0))
    return [Limit("host", "kern.maxfiles", used, sysctl("kern.maxfiles"), held[:_HOLDERS])]


def _spaces(survey: Survey) -> list[filesystems.Space]:
    mounts = [
        filesystems.Mount(number, 0, part.device, part.mountpoint, part.fstype, "ro" in part.opts.split(","))
        for number, part in enumerate(t.cast(PsutilTable, survey.table).psutil.disk_partitions(all=True))
    ]
    wanted = [mount for mount in mounts if mount.kind in _COUNTED or mount.may_hang]
    return filesystems.ask(survey, wanted, lambda mount: filesystems.space(mount, os.statvfs(mount.point)))


def registry(sysctl: Sysctl = sysctl_by_name) -> tuple[Resource, ...]:
    return (
        Resource("process_slots", "process_storm", lambda survey, top: _process_slots(sysctl, survey, top)),
        Resource("descriptors", "fd_leak", lambda survey, top: _descriptors(sysctl, survey, top)),
        Resource("inodes", "", lambda survey, top: filesystems.inodes(_spaces(survey), top), needs_processes=False),
        Resource("blocks", "", lambda survey, top: filesystems.blocks(_spaces(survey), top), needs_processes=False),
    )
