# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wake what was remembered as frozen by us, and nothing that somebody else had stopped.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import signal

from .._kernel import cgroups, signals
from .._kernel.processes import Process, ProcessTable
from .journal import Identity, Journal, Memory
from .report import Report
from .selection import Matcher, Selector, Tree


def run(table: ProcessTable, journal: Journal, selector: Selector | None, check_mode: bool, report: Report) -> str:
    """Fills the report; the problem, empty where all were woken."""
    wanted = Wanted(table, recall(table, journal), selector)
    count = report.matched = len(wanted.processes)
    report.method, report.method_reason = "journal", f"what {journal.path} remembers"
    report.group(wanted.processes, "frozen by an earlier run")
    report.changed = bool(count or wanted.cgroups or wanted.limits)
    if not check_mode:
        wanted.wake()
        remember(table, journal, wanted.rest(), Memory())
        if journal.problem:
            report.warnings.append(journal.problem)
    denied = len(wanted.denied)
    report.thawed = count - denied
    if report.changed:
        done = "would wake" if check_mode else "woke"
        report.actions.append(f"{done} {count - denied} processes and {len(wanted.cgroups)} cgroups")
    if denied:
        return f"{denied} processes may not be signalled by this user: run as root (become: true)."
    if wanted.stuck:
        return f"{wanted.stuck[0]} could not be thawed and is still remembered: is the cgroup file system read-only?"
    report.converged = not check_mode
    report.proof = "each remembered process was looked up by number and start time"
    return ""


class Wanted:
    """The part of the memory that a selector means: all of it without one."""

    def __init__(self, table: ProcessTable, memory: Memory, selector: Selector | None) -> None:
        self.table = table
        self.memory = memory
        everything = list(table.scan())
        matcher = Matcher(selector, table) if selector else None
        tree = Tree(everything)
        meant = [process for process in everything if matcher is None or self._is_meant(matcher, process, tree)]
        pids = {process.pid for process in meant}
        held = {path: cgroups.members(path) or set() for path in memory.cgroups}
        self.cgroups = [path for path in memory.cgroups if selector is None or pids & held[path]]
        self.stuck: list[str] = []
        self.denied: set[Identity] = set()
        self.limits = [(path, old) for path, old in memory.limits if selector is None or path in self.cgroups]
        inside = {pid for path in self.cgroups for pid in held[path]}
        self.processes = [process for process in meant if process.pid in inside or process.identity in memory.processes]

    @staticmethod
    def _is_meant(matcher: Matcher, process: Process, tree: Tree) -> bool:
        return matcher.matches(process, tree) and (not process.is_stopped or matcher.confirms(process))

    def wake(self) -> None:
        """Leaves in `stuck` and `denied` what this user may not wake."""
        self.stuck = [path for path in self.cgroups if not cgroups.set_frozen(path, False)]
        for path, old in self.limits:
            cgroups.write(path, "pids.max", old)
        signaller = signals.Signaller(self.table)
        for process in self.processes:
            ours = process.identity in self.memory.processes
            if ours and signaller.send(process, signal.SIGCONT) == signals.DENIED:
                self.denied.add(process.identity)

    def rest(self) -> Memory:
        woken = frozenset(process.identity for process in self.processes) - self.denied
        return self.memory._replace(
            processes=self.memory.processes - woken,
            cgroups=tuple(path for path in self.memory.cgroups if path not in self.cgroups or path in self.stuck),
            limits=tuple(limit for limit in self.memory.limits if limit not in self.limits),
        )


def recall(table: ProcessTable, journal: Journal) -> Memory:
    """What is remembered, process by process. A run that died after a sweep had no time to note whom it caught: all of
    the user or group that is stopped now and was not stopped before."""
    memory = journal.load()
    if not memory.users and not memory.groups:
        return memory._replace(stopped=frozenset())
    caught = frozenset(process.identity for process in table.scan() if _was_swept(table, memory, process))
    return memory._replace(
        processes=memory.processes | caught, stopped=frozenset(), users=frozenset(), groups=frozenset()
    )


def _was_swept(table: ProcessTable, memory: Memory, process: Process) -> bool:
    if process.identity in memory.stopped or process.is_kernel_thread:
        return False
    status = table.status(process.pid)
    swept = process.pgid in memory.groups or (status is not None and status.real_uid in memory.users)
    return swept and table.is_stopping(process)


def remember(table: ProcessTable, journal: Journal, old: Memory, new: Memory) -> None:
    """Write back what is still frozen; an emptied cgroup is given back its limit and let go."""
    frozen = []
    for path in dict.fromkeys(old.cgroups + new.cgroups):
        if cgroups.members(path):
            frozen.append(path)
        else:
            cgroups.set_frozen(path, False)
    limits = []
    for path, value in dict(new.limits + old.limits).items():
        if path in frozen:
            limits.append((path, value))
        else:
            cgroups.write(path, "pids.max", value)
    living = frozenset(identity for identity in old.processes | new.processes if _is_alive(table, *identity))
    journal.replace(Memory(living, cgroups=tuple(frozen), limits=tuple(limits)))


def _is_alive(table: ProcessTable, pid: int, start: int) -> bool:
    process = table.read(pid)
    return process is not None and process.start == start and not process.is_dead
