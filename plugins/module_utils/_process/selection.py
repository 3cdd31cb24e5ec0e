# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The selector: which processes are meant. All given criteria must hold.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import pwd
import re
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import PF_KTHREAD, Process, ProcessTable, unit_path

COMM_BYTES = 15  # TASK_COMM_LEN - 1, include/linux/sched.h
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*([smhdw]?)$")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DELETED = " (deleted)"

CRITERIA = (
    "name", "name_regex", "exe", "exe_regex", "cmdline_regex", "user", "unit", "cgroup",
    "pid", "descends_from", "tree", "ancestry",
)  # fmt: skip


class Selector(t.NamedTuple):
    """A checked selector. Empty collections and None mean that the criterion was not given."""

    names: frozenset[bytes] = frozenset()
    name_regex: re.Pattern[bytes] | None = None
    exes: frozenset[str] = frozenset()
    exe_regex: re.Pattern[str] | None = None
    cmdline_regex: re.Pattern[bytes] | None = None
    uids: frozenset[int] = frozenset()
    units: frozenset[str] = frozenset()
    cgroups: tuple[str, ...] = ()
    pids: frozenset[int] = frozenset()
    descends_from: frozenset[int] = frozenset()
    trees: frozenset[int] = frozenset()
    ancestry: tuple[frozenset[bytes], ...] = ()
    min_age: float = 0.0
    min_count: int = 0

    @property
    def needs_tree(self) -> bool:
        return bool(self.descends_from or self.trees or self.ancestry)

    @property
    def reason(self) -> str:
        """Why what matches does so: the options that were given."""
        given = [option for option, value in zip(_OPTIONS, self) if value]
        return "meets " + ", ".join(given)


# The options behind the fields of a Selector, in their order.
_OPTIONS = (*CRITERIA, "min_age", "min_count")


class Tree:
    """Who is whose child: parents and names of one pass over the table."""

    def __init__(self, processes: t.Iterable[Process] = ()) -> None:
        self.parents: dict[int, int] = {}
        self.comms: dict[int, bytes] = {}
        for process in processes:
            self.add(process)

    def add(self, process: Process) -> None:
        self.parents[process.pid] = process.ppid
        self.comms[process.pid] = process.comm

    def above(self, pid: int) -> t.Iterator[int]:
        """The ancestors, nearest first. A reused number cannot send this round in a circle."""
        seen = {pid, 0}
        pid = self.parents.get(pid, 0)
        while pid not in seen:
            seen.add(pid)
            yield pid
            pid = self.parents.get(pid, 0)

    def depth(self, pid: int) -> int:
        return sum(1 for _ancestor in self.above(pid))


def parse(options: t.Mapping[str, t.Any], where: str = "the selector") -> Selector:
    """Check what the user gave. Raises Refused, which names the option, the reason and the next step."""
    if not any(options.get(criterion) for criterion in CRITERIA):
        raise Refused(f"{where} is empty and would match every process: give at least one of {', '.join(CRITERIA)}.")
    return Selector(
        names=frozenset(_comm(name, where) for name in options.get("name") or ()),
        name_regex=_regex_bytes(options, "name_regex", where),
        exes=frozenset(_without_mark(exe) for exe in options.get("exe") or ()),
        exe_regex=_regex(options, "exe_regex", where),
        cmdline_regex=_regex_bytes(options, "cmdline_regex", where),
        uids=frozenset(_uid(user, where) for user in options.get("user") or ()),
        units=frozenset(options.get("unit") or ()),
        cgroups=tuple(_cgroup(path, where) for path in options.get("cgroup") or ()),
        pids=frozenset(_pid(pid, "pid", where) for pid in options.get("pid") or ()),
        descends_from=frozenset(_pid(pid, "descends_from", where) for pid in options.get("descends_from") or ()),
        trees=frozenset(_pid(pid, "tree", where) for pid in options.get("tree") or ()),
        ancestry=_ancestry(options.get("ancestry"), where),
        min_age=seconds(options.get("min_age"), "min_age"),
        min_count=int(options.get("min_count") or 0),
    )


def seconds(value: t.Any, option: str) -> float:
    """``30``, ``30s``, ``5m``, ``2h``, ``1d``, ``1w`` as seconds."""
    if value is None or value == "":
        return 0.0
    match = _DURATION.match(str(value).strip())
    if match is None:
        raise Refused(f"{option}: {value!r} is not a duration: give a number with s, m, h, d or w, such as 30s.")
    return float(match.group(1)) * _UNITS[match.group(2)]


def _without_mark(exe: str) -> str:
    """A program that was replaced while it runs is still that program."""
    return exe[: -len(_DELETED)] if exe.endswith(_DELETED) else exe


def _comm(name: str, where: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    if not raw:
        raise Refused(f"{where}: an empty name matches nothing that is meant; use name_regex '^$' if it is.")
    if len(raw) > COMM_BYTES:
        cut = raw[:COMM_BYTES].decode("utf-8", "ignore")
        raise Refused(
            f"{where}: name {name!r} is longer than the {COMM_BYTES} bytes the kernel keeps, and other programs may "
            f"share its first {COMM_BYTES}: give {cut!r} if those are meant too, or use exe or cmdline_regex."
        )
    return raw


def _regex(options: t.Mapping[str, t.Any], option: str, where: str) -> re.Pattern[str] | None:
    pattern = options.get(option)
    if not pattern:
        return None
    return _compiled(str(pattern), pattern, option, where)


def _regex_bytes(options: t.Mapping[str, t.Any], option: str, where: str) -> re.Pattern[bytes] | None:
    """Names and arguments are bytes without an encoding; a pattern is UTF-8."""
    pattern = options.get(option)
    if not pattern:
        return None
    return _compiled(pattern.encode("utf-8", "surrogateescape"), pattern, option, where)


def _compiled(pattern: t.AnyStr, given: str, option: str, where: str) -> re.Pattern[t.AnyStr]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(f"{where}: {option} {given!r} is not a regular expression: {error}.") from None


def _uid(user: t.Any, where: str) -> int:
    word = str(user)
    if word.isascii() and word.isdigit():
        return int(word)
    try:
        return pwd.getpwnam(word).pw_uid
    except (KeyError, ValueError):
        raise Refused(f"{where}: user {word!r} does not exist on this host: correct it or give the uid.") from None


def _cgroup(path: str, where: str) -> str:
    clean = "/" + os.path.normpath(path).strip("/")
    if clean in ("/", "/.") or "/../" in clean + "/":
        raise Refused(f"{where}: cgroup {path!r} names no single cgroup: give its path as /proc/PID/cgroup shows it.")
    return clean


def _pid(pid: int, option: str, where: str) -> int:
    if pid < 1:
        raise Refused(f"{where}: {option} {pid} is no process number: give a positive one.")
    return pid


def _ancestry(chain: str | None, where: str) -> tuple[frozenset[bytes], ...]:
    """``postdrop < sendmail < cron | crond``: the process itself first, each parent, by any of its names, after it."""
    if not chain:
        return ()
    links = [[name.strip() for name in link.split("|")] for link in chain.split("<")]
    if not all(name for link in links for name in link):
        raise Refused(f"{where}: ancestry {chain!r} has an empty link: write it as 'child < parent < grandparent'.")
    return tuple(frozenset(_comm(name, where) for name in link) for link in links)


class Matcher:
    """Says whether a process is meant: cheap criteria first, each further one read only when those before it hold."""

    def __init__(self, selector: Selector, table: ProcessTable) -> None:
        self.selector = selector
        self.table = table
        self.also: set[tuple[int, int]] = set()  # identities that are meant whatever the criteria say

    def by_stat(self, process: Process) -> bool:
        """What `Process` alone decides; no further read."""
        wanted = self.selector
        if wanted.names and process.comm not in wanted.names:
            return process.identity in self.also
        if process.identity in self.also:
            return True
        if process.flags & PF_KTHREAD:
            return False
        if wanted.pids and process.pid not in wanted.pids:
            return False
        if wanted.name_regex is not None and wanted.name_regex.search(process.comm) is None:
            return False
        if wanted.uids and process.owner not in wanted.uids and process.owner != 0:
            return False
        return not wanted.min_age or self.table.age(process) >= wanted.min_age

    def matches(self, process: Process, tree: Tree | None = None) -> bool:
        """All criteria but the command line, which may be read only once the process is stopped."""
        if process.identity in self.also:
            return True
        return (
            self.by_stat(process)
            and self._by_owner(process)
            and self._by_links(process)
            and self._by_tree(process, tree)
        )

    def confirms(self, process: Process) -> bool:
        """The command line, of a process that is stopped."""
        pattern = self.selector.cmdline_regex
        if pattern is None or process.identity in self.also:
            return True
        arguments = self.table.cmdline(process.pid)
        return arguments is not None and pattern.search(b" ".join(arguments)) is not None

    def _by_owner(self, process: Process) -> bool:
        """The real uid: what RLIMIT_NPROC counts. Root owns the files of a process that is not dumpable (proc(5))."""
        wanted = self.selector.uids
        if not wanted or (process.owner in wanted and process.owner != 0):
            return True
        status = self.table.status(process.pid)
        return status is not None and status.real_uid in wanted

    def _by_links(self, process: Process) -> bool:
        wanted = self.selector
        if wanted.units or wanted.cgroups:
            paths = self.table.cgroups(process.pid)
            if paths is None or not self._in_scope(paths):
                return False
        if not wanted.exes and wanted.exe_regex is None:
            return True
        exe = self.table.exe(process.pid)
        if exe is None:
            return False
        exe = _without_mark(exe)
        return (not wanted.exes or exe in wanted.exes) and (
            wanted.exe_regex is None or wanted.exe_regex.search(exe) is not None
        )

    def _in_scope(self, paths: dict[str, str]) -> bool:
        if self.selector.units and self.selector.units.isdisjoint(unit_path(paths).split("/")):
            return False
        scopes = self.selector.cgroups
        return not scopes or any(
            path == scope or path.startswith(scope + "/") for path in paths.values() for scope in scopes
        )

    def _by_tree(self, process: Process, tree: Tree | None) -> bool:
        wanted = self.selector
        if not wanted.needs_tree:
            return True
        if tree is None:
            return False
        if wanted.descends_from and wanted.descends_from.isdisjoint(tree.above(process.pid)):
            return False
        if wanted.trees and process.pid not in wanted.trees and wanted.trees.isdisjoint(tree.above(process.pid)):
            return False
        if not wanted.ancestry:
            return True
        chain = [process.comm] + [tree.comms.get(pid, b"") for pid in tree.above(process.pid)]
        return len(chain) >= len(wanted.ancestry) and all(map(frozenset.__contains__, wanted.ancestry, chain))
