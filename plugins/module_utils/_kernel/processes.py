# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process table as ``/proc`` tells it (proc(5)), read without a fork and without blocking.

Before a storm is frozen only ``stat``, ``status``, ``cgroup``, the ``exe`` link and ``ns`` links are read here:
``cmdline``, ``environ`` and ``maps`` take the memory lock of their process, and a process inside fork(2) holds it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import os
import re
import time
import typing as t

from .errors import Refused

PF_KTHREAD = 0x00200000  # include/linux/sched.h
PF_EXITING = 0x00000004
STOPPED = "Tt"
DEAD = "ZXx"
_SIGSTOP_BIT = 1 << (19 - 1)
_STAT_BYTES = 1024
_PID_LIMIT = 4194304  # PID_MAX_LIMIT of 64-bit kernels, include/linux/threads.h


class Process(t.NamedTuple):
    """One line of ``/proc/PID/stat`` and the owner of that file; ``start`` is in clock ticks since boot."""

    pid: int
    comm: bytes
    state: str
    ppid: int
    pgid: int
    sid: int
    tty: int
    flags: int
    threads: int
    start: int
    owner: int

    @property
    def identity(self) -> tuple[int, int]:
        """What tells this process from a later one with the same number."""
        return (self.pid, self.start)

    @property
    def name(self) -> str:
        """The comm for people and JSON: bytes that are no UTF-8 appear as ``\\xNN``."""
        return text(self.comm)

    @property
    def is_kernel_thread(self) -> bool:
        return bool(self.flags & PF_KTHREAD)

    @property
    def is_dead(self) -> bool:
        """A zombie leader whose other threads live on is not dead: it still runs code."""
        return self.state in DEAD and self.threads <= 1

    @property
    def is_exiting(self) -> bool:
        """Its first thread is on its way out: it has left its cgroup before it is dead."""
        return bool(self.flags & PF_EXITING)

    @property
    def is_stopped(self) -> bool:
        return self.state in STOPPED


class Status(t.NamedTuple):
    """``/proc/PID/status``: state, every uid, how many PID namespaces deep, a pending SIGSTOP, context switches."""

    state: str
    real_uid: int
    effective_uid: int
    saved_uid: int
    nspids: int
    stop_pending: bool
    switches: int


def text(raw: bytes | str) -> str:
    """For people and JSON; a path in which Python keeps stray bytes as surrogates comes out clean too."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")


def parse_stat(raw: bytes, owner: int) -> Process | None:
    """The comm stands between the first ``(`` and the *last* ``)``: it may hold blanks, parentheses, newlines."""
    opening = raw.find(b"(")
    closing = raw.rfind(b")")
    if opening < 1 or closing < opening:
        return None
    fields = raw[closing + 2 :].split(None, 20)
    try:
        return Process(
            int(raw[:opening]),
            raw[opening + 1 : closing],
            chr(fields[0][0]),
            int(fields[1]),
            int(fields[2]),
            int(fields[3]),
            int(fields[4]),
            int(fields[6]),
            int(fields[17]),
            int(fields[19]),
            owner,
        )
    except (IndexError, ValueError):
        return None


_STATUS_LINE = re.compile(rb"^(State|Uid|NSpid|SigPnd|ShdPnd|(?:non)?voluntary_ctxt_switches):\s*(.*)$", re.MULTILINE)


def parse_status(raw: bytes) -> Status | None:
    """The Name line is escaped by the kernel, so no process can forge one of the lines read here."""
    found = dict(_STATUS_LINE.findall(raw))
    try:
        uids = [int(uid) for uid in found[b"Uid"].split()]
        pending = int(found.get(b"SigPnd", b"0"), 16) | int(found.get(b"ShdPnd", b"0"), 16)
        return Status(
            found.get(b"State", b"?")[:1].decode("ascii", "replace"),
            uids[0],
            uids[1],
            uids[2],
            len(found.get(b"NSpid", b"0").split()),
            bool(pending & _SIGSTOP_BIT),
            int(found.get(b"voluntary_ctxt_switches", b"0")) + int(found.get(b"nonvoluntary_ctxt_switches", b"0")),
        )
    except (KeyError, ValueError, IndexError):
        return None


def parse_cgroups(raw: bytes) -> dict[str, str]:
    """``/proc/PID/cgroup`` as controller -> path; the v2 tree is the key ``""`` (cgroups(7))."""
    paths: dict[str, str] = {}
    for line in raw.decode("utf-8", "surrogateescape").split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def unit_path(cgroups: dict[str, str]) -> str:
    """Where the service manager put the process: its named v1 hierarchy, or the v2 tree."""
    named = cgroups.get("name=systemd", "/")
    return named if named != "/" else cgroups.get("", "/")


_UNIT = re.compile(r"\.(service|scope|slice|socket|mount|swap)$")


def unit_of(path: str) -> str:
    """The innermost unit of a cgroup path, or the path itself where no service manager named it."""
    for part in reversed(path.split("/")):
        if _UNIT.search(part):
            return part
    return path


_NOBODY = Process(0, b"", "?", 0, 0, 0, 0, 0, 0, 0, 0)


class ProcessTable:
    """One mounted ``/proc``. Every reader answers None for a process that is gone (ENOENT, ESRCH)."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self.hertz = os.sysconf("SC_CLK_TCK")
        self.denied = 0
        self._kept: dict[str, tuple[int, bytes, Process]] = {}

    def check(self) -> None:
        """Refuse a ``/proc`` that is missing or belongs to another PID namespace: its numbers would name others."""
        try:
            mine = os.readlink(self.root + "/self")
        except OSError as error:
            raise Refused(
                f"{self.root} shows no processes ({error.strerror}): mount it with "
                "'mount -t proc proc /proc' and run again. Hosts without /proc are not supported."
            ) from None
        if mine != str(os.getpid()):
            raise Refused(
                f"{self.root} belongs to another PID namespace (it calls this process {mine}, "
                f"the kernel calls it {os.getpid()}): mount a /proc of this namespace and run again."
            )

    def hides_others(self) -> bool:
        """True where hidepid= keeps the processes of other users from this one."""
        return self.read(1) is None and os.getpid() != 1

    def pids(self) -> list[str]:
        try:
            return [entry for entry in os.listdir(self.root) if entry[0] in "123456789" and entry.isdigit()]
        except OSError as error:
            raise Refused(
                f"{self.root} cannot be listed ({error.strerror}): free a descriptor or memory first."
            ) from None

    def read(self, pid: int | str) -> Process | None:
        if self._kept:
            process = self._read_kept(str(pid))
            if process is not None:
                return process
        try:
            return self._stat(f"{self.root}/{pid}/stat", None)
        except OSError as error:
            self._note(error)
            return None

    def _read_kept(self, pid: str) -> Process | None:
        """None where it is not kept, or not any more: it is gone, and the number may be another's."""
        if pid not in self._kept:
            return None
        fd, raw, process = self._kept[pid]
        try:
            now, owner = os.pread(fd, _STAT_BYTES, 0), os.fstat(fd).st_uid
        except OSError:
            now, owner = b"", 0
        if now and now == raw and owner == process.owner:
            return process
        found = parse_stat(now, owner)
        if found is None:
            del self._kept[pid]
            os.close(fd)
        else:
            self._kept[pid] = (fd, now, found)
        return found

    def is_ending(self, process: Process) -> bool:
        """It has ended by now, or is on its way out."""
        now = self.read(process.pid)
        return now is None or now.start != process.start or now.is_dead or now.is_exiting

    def open(self, pid: int | str) -> tuple[int, Process] | None:
        """The process and its directory, opened: it stays bound to this very process, whoever gets the number later.

        pidfd_send_signal(2) takes such a descriptor for a pidfd.
        """
        try:
            fd = os.open(f"{self.root}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._note(error)
            return None
        process = None
        try:
            process = self.reread(fd)
        finally:
            if process is None:
                os.close(fd)
        return None if process is None else (fd, process)

    def reread(self, fd: int) -> Process | None:
        """The process of `open` as it is now; None once it is gone."""
        try:
            return self._stat("stat", fd)
        except OSError as error:
            self._note(error)
            return None

    @staticmethod
    def _stat(path: str, directory: int | None) -> Process | None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        try:
            return parse_stat(os.read(fd, _STAT_BYTES), os.fstat(fd).st_uid)
        finally:
            os.close(fd)

    def keep(self, most: int) -> list[Process]:
        """As `scan`, and the files of as many stay open: to read one again takes a fraction then, until `let_go`."""
        pids = self.pids()
        for pid in pids[:most]:
            try:
                fd = os.open(f"{self.root}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # they are short: do without
                    self.let_go()
                    break
                self._note(error)
            else:
                self._kept[pid] = (fd, b"", _NOBODY)
        return [process for process in map(self.read, pids) if process is not None]

    @property
    def kept(self) -> int:
        return len(self._kept)

    def let_go(self) -> None:
        for fd, _raw, _process in self._kept.values():
            os.close(fd)
        self._kept.clear()

    def scan(self) -> t.Iterator[Process]:
        for pid in self.pids():
            process = self.read(pid)
            if process is not None:
                yield process

    def status(self, pid: int) -> Status | None:
        raw = self._bytes(pid, "status")
        return None if raw is None else parse_status(raw)

    def is_stopping(self, process: Process) -> bool:
        """Stopped by a signal, or about to be: it has to run once more to come to a halt."""
        for _look in range(2):  # the kernel writes state and signals one after the other, the stop may come between
            status = self.status(process.pid)
            if status is not None and (status.state == "T" or status.stop_pending):
                return True
        return False

    def threads_stopped(self, pid: int) -> bool:
        """True where no thread of the process can run: each is stopped or dead."""
        try:
            threads = os.listdir(f"{self.root}/{pid}/task")
        except OSError as error:
            self._note(error)
            return True
        states = [thread.state for thread in (self.read(f"{pid}/task/{tid}") for tid in threads) if thread is not None]
        return all(state in STOPPED + DEAD for state in states)

    def cgroups(self, pid: int) -> dict[str, str] | None:
        raw = self._bytes(pid, "cgroup")
        return None if raw is None else parse_cgroups(raw)

    def scope(self) -> str:
        """Where the cgroups of this PID 1 begin: not at the top in a container that sees those of its host."""
        path = self.unit_path(1)
        return path[: -len("/init.scope")] if path.endswith("/init.scope") else ""

    def unit_path(self, pid: int) -> str:
        return unit_path(self.cgroups(pid) or {})

    def exe(self, pid: int) -> str | None:
        """The path of the program; a ``(deleted)`` mark (an upgrade) is kept. None without the right to see it."""
        try:
            return os.fsdecode(os.readlink(f"{self.root}/{pid}/exe"))
        except OSError as error:
            self._note(error)
            return None

    def cmdline(self, pid: int) -> list[bytes] | None:
        """The arguments. Takes the memory lock of the process: only for processes that are stopped."""
        raw = self._bytes(pid, "cmdline")
        return None if raw is None else raw.rstrip(b"\0").split(b"\0")

    def oom_score_adj(self, pid: int) -> int:
        try:
            fd = os.open(f"{self.root}/{pid}/oom_score_adj", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._note(error)
            return 0
        try:
            return int(os.read(fd, 16))
        except (OSError, ValueError):
            return 0
        finally:
            os.close(fd)

    def nproc_limit(self, pid: int, hard: bool = False) -> int | None:
        """The soft RLIMIT_NPROC of a process, or the hard one; None where it has none or may not be seen."""
        for line in (self._bytes(pid, "limits") or b"").splitlines():
            if line.startswith(b"Max processes"):
                limit = line[len(b"Max processes") :].split()[1 if hard else 0]
                return int(limit) if limit.isdigit() else None
        return None

    def age(self, process: Process) -> float:
        """Seconds since the process started, by the boot clock, which no step of the wall clock moves."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - process.start / self.hertz

    def number(self, *path: str) -> int | None:
        """The integer in a file below the root such as ``sys/kernel/pid_max``; None where there is none."""
        try:
            return int(self._file("/".join((self.root, *path))))
        except (OSError, ValueError):
            return None

    def load(self) -> tuple[int, int]:
        """Tasks of the machine and the number given last, from ``/proc/loadavg``."""
        try:
            fields = self._file(self.root + "/loadavg").split()
            return int(fields[3].split(b"/")[1]), int(fields[4])
        except (OSError, IndexError, ValueError):
            raise Refused(f"{self.root}/loadavg cannot be read: mount a whole /proc and run again.") from None

    def forks(self) -> int | None:
        """Forks since boot on the whole machine: the ``processes`` line of ``/proc/stat``."""
        try:
            raw = self._file(self.root + "/stat")
        except OSError:
            return None
        at = raw.find(b"\nprocesses ")
        return int(raw[at + 11 :].split(None, 1)[0]) if at >= 0 else None

    def files_left(self) -> int:
        """How many files the host may still open, from ``/proc/sys/fs/file-nr``; 0 where that is not told."""
        try:
            opened, _free, most = self._file(self.root + "/sys/fs/file-nr").split()
            return max(0, int(most) - int(opened))
        except (OSError, ValueError):
            return 0

    def pid_max(self) -> int:
        return self.number("sys", "kernel", "pid_max") or _PID_LIMIT

    def _bytes(self, pid: int, name: str) -> bytes | None:
        try:
            return self._file(f"{self.root}/{pid}/{name}")
        except OSError as error:
            self._note(error)
            return None

    @staticmethod
    def _file(path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts: list[bytes] = []
            while True:
                part = os.read(fd, 65536)
                if not part:
                    return b"".join(parts)
                parts.append(part)
        finally:
            os.close(fd)

    def _note(self, error: OSError) -> None:
        """EACCES makes a result partial, want of descriptors or memory would make it wrong; the rest means gone."""
        if isinstance(error, PermissionError):
            self.denied += 1
        elif error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise Refused(
                f"{self.root} cannot be read for want of a file descriptor or memory ({error.strerror}): "
                "raise fs.file-max or the limit of the login, or free memory, then run again."
            ) from None
