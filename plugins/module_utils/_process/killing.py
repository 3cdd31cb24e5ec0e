# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""End what is frozen: children first, round after round, until a proven pass finds nobody alive.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import signal
import time

from .._kernel import cgroups, signals
from .._kernel.errors import Unproven
from .._kernel.processes import Process
from .freezing import Freezer

_MOST_ROUNDS = 10
_RESPAWN = 0.25  # seconds in which a supervisor starts again what it saw end
_POLL = 0.002  # seconds between two looks at a dying process


class Killer:
    """Works on what a `Freezer` holds; ``survivors`` says of each process that would not die why."""

    def __init__(self, freezer: Freezer) -> None:
        self.freezer = freezer
        self.parents: set[int] = set()
        self.killed = 0
        self.terminated = 0
        self.survivors: list[tuple[Process, str]] = []

    def kill(self, timeout: float) -> None:
        """Until nobody is left, and nobody is there a moment later either.

        Raises Unproven where victims keep coming; those that will not die within ``timeout`` are `survivors`.
        """
        self.freezer.deadline = deadline = time.monotonic() + timeout
        for _round in range(_MOST_ROUNDS):
            victims = list(self.freezer.held.values())
            self.parents = {process.ppid for process in victims} - {process.pid for process in victims}
            self._kill_all(victims)
            self.killed += self._wait(victims, deadline)
            if self.survivors:
                break
            if self._stays_empty():
                return
        if not self.survivors:
            raise Unproven(self._kept_coming())

    def _stays_empty(self) -> bool:
        for pause in (0.0, _RESPAWN):
            time.sleep(pause)
            try:
                self.freezer.settle()
            except Unproven:
                raise Unproven(self._kept_coming()) from None
            self.freezer.confirm()
            if self.freezer.held:
                return False
        return True

    def _kept_coming(self) -> str:
        parents = [self.freezer.table.read(pid) for pid in sorted(self.parents)[:3]]
        named = [f"{parent.name} (pid {parent.pid})" for parent in parents if parent is not None]
        return (
            f"{self.killed} were killed and new ones kept coming: {', '.join(named) or 'one that is gone by now'} "
            "started them and is not selected. Stop that first, or include it; everything stopped was woken."
        )

    def terminate(self, grace: float, timeout: float, number: int = signal.SIGTERM) -> None:
        """The signal reaches all before any of them runs again; then they have ``grace`` seconds to end by themselves.

        What is left, and what it started meanwhile, is frozen again.
        """
        victims = self.freezer.children_first()
        for process in victims:
            self.freezer.send(process, number)
        self.freezer.wake_for_grace()
        self.terminated += self._wait(victims, time.monotonic() + grace)
        self.survivors = []
        self.freezer.deadline = time.monotonic() + timeout
        self.freezer.settle()
        self.freezer.confirm()

    def _kill_all(self, victims: list[Process]) -> None:
        freezer = self.freezer
        if self._kill_cgroups({process.pid for process in victims}):
            return
        for process in freezer.children_first():
            if freezer.send(process, signal.SIGKILL) == signals.DENIED:
                freezer.denied[process.identity] = process
        freezer.thaw_v1_cgroups()  # there SIGKILL waits until the group is thawed

    def _kill_cgroups(self, victims: set[int]) -> bool:
        """Each in one call, where together they hold the victims and, looked at once more, nobody else."""
        freezer = self.freezer
        if not freezer.cgroups or not victims <= freezer.cgroup_members:
            return False
        inside = [cgroups.members(directory) for directory in freezer.cgroups]
        if not all(members is not None and members <= victims for members in inside):
            return False
        return all(cgroups.kill(directory) for directory in freezer.cgroups)

    def _wait(self, victims: list[Process], deadline: float) -> int:
        """How many ended. The rest becomes `survivors`; both are let go by the freezer."""
        ended = 0
        self.survivors = []
        for process in victims:
            while self.freezer.is_alive(process):
                if time.monotonic() > deadline:
                    self.survivors.append((process, self._why_alive(process)))
                    break
                time.sleep(_POLL)
            else:
                ended += 1
                self.freezer.forget(process)
        return ended

    def _why_alive(self, process: Process) -> str:
        if process.identity in self.freezer.denied:
            return "this user may not signal it: run as root (become)"
        found = self.freezer.table.read(process.pid)
        state = found.state if found else "?"
        if state == "D":
            return "it is in D state: it dies when its disk or network file system answers, or at a thaw of its cgroup"
        return f"it did not end in time (state {state})"
