# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ago something was, on a host whose clock may have been set back, forward or not yet.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import datetime as dt
import time
import typing as t

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Moment(t.NamedTuple):
    """One instant, told three ways: which boot, seconds since that boot (never set back), wall clock (may be)."""

    boot_id: str
    uptime: float
    wall: float


def now(boot_id_file: str = BOOT_ID) -> Moment:
    """This instant. Without a boot id only the wall clock is left to compare by."""
    try:
        with open(boot_id_file, encoding="ascii") as file:
            boot_id = file.read(64).strip()
    except (OSError, ValueError):
        boot_id = ""
    # CLOCK_BOOTTIME goes on while the host sleeps; it is Linux's.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Moment(boot_id, round(time.clock_gettime(clock), 3), round(time.time(), 3))


def age(then: Moment, at: Moment) -> float:
    """Seconds from one moment to a later one, never negative.

    Within one boot the wall clock has no say. What is from another boot is at least as old as this boot:
    so a clock that was set back can delay nothing for ever.
    """
    if then.boot_id and then.boot_id == at.boot_id:
        return max(0.0, at.uptime - then.uptime)
    elapsed = max(0.0, at.wall - then.wall)
    return max(elapsed, at.uptime) if then.boot_id and at.boot_id else elapsed


def utc(wall: float) -> str:
    """The wall clock for people and JSON; a value no calendar has is shown as it is."""
    try:
        return dt.datetime.fromtimestamp(wall, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return str(wall)


def spoken(seconds: float) -> str:
    """A length of time for a sentence: ``45 s``, ``12 min``, ``3 h 5 min``."""
    whole = int(seconds + 0.5)
    if whole < 90:
        return f"{whole} s"
    minutes = (whole + 30) // 60
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
