# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was born while a pass looked elsewhere: what turns a quiet pass into a proof.

A listing of ``/proc`` has every process that lives from its beginning to its end. Who is born meanwhile may be missed,
and may be all that is left of a storm. The kernel counts every fork at the very moment its child becomes visible
(``total_forks`` in copy_process(), kernel/fork.c; the ``processes`` line of ``/proc/stat``): if the count has not moved
since before the listing, nobody was missed.

The count is the machine's. In a nested PID namespace it also moves for all the others, so there a second witness is
heard: the number given out last (``/proc/loadavg``), which belongs to the namespace. It moves when a fork begins, not
when its child becomes visible, so it must have stood still through the pass before as well, in which the parent, busy
with its fork, would have been seen running.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel.processes import ProcessTable

_RESERVED = 300  # where numbers start again once they have been round: RESERVED_PIDS, kernel/pid.c
# More than forks that fail on all processors use up; one lock guards the numbers, so there is a limit to it.
NUMBERS_PER_SECOND = min(100000 * (os.cpu_count() or 1), 1000000)
_LOOKS = 20
_BETWEEN_LOOKS = 0.00025  # seconds: several lives of a process that does nothing but fork and exit


class Mark(t.NamedTuple):
    """The number given out last, the forks of the machine since boot or None if they are not told, the time in s."""

    last_pid: int
    forks: int | None
    time: float = 0.0


class Births:
    """Watches one process table."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.pid_max = table.pid_max()

    def mark(self) -> Mark:
        return Mark(self.table.load()[1], self.table.forks(), time.monotonic())

    def stood_still(self, since: Mark) -> bool:
        """No number was given out since. In a nearly full table one birth may take the numbers once round to where they
        were, but then the next moves them: a child needs another number than its parent."""
        for _look in range(_LOOKS):
            if self.table.load()[1] != since.last_pid:
                return False
            time.sleep(_BETWEEN_LOOKS)
        return True

    def may_have_gone_round(self, before: Mark, after: Mark, tasks: int) -> bool:
        """Whether a number seen before may by now be another process's: all the free ones may have been given out.

        A fork that pids.max refuses uses up a number too and is not counted, so the time bounds those.
        """
        if before.forks is None or after.forks is None:
            return True
        given_out = after.forks - before.forks + (after.time - before.time) * NUMBERS_PER_SECOND
        return given_out >= max(0, self.pid_max - _RESERVED - tasks)


def may_be_given_out(number: int, before: Mark, after: Mark) -> bool:
    """Whether a number lies on the way from one mark to the other, so that it may have a new owner."""
    if after.last_pid >= before.last_pid:
        return before.last_pid < number <= after.last_pid
    return number > before.last_pid or number <= after.last_pid


def none_between(before: Mark, after: Mark) -> bool:
    return before.forks is not None and before.forks == after.forks
