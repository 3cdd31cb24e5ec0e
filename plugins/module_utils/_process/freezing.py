# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop every victim, and prove that none escaped.

A sweep (one call for a whole cgroup, user or group) stops nearly all at once; the passes that follow stop what is left,
until one saw every victim already stopped and nothing unseen was born meanwhile (`births`).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import resource
import signal
import time
import typing as t

from .._kernel import cgroups, signals
from .._kernel.errors import Refused, Unproven
from .._kernel.processes import Process, ProcessTable
from .births import Births, Mark, may_be_given_out, none_between
from .guard import Guard
from .journal import Identity, Journal
from .plan import Scope
from .selection import Matcher, Tree

_BETWEEN_PASSES = 0.001  # seconds: SIGSTOP needs its target to run, so leave it the processor
_BETWEEN_LOOKS = 0.0002  # seconds: a freeze is over soon
_MOST_CHASES = 200
_MOST_HANDLES = 8192
_NO_HANDLE = -1
_ASLEEP = 0.2  # seconds


class Freezer:
    """Holds what it stopped until `thaw` or `forget`."""

    def __init__(
        self, table: ProcessTable, matcher: Matcher, guard: Guard, journal: Journal, deadline: float, max_victims: int
    ) -> None:
        self.table = table
        self.matcher = matcher
        self.guard = guard
        self.journal = journal
        self.deadline = deadline
        self.max_victims = max_victims
        self.signaller = signals.Signaller(table)
        self.births = Births(table)
        self.tasks = 0
        self.listed: list[str] = []
        self.stopped_before: set[Identity] = set()
        self.asleep: dict[Identity, tuple[float, int]] = {}
        self.handles: dict[str, int] = {}
        room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64 - table.kept
        self.most_handles = max(0, min(room, _MOST_HANDLES))
        self.held: dict[Identity, Process] = {}
        self.spared: dict[Identity, tuple[Process, str]] = {}
        self.zombies: dict[Identity, Process] = {}
        self.denied: dict[Identity, Process] = {}
        self.cgroups: list[str] = []
        self.freezing: list[str] = []  # those of them that are not known to be frozen yet
        self.limits: list[tuple[str, str]] = []
        self.cgroup_members: set[int] = set()  # of the cgroups frozen by this run
        self.frozen_before: set[int] = set()  # members of those that were frozen already
        self.swept_users: set[int] = set()
        self.swept_groups: set[int] = set()
        self.frozen_by_us: frozenset[str] = frozenset()  # by an earlier run
        self.paused = False
        self.rounds = 0
        self.proof = ""

    def pause(self, stopped_before: t.Iterable[Identity]) -> None:
        """The whole host has been stopped: what is in state T and was not before is ours."""
        self.stopped_before |= set(stopped_before)
        self.paused = True

    def sweep(self, scopes: t.Sequence[Scope]) -> None:
        """Stop whole cgroups, users or groups. They need a moment to come to a halt; `settle` waits for it."""
        for scope in scopes:
            getattr(self, "_sweep_" + scope.kind)(scope.target)

    def keep_to(self, scopes: t.Sequence[Scope]) -> None:
        """Let go of the cgroups that were swept before the plan was made, unless they are what it says."""
        if set(self.cgroups) != {scope.target for scope in scopes}:
            self._thaw_cgroups()
            self.restore_limits()

    def settle(self) -> None:
        """Pass after pass until one is a proof.

        Raises Unproven past the deadline and Refused over the brake; `thaw` is the caller's duty then.
        """
        self._await_frozen()
        still_since: Mark | None = None
        while True:
            before = self.births.mark()
            unsettled = self._pass() or self._chase(before)
            self.rounds += 1
            if unsettled:
                still_since = None
            elif self.proof or (still_since and self._proven_by_stillness(still_since)):
                return
            else:
                still_since = still_since or before
            if time.monotonic() > self.deadline:
                raise Unproven(
                    f"after {self.rounds} passes {unsettled} victims still ran, and others may have been born unseen: "
                    "everything stopped was woken. Raise timeout, select the whole unit, user or cgroup, or use pause."
                )
            time.sleep(_BETWEEN_PASSES)

    def _proven_by_stillness(self, since: Mark) -> bool:
        if self.births.stood_still(since):
            self.proof = "two passes saw every victim stopped, and no process number was given out meanwhile"
        return bool(self.proof)

    def _sweep_user(self, target: str) -> None:
        self._note_sweep("user", target)
        self.swept_users.add(int(target))
        signals.send_to_user(int(target), signal.SIGSTOP)

    def _sweep_group(self, target: str) -> None:
        self._note_sweep("group", target)
        self.swept_groups.add(int(target))
        signals.send_to_group(int(target), signal.SIGSTOP)

    def _note_sweep(self, kind: str, target: str) -> None:
        for pid, start in self.stopped_before:
            self.journal.note("stopped", pid, start)
        self.journal.note(kind, target)

    def _sweep_cgroup(self, target: str) -> None:
        if target in self.cgroups:
            return
        if target in self.frozen_by_us or cgroups.is_frozen(target):
            self.frozen_before |= cgroups.members(target) or set()
            return  # frozen before: by an earlier run, which remembers it, or by somebody else, who will thaw it
        limit = cgroups.read(target, "pids.max")
        if limit is not None:
            self.journal.note("limit", target, limit)
            self.limits.append((target, limit))
            cgroups.write(target, "pids.max", "0")
        self.journal.note("cgroup", target)
        self.cgroups.append(target)
        if not cgroups.set_frozen(target, True):
            raise Unproven(f"{target} could not be frozen: use method scan.")
        self.freezing.append(target)

    def _await_frozen(self) -> None:
        while self.freezing:
            target = self.freezing[0]
            while not cgroups.is_frozen(target):
                if time.monotonic() > self.deadline:
                    raise Unproven(f"{target} was not frozen in time: a process in it is in D state; use method scan.")
                time.sleep(_BETWEEN_LOOKS)
            self.freezing.remove(target)
            inside = cgroups.members(target) or set()
            if 0 in inside:  # one of another PID namespace came in since the plan was made
                self._thaw_cgroups()
            else:  # whoever else came in, the next pass finds
                self.cgroup_members |= inside

    def _pass(self) -> int:
        """Look at every process once and stop the victims; how many were not stopped yet."""
        self.proof = ""
        self.tasks = 0
        self.listed = self.table.pids()
        return self._consider_all(self.listed)

    def _chase(self, before: Mark) -> int:
        """Look at who was born since until a look saw no birth: that is the proof. How many victims were among them."""
        for _attempt in range(_MOST_CHASES):
            after = self.births.mark()
            if none_between(before, after):
                self.proof = "a pass saw every victim stopped, and nobody was born unseen meanwhile"
                return 0
            if self.births.may_have_gone_round(before, after, self.tasks):
                return 0
            known = set(self.listed)
            self.listed = self.table.pids()
            born = [pid for pid in self.listed if pid not in known or may_be_given_out(int(pid), before, after)]
            unsettled = self._consider_all(born)
            before = after
            if unsettled:
                return unsettled
        return 0

    def _consider_all(self, pids: t.Iterable[str]) -> int:
        tree = None
        if self.matcher.selector.needs_tree:
            tree = Tree(self.table.scan())
            tree.parents.update({process.pid: process.ppid for process in self.held.values()})
        return sum(self._consider(pid, tree) for pid in pids)

    def _consider(self, pid: str, tree: Tree | None) -> int:
        """1 where this is a victim that may still run, else 0."""
        held = self.handles.get(pid)
        if held is not None:
            process = self.table.reread(held)
            if process is not None:
                self.tasks += process.threads
                return self._hold(held, process)
            self._let_go(pid)  # gone: the number may be another's by now
        fd, process = self._look(pid)
        if process is None:
            return 0
        try:
            self.tasks += process.threads
            if self.matcher.by_stat(process):
                return self._judge(fd, process, tree)
            return self._spare(process)
        finally:
            if fd != _NO_HANDLE and self.handles.get(pid) != fd:
                os.close(fd)

    def _look(self, pid: str) -> tuple[int, Process | None]:
        """With a handle to stop it by, which a member of a frozen cgroup does not need."""
        if int(pid) in self.cgroup_members:
            return _NO_HANDLE, self.table.read(pid)
        return self.table.open(pid) or (_NO_HANDLE, None)

    def _judge(self, fd: int, process: Process, tree: Tree | None) -> int:
        identity = (process.pid, process.start)
        if identity in self.held:
            return self._hold(fd, process)
        if identity in self.spared or identity in self.denied:
            return 0
        if not self.matcher.matches(process, tree):
            return self._spare(process)
        if process.is_dead:
            self.zombies[identity] = process
            return 0
        reason = self.guard.reason(process)
        if reason is not None:
            self.spared[identity] = (process, reason)
            return self._spare(process)
        return self._take(fd, process)

    def _spare(self, process: Process) -> int:
        """Let a stranger run that a sweep stopped too; 1 where victims run again for that.

        With a cgroup all in it are thawed (its pids.max stays 0): the passes that follow take them one by one.
        """
        if process.pid in self.cgroup_members and not process.is_dead:
            self._thaw_cgroups()
            return 1
        self._wake_if_stranger(process)
        return 0

    def _is_frozen(self, process: Process) -> bool:
        return process.pid in self.cgroup_members or process.pid in self.frozen_before

    def _take(self, fd: int, process: Process) -> int:
        identity = (process.pid, process.start)
        if process.is_stopped and self._is_wholly_stopped(process):
            self._keep(fd, process)
            if not self._was_swept(process):
                self.stopped_before.add(identity)
            return 0
        if self._is_frozen(process):
            self._keep(fd, process)
            return 0
        self.journal.note("process", process.pid, process.start)
        outcome = self.signaller.send_open(fd, process, signal.SIGSTOP)
        if outcome == signals.DENIED:
            self.denied[identity] = process
            return 0
        if outcome == signals.GONE:
            return 0
        self._keep(fd, process)
        if len(self.held) > self.max_victims and self.count_living() > self.max_victims:
            raise Refused(
                f"more than max_victims {self.max_victims} processes match by now: everything stopped was woken, "
                "nothing was killed. Narrow the selector, or raise max_victims if all of them are meant."
            )
        return 1

    def _keep(self, fd: int, process: Process) -> None:
        """Hold it, and its descriptor too as far as there are enough: to signal it then takes one call."""
        self.held[process.pid, process.start] = process
        if fd != _NO_HANDLE and len(self.handles) < self.most_handles:
            self.handles[str(process.pid)] = fd

    def _let_go(self, pid: str) -> None:
        fd = self.handles.pop(pid, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Let go of the descriptors; what is stopped stays so."""
        for pid in list(self.handles):
            self._let_go(pid)

    def forget(self, process: Process) -> None:
        self.held.pop(process.identity, None)
        self._let_go(str(process.pid))

    def send(self, process: Process, number: int) -> str:
        """To one that is held."""
        fd = self.handles.get(str(process.pid))
        return self.signaller.send(process, number) if fd is None else self.signaller.send_open(fd, process, number)

    def is_alive(self, process: Process) -> bool:
        fd = self.handles.get(str(process.pid))
        found = self.table.read(process.pid) if fd is None else self.table.reread(fd)
        return found is not None and found.start == process.start and not found.is_dead

    def count_living(self) -> int:
        """Forget the held that died meanwhile: short-lived rogues leave many behind."""
        for process in list(self.held.values()):
            if not self.is_alive(process):
                self.forget(process)
        return len(self.held)

    def _was_swept(self, process: Process) -> bool:
        if (process.pid, process.start) in self.stopped_before:
            return False
        if self.paused:
            return True
        if process.pgid in self.swept_groups or process.owner in self.swept_users:
            return True
        status = self.table.status(process.pid) if self.swept_users and process.owner == 0 else None
        return status is not None and status.real_uid in self.swept_users

    def _hold(self, fd: int, process: Process) -> int:
        """A victim seen before: still stopped, or woken (an orphaned process group gets SIGCONT) and stopped again."""
        if process.is_dead or self._is_frozen(process) or self._is_wholly_stopped(process):
            return 0
        if process.state in "DS" and self._sleeps_on(process):
            return 0
        self.signaller.send_open(fd, process, signal.SIGSTOP)
        return 1

    def _sleeps_on(self, process: Process) -> bool:
        """A task in D state (NFS, a parent in vfork) or in a frozen cgroup stops before it runs its own code again. One
        inside fork(2) looks the same for a moment: only one that has not moved for a while counts as stopped."""
        status = self.table.status(process.pid)
        if status is None or not status.stop_pending:
            return False
        since, switches = self.asleep.setdefault(process.identity, (time.monotonic(), status.switches))
        if switches != status.switches:
            self.asleep[process.identity] = (time.monotonic(), status.switches)
            return False
        return time.monotonic() - since > _ASLEEP

    def _is_wholly_stopped(self, process: Process) -> bool:
        """Every thread, that is: one still on its way to the stop may be inside fork(2), or outlive a zombie leader."""
        return process.is_stopped if process.threads == 1 else self.table.threads_stopped(process.pid)

    def confirm(self) -> None:
        """Now that they are stopped: wake those whose command line is not meant or protects them."""
        if self.matcher.selector.cmdline_regex is None and not self.guard.needs_cmdline and not self._any_root():
            return
        for identity, process in list(self.held.items()):
            reason = self.guard.reason_when_stopped(process)
            if reason is None and not self.matcher.confirms(process):
                reason = "its command line does not match; it was stopped for a moment"
            if reason is not None:
                if identity not in self.stopped_before:
                    self.send(process, signal.SIGCONT)
                self.forget(process)
                self.spared[identity] = (process, reason)
                if self._spare(process):
                    self.settle()

    def _any_root(self) -> bool:
        return any(process.owner == 0 for process in self.held.values())

    def children_first(self) -> list[Process]:
        """Killing a session leader first would wake its stopped group (SIGHUP and SIGCONT to an orphaned group)."""
        tree = Tree(self.held.values())
        return sorted(self.held.values(), key=lambda process: tree.depth(process.pid), reverse=True)

    def thaw(self) -> int:
        """Wake what this object stopped, and nothing else; how many processes that were."""
        self._thaw_cgroups()
        self.restore_limits()
        woken = 0
        for identity, process in self.held.items():
            if identity not in self.stopped_before:
                woken += self.send(process, signal.SIGCONT) == signals.SENT
        for process in list(self.held.values()):
            self.forget(process)
        if self.swept_users or self.swept_groups:
            for process in self.table.scan():
                self._wake_if_stranger(process)
        return woken

    def wake_for_grace(self) -> None:
        """Let the held run again with pids.max still at 0: they may end, not breed."""
        self._thaw_cgroups()
        for process in self.held.values():
            self.send(process, signal.SIGCONT)

    def thaw_v1_cgroups(self) -> None:
        for directory in self.cgroups:
            if cgroups.read(directory, "freezer.state") is not None:
                cgroups.set_frozen(directory, False)

    def _thaw_cgroups(self) -> None:
        for directory in self.cgroups:
            cgroups.set_frozen(directory, False)
        self.cgroups, self.freezing = [], []
        self.cgroup_members = set()

    def _wake_if_stranger(self, process: Process) -> None:
        """A sweep may have stopped one that came in after the plan: it is in state T, was not before, is no victim."""
        if not self.swept_users and not self.swept_groups:
            return
        if self._was_swept(process) and self.table.is_stopping(process):
            self.signaller.send(process, signal.SIGCONT)

    def restore_limits(self) -> None:
        for directory, limit in self.limits:
            cgroups.write(directory, "pids.max", limit)
        self.limits = []
