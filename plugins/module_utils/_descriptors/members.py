# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that hold descriptors, and the form in which a look at the host is kept.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import pwd
import typing as t

from .._kernel.processes import Process, ProcessTable, text, unit_of
from .contents import Contents
from .sockets import Row

SANDBOX = 32  # what no service works with; sshd's takes 1 (OpenSSH, sandbox-rlimit.c)

Identity = t.Tuple[int, int]


class Member(t.NamedTuple):
    """One process that holds descriptors."""

    pid: int
    started: int
    parent: int
    name: str
    user: str
    unit: str
    group: str
    descriptors: int
    threads: int
    soft: int | None
    hard: int | None

    @property
    def identity(self) -> Identity:
        return (self.pid, self.started)

    @property
    def share(self) -> float | None:
        return None if self.soft is None else round(self.descriptors / self.soft, 4) if self.soft else 1.0

    @property
    def nearness(self) -> float:
        """The share, but for a limit so small that the process gave it to itself, to open no more at all."""
        return 0.0 if self.soft is None or self.soft < SANDBOX else self.share or 0.0

    @property
    def left(self) -> int | None:
        return None if self.soft is None or self.soft < SANDBOX else max(0, self.soft - self.descriptors)


def group_of(group_by: str, user: str, unit: str) -> str:
    """Empty where the program has to serve: it was asked for, or the process is in no unit and no cgroup of its own."""
    if group_by == "user":
        return user
    return unit if group_by == "unit" and unit != "/" else ""


class Host(t.NamedTuple):
    """Limits of the whole host. None: not told, or none."""

    descriptions: int | None
    descriptions_limit: int | None
    max_per_process: int | None
    inotify_instances: int | None = None
    inotify_watches: int | None = None


class Inotify(t.NamedTuple):
    instances: int
    watches: int


class Distinct(t.NamedTuple):
    """Open file descriptions; ``groups`` has those of each group, whether or not another group has them too."""

    total: int
    groups: dict[str, int]
    method: str


class Hidden(t.NamedTuple):
    """Descriptions that no descriptor stands for."""

    unattributed: int
    in_flight: int
    io_uring: int


class Sample(t.NamedTuple):
    """One look at the host. ``contents`` of some members only, the largest; ``at`` in monotonic seconds."""

    at: float
    members: dict[Identity, Member]
    contents: dict[Identity, Contents]
    sockets: dict[Identity, dict[Row, int]]
    host: Host
    distinct: Distinct | None
    hidden: Hidden | None
    inotify: dict[str, Inotify] | None
    gaps: list[str]


class Names:
    """User and unit of a process: looked up once for what a session's processes of one name share."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._users: dict[int, str] = {}
        self._names: dict[bytes, str] = {}
        self._places: dict[tuple[int, int, int, bytes], tuple[str, str]] = {}

    def name(self, process: Process) -> str:
        """One and the same for all that have it."""
        return self._names.setdefault(process.comm, process.name)

    def user_and_unit(self, process: Process) -> tuple[str, str]:
        key = (process.sid, process.pgid, process.owner, process.comm)
        if key not in self._places:
            uid = process.owner
            if uid == 0:  # root owns the files of a process that is not dumpable (proc(5))
                status = self._table.status(process.pid)
                uid = status.real_uid if status else 0
            self._places[key] = (self.user(uid), text(unit_of(self._table.unit_path(process.pid))))
        return self._places[key]

    def user(self, uid: int) -> str:
        if uid not in self._users:
            try:
                self._users[uid] = pwd.getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                self._users[uid] = str(uid)
        return self._users[uid]
