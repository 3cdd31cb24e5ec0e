# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the descriptors of a host without /proc through psutil: files and connections by kind, the rest as other.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel.processes import text
from .._kernel.rlimits import PSUTIL, Rlimits
from .._process.selection import Matcher
from . import kinds, procstat
from .contents import Contents
from .members import Host, Identity, Member, Names, Sample, group_of
from .psutil_table import PsutilTable, sysctl_by_name
from .request import Request
from .sockets import Row

Sysctl = t.Callable[[str], t.Optional[int]]
Files = t.Dict[int, t.List[procstat.Descriptor]]
_TCP_LISTENS = "LISTEN"


class PsutilSource:
    name = "psutil"

    def __init__(self, request: Request, sysctl: Sysctl | None = None) -> None:
        self.request = request
        self.table = PsutilTable()
        self.psutil = self.table.psutil
        self.sysctl = sysctl or sysctl_by_name
        self.rlimits = Rlimits(ways=(PSUTIL,))
        self.matcher = None if request.selector is None else Matcher(request.selector, self.table)

    def take(self, with_tokens: bool, is_last: bool) -> Sample:
        del is_last  # here nothing is left for the last look
        at = time.monotonic()
        self.table.denied = 0
        deadline = at + self.request.time_budget
        gaps: list[str] = []
        members = self._members(deadline, gaps)
        files = procstat.read() if self.request.procstat else None
        contents: dict[Identity, Contents] = {}
        rows: dict[Identity, dict[Row, int]] = {}
        budget = self.request.max_links
        for member in members:
            if budget <= 0 or time.monotonic() > deadline:
                if self.request.max_links:
                    gaps.append(
                        "the kinds of the smallest holders were left out: raise max_links or time_budget to see them"
                    )
                break
            found = self._contents(member, with_tokens, files)
            if found is not None:
                contents[member.identity], rows[member.identity] = found
                budget -= member.descriptors
        if self.table.denied:
            gaps.append(f"{self.table.denied} processes may not be seen: run as root")
        return Sample(at, {one.identity: one for one in members}, contents, rows, self._host(), None, None, None, gaps)

    def recount(self, members: t.Iterable[Member]) -> dict[Identity, int]:
        counts = ((member.identity, self.table.descriptors(member.pid)) for member in members)
        return {identity: count for identity, count in counts if count}

    def glimpse(self, members: t.Iterable[Member]) -> dict[Identity, dict[str, int]]:
        """None: psutil would take too long."""
        del members
        return {}

    def exe(self, pid: int) -> str:
        return text(self.table.exe(pid) or "")

    def _host(self) -> Host:
        return Host(self.sysctl("kern.openfiles"), self.sysctl("kern.maxfiles"), self.sysctl("kern.maxfilesperproc"))

    def _members(self, deadline: float, gaps: list[str]) -> list[Member]:
        names = Names(self.table)
        members: list[Member] = []
        for seen, process in enumerate(self.table.scan()):
            if time.monotonic() > deadline:
                gaps.append(f"the time budget ended after {seen} processes: raise time_budget")
                break
            if self.matcher is not None and not self.matcher.matches(process):
                continue
            count = self.table.descriptors(process.pid)
            if not count:
                continue
            limits = self.rlimits.get(process.pid, "nofile")
            user, unit = names.user_and_unit(process)
            group = group_of(self.request.group_by, user, unit) or self.exe(process.pid) or f"[{process.name}]"
            soft, hard = limits if limits is not None else (None, None)
            members.append(
                Member(
                    process.pid,
                    process.start,
                    process.ppid,
                    process.name,
                    user,
                    unit,
                    group,
                    count,
                    process.threads,
                    soft,
                    hard,
                )
            )
        return sorted(members, key=lambda one: (-one.descriptors, one.pid))

    # --- kinds ---

    def _contents(
        self, member: Member, with_tokens: bool, files: Files | None
    ) -> tuple[Contents, dict[Row, int]] | None:
        try:
            process = self.psutil.Process(member.pid)
            connections = getattr(process, "net_connections", None) or process.connections  # its name before psutil 6
            held = connections(kind="all")
            open_files = process.open_files() if files is None else []
        except self.psutil.AccessDenied:
            self.table.denied += 1
            return None
        except (self.psutil.Error, OSError):
            return None
        contents = Contents(member.pid, member.descriptors, with_tokens)
        rows = _add_sockets(contents, held)
        if files is None:
            described = [procstat.Descriptor(one.fd, kinds.FILE, one.path) for one in open_files]
        else:
            described = [one for one in files.get(member.pid, ()) if one.kind != kinds.SOCKET]
        for one in described:
            contents.put(one.kind, one.number, os.fsencode(one.path))
        contents.fill_up(member.descriptors)
        return contents, rows


def _add_sockets(contents: Contents, held: t.Sequence[t.Any]) -> dict[Row, int]:
    listening = {one.laddr.port for one in held if one.status == _TCP_LISTENS}
    rows: dict[Row, int] = {}
    for one in held:
        row = _row(one, listening)
        rows[row] = rows.get(row, 0) + 1
        contents.put(row.kind, one.fd, repr((one.laddr, one.raddr)).encode("utf-8", "surrogateescape"))
    return rows


def _row(one: t.Any, listening: t.Container[int]) -> Row:
    family = {"AF_INET": "inet", "AF_INET6": "inet6", "AF_UNIX": "unix"}.get(one.family.name, one.family.name.lower())
    state = "" if one.status == "NONE" else one.status
    if family == "unix":
        path = one.laddr if isinstance(one.laddr, str) else ""
        return Row("unix", family, state, "", None, text(path))
    protocol = "tcp" if one.type.name == "SOCK_STREAM" else "udp" if one.type.name == "SOCK_DGRAM" else "raw"
    own = one.laddr.port if one.laddr else None
    if not one.raddr:
        return Row(protocol, family, state, "", own or None)
    if own in listening:
        return Row(protocol, family, state, "in", own, one.raddr.ip)
    return Row(protocol, family, state, "out", one.raddr.port, one.raddr.ip)
