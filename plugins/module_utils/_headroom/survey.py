# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over the process table, kept for every resource to count from, and the form in which each one answers.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.cgroups import Hierarchies
from .._kernel.processes import Process, ProcessTable, text, unit_of, unit_path
from .._process.evidence import Describer

_YOUNG = 60.0  # seconds


class Task(t.NamedTuple):
    """A process of userland with what it is counted by."""

    process: Process
    user: str
    unit: str
    cgroup: str
    young: bool
    nested: bool


class Holder(t.NamedTuple):
    """Who holds a part of a resource; what is not known of him is None."""

    name: str
    used: int
    user: str | None = None
    unit: str | None = None
    pid: int | None = None


class Limit(t.NamedTuple):
    """One limit of a resource and what is used of it.

    ``free`` is given only where it is not the limit less what is used. ``incident`` is given only where it is another
    than the resource's, and empty where no incident of this collection is meant. ``options`` are the variables with
    which the role of the incident acts on this limit.
    """

    scope: str
    limit_name: str
    used: int
    limit: int | None
    holders: t.Sequence[Holder] = ()
    stops_root: bool = True
    free: int | None = None
    incident: str | None = None
    options: t.Mapping[str, t.Any] = {}
    measure: str = "count"

    @property
    def left(self) -> int | None:
        if self.free is not None or self.limit is None:
            return self.free
        return max(0, self.limit - self.used)

    @property
    def share(self) -> float | None:
        """The used part, more than 1 where a limit was lowered below what is used; None without a limit."""
        if self.limit is None or self.left is None:
            return None
        whole = self.limit if self.free is None else self.used + self.free
        return round(self.used / whole, 4) if whole else float(max(self.used, 1))

    @property
    def scarcity(self) -> tuple[float, int, str, str]:
        """A key to sort by: the scarcest first."""
        return (-(self.share or 0.0), self.left if self.left is not None else 1 << 62, self.scope, self.limit_name)


class Resource(t.NamedTuple):
    """A counted resource. ``limits(survey, top)`` reads it: all limits of the host, at most ``top`` of each other kind
    of scope. What it cannot read at all it says by `Refused`, or lets the OSError go; what it cannot see a part of, by
    a sentence in ``survey.gaps``."""

    name: str
    incident: str
    limits: t.Callable[[Survey, int], list[Limit]]
    needs_processes: bool = True


class Survey(t.NamedTuple):
    """``cgroup`` of a task is its directory in the hierarchy that counts pids; empty where there is none.

    ``gaps`` are sentences on what could not be seen. ``left_out`` is what was left out on purpose, and why.
    """

    table: ProcessTable
    tasks: list[Task]
    kernel_threads: int
    gaps: list[str]
    deadline: float
    left_out: dict[str, str]
    include_fuse: bool = False

    @property
    def is_over(self) -> bool:
        """True past the time budget: who loops asks from time to time."""
        return time.monotonic() > self.deadline

    @classmethod
    def take(cls, table: ProcessTable, deadline: float, include_fuse: bool = False) -> Survey:
        """Past the deadline (monotonic seconds) the rest of the table is left out, and ``gaps`` says so."""
        reader = _Reader(table)
        tasks: list[Task] = []
        kernel_threads = 0
        gaps = []
        if table.hides_others():
            gaps.append("/proc hides the processes of other users (hidepid): run as root to see all")
        for process in table.scan():
            if process.is_kernel_thread:
                kernel_threads += 1
                continue
            tasks.append(reader.task(process))
            if time.monotonic() > deadline:
                gaps.append(f"the time budget ended after {len(tasks)} processes: raise time_budget to see all")
                break
        tasks.sort(key=lambda task: task.process.pid)
        return cls(table, tasks, kernel_threads, gaps, deadline, {}, include_fuse)

    @property
    def threads(self) -> int:
        return sum(task.process.threads for task in self.tasks)


class _Reader:
    """Looks up what a session's processes of one name share once: a fork inherits it."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.describer = Describer(table)
        self.hierarchies = Hierarchies(table.root)
        self.places: dict[tuple[int, int, int, bytes], tuple[str, str, str, bool]] = {}

    def task(self, process: Process) -> Task:
        key = (process.sid, process.pgid, process.owner, process.comm)
        if key not in self.places:
            self.places[key] = self._place(process)
        user, unit, cgroup, nested = self.places[key]
        return Task(process, user, unit, cgroup, self.table.age(process) < _YOUNG, nested)

    def _place(self, process: Process) -> tuple[str, str, str, bool]:
        paths = self.table.cgroups(process.pid) or {}
        status = self.table.status(process.pid)
        user = self.describer.user_name(status.real_uid if status else process.owner)
        directory = self.hierarchies.directory("pids", paths) or ""
        return user, text(unit_of(unit_path(paths))), directory, status is not None and status.nspids > 1
