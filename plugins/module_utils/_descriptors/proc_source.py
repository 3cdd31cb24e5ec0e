# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the descriptors of a Linux host: counts of all processes first, then the links of the largest holders.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import functools
import os
import re
import time
import typing as t

from .._kernel.descriptors import DescriptorTables, Holding, Kcmp
from .._kernel.processes import ProcessTable, text
from .._kernel.rlimits import Rlimits
from .._process.selection import Matcher
from . import kinds
from .contents import Contents, Gatherer
from .deleted import Sizes
from .history import kinds_of
from .identity import INODE, Identities, Order
from .joining import Joiner
from .members import Distinct, Hidden, Host, Identity, Inotify, Member, Names, Sample, group_of
from .request import Request

_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_NO_LIMIT = 1 << 53  # fs.file-max is off where it is larger; JSON's integers are exact up to it
_WATCH = re.compile(rb"^inotify wd:", re.MULTILINE)
_IN_FLIGHT = re.compile(rb"^scm_fds:\s*(\d+)", re.MULTILINE)
_REGISTERED = re.compile(rb"^UserFiles:\s*(\d+)", re.MULTILINE)
_GLIMPSED = 10_000  # links that are read in between, some 40 ms
_MOST_ASKED = 20_000  # UNIX sockets that are asked for what is in flight


class ProcSource:
    """``take`` is a whole look; ``recount`` only counts, and costs next to nothing."""

    name = "proc"

    def __init__(self, request: Request, root: str = "/proc", has_sizes: bool | None = None) -> None:
        self.request = request
        self.table = ProcessTable(root)
        self.table.check()
        self.tables = DescriptorTables(root, has_sizes)
        self.rlimits = Rlimits(root)
        self.kcmp = Kcmp()
        self.matcher = None if request.selector is None else Matcher(request.selector, self.table)

    def take(self, with_tokens: bool, is_last: bool) -> Sample:
        """What has no growth is read by the last look only. Raises Refused where the host cannot be read."""
        self.table.denied = self.tables.denied = 0
        look = _Look(self, time.monotonic() + self.request.time_budget)
        return look.take(with_tokens, is_last)

    def recount(self, members: t.Iterable[Member]) -> dict[Identity, int]:
        """The counts now of processes that were seen before."""
        found = {}
        for member in members:
            holding = self.tables.holding(member.pid)
            if holding is not None:
                found[member.identity] = holding.descriptors
        return found

    def glimpse(self, members: t.Iterable[Member]) -> dict[Identity, dict[str, int]]:
        """The kinds of a few, but for sockets, as far as that costs little."""
        gatherer, left = Gatherer(), min(_GLIMPSED, self.request.max_links)
        found = {}
        for member in members:
            holding = self.tables.holding(member.pid)
            if holding is None or holding.descriptors > left:
                continue
            contents = Contents(member.pid, holding.descriptors)
            gatherer.gather(contents, self.tables.links(holding, holding.descriptors))
            left -= contents.seen
            found[member.identity] = kinds_of(contents)
        return found

    def exe(self, pid: int) -> str:
        return text(self.table.exe(pid) or "")


class _Look:
    """One look, and what is needed only while it goes on."""

    def __init__(self, source: ProcSource, deadline: float) -> None:
        self.source = source
        self.request = source.request
        self.tables = source.tables
        self.deadline = deadline
        self.gaps: list[str] = []
        self.holdings: dict[int, Holding] = {}
        self.counted = 0
        self.sees_all = source.matcher is None

    def take(self, with_tokens: bool, is_last: bool) -> Sample:
        at = time.monotonic()
        members = self._members()
        host = self._host()
        by_pid = {member.pid: member for member in members}
        identities = Identities(self.source.kcmp, by_pid) if is_last else None
        contents = self._contents(members, with_tokens, identities)
        joiner = Joiner(self.tables)
        for one in contents:
            joiner.add(one)
        joiner.join(self.deadline)
        self._judge_deleted(contents)
        self._explain()
        for one in contents:
            if not one.is_thinned:  # the later count, so that it is the sum of its kinds
                by_pid[one.pid] = by_pid[one.pid]._replace(descriptors=one.seen)
        distinct = identities.count(contents) if contents and identities is not None else None
        return Sample(
            at,
            {member.identity: member for member in by_pid.values()},
            {by_pid[one.pid].identity: one for one in contents},
            {by_pid[pid].identity: rows for pid, rows in joiner.rows.items()},
            host,
            distinct,
            self._hidden(contents, distinct, host),
            self._inotify(contents, by_pid) if is_last else None,
            self.gaps,
        )

    # --- who holds how many ---

    def _members(self) -> list[Member]:
        """All that hold descriptors, the largest first."""
        source = self.source
        wanted = self.request.selector
        listed: t.Iterable[t.Any] = wanted.pids if wanted and wanted.pids else source.table.pids()
        holdings = []
        for pid in listed:
            holding = self.tables.holding(pid)
            if holding is not None:
                holdings.append(holding)
        self.counted = sum(one.descriptors for one in holdings)
        names = Names(source.table)
        members = []
        for seen, holding in enumerate(sorted(holdings, key=lambda one: (-one.descriptors, one.pid))):
            if time.monotonic() > self.deadline:
                self.gaps.append(f"the time budget ended after {seen} of {len(holdings)} processes: raise time_budget")
                self.sees_all = False
                break
            member = self._member(holding, names)
            if member is not None:
                self.holdings[holding.pid] = holding
                members.append(member)
        return members

    def _member(self, holding: Holding, names: Names) -> Member | None:
        source = self.source
        process = source.table.read(holding.pid)
        if process is None or (source.matcher is not None and not source.matcher.matches(process)):
            return None
        user, unit = names.user_and_unit(process)
        limits = source.rlimits.get(holding.pid, "nofile")
        group = group_of(self.request.group_by, user, unit) or source.exe(holding.pid) or f"[{process.name}]"
        soft, hard = limits if limits is not None else (None, None)
        return Member(
            process.pid,
            process.start,
            process.ppid,
            names.name(process),
            user,
            unit,
            group,
            holding.descriptors,
            process.threads,
            soft,
            hard,
        )

    def _host(self) -> Host:
        allocated = self.tables.numbers("sys/fs/file-nr")
        limit = allocated[2] if len(allocated) == 3 and allocated[2] < _NO_LIMIT else None

        def one(path: str) -> int | None:
            return next(iter(self.tables.numbers(path)), None)

        return Host(
            allocated[0] if allocated else None,
            limit,
            one("sys/fs/nr_open"),
            one("sys/fs/inotify/max_user_instances"),
            one("sys/fs/inotify/max_user_watches"),
        )

    # --- what they are ---

    def _contents(self, members: list[Member], with_tokens: bool, identities: Identities | None) -> list[Contents]:
        """Of the largest as many as may be looked at, in the order of their birth."""
        gatherer = Gatherer()
        found: list[Contents] = []
        chosen = self._chosen(members)
        for seen, (member, most) in enumerate(sorted(chosen, key=lambda one: (one[0].started, one[0].pid))):
            if time.monotonic() > self.deadline:
                self._say_what_was_left_out("the time budget ended", "time_budget", len(chosen) - seen)
                break
            contents = Contents(member.pid, member.descriptors, with_tokens, member.descriptors > most)
            gatherer.gather(contents, self.tables.links(self.holdings[member.pid], most))
            if contents.seen:
                found.append(contents)
                if identities is not None:
                    identities.add(contents)
        thinned = sum(1 for one in found if one.is_thinned)
        if thinned:
            self.gaps.append(
                f"of {thinned} processes only every n-th descriptor was looked at: raise max_links to see all"
            )
        return found

    def _chosen(self, members: list[Member]) -> list[tuple[Member, int]]:
        """Whose links are read, and how many of each at the most: none may take them all from the others."""
        left = self.request.max_links
        most = left if sum(one.descriptors for one in members) <= left else left // 4
        chosen = []
        for member in members:
            own = min(most, left)
            if own <= 0:
                break
            chosen.append((member, own))
            left -= min(member.descriptors, own)
        if len(chosen) < len(members) and self.request.max_links:
            self._say_what_was_left_out("max_links was reached", "max_links", len(members) - len(chosen))
        return chosen

    def _say_what_was_left_out(self, what: str, option: str, left: int) -> None:
        self.gaps.append(f"{what} before the kinds of {left} holders were read: raise {option} to see them")

    def _judge_deleted(self, contents: list[Contents]) -> None:
        sizes = Sizes(self.tables)
        for one in contents:
            if one.special and time.monotonic() < self.deadline:
                one.judge_deleted(functools.partial(sizes.of, self.holdings[one.pid]))

    # --- what no descriptor stands for ---

    def _hidden(self, contents: list[Contents], distinct: Distinct | None, host: Host) -> Hidden | None:
        """At least, for a descriptor that was not looked at may be one of its own. Only where every process of the
        machine was counted, which no nested PID namespace can."""
        if not self.sees_all or distinct is None or distinct.method == INODE or host.descriptions is None:
            return None
        if self.tables.namespace(os.getpid(), "pid") != _FIRST_PID_NAMESPACE:
            return None
        known = distinct.total + self.counted - sum(one.seen for one in contents)
        unattributed = max(0, host.descriptions - known)
        registered = sum(number for _pid, number in self._told_of(contents, kinds.IO_URING, _REGISTERED))
        return Hidden(unattributed, self._in_flight(contents), registered)

    def _in_flight(self, contents: list[Contents]) -> int:
        """Each socket tells how many descriptors wait in it, whichever process has it open."""
        seen: set[int] = set()
        total = 0
        for one in contents:
            for inode, number in zip(one.sockets, one.socket_numbers):
                if inode not in seen and len(seen) < _MOST_ASKED:
                    seen.add(inode)
                    match = _IN_FLIGHT.search(self.tables.info(self.holdings[one.pid], number) or b"")
                    total += int(match.group(1)) if match else 0
        return total

    def _inotify(self, contents: list[Contents], members: dict[int, Member]) -> dict[str, Inotify] | None:
        """By user; None where not all processes were looked at."""
        if len(contents) < len(members):
            return None
        users: dict[str, Inotify] = {}
        for pid, watches in self._told_of(contents, kinds.INOTIFY, _WATCH):
            user = members[pid].user
            known = users.get(user, Inotify(0, 0))
            users[user] = Inotify(known.instances + 1, known.watches + watches)
        return users

    def _told_of(self, contents: list[Contents], kind: str, pattern: re.Pattern[bytes]) -> t.Iterator[tuple[int, int]]:
        """What fdinfo says of each description of a kind, inherited ones once: the number that it names, or how many
        lines it has."""
        order = Order(self.source.kcmp)
        for one in contents:
            for _kind, number, _link in (special for special in one.special if special[0] == kind):
                if order.is_new((one.pid, number)):
                    told = pattern.findall(self.tables.info(self.holdings[one.pid], number) or b"")
                    yield one.pid, int(told[0]) if pattern.groups and told else len(told)

    # --- what could not be seen ---

    def _explain(self) -> None:
        source = self.source
        if source.table.hides_others():
            self.gaps.append("/proc hides the processes of other users (hidepid): run as root to see all")
            self.sees_all = False
        if self.tables.denied:
            self.gaps.append(
                f"the kinds of the descriptors of {self.tables.denied} processes may not be seen: run as root, in a "
                "container with CAP_SYS_PTRACE"
            )
