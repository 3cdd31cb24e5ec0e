# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The living processes, as far as they could hold an object: read from ``/proc`` and from what systemd writes down.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import pwd
import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.processes import Process, ProcessTable, text, unit_of
from .._process.selection import Matcher
from .clock import TOLERANCE, Anchor, Clock, judge
from .lineage import line
from .verdict import Person

# A link for each unit that runs, made when it was started (systemd, unit_export_invocation_id).
UNITS = "/run/systemd/units"
_INVOCATION = "invocation:"
_MANAGER = "/init.scope"
_ROUNDS = 20
_START_OF_STACK = 28 - 3  # after the name, which is field 2


class Wanted(t.NamedTuple):
    """Who has to be looked at closely. ``users``: those of the objects; ``named``: by the number of a process that
    objects name, the owners and creators of these; ``root``: whether any process of root matters."""

    users: frozenset[int]
    named: t.Mapping[int, t.AbstractSet[int]]
    root: bool = False


class People:
    """One pass over the process table. What is costly to read is read for those who matter only."""

    def __init__(self, table: ProcessTable, units: str = UNITS) -> None:
        self.table = table
        self.units = units
        self.gap = ""
        self.processes: dict[int, Process] = {}
        self.anchors: list[Anchor] = []
        self._uids: dict[int, frozenset[int]] = {}
        self._depths: dict[int, int] = {}
        self._images: dict[int, int] = {}
        self._paths: dict[int, str] = {}
        self._began: dict[str, float | None] = {}
        self._names: dict[int, str] = {}
        self._read()

    def _read(self) -> None:
        """Until a listing in which nothing was gone before it was read: what is gone may have left a child behind."""
        seen: set[str] = set()
        for _round in range(_ROUNDS):
            fresh = [pid for pid in self.table.pids() if pid not in seen]
            seen.update(fresh)
            if sum(self._keep(pid) for pid in fresh) == len(fresh):
                break
        else:
            self.gap = "processes come and go faster than they can be seen"
        self.anchors += [Anchor(began, self._start(1)) for began in self._invocations()]

    def _keep(self, pid: str) -> bool:
        process = self.table.read(pid)
        if process is None:
            return False
        if process.is_kernel_thread or process.is_dead:
            return True
        self.processes[process.pid] = process
        seen = self._first_seen(process.pid)
        if seen is not None:
            self.anchors.append(Anchor(seen, process.start / self.table.hertz))
        return True

    def _first_seen(self, pid: int) -> float | None:
        """When somebody first looked at the process, if the kernel still remembers; unlike the other times of its
        directory nobody can set this one."""
        try:
            return os.stat(f"{self.table.root}/{pid}").st_ctime
        except OSError:
            return None

    def _start(self, pid: int) -> float:
        process = self.processes.get(pid)
        return process.start / self.table.hertz if process else 0.0

    def _invocations(self) -> t.Iterator[float]:
        try:
            with os.scandir(self.units) as entries:
                for entry in entries:
                    if entry.name.startswith(_INVOCATION):
                        yield entry.stat(follow_symlinks=False).st_mtime
        except OSError:
            return

    def clock(self, stamps: t.Iterable[int]) -> Clock:
        """``stamps`` are times that objects bear: none is from before the boot."""
        now = time.time()
        offset = now - time.clock_gettime(time.CLOCK_BOOTTIME)
        oldest = min(stamps, default=now)
        return judge(offset, now, [*self.anchors, Anchor(oldest, 0.0)])

    def is_younger(self, pid: int, clock: Clock, stamp: int) -> bool:
        """Whether the process started after that second, if the wall clock was never set since."""
        return clock.wall(self._start(pid)) - TOLERANCE >= stamp + 1

    # --- those who matter ---

    def matter(
        self, wanted: Wanted, clock: Clock, service: t.Sequence[Matcher], bystanders: t.Sequence[Matcher]
    ) -> dict[int, Person]:
        kin: dict[int, set[int]] = {}
        uses: dict[int, set[int]] = {}
        serving: set[int] = set()
        for pid, process in self.processes.items():
            serves = any(matcher.matches(process) for matcher in service)
            mine = self.uids(pid) & wanted.users
            if not (serves or mine or pid in wanted.named or (wanted.root and 0 in self.uids(pid))):
                continue
            for member in self._same_image(pid):
                kin.setdefault(member, set()).update(mine)
                uses.setdefault(member, set()).update(wanted.named.get(pid, ()))
                if serves:
                    serving.add(member)
        kin.pop(os.getpid(), None)
        return {
            pid: self._person(pid, clock, frozenset(kin[pid]), frozenset(uses[pid]), pid in serving, bystanders)
            for pid in kin
        }

    def _same_image(self, pid: int) -> t.Iterator[int]:
        """The process, and its parents for as long as it has its memory from them, and may know what they know."""
        seen: set[int] = set()
        while pid in self.processes and pid not in seen:
            seen.add(pid)
            yield pid
            parent = self.processes[pid].ppid
            if self.is_manager(pid) or parent not in self.processes or not self._shares_image(pid, parent):
                return
            pid = parent

    def _shares_image(self, pid: int, parent: int) -> bool:
        """Whether no execve(2) lies between the two, in doubt none: each puts the stack to another place.

        Whose memory may not be seen does not for that have it from one that adopts the children of others.
        """
        mine, other = self._image(pid), self._image(parent)
        return mine == other if mine and other else not self._takes_orphans(parent)

    def _person(
        self,
        pid: int,
        clock: Clock,
        kin: frozenset[int],
        uses: frozenset[int],
        serves: bool,
        bystanders: t.Sequence[Matcher],
    ) -> Person:
        process = self.processes[pid]
        parent = self.processes.get(process.ppid)
        born = clock.wall(process.start / self.table.hertz)
        began = self._unit_began(pid)
        name, user, unit = self.describe(pid)
        return Person(
            pid=pid,
            name=name,
            user=user,
            unit=unit,
            uids=self.uids(pid) | kin,
            born=born,
            line=line(process, born, parent, parent is not None and self._takes_orphans(parent.pid), began),
            in_service=serves,
            is_bystander=not serves and any(matcher.matches(process) for matcher in bystanders),
            uses=uses,
            is_manager=self.is_manager(pid),
            is_here=self.is_here(pid),
        )

    # --- what one process is ---

    def uids(self, pid: int) -> frozenset[int]:
        if pid not in self._uids:
            status = self.table.status(pid)
            self._depths[pid] = status.nspids if status else 0
            self._uids[pid] = (
                frozenset((status.real_uid, status.effective_uid, status.saved_uid))
                if status
                else frozenset([self.processes[pid].owner])
            )
        return self._uids[pid]

    def describe(self, pid: int) -> tuple[str, str, str]:
        """Name, user and unit, for people."""
        uid = min(self.uids(pid))
        if uid not in self._names:
            self._names[uid] = user_name(uid)
        return self.processes[pid].name, self._names[uid], text(unit_of(self.path(pid)))

    def path(self, pid: int) -> str:
        """Where the service manager put it, less what is above PID 1: in a container that is not its own."""
        if pid not in self._paths:
            self._paths[pid] = self.table.unit_path(pid)
        return self._paths[pid]

    def is_manager(self, pid: int) -> bool:
        return (self.path(pid) + "/").endswith(_MANAGER + "/")

    def _image(self, pid: int) -> int:
        """Where the stack begins: ``startstack`` of proc_pid_stat(5). 0 where it may not be seen."""
        if pid not in self._images:
            self._images[pid] = self._start_of_stack(pid)
        return self._images[pid]

    def _start_of_stack(self, pid: int) -> int:
        try:
            fd = os.open(f"{self.table.root}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return int(os.read(fd, 4096).rpartition(b")")[2].split()[_START_OF_STACK])
        except (OSError, ValueError, IndexError):
            return 0
        finally:
            os.close(fd)

    def _takes_orphans(self, pid: int) -> bool:
        """PID 1 of this namespace, of a nested one, or a user's service manager (PR_SET_CHILD_SUBREAPER)."""
        if pid == 1 or self.is_manager(pid):
            return True
        parent = self.processes[pid].ppid
        return parent in self.processes and self._depth(pid) > self._depth(parent)

    def _depth(self, pid: int) -> int:
        self.uids(pid)
        return self._depths[pid]

    def _unit_began(self, pid: int) -> float | None:
        """When the unit of the host's service manager that it is in was started."""
        if 1 not in self.processes or not self.is_manager(1) or self._depth(pid) > self._depth(1):
            return None
        above = self.path(1)[: -len(_MANAGER)]
        path = self.path(pid)
        if not path.startswith(above + "/"):
            return None
        parts = [part for part in path[len(above) + 1 :].split("/") if not part.endswith(".slice")]
        return self._unit_link(parts[0]) if parts and parts[0] else None

    def _unit_link(self, unit: str) -> float | None:
        if unit not in self._began:
            try:
                self._began[unit] = os.lstat(f"{self.units}/{_INVOCATION}{unit}").st_mtime
            except OSError:
                self._began[unit] = None
        return self._began[unit]

    def is_here(self, pid: int) -> bool:
        """In the IPC namespace of this process, or it cannot be told."""
        root = self.table.root
        other = sysv_ipc.namespace("ipc", pid, root)
        return other is None or other == sysv_ipc.namespace("ipc", "self", root)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
