# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the line is that a process comes from.

The identifier of a private object is inherited by fork(2). A process that is younger than the object may have it from
a parent that is dead by now. So what counts is not when a process started, but since when no dead ancestor of it can
have existed that ran the same program.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.processes import Process

UNKNOWN = float("-inf")
_STARTING = 120.0  # seconds in which a unit's first process may leave all that came before it
_DETACHING = 60.0  # seconds that a daemon of no unit may live between making its objects and leaving its parent
_DOUBT = 1.0  # seconds by which a start may seem later than it was


class Line(t.NamedTuple):
    """No ancestor of unknown age existed before ``since``; ``recorded`` says the same without the boot clock."""

    since: float
    recorded: float


def line(process: Process, born: float, parent: Process | None, takes_orphans: bool, began: float | None) -> Line:
    """``born`` is the start by the wall clock; ``began`` when its unit was started, as stamped then.

    ``takes_orphans``: the parent adopts the children of others that have died, as PID 1 does.
    """
    bound = UNKNOWN if began is None or began > born + _DOUBT else min(began, born)
    if not _is_adopted(process, parent, takes_orphans):
        return Line(born - _DOUBT, bound)
    if process.sid != process.pid:
        return Line(UNKNOWN, UNKNOWN)  # a worker whose server is dead looks like this, or like a daemon that left twice
    if began is None:
        return Line(born - _DETACHING, UNKNOWN)
    # Its unit's first process. What began later may come from one that an earlier life of the unit left behind.
    return Line(bound, bound) if born - bound <= _STARTING else Line(UNKNOWN, UNKNOWN)


def _is_adopted(process: Process, parent: Process | None, takes_orphans: bool) -> bool:
    """Whether the parent it has now may not be the one that it was born to.

    A child begins in its parent's session and can leave it only for one of its own.
    """
    if process.ppid == 0:
        return False  # started from outside this PID namespace, by a program that then became it
    return parent is None or takes_orphans or process.sid not in (process.pid, parent.sid)
