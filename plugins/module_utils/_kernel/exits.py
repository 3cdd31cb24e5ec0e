# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process ended that is not a child of this one: what its parent was told by wait(2).

Linux 6.15 and later tell it of a pidfd that was opened while the process was there (PIDFD_GET_INFO in
include/uapi/linux/pidfd.h). Every Linux shows it of a zombie, to who may look into it, in ``/proc/PID/stat`` (proc(5)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import fcntl
import os
import struct

from .processes import DEAD, ProcessTable
from .signals import pidfd_open

_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, struct pidfd_info) of 64 bytes
_INFO_BYTES = 64
_INFO_EXIT = 1 << 3
_EXIT_CODE = 60  # its place in the struct
_STAT_EXIT_CODE = 49  # field 52, counted from the one after the comm


class Watched:
    """Holds on to a process until `status` is asked for the last time; ``close`` lets go."""

    def __init__(self, table: ProcessTable, pid: int, start: int) -> None:
        self.table = table
        self.pid = pid
        self.start = start
        self._status: int | None = None
        self._fd = -1
        try:
            self._fd = pidfd_open(pid)
        except OSError:
            return
        found = table.read(pid)
        if found is not None and found.start != start:
            self.close()  # somebody else by now

    @property
    def holds(self) -> bool:
        """Not of a thread, of which pidfd_open(2) opens none, nor of who has ended before."""
        return self._fd >= 0

    def look(self) -> None:
        """While it is a zombie, for kernels that tell nothing afterwards."""
        if self._status is None:
            self._status = zombie_status(self.table, self.pid, self.start)

    def status(self) -> int | None:
        """As waitpid(2) gives it; None where it is not known."""
        told = _told(self._fd) if self._fd >= 0 else None
        return self._status if told is None else told

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _told(fd: int) -> int | None:
    buffer = bytearray(_INFO_BYTES)
    struct.pack_into("=Q", buffer, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(fd, _GET_INFO, buffer)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", buffer)
    (code,) = struct.unpack_from("=i", buffer, _EXIT_CODE)
    return int(code) if mask & _INFO_EXIT else None


def zombie_status(table: ProcessTable, pid: int, start: int) -> int | None:
    """Of a zombie that nobody has collected yet; None of anything else."""
    try:
        with open(f"{table.root}/{pid}/stat", "rb") as file:
            raw = file.read()
    except OSError:
        return None
    return parse_exit(raw, start)


def parse_exit(raw: bytes, start: int) -> int | None:
    fields = raw[raw.rfind(b")") + 2 :].split()
    try:
        if fields[0].decode("ascii", "replace") not in DEAD or int(fields[19]) != start:
            return None
        return int(fields[_STAT_EXIT_CODE])
    except (IndexError, ValueError):
        return None
