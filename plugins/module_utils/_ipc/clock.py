# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clocks: objects bear the time of the wall clock, processes start by the boot clock, which nobody sets.

One is turned into the other by what lies between them now. That is right for a time in the past only if the wall clock
was not set since. The kernel keeps no record of its being set, so traces are looked for: an event that cannot have
come before a known moment of the boot clock, and bears a time of the wall clock from before that moment.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

TOLERANCE = 1.5  # seconds: both clocks are read in ticks, and some times have whole seconds only


class Anchor(t.NamedTuple):
    """Something that the wall clock stamped ``wall``, not before the boot clock said ``boot``."""

    wall: float
    boot: float


class Clock(t.NamedTuple):
    """``offset`` is what the wall clock is ahead of the boot clock now; ``step`` how far it was set forward at the
    least since the oldest trace, 0 where none tells."""

    offset: float
    now: float
    step: float = 0.0

    def wall(self, boot: float) -> float:
        """The time of the wall clock at a moment of the boot clock, if it was never set since."""
        return boot + self.offset


def judge(offset: float, now: float, anchors: t.Iterable[Anchor]) -> Clock:
    """A wall clock that was set forward makes old processes look younger than their objects, so it has to be found out.
    One that was set back makes them look older, which keeps objects."""
    step = max((anchor.boot + offset - anchor.wall for anchor in anchors), default=0.0)
    return Clock(offset, now, step if step > TOLERANCE else 0.0)
