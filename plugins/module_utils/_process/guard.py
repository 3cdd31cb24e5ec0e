# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must never be touched: known by ancestry, session, cgroup and executable, never by name.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import functools
import os
import re
import time
import typing as t

from .._kernel import cgroups
from .._kernel.processes import Process, ProcessTable
from .selection import Matcher, Tree

# Where OpenSSH keeps its programs; sshd-session and sshd-auth exist since 9.8 and 10.0.
_SSHD_PLACES = (
    "/usr/sbin", "/usr/local/sbin", "/usr/lib/openssh", "/usr/lib/ssh", "/usr/libexec", "/usr/libexec/openssh",
)  # fmt: skip
_SSHD_NAMES = frozenset(("sshd", "sshd-session", "sshd-auth"))
_SSHD_PROGRAMS = tuple(f"{place}/{name}" for place in _SSHD_PLACES for name in sorted(_SSHD_NAMES))
# Only PID 1 can put a process there: its own scope and the helpers without which it cannot work, and what role harden
# arms for the moment in which nothing can be started.
_STANDBY = "/hostcare.slice/hostcare-standby.service"
_PLACES = (
    (
        re.compile(r"^/(init\.scope|system\.slice/(systemd-[^/]+|dbus|dbus-broker)\.service)(/|$)"),
        "it is a helper of PID 1",
    ),
    (re.compile(rf"^{re.escape(_STANDBY)}(/|$)"), "it is the standby of this host"),
)
_SSHD_COMMS = frozenset(name.encode() for name in _SSHD_NAMES)
_DELETED = " (deleted)"  # the mark of a program that was replaced while it runs
_WISHED = "it matches protect"
_OOM_IMMUNE = -1000  # OOM_SCORE_ADJ_MIN, include/uapi/linux/oom.h
_STORAGE_MARK = b"@"  # systemd's mark for daemons that serve the root file system


class Guard:
    """Built from one pass over the table, before anything is stopped."""

    def __init__(
        self,
        table: ProcessTable,
        processes: t.Sequence[Process],
        protect: t.Sequence[Matcher] = (),
        include_containers: bool = False,
        own_session: int = 0,
        own_pid: int | None = None,
    ) -> None:
        self.table = table
        self.protect = protect
        self.include_containers = include_containers
        self.own_pid = os.getpid() if own_pid is None else own_pid
        self.tree = Tree(processes)
        by_pid = {process.pid: process for process in processes}
        self.ancestors = frozenset(pid for pid in self.tree.above(self.own_pid) if pid != 1)
        lineage = [by_pid[pid] for pid in (self.own_pid, *self.ancestors) if pid in by_pid]
        connection = {p.pid for p in lineage if p.comm in _SSHD_COMMS and self._is_sshd(p)}
        # The listener is sshd's first process: what it parents are other connections.
        listeners = {pid for pid in connection if self.tree.parents.get(pid) not in connection}
        if len(connection) > 1:
            connection -= listeners
        sessions = {process.sid for process in lineage} | {own_session}
        sessions.update(process.sid for process in processes if process.ppid in connection)
        init_session = by_pid[1].sid if 1 in by_pid else 0
        self.sessions = frozenset(sessions - {0, 1, init_session})
        self.own_pid_namespace = self._pid_namespace("self")
        self.cleared: set[tuple[int, int]] = set()
        self.taken = int(time.clock_gettime(time.CLOCK_BOOTTIME) * table.hertz)

    def reason(self, process: Process) -> str | None:
        """Why a process that matched is left alone; None where it is not protected. Asked once of each process."""
        if process.identity in self.cleared:
            return None
        return self.reason_at_sight(process) or self.reason_inside(process)

    def reason_at_sight(self, process: Process) -> str | None:
        """The part of `reason` for which most processes need no further look: all but `reason_inside`."""
        if process.pid == 1:
            return "it is PID 1"
        if process.is_kernel_thread:
            return "it is a kernel thread"
        if process.pid == self.own_pid:
            return "it is this module itself"
        if process.pid in self.ancestors:
            return "this module descends from it"
        if process.sid in self.sessions:
            return "it is in the session this module was started from; run from another login to include it"
        return self._by_program(process) or self._by_unit(process) or self._by_wish(process)

    def reason_inside(self, process: Process) -> str | None:
        """The rest of `reason`, asked last: two more files of each process tell it."""
        reason = None
        if self.table.oom_score_adj(process.pid) == _OOM_IMMUNE:
            reason = "its oom_score_adj is -1000; raise that first if it is meant"
        elif self._is_in_container(process):
            reason = "it is in a container; set include_containers to include it"
        else:
            self.cleared.add(process.identity)
        return reason

    def condemns(self, pid: int, matcher: Matcher) -> bool:
        """Whether a number, looked at again, is a victim's or nobody's; 0 stands for those of other PID namespaces."""
        if pid == 0:
            return False
        process = self.table.read(pid)
        if process is None or process.is_dead:
            return True
        tree = self._lineage(process) if matcher.selector.needs_tree else None
        return matcher.matches(process, tree) and self.reason(process) is None

    def _lineage(self, process: Process) -> Tree:
        """The process and its ancestors, as they are now."""
        tree = Tree([process])
        above = self.table.read(process.ppid)
        while above is not None and above.pid not in tree.parents:
            tree.add(above)
            above = self.table.read(above.ppid)
        return tree

    @property
    def needs_cmdline(self) -> bool:
        return any(matcher.selector.cmdline_regex is not None for matcher in self.protect)

    def reason_when_stopped(self, process: Process) -> str | None:
        """As `reason`, for what only the command line tells."""
        if process.owner == 0:
            arguments = self.table.cmdline(process.pid)
            if arguments and arguments[0].startswith(_STORAGE_MARK):
                return "its argv[0] starts with '@': it serves the root file system"
        for matcher in self.protect:
            needs_it = matcher.selector.cmdline_regex is not None
            if needs_it and self._is_wished(matcher, process) and matcher.confirms(process):
                return _WISHED
        return None

    def _by_program(self, process: Process) -> str | None:
        # The comm only saves a look: what is called sshd is protected if its program is that of this host.
        if process.comm in _SSHD_COMMS and self._is_sshd(process):
            return "it runs the sshd of this host"
        if self._is_login_shell(process):
            return "it is the login shell of an ssh session"
        return None

    def _is_in_container(self, process: Process) -> bool:
        namespace = None if self.include_containers else self._pid_namespace(process.pid)
        return namespace is not None and namespace != self.own_pid_namespace

    def _by_unit(self, process: Process) -> str | None:
        """The members of these cgroups are listed once; only who is younger is asked for its own."""
        if self._in_place is not None and process.start < self.taken:
            return self._in_place.get(process.pid)
        path = self.table.unit_path(process.pid)
        return _reason_of(path[len(self._scope) :]) if path.startswith(self._scope) else None

    @functools.cached_property
    def hierarchies(self) -> cgroups.Hierarchies:
        return cgroups.Hierarchies(self.table.root)

    @functools.cached_property
    def _scope(self) -> str:
        return self.table.scope()

    @functools.cached_property
    def _in_place(self) -> dict[int, str] | None:
        """None where the cgroups cannot be listed."""
        mounts = self.hierarchies.mounts
        paths = self.table.cgroups(1) or {}
        name = "name=systemd" if paths.get("name=systemd", "/") != "/" else ""
        top = mounts[name].directory(self._scope or "/") if name in mounts else None
        if top is None:
            return None
        slices = f"{top}/system.slice"
        units = [f"/system.slice/{unit}" for unit in os.listdir(slices)] if os.path.isdir(slices) else []
        return {
            pid: reason
            for unit in ["/init.scope", _STANDBY, *units]
            for reason in [_reason_of(unit)]
            if reason is not None
            for pid in cgroups.members(top + unit) or ()
        }

    def _by_wish(self, process: Process) -> str | None:
        for matcher in self.protect:
            if matcher.selector.cmdline_regex is None and self._is_wished(matcher, process):
                return _WISHED
        return None

    def _is_wished(self, matcher: Matcher, process: Process) -> bool:
        if not matcher.selector.needs_tree:
            return matcher.matches(process)
        self.tree.add(process)
        return matcher.matches(process, self.tree)

    def _pid_namespace(self, pid: int | str) -> str | None:
        try:
            return os.readlink(f"{self.table.root}/{pid}/ns/pid")
        except OSError:
            return None

    def _is_sshd(self, process: Process) -> bool:
        exe = self.table.exe(process.pid)
        if exe is None:
            return self._is_unseen_sshd(process)
        if os.path.basename(exe.replace(_DELETED, "")) not in _SSHD_NAMES:
            return False
        if exe.endswith(_DELETED):  # replaced by an upgrade while it runs
            return exe[: -len(_DELETED)] in _SSHD_PROGRAMS and self._same_mounts(process.pid)
        return self._file_of(f"{self.table.root}/{process.pid}/exe") in self._sshd_files

    def _is_unseen_sshd(self, process: Process) -> bool:
        """Root in a container without CAP_SYS_PTRACE sees no program of other users. What serves a login of theirs is
        called sshd and is the child of an sshd of root, whose program it does see; in doubt it is left alone."""
        parent = self.table.read(process.ppid) if process.comm in _SSHD_COMMS else None
        if parent is None or parent.owner != 0 or parent.comm not in _SSHD_COMMS:
            return False
        return self._file_of(f"{self.table.root}/{parent.pid}/exe") in self._sshd_files

    def _is_login_shell(self, process: Process) -> bool:
        """A session leader on a terminal, right below sshd, whose program is a login shell of this host."""
        if process.sid != process.pid or not process.tty:
            return False
        parent = self.table.read(process.ppid)
        return (
            parent is not None
            and self._is_sshd(parent)
            and (self.table.exe(process.pid) or "").replace(_DELETED, "") in self._login_shells
        )

    def _same_mounts(self, pid: int) -> bool:
        try:
            return os.readlink(f"{self.table.root}/{pid}/ns/mnt") == os.readlink(f"{self.table.root}/self/ns/mnt")
        except OSError:
            return False

    @functools.cached_property
    def _sshd_files(self) -> frozenset[tuple[int, int]]:
        return frozenset(file for file in map(self._file_of, _SSHD_PROGRAMS) if file is not None)

    @staticmethod
    def _file_of(path: str) -> tuple[int, int] | None:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found.st_uid == 0 else None

    @functools.cached_property
    def _login_shells(self) -> frozenset[str]:
        try:
            with open("/etc/shells", encoding="utf-8", errors="surrogateescape") as file:
                listed = [line.strip() for line in file if line.startswith("/")]
        except OSError:
            listed = ["/bin/sh", "/bin/bash"]
        return frozenset(listed) | frozenset(os.path.realpath(shell) for shell in listed)


def _reason_of(path: str) -> str | None:
    return next((reason for pattern, reason in _PLACES if pattern.match(path)), None)
