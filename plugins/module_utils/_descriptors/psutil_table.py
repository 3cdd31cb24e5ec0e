# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process table of a system without /proc, as psutil knows it, in the form the selector reads.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import Process, ProcessTable, Status

_STATES = {
    "running": "R", "sleeping": "S", "disk-sleep": "D", "stopped": "T", "tracing-stop": "t", "zombie": "Z", "dead": "X",
    "idle": "I",
}  # fmt: skip
_READ = ("name", "ppid", "uids", "num_threads", "create_time", "status")
_COMM_BYTES = 15


class PsutilTable(ProcessTable):
    """There are no cgroups and no units. ``start`` is in hundredths of a second since 1970."""

    def __init__(self) -> None:
        super().__init__()
        self.hertz = 100
        try:
            import psutil
        except ImportError:
            raise Refused(
                "this host has no /proc, and its Python has no psutil to ask instead: install psutil there."
            ) from None
        self.psutil: t.Any = psutil

    def check(self) -> None:
        """Nothing to refuse: there is no /proc to be wrong."""

    def hides_others(self) -> bool:
        return False

    def pids(self) -> list[str]:
        return [str(pid) for pid in self.psutil.pids() if pid > 0]

    def read(self, pid: int | str) -> Process | None:
        try:
            process = self.psutil.Process(int(pid))
            with process.oneshot():
                seen = process.as_dict(_READ)
        except (self.psutil.Error, OSError):
            return None
        if seen["create_time"] is None or seen["uids"] is None:
            return None
        pgid, sid = _ids(int(pid))
        return Process(
            int(pid),
            (seen["name"] or "").encode("utf-8", "surrogateescape")[:_COMM_BYTES],
            _STATES.get(seen["status"], "S"),
            seen["ppid"] or 0,
            pgid,
            sid,
            0,
            0,
            seen["num_threads"] or 1,
            round(seen["create_time"] * self.hertz),
            seen["uids"].real,
        )

    def descriptors(self, pid: int) -> int | None:
        try:
            return int(self.psutil.Process(pid).num_fds())
        except self.psutil.AccessDenied:
            self.denied += 1
        except (self.psutil.Error, OSError):
            pass
        return None

    def status(self, pid: int) -> Status | None:
        process = self.read(pid)
        if process is None:
            return None
        return Status(process.state, process.owner, process.owner, process.owner, 0, False, 0)

    def cgroups(self, _pid: int) -> dict[str, str] | None:
        return {}

    def exe(self, pid: int) -> str | None:
        try:
            return str(self.psutil.Process(pid).exe()) or None
        except (self.psutil.Error, OSError):
            return None

    def cmdline(self, pid: int) -> list[bytes] | None:
        try:
            return [one.encode("utf-8", "surrogateescape") for one in self.psutil.Process(pid).cmdline()]
        except (self.psutil.Error, OSError):
            return None

    def age(self, process: Process) -> float:
        return time.time() - process.start / self.hertz


def _ids(pid: int) -> tuple[int, int]:
    """Process group and session."""
    try:
        return os.getpgid(pid), os.getsid(pid)
    except OSError:
        return 0, 0


def sysctl_by_name(name: str) -> int | None:
    """sysctlbyname(3) of BSD; None where there is none, or nothing of this name."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "sysctlbyname", None)
    if function is None:
        return None
    value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
    if function(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    return int(value.value) & ((1 << 8 * size.value) - 1)
