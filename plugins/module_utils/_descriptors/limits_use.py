# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process uses of a limited resource at this moment, where the kernel tells (proc_pid_status(5)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from .._kernel.descriptors import DescriptorTables
from .._kernel.processes import Process, ProcessTable
from .psutil_table import PsutilTable

_SIZES = {"as": b"VmSize", "data": b"VmData", "stack": b"VmStk", "memlock": b"VmLck"}  # in KiB
_KIB = 1024


class Use:
    """Asked of one resource; a table without /proc knows descriptors only."""

    def __init__(self, resource: str, table: ProcessTable, descriptors: t.Callable[[int], int | None]) -> None:
        self.resource = resource
        self.table = table
        self._descriptors = descriptors
        self._threads: dict[int, int] = {}

    def of(self, process: Process) -> int | None:
        """None where it is not known."""
        if self.resource == "nofile":
            return self._descriptors(process.pid)
        if self.resource == "nproc":
            return self._threads_of_user(process)
        if self.resource == "cpu":
            return self._seconds(process.pid)
        lines = self._status(process.pid)
        try:
            if self.resource == "sigpending":
                return int(lines[b"SigQ"].split(b"/")[0])
            return int(lines[_SIZES[self.resource]].split()[0]) * _KIB
        except (KeyError, ValueError, IndexError):
            return None

    def _status(self, pid: int) -> dict[bytes, bytes]:
        try:
            with open(f"{self.table.root}/{pid}/status", "rb") as file:
                lines = [line.partition(b":\t") for line in file.read().splitlines()]
        except OSError:
            return {}
        return {name: rest for name, _colon, rest in lines}

    def _seconds(self, pid: int) -> int | None:
        """Of processor time, rounded up."""
        try:
            with open(f"{self.table.root}/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            return -(-(int(fields[11]) + int(fields[12])) // os.sysconf("SC_CLK_TCK"))
        except (OSError, ValueError, IndexError):
            return None

    def _threads_of_user(self, process: Process) -> int | None:
        """RLIMIT_NPROC counts the threads of the real user."""
        if not self._threads:
            for other in self.table.scan():
                uid = self._real_uid(other)
                self._threads[uid] = self._threads.get(uid, 0) + other.threads
        return self._threads.get(self._real_uid(process))

    def _real_uid(self, process: Process) -> int:
        if process.owner:
            return process.owner
        status = self.table.status(process.pid)
        return status.real_uid if status else 0


def descriptors_of(table: ProcessTable) -> t.Callable[[int], int | None]:
    if isinstance(table, PsutilTable):
        return table.descriptors
    tables = DescriptorTables(table.root)

    def count(pid: int) -> int | None:
        holding = tables.holding(pid)
        return None if holding is None else holding.descriptors

    return count
