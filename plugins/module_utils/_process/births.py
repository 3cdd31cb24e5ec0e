# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was born while a pass looked elsewhere: what turns a quiet pass into a proof.

The kernel hands out process numbers in a circle (idr_alloc_cyclic in kernel/pid.c), and ``/proc/loadavg`` names the
last one. Between two readings only the numbers from one to the other can be new: a pass lists ``/proc`` in ascending
order and misses a child that wraps round behind it, these numbers do not.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel.processes import ProcessTable

# Where the circle starts again once it has been round: RESERVED_PIDS, kernel/pid.c
_RESERVED = 300
_MOST_NUMBERS = 20000
# More than any kernel allocates: a fork refused by pids.max uses up a number too, and is not counted as a fork.
_NUMBERS_PER_CPU_SECOND = 200000


class Mark(t.NamedTuple):
    """A moment: the number given last, the forks of the whole machine since boot where they are told, the time in s."""

    last_pid: int
    forks: int | None
    time: float


def mark(table: ProcessTable) -> Mark:
    last_pid = table.load()[1]
    return Mark(last_pid, table.forks(), time.monotonic())


def is_quiet(before: Mark, after: Mark, pid_max: int) -> bool:
    """Nothing was born in between: no fork anywhere, or no number given out and no time to give out all of them."""
    if before.forks is not None and before.forks == after.forks:
        return True
    return before.last_pid == after.last_pid and not _may_have_gone_round(before, after, pid_max)


def numbers_between(before: Mark, after: Mark, pid_max: int) -> list[int] | None:
    """The numbers that may have been given out; None where that may be any of them."""
    if _may_have_gone_round(before, after, pid_max):
        return None
    if after.last_pid >= before.last_pid:
        numbers = list(range(before.last_pid + 1, after.last_pid + 1))
    else:
        numbers = list(range(before.last_pid + 1, pid_max + 1)) + list(range(_RESERVED, after.last_pid + 1))
    return numbers if len(numbers) <= _MOST_NUMBERS else None


def _may_have_gone_round(before: Mark, after: Mark, pid_max: int) -> bool:
    elapsed = after.time - before.time
    return elapsed * _NUMBERS_PER_CPU_SECOND * (os.cpu_count() or 1) >= pid_max - _RESERVED
