# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run returns: every key of the module's RETURN, in every state and mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.processes import Process, ProcessTable
from .evidence import Describer

_MOST_LISTED = 50


class Report:
    """Filled while a run goes on; `render` makes the result of it."""

    def __init__(self, table: ProcessTable, state: str) -> None:
        self.started = time.monotonic()
        self.table = table
        self.describer = Describer(table)
        self.state = state
        self.changed = False
        self.method = "none"
        self.method_reason = ""
        self.rounds = 0
        self.converged = False
        self.proof = ""
        self.matched = 0
        self.frozen = self.thawed = self.terminated = self.killed = self.already_stopped = 0
        self.groups: list[dict[str, t.Any]] = []
        self.protected: list[tuple[Process, str]] = []
        self.survivors: list[tuple[Process, str]] = []
        self.zombies: list[Process] = []
        self.told: set[int] = set()
        self.evidence: list[dict[str, t.Any]] = []
        self.actions: list[str] = []
        self.warnings: list[str] = []

    def group(self, processes: t.Iterable[Process], reason: str) -> None:
        """Count the victims by name, user and unit, while they can still be looked at."""
        self.groups = self.describer.groups((process, reason) for process in processes)[:_MOST_LISTED]

    def render(self) -> dict[str, t.Any]:
        protected = self.describer.groups(self.protected)
        for group in protected[:3]:
            self.warnings.append("{count} {name} of {user} match and are left alone: {reason}".format(**group))
        denied = self.table.denied
        return {
            "changed": self.changed,
            "state": self.state,
            "method": self.method,
            "method_reason": self.method_reason,
            "rounds": self.rounds,
            "converged": self.converged,
            "proof": self.proof,
            "matched": self.matched,
            "frozen": self.frozen,
            "thawed": self.thawed,
            "terminated": self.terminated,
            "killed": self.killed,
            "already_stopped": self.already_stopped,
            "groups": self.groups,
            "protected": protected[:_MOST_LISTED],
            "survivors": [self._survivor(*survivor) for survivor in self.survivors[:_MOST_LISTED]],
            "survivors_total": len(self.survivors),
            "zombies": self._zombies(),
            "evidence": self.evidence,
            "actions": self.actions,
            "partial": bool(denied),
            "partial_reasons": [
                f"{denied} reads below /proc were denied: run as root, in a container with CAP_SYS_PTRACE"
            ]
            if denied
            else [],
            "elapsed_ms": int((time.monotonic() - self.started) * 1000),
        }

    def _survivor(self, process: Process, reason: str) -> dict[str, t.Any]:
        found = self.table.read(process.pid) or process
        return {
            "pid": process.pid,
            "name": process.name,
            "user": self.describer.user(process),
            "state": found.state,
            "reason": reason,
        }

    def _zombies(self) -> dict[str, t.Any]:
        """Those that still hold a slot by now, counted by the parent that does not reap them."""
        counts: dict[int, int] = {}
        for process in self.zombies:
            now = self.table.read(process.pid)
            if now is not None and now.start == process.start:
                counts[now.ppid] = counts.get(now.ppid, 0) + 1
        worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LISTED]
        return {"total": sum(counts.values()), "parents": [self._parent(pid, count) for pid, count in worst]}

    def _parent(self, pid: int, zombies: int) -> dict[str, t.Any]:
        parent = self.table.read(pid)
        return {
            "pid": pid,
            "name": parent.name if parent else "",
            "user": self.describer.user(parent) if parent else "",
            "unit": self.describer.unit(parent) if parent else "",
            "zombies": zombies,
            "told": pid in self.told,
        }
