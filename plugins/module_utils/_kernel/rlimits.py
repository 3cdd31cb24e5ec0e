# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits of live processes (prlimit(2), proc_pid_limits(5)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import resource
import typing as t

# The title in /proc/PID/limits, fs/proc/base.c. RLIMIT_LOCKS is left out: it has limited nothing since Linux 2.6.
TITLES = {
    "as": b"Max address space", "core": b"Max core file size", "cpu": b"Max cpu time", "data": b"Max data size",
    "fsize": b"Max file size", "memlock": b"Max locked memory", "msgqueue": b"Max msgqueue size",
    "nice": b"Max nice priority", "nofile": b"Max open files", "nproc": b"Max processes",
    "rss": b"Max resident set", "rtprio": b"Max realtime priority", "rttime": b"Max realtime timeout",
    "sigpending": b"Max pending signals", "stack": b"Max stack size",
}  # fmt: skip

PRLIMIT, LIBC, PSUTIL, PROC = "prlimit", "libc", "psutil", "proc"


class Limits(t.NamedTuple):
    """None is unlimited."""

    soft: int | None
    hard: int | None


Call = t.Callable[..., t.Tuple[int, int]]


def number_of(name: str) -> int | None:
    """None for a resource that this system does not have."""
    return getattr(resource, f"RLIMIT_{name.upper()}", None)


class Rlimits:
    """Reads and sets them by the best way this Python has; ``way`` names it. Of a ``/proc`` that is mounted elsewhere
    only the files are read, for its numbers may be others than the calls take."""

    def __init__(self, root: str = "/proc", ways: t.Sequence[str] = (PRLIMIT, LIBC, PSUTIL)) -> None:
        self.root = root
        self.way = PROC
        self._call: Call | None = None
        for way in ways if root == "/proc" else ():
            self._call = {PRLIMIT: _of_python, LIBC: _of_libc, PSUTIL: _of_psutil}[way]()
            if self._call is not None:
                self.way = way
                return

    def get(self, pid: int, name: str) -> Limits | None:
        """None where the process is gone, or nobody may know. Reading by the call takes the rights of the process's
        user, reading the file takes none."""
        number = number_of(name)
        if self._call is not None and number is not None:
            try:
                return _known(self._call(pid, number))
            except ProcessLookupError:
                return None
            except OSError:
                pass
        return self._from_file(pid, name)

    def may_set(self, pid: int, name: str) -> bool:
        """The kernel asks for the same rights to read a limit by the call as to change it."""
        number = number_of(name)
        try:
            return self._call is not None and number is not None and bool(self._call(pid, number))
        except OSError:
            return False

    def _from_file(self, pid: int, name: str) -> Limits | None:
        try:
            with open(f"{self.root}/{pid}/limits", "rb") as file:
                return parse(file.read(), name)
        except OSError:
            return None

    def set(self, pid: int, name: str, limits: Limits) -> None:
        """Raises OSError: ESRCH where the process is gone, EPERM where it may not be."""
        number = number_of(name)
        if self._call is None or number is None:
            raise OSError(f"this Python has no way to set {name}")
        self._call(pid, number, (_raw(limits.soft), _raw(limits.hard)))

    @property
    def can_set(self) -> bool:
        return self._call is not None


def parse(raw: bytes, name: str) -> Limits | None:
    title = TITLES[name]
    for line in raw.splitlines():
        if line.startswith(title + b" "):
            soft, hard = line[len(title) :].split()[:2]
            try:
                return Limits(*(None if word == b"unlimited" else int(word) for word in (soft, hard)))
            except ValueError:
                return None
    return None


def _known(pair: tuple[int, int]) -> Limits:
    return Limits(*(None if value in (resource.RLIM_INFINITY, (1 << 64) - 1) else value for value in pair))


def _raw(value: int | None) -> int:
    return resource.RLIM_INFINITY if value is None else value


def _of_python() -> Call | None:
    return getattr(resource, "prlimit", None)


def _of_libc() -> Call | None:
    """Builds of Python for other C libraries lack resource.prlimit; the libraries themselves have it."""
    try:
        import ctypes
    except ImportError:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "prlimit64", None) or getattr(libc, "prlimit", None)
    if function is None:
        return None
    pair = ctypes.c_uint64 * 2
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]

    def call(pid: int, number: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
        old = pair()
        wanted = None if new is None else ctypes.byref(pair(*(value % (1 << 64) for value in new)))
        if function(pid, number, wanted, ctypes.byref(old)) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return old[0], old[1]

    return call


def _of_psutil() -> Call | None:
    """FreeBSD's way, which psutil knows."""
    try:
        import psutil
    except ImportError:
        return None
    if not hasattr(psutil.Process, "rlimit"):
        return None

    def call(pid: int, number: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
        try:
            process = psutil.Process(pid)
            return process.rlimit(number) if new is None else process.rlimit(number, new)
        except psutil.NoSuchProcess:
            raise ProcessLookupError(3, "No such process") from None
        except psutil.AccessDenied:
            raise PermissionError(1, "Operation not permitted") from None

    return call
