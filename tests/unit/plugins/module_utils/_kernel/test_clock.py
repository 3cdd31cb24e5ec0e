# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.clock import Moment, age, now, spoken, utc

INSTANTS = st.floats(min_value=0, max_value=4e9)


def test_within_one_boot_the_wall_clock_has_no_say() -> None:
    assert age(Moment("a", 100, 5000), Moment("a", 160, 1000)) == 60


def test_clock_set_back_over_a_boot_counts_the_uptime() -> None:
    assert age(Moment("a", 100, 5000), Moment("b", 30, 1000)) == 30


def test_over_a_boot_the_wall_clock_counts_when_it_says_more() -> None:
    assert age(Moment("a", 100, 5000), Moment("b", 30, 5600)) == 600


def test_without_a_boot_id_a_clock_set_back_gives_zero() -> None:
    assert age(Moment("", 0, 5000), Moment("b", 30, 1000)) == 0


@given(INSTANTS, INSTANTS, INSTANTS, INSTANTS, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "a", "b"]))
def test_age_is_never_negative(u1: float, w1: float, u2: float, w2: float, b1: str, b2: str) -> None:
    assert age(Moment(b1, u1, w1), Moment(b2, u2, w2)) >= 0


def test_now_goes_on() -> None:
    first = now()
    time.sleep(0.01)
    assert 0.005 < age(first, now()) < 5


def test_now_without_a_boot_id(tmp_path) -> None:
    assert now(str(tmp_path / "missing")).boot_id == ""


def test_utc_of_a_time_no_calendar_has() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(1e30) == "1e+30"


SPOKEN = [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11100, "3 h 5 min")]


@pytest.mark.parametrize("seconds, words", SPOKEN)
def test_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
