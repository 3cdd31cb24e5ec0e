# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wake what was remembered as frozen by us, and nothing that somebody else had stopped.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import signal
import time
import typing as t

from .._kernel import cgroups, signals
from .._kernel.processes import Process, ProcessTable
from .evidence import Describer
from .journal import Journal, Memory
from .selection import Matcher, Selector, Tree

_MOST_LISTED = 50


def run(
    table: ProcessTable, journal: Journal, selector: Selector | None, check_mode: bool
) -> tuple[dict[str, t.Any], str, list[str]]:
    """The module's result, its problem and its warnings."""
    started = time.monotonic()
    memory = journal.load()
    wanted = Wanted(table, memory, selector)
    denied = 0
    if not check_mode:
        denied = wanted.wake()
        remember(table, journal, wanted.rest(), Memory())
    count = len(wanted.processes)
    problem = f"{denied} processes may not be signalled by this user: run as root (become: true)." if denied else ""
    describer = Describer(table)
    done = "would wake" if check_mode else "woke"
    result = {
        "changed": bool(count or wanted.cgroups or wanted.limits),
        "state": "thawed",
        "method": "journal",
        "method_reason": f"what {journal.path} remembers",
        "rounds": 1 if count else 0,
        "converged": not problem and not check_mode,
        "proof": "each identity was looked up in the process table",
        "matched": count,
        "frozen": 0,
        "thawed": count - denied,
        "terminated": 0,
        "killed": 0,
        "already_stopped": 0,
        "groups": describer.groups((process, "frozen by an earlier run") for process in wanted.processes)[:_MOST_LISTED],
        "protected": [],
        "survivors": [],
        "survivors_total": 0,
        "zombies": {"total": 0, "parents": []},
        "evidence": [],
        "actions": [f"{done} {count} processes and {len(wanted.cgroups)} cgroups"] if count or wanted.cgroups else [],
        "partial": bool(table.denied),
        "partial_reasons": [f"{table.denied} reads below /proc were denied: run as root"] if table.denied else [],
        "elapsed_ms": int((time.monotonic() - started) * 1000),
    }
    return result, problem, [journal.problem] if journal.problem else []


class Wanted:
    """The part of the memory that a selector means: all of it without one."""

    def __init__(self, table: ProcessTable, memory: Memory, selector: Selector | None) -> None:
        self.table = table
        self.memory = memory
        everything = list(table.scan())
        matcher = Matcher(selector, table) if selector else None
        tree = Tree(everything)
        alive = [process for process in everything if matcher is None or self._is_meant(matcher, process, tree)]
        pids = {process.pid for process in alive}
        self.cgroups = [path for path in memory.cgroups if selector is None or pids & (cgroups.members(path) or set())]
        self.limits = [(path, old) for path, old in memory.limits if selector is None or path in self.cgroups]
        inside: set[int] = set().union(*(cgroups.members(path) or set() for path in self.cgroups))
        self.processes = [p for p in alive if p.pid in inside or p.state == "T" and self._is_ours(p)]

    @staticmethod
    def _is_meant(matcher: Matcher, process: Process, tree: Tree) -> bool:
        return matcher.matches(process, tree) and (not process.is_stopped or matcher.confirms(process))

    def _is_ours(self, process: Process) -> bool:
        """Noted one by one, or caught by a sweep whose run died before it could note them."""
        memory = self.memory
        if process.identity in memory.processes:
            return True
        if process.identity in memory.stopped or not (memory.users or memory.groups):
            return False
        status = self.table.status(process.pid)
        return process.pgid in memory.groups or (status is not None and status.real_uid in memory.users)

    def wake(self) -> int:
        """How many may not be signalled."""
        for path in self.cgroups:
            cgroups.set_frozen(path, False)
        for path, old in self.limits:
            cgroups.write(path, "pids.max", old)
        signaller = signals.Signaller(self.table)
        ours = [process for process in self.processes if process.state == "T"]
        return sum(signaller.send(process, signal.SIGCONT) == signals.DENIED for process in ours)

    def rest(self) -> Memory:
        woken = frozenset(process.identity for process in self.processes)
        return self.memory._replace(
            processes=self.memory.processes - woken,
            users=frozenset(),
            groups=frozenset(),
            cgroups=tuple(path for path in self.memory.cgroups if path not in self.cgroups),
            limits=tuple(limit for limit in self.memory.limits if limit not in self.limits),
        )


def remember(table: ProcessTable, journal: Journal, old: Memory, new: Memory) -> None:
    """Write back what is still frozen; an emptied cgroup is given back its limit and let go."""
    frozen, limits = [], []
    for path in dict.fromkeys(old.cgroups + new.cgroups):
        if cgroups.members(path):
            frozen.append(path)
        else:
            cgroups.set_frozen(path, False)
    for path, value in dict(new.limits + old.limits).items():
        if path in frozen:
            limits.append((path, value))
        else:
            cgroups.write(path, "pids.max", value)
    living = set()
    for pid, start in old.processes | new.processes:
        process = table.read(pid)
        if process is not None and process.start == start and not process.is_dead:
            living.add((pid, start))
    journal.replace(Memory(frozenset(living), cgroups=tuple(frozen), limits=tuple(limits)))
