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
from .plan import Snapshot
from .selection import Matcher, Tree


class Judgement:
    """Says victim, protected, dead or other of a process, the same way for the plan and while it is carried out."""

    def __init__(self, table: ProcessTable, matcher: Matcher, guard: Guard, reads_cmdlines: bool) -> None:
        self.table = table
        self.matcher = matcher
        self.guard = guard
        self.reads_cmdlines = reads_cmdlines
        self.victims: list[Process] = []
        self.protected: list[tuple[Process, str]] = []
        self.zombies: list[Process] = []
        self.others: list[Process] = []

    def of(self, processes: t.Sequence[Process], kills_parents: bool, kinds: t.Sequence[str]) -> Snapshot:
        tree = self.guard.tree if self.matcher.selector.needs_tree else None
        for process in processes:
            self._sort(process, tree)
        if kills_parents:
            self._condemn_parents(processes)
        return Snapshot(
            self.victims,
            self.protected,
            self.zombies,
            frozenset(process.identity for process in processes if process.is_stopped),
            scopes.survey(
                kinds, self.table, self.victims, self.others, lambda pid: self.guard.condemns(pid, self.matcher)
            ),
            os.getpid(),
            signals.can_assume_users(),
        )

    def _sort(self, process: Process, tree: Tree | None) -> None:
        if not self.matcher.matches(process, tree):
            self.others.append(process)
        elif process.is_dead:
            self.zombies.append(process)
        elif self.reads_cmdlines and not self.matcher.confirms(process):
            self.others.append(process)
        else:
            self._protect_or_condemn(process)

    def _protect_or_condemn(self, process: Process) -> None:
        reason = self.guard.reason(process)
        if reason is None and self.reads_cmdlines and self._needs_cmdlines():
            reason = self.guard.reason_when_stopped(process)
        if reason is None:
            self.victims.append(process)
        else:
            self.protected.append((process, reason))
            self.others.append(process)

    def _needs_cmdlines(self) -> bool:
        """A command line of a running process may take long to read in a storm: only where it was asked for."""
        return self.matcher.selector.cmdline_regex is not None or self.guard.needs_cmdline

    def _condemn_parents(self, processes: t.Sequence[Process]) -> None:
        """The parents of the dead become victims too, whatever the selector says of them."""
        condemned = {process.pid for process in self.victims}
        parents = {process.ppid for process in self.zombies} - condemned - {1}
        for process in processes:
            if process.pid in parents and not process.is_dead:
                self.others.remove(process)
                self._protect_or_condemn(process)
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
