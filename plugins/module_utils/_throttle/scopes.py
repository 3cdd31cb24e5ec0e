# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose process creation can be capped as a whole: the pids cgroups of the selection, and who else is in them.

Sources: Documentation/admin-guide/cgroup-v1/pids.rst and cgroup-v2.rst.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel import cgroups
from .._kernel.cgroups import Hierarchies
from .._kernel.processes import Process, ProcessTable, text
from .._process.selection import Selector
from .planning import Seen, lower
from .records import CGROUP, Limit

LIMIT, COUNT, EVENTS = "pids.max", "pids.current", "pids.events"
_MOST_SCOPES = 64
_LOOKS, _BETWEEN_LOOKS = 10, 0.01  # seconds


class Found(t.NamedTuple):
    """The cgroups that hold nothing but the selection, or why there are none."""

    directories: list[str]
    obstacle: str


class Pids:
    """The hierarchies in which the number of processes is limited: v1's own, or v2."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.hierarchies = Hierarchies(table.root)

    def of(self, pid: int) -> str | None:
        """The innermost cgroup of a process that has a limit; None where none has."""
        paths = self.table.cgroups(pid)
        for name in ("pids", "") if paths is not None else ():
            mount = self.hierarchies.mounts.get(name)
            directory = mount.directory((paths or {}).get(name, "/")) if mount is not None else None
            for above in cgroups.ancestors(directory, mount.point) if directory and mount else ():
                if os.path.exists(f"{above}/{LIMIT}"):
                    return above
        return None

    def named(self, selector: Selector) -> list[str]:
        """The outermost cgroups that a unit or a path names, whether or not a process is seen in them just now."""
        found = []
        for name in ("pids", ""):
            mount = self.hierarchies.mounts.get(name)
            for parent, children, files in os.walk(mount.point) if mount is not None else ():
                path = parent[len(mount.point) :] if mount is not None else ""
                if path in selector.cgroups or os.path.basename(path) in selector.units:
                    children.clear()
                    if LIMIT in files:
                        found.append(parent)
        return sorted(found)


def survey(pids: Pids, selector: Selector, victims: t.Sequence[Process], judge: t.Callable[[int], bool]) -> Found:
    """First the cgroups the selector names, then those its processes are in; each must hold nothing else.

    ``judge`` looks at a number that was no victim in the pass: gone by now, or a victim after all.
    """
    meant = {process.pid for process in victims}
    named = pids.named(selector) if names_cgroups_only(selector) else []
    first = _check(named, meant, judge) if named else Found([], "")
    if first.directories:
        return first
    own: set[str] = set()
    for process in victims:
        directory = pids.of(process.pid)
        if directory is not None:
            own.add(directory)
        elif not pids.table.is_ending(process):  # cgroup v1 moves who exits to the root (do_exit in kernel/exit.c)
            return Found([], first.obstacle or _without(pids, process))
    outermost = [one for one in sorted(own) if not any(one.startswith(other + "/") for other in own)]
    second = _check(outermost, meant, judge)
    return second if second.directories or not first.obstacle else first


def names_cgroups_only(selector: Selector) -> bool:
    rest = selector._replace(units=frozenset(), cgroups=(), min_count=0)
    return bool(selector.units) != bool(selector.cgroups) and rest == Selector()


def _without(pids: Pids, process: Process) -> str:
    if not {"pids", ""} & pids.hierarchies.mounts.keys():
        return "no cgroups are mounted here"
    return f"process {process.pid} {process.name} is in no cgroup of its own that the pids controller limits"


def _check(directories: t.Sequence[str], meant: set[int], judge: t.Callable[[int], bool]) -> Found:
    if len(directories) > _MOST_SCOPES:
        return Found([], f"the processes are in {len(directories)} cgroups")
    for directory in directories:
        obstacle = _obstacle(directory, meant, judge)
        if obstacle:
            return Found([], obstacle)
    return Found(list(directories), "")


def _obstacle(directory: str, meant: set[int], judge: t.Callable[[int], bool]) -> str:
    where = text(directory)
    held = cgroups.members(directory)
    if held is None and os.path.isdir(directory):
        return (
            f"{where} is a threaded cgroup or may not be read, so it is not known who is in it: name the one above it"
        )
    strangers = sum(1 for pid in sorted((held or set()) - meant) if not judge(pid))  # parents first
    if strangers:
        return f"{where} also holds {strangers} others"
    if not held and _holds_the_unseen(directory):
        return f"{where} holds {cgroups.number(directory, COUNT)} that are not seen from here, as of another container"
    if os.path.isdir(directory) and not cgroups.has(directory, LIMIT):
        return f"{where}/{LIMIT} may not be written: the cgroup file system is read-only, or this takes root"
    return ""


def _holds_the_unseen(directory: str) -> bool:
    """cgroup v1 lists nobody of another PID namespace, and counts him. Who has just died counts for a moment, too."""
    for _look in range(_LOOKS):
        if not cgroups.number(directory, COUNT) or cgroups.members(directory):
            return False
        time.sleep(_BETWEEN_LOOKS)
    return True


def look(pids: Pids, directory: str) -> Seen | None:
    """The limit as it is and what is above it; None where the cgroup is gone."""
    try:
        inode = os.stat(directory).st_ino
    except OSError:
        return None
    if cgroups.read(directory, LIMIT) is None:
        return None
    ceiling: Limit = None
    ceiling_at = ""
    for above in cgroups.ancestors(os.path.dirname(directory), pids.hierarchies.top(directory)):
        limit = cgroups.number(above, LIMIT)
        if lower(limit, ceiling):
            ceiling, ceiling_at = limit, above
    return Seen(
        CGROUP,
        directory,
        inode,
        cgroups.number(directory, LIMIT),
        cgroups.number(directory, COUNT) or 0,
        ceiling,
        ceiling_at,
        _refused(directory),
    )


def _refused(directory: str) -> int | None:
    """How many forks the limit has refused so far."""
    for line in (cgroups.read(directory, EVENTS) or "").splitlines():
        name, _blank, count = line.partition(" ")
        if name == "max" and count.isdigit():
            return int(count)
    return None


def put(directory: str, limit: Limit) -> bool:
    """Set it and read it back."""
    wrote = cgroups.write(directory, LIMIT, "max" if limit is None else str(limit))
    return wrote and cgroups.read(directory, LIMIT) == ("max" if limit is None else str(limit))
