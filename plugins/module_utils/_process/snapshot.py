# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over the table, judged: who is meant, who is protected, who is dead.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from .._kernel import signals
from .._kernel.errors import Refused
from .._kernel.processes import Process, ProcessTable
from . import scopes
from .guard import Guard
from .plan import Scope, Snapshot
from .selection import Matcher, Tree


class Judgement:
    """Says victim, protected, dead or other of a process, the same way for the plan and while it is carried out."""

    def __init__(
        self,
        table: ProcessTable,
        matcher: Matcher,
        guard: Guard,
        processes: t.Sequence[Process],
        reads_cmdlines: bool,
    ) -> None:
        self.table = table
        self.matcher = matcher
        self.guard = guard
        self.processes = processes
        self.reads_cmdlines = reads_cmdlines
        self.stopped = frozenset(process.identity for process in processes if process.is_stopped)
        self.candidates: list[Process] = []
        self.found: list[Scope] = []  # by `isolated`
        self.victims: list[Process] = []
        self.protected: list[tuple[Process, str]] = []
        self.zombies: list[Process] = []
        self.others: list[Process] = []
        tree = guard.tree if matcher.selector.needs_tree else None
        for process in processes:
            self._sort(process, tree)

    def isolated(self) -> list[Scope]:
        """The cgroups that hold candidates alone, and one at least of each that is a victim for certain."""
        found = self._survey(("cgroup",), self.candidates)
        self.found = [] if any(scope.strangers for scope in found) else found
        return self.found

    def of(self, kills_parents: bool, kinds: t.Sequence[str]) -> Snapshot:
        for process in self.candidates:
            self._judge(process, self.guard.reason_inside(process))
        if kills_parents:
            self._condemn_parents()
        found = self.found if self.victims == self.candidates else []
        return Snapshot(
            self.victims,
            self.protected,
            self.zombies,
            self.stopped,
            found or self._survey(kinds, self.victims),
            os.getpid(),
            signals.can_assume_users(),
        )

    def _survey(self, kinds: t.Sequence[str], meant: t.Sequence[Process]) -> list[Scope]:
        guard = self.guard
        return scopes.survey(
            kinds, self.table, guard.hierarchies, meant, self.others, lambda pid: guard.condemns(pid, self.matcher)
        )

    def _sort(self, process: Process, tree: Tree | None) -> None:
        if not self.matcher.matches(process, tree):
            self.others.append(process)
        elif process.is_dead:
            self.zombies.append(process)
        elif self.reads_cmdlines and not self.matcher.confirms(process):
            self.others.append(process)
        else:
            reason = self.guard.reason_at_sight(process)
            if reason is None:
                self.candidates.append(process)
            else:
                self._protect(process, reason)

    def _protect(self, process: Process, reason: str) -> None:
        self.protected.append((process, reason))
        self.others.append(process)

    def _judge(self, process: Process, reason: str | None) -> None:
        """``reason`` is what the guard said of it."""
        if reason is None and self.reads_cmdlines and self._needs_cmdlines():
            reason = self.guard.reason_when_stopped(process)
        if reason is None:
            self.victims.append(process)
        else:
            self._protect(process, reason)

    def _needs_cmdlines(self) -> bool:
        """A command line of a running process may take long to read in a storm: only where it was asked for."""
        return self.matcher.selector.cmdline_regex is not None or self.guard.needs_cmdline

    def _condemn_parents(self) -> None:
        """The parents of the dead become victims too, whatever the selector says of them."""
        condemned = {process.pid for process in self.victims}
        parents = {process.ppid for process in self.zombies} - condemned - {1}
        for process in self.processes:
            if process.pid in parents and not process.is_dead:
                self.others.remove(process)
                self._judge(process, self.guard.reason(process))
                self.matcher.also.add(process.identity)


def check_sight(table: ProcessTable, matcher: Matcher) -> None:
    """Refuse where the rogues cannot all be seen: a freeze could not be proven."""
    if os.geteuid() != 0 and table.hides_others() and matcher.selector.uids != frozenset([os.getuid()]):
        raise Refused(
            "/proc hides the processes of other users (hidepid): run as root (become: true), "
            "or select your own user only."
        )


def check_reach(snapshot: Snapshot) -> None:
    """Refuse where victims could be stopped by nobody but root."""
    foreign = sum(1 for process in snapshot.victims if process.owner != os.geteuid())
    if os.geteuid() != 0 and foreign:
        raise Refused(
            f"{foreign} of the victims belong to other users, who may not be signalled: run as root (become: true)."
        )
