# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was born while a pass looked elsewhere: what turns a quiet pass into a proof.

The kernel hands out process numbers in a circle (idr_alloc_cyclic in kernel/pid.c), and ``/proc/loadavg`` names the
last one. Between two readings only the numbers from one to the other can be new: a pass lists ``/proc`` in ascending
order and misses a child that wraps round behind it, these numbers do not. How often the circle may have been closed is
told by the fork counter of ``/proc/stat``. In a nested PID namespace that counter also moves for all the others, so
there the time that passed bounds the births instead.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel.processes import ProcessTable

_RESERVED = 300  # where the circle starts again once it has been round: RESERVED_PIDS, kernel/pid.c
_INITIAL_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_MOST_NUMBERS = 20000
_BIRTHS_PER_CPU_SECOND = 100000  # several times what fork and exit allow
_LOOKS = 20
_BETWEEN_LOOKS = 0.00025  # seconds: several lives of a process that does nothing but fork and exit


class Mark(t.NamedTuple):
    """A moment: the number given last, the forks of the machine since boot where they are telling, the time in s."""

    last_pid: int
    forks: int | None
    time: float


class Births:
    """Watches one PID namespace. ``free`` is how many numbers were unused at the last pass."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.pid_max = table.pid_max()
        self.free = 0
        self.counted = os.readlink(table.root + "/self/ns/pid") == _INITIAL_NAMESPACE and table.forks() is not None

    def mark(self) -> Mark:
        return Mark(self.table.load()[1], self.table.forks() if self.counted else None, time.monotonic())

    def count_free(self, tasks: int) -> None:
        self.free = max(0, self.pid_max - _RESERVED - tasks)

    def quiet(self, before: Mark, after: Mark) -> bool:
        """Nothing was born in between."""
        if before.forks is not None:
            return before.forks == after.forks
        if before.last_pid != after.last_pid:
            return False
        return not may_have_gone_round(before, after, self.free) or self._stands_still(after.last_pid)

    def numbers(self, before: Mark, after: Mark) -> list[int] | None:
        """The numbers that may have been given out in between; None where that may be any."""
        if may_have_gone_round(before, after, self.free):
            return None
        return numbers_between(before.last_pid, after.last_pid, self.pid_max)

    def _stands_still(self, number: int) -> bool:
        """In a nearly full table every birth closes the circle, but moves the number too: the child needs another."""
        for _look in range(_LOOKS):
            time.sleep(_BETWEEN_LOOKS)
            if self.table.load()[1] != number:
                return False
        return True


def may_have_gone_round(before: Mark, after: Mark, free: int) -> bool:
    if before.forks is not None and after.forks is not None:
        return (after.forks - before.forks) * 2 >= free
    return (after.time - before.time) * _BIRTHS_PER_CPU_SECOND * (os.cpu_count() or 1) >= free


def numbers_between(before: int, after: int, pid_max: int) -> list[int] | None:
    if after >= before:
        numbers = list(range(before + 1, after + 1))
    else:
        numbers = list(range(before + 1, pid_max + 1)) + list(range(_RESERVED, after + 1))
    return numbers if len(numbers) <= _MOST_NUMBERS else None
