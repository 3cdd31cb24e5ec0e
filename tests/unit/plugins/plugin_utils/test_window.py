# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows: when they are open, and what is refused."""

from __future__ import annotations

import datetime as dt
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._window import is_open, parse

MONDAY = dt.datetime(2026, 6, 1, tzinfo=dt.timezone.utc)  # UTC is two hours behind Berlin then


def at(day: int, time: str) -> dt.datetime:
    hours, minutes = map(int, time.split(":"))
    return MONDAY + dt.timedelta(days=day, hours=hours, minutes=minutes)


@pytest.mark.parametrize(
    "windows, day, time, is_in",
    [
        ("22:00-23:00", 0, "22:00", True),
        ("22:00-23:00", 0, "23:00", False),
        ("22:00-05:00", 0, "23:59", True),
        ("22:00-05:00", 1, "04:59", True),
        ("22:00-05:00", 1, "05:00", False),
        ("Fri 22:00-05:00", 5, "04:00", True),
        ("Fri 22:00-05:00", 4, "04:00", False),
        ("Sun 22:00-05:00", 7, "04:00", True),
        ("Sat,Sun 00:00-24:00", 5, "00:00", True),
        ("Sat,Sun 00:00-24:00", 6, "23:59", True),
        ("Sat,Sun 00:00-24:00", 7, "00:00", False),
        ("Sat-Mon 00:00-24:00", 0, "12:00", True),
        ("Sat-Mon 00:00-24:00", 1, "12:00", False),
        ("mon 01:00-02:00; tue 03:00-04:00", 1, "03:30", True),
        ("mon 01:00-02:00; tue 03:00-04:00", 1, "01:30", False),
        ("", 0, "00:00", False),
    ],
)
def test_when_it_is_open(windows: str, day: int, time: str, is_in: bool) -> None:
    assert is_open(windows, at(day, time)) is is_in


@pytest.mark.skipif(
    sys.version_info < (3, 9), reason="time zones by name came with Python 3.9, and no controller has less"
)
def test_a_time_zone() -> None:
    assert is_open("Tue 00:00-01:00 Europe/Berlin", at(0, "22:30"))
    assert not is_open("Tue 00:00-01:00 Europe/Berlin", at(1, "00:30"))
    with pytest.raises(ValueError, match="install tzdata"):
        parse("00:00-01:00 Europe/Nowhere")


@pytest.mark.parametrize(
    "windows, why",
    [
        ("nights", "is no window"),
        ("22-05", "is no window"),
        ("22:00-05:00 Europe/Berlin now", "is no window"),
        ("25:00-05:00", "is no time of day"),
        ("22:60-23:00", "is no time of day"),
        ("24:00-05:00", "never open"),
        ("22:00-22:00", "never open"),
        ("Xyz 22:00-05:00", "are no days"),
        ("Mon-Xyz 22:00-05:00", "are no days"),
    ],
)
def test_what_is_refused(windows: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(windows)


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 7 * 1440 - 1))
def test_a_window_and_the_rest_of_the_day_are_the_whole_day(opens: int, closes: int, minute: int) -> None:
    def clock(minutes: int) -> str:
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    if opens == closes:
        return
    moment = MONDAY + dt.timedelta(minutes=minute)
    inside = is_open(f"{clock(opens)}-{clock(closes)}", moment)
    assert inside != is_open(f"{clock(closes)}-{clock(opens)}", moment)
