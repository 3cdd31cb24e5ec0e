# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no cgroup holds just the selection: RLIMIT_NPROC of each of its processes, by prlimit(2).

The kernel compares it, whenever one of them forks, with all tasks of its real user (setrlimit(2)). User 0, and who has
CAP_SYS_RESOURCE or CAP_SYS_ADMIN, is exempt. Children inherit it, and are given the old one back like their parents.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import collections
import typing as t

from .._kernel.processes import Process, ProcessTable
from .._kernel.rlimits import Limits, Rlimits
from .._process.selection import Tree
from .planning import Seen, lower
from .records import USER, Limit, Member, Record

NPROC = "nproc"
_CAP_SYS_RESOURCE = 1 << 24  # include/uapi/linux/capability.h
_EXEMPTING = _CAP_SYS_RESOURCE | 1 << 21  # CAP_SYS_ADMIN


class Users:
    """One pass over the table, by real user."""

    def __init__(self, table: ProcessTable, rlimits: Rlimits) -> None:
        self.table = table
        self.rlimits = rlimits
        self.binding = bool(self._capabilities("self") & _CAP_SYS_RESOURCE)  # only with it can a hard limit go up again

    def real_uid(self, process: Process) -> int | None:
        """None where it has ended. What root owns may be another user's, undumpable since setuid(2): see proc(5)."""
        if process.owner:
            return process.owner
        status = self.table.status(process.pid)
        return status.real_uid if status else None

    def obstacle(self, victims: t.Sequence[Process]) -> str:
        """Why the limit would not bind, or may not be set; empty where it would."""
        if not self.rlimits.can_set:
            return "this Python can set no limits of other processes"
        for process in victims:
            obstacle = self._obstacle(process)
            if obstacle and not self.table.is_ending(process):
                return f"process {process.pid} {process.name} {obstacle}"
        return ""

    def _obstacle(self, process: Process) -> str:
        if not self.real_uid(process) or self._capabilities(process.pid) & _EXEMPTING:
            return "is root's or has CAP_SYS_RESOURCE or CAP_SYS_ADMIN, which RLIMIT_NPROC does not bind"
        if not self.rlimits.may_set(process.pid, NPROC):
            return "has limits that may not be changed: run as root (become: true)"
        return ""

    def _capabilities(self, pid: int | str) -> int:
        try:
            with open(f"{self.table.root}/{pid}/status", "rb") as file:
                return next(int(line.split()[1], 16) for line in file if line.startswith(b"CapEff:"))
        except (OSError, ValueError, IndexError, StopIteration):
            return 0

    def by_uid(self, processes: t.Iterable[Process]) -> dict[int, list[Process]]:
        found: dict[int, list[Process]] = {}
        for process in processes:
            uid = self.real_uid(process)
            if uid is not None:
                found.setdefault(uid, []).append(process)
        return found

    def members(self, processes: t.Iterable[Process]) -> list[Member]:
        """Their limits as they are; without those that have ended."""
        found = ((process, self.rlimits.get(process.pid, NPROC)) for process in processes)
        return [Member(*process.identity, *limits) for process, limits in found if limits is not None]

    def look(self, uid: int, members: t.Sequence[Member], everybody: t.Sequence[Process]) -> Seen:
        """``value`` is the highest limit among them."""
        value: Limit = 0
        for member in members:
            if lower(value, member.soft):
                value = member.soft
        current = sum(process.threads for process in everybody if self.real_uid(process) == uid)
        return Seen(USER, str(uid), 0, value if members else None, current)

    # --- change ---

    def capped(self, limits: Limits, limit: int) -> Limits:
        """Never raised; the hard limit stays where it could not be given back."""
        soft, hard = (limit if value is None else min(value, limit) for value in limits)
        return Limits(soft, hard if self.binding else limits.hard)

    def put(self, member: Member, limits: Limits) -> str:
        """Set both limits and read them back; why not, empty where it is done or the process has ended."""
        if not self._lives(member):
            return ""
        try:
            self.rlimits.set(member.pid, NPROC, limits)
        except ProcessLookupError:
            return ""
        except OSError as error:
            return f"RLIMIT_NPROC of process {member.pid}: {error.strerror or error}"
        now = self.rlimits.get(member.pid, NPROC)
        if now not in (None, limits) and self._lives(member):
            return f"RLIMIT_NPROC of process {member.pid} reads back as {now}"
        return ""

    def _lives(self, member: Member) -> bool:
        found = self.table.read(member.pid)
        return found is not None and found.start == member.start

    def holders(self, record: Record, everybody: t.Sequence[Process]) -> list[tuple[Member, Limits]]:
        """Who has a limit of this throttle now, and the old one to give back; those born since get their parent's."""
        old = {(member.pid, member.start): Limits(member.soft, member.hard) for member in record.members}
        lineage = _Lineage(old, everybody)
        found = []
        for process in everybody:
            if self.real_uid(process) != int(record.name) or process.is_dead:
                continue
            now, mine = self.rlimits.get(process.pid, NPROC), lineage.limits_of(process)
            if now is None or mine is None:
                continue
            if any(now == self.capped(mine, value) != mine for value in record.ours):
                found.append((Member(*process.identity, *now), mine))
        return found


class _Lineage:
    """Which limits a process would have without the throttle: its own, those of its nearest parent that is remembered,
    or, for an orphan that is younger than all this, those that most had."""

    def __init__(self, old: t.Mapping[tuple[int, int], Limits], everybody: t.Sequence[Process]) -> None:
        self.old = old
        self.tree = Tree(everybody)
        self.starts = {process.pid: process.start for process in everybody}
        most = collections.Counter(old.values()).most_common(1)
        self.common = most[0][0] if most else None
        self.first = min((start for _pid, start in old), default=0)

    def limits_of(self, process: Process) -> Limits | None:
        if process.identity in self.old:
            return self.old[process.identity]
        for pid in self.tree.above(process.pid):
            parent = self.old.get((pid, self.starts.get(pid, -1)))
            if parent is not None:
                return parent
        return self.common if process.start >= self.first else None
