# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the victims were: described after the freeze and before the kill, a few of each group.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import pwd
import time
import typing as t

from .._kernel.processes import Process, ProcessTable, text, unit_of

# Loaded with the module: once a storm is frozen no time is lost to it.
psutil: t.Any
try:
    import psutil
except ImportError:
    psutil = None

MISSING = (
    "psutil is not installed on this host: the evidence lacks command line, directory and descriptors"
    if psutil is None
    else ""
)
_LONGEST = 300  # characters of a command line
_MOST_PARENTS = 8


_Kind = t.Tuple[int, int, int, bytes]  # session, process group, owner and name


class Describer:
    """Names for numbers, each looked up once: users, units."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.users: dict[int, str] = {}
        self.places: dict[_Kind, tuple[str, str]] = {}
        self.seen: dict[int, _Kind] = {}

    def user(self, process: Process) -> str:
        return self._place(process)[0]

    def learn_users(self, processes: t.Iterable[Process]) -> None:
        """Before any of them is stopped: among them may be who tells the names of users (nscd, sssd)."""
        for process in processes:
            if process.owner == 0 or process.owner not in self.users:  # root's, or not dumpable
                self.user(process)

    def unit(self, process: Process) -> str:
        return self._place(process)[1]

    def user_name(self, uid: int) -> str:
        if uid not in self.users:
            try:
                self.users[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                self.users[uid] = str(uid)
        return self.users[uid]

    def _place(self, process: Process) -> tuple[str, str]:
        key = (process.sid, process.pgid, process.owner, process.comm)
        if key not in self.places:
            parent = self.seen.get(process.ppid)
            if parent is not None and parent[2:] == key[2:]:
                key = parent  # a fork inherits user and unit
        self.seen[process.pid] = key
        if key not in self.places:
            uid = process.owner
            if uid == 0:
                status = self.table.status(process.pid)
                uid = status.real_uid if status else 0
            self.places[key] = (self.user_name(uid), text(unit_of(self.table.unit_path(process.pid))))
        return self.places[key]

    def groups(self, processes: t.Iterable[tuple[Process, str]]) -> list[dict[str, t.Any]]:
        """Counts by name, user, unit and reason, largest first."""
        counts: dict[tuple[bytes, tuple[str, str], str], int] = {}
        for process, reason in processes:
            key = (process.comm, self._place(process), reason)
            counts[key] = counts.get(key, 0) + 1
        largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [
            {"name": text(comm), "user": user, "unit": unit, "reason": reason, "count": count}
            for (comm, (user, unit), reason), count in largest
        ]


def collect(describer: Describer, victims: t.Sequence[Process], limit: int) -> list[dict[str, t.Any]]:
    """Up to ``limit`` victims, spread over the list. All are stopped: psutil reads command lines."""
    if limit < 1 or not victims:
        return []
    chosen = victims[:: max(1, len(victims) // limit)][:limit]
    return [_describe(describer, process) for process in chosen]


def _describe(describer: Describer, process: Process) -> dict[str, t.Any]:
    started = time.time() - describer.table.age(process)
    found: dict[str, t.Any] = {
        "pid": process.pid,
        "name": process.name,
        "state": process.state,
        "user": describer.user(process),
        "unit": describer.unit(process),
        "parents": _parents(describer.table, process),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "exe": text(describer.table.exe(process.pid) or ""),
        "cwd": None,
        "cmdline": None,
        "descriptors": None,
    }
    if psutil is not None:
        found.update(_with_psutil(process))
    return found


def _parents(table: ProcessTable, process: Process) -> list[str]:
    """Number and name of the parent, its parent and so on, up to `_MOST_PARENTS`."""
    chain: list[str] = []
    parent = table.read(process.ppid)
    while parent is not None and len(chain) < _MOST_PARENTS:
        chain.append(f"{parent.pid} {parent.name}")
        parent = table.read(parent.ppid)
    return chain


def _with_psutil(process: Process) -> dict[str, t.Any]:
    try:
        seen = psutil.Process(process.pid).as_dict(["cmdline", "cwd", "num_fds"])
    except psutil.Error:
        return {}
    return {
        "cmdline": text(" ".join(seen["cmdline"] or []))[:_LONGEST],
        "cwd": text(seen["cwd"] or ""),
        "descriptors": seen["num_fds"],
    }
