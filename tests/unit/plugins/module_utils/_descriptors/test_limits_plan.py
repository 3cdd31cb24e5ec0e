# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limits a process gets, and which it keeps and why."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import limits_plan
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_plan import (
    Decision,
    Powers,
    Target,
    Wish,
    decide,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Limits

ROOT, USER = Powers(True, 1 << 20), Powers(False, 1 << 20)
NOW = Limits(1024, 4096)


def wish(soft: t.Any = None, hard: t.Any = None, change: str = "raise", allow: bool = False) -> Wish:
    return Wish("nofile", soft, hard, change, allow)


def at(limits: Limits = NOW, used: int | None = 100, foreign: str = "", guarded: str = "") -> Target:
    return Target(limits, used, foreign, guarded)


@pytest.mark.parametrize(
    "wished, powers, outcome, limits",
    [
        (wish(2048), USER, "changed", Limits(2048, 4096)),
        (wish(4096), USER, "changed", Limits(4096, 4096)),
        (wish("hard"), USER, "changed", Limits(4096, 4096)),
        (wish(1024), USER, "unchanged", NOW),
        (wish(512), USER, "unchanged", NOW),  # raise never lowers
        (wish(512, change="set"), USER, "changed", Limits(512, 4096)),
        (wish(8192), ROOT, "changed", Limits(8192, 8192)),  # takes the hard limit along
        (wish(8192), USER, "refused", NOW),
        (wish(8192, 16384), ROOT, "changed", Limits(8192, 16384)),
        (wish(None, 8192), ROOT, "changed", Limits(1024, 8192)),
        (wish(None, "max"), ROOT, "changed", Limits(1024, 1 << 20)),
        (wish("hard", "max"), ROOT, "changed", Limits(1 << 20, 1 << 20)),
        (wish(None, "unlimited"), ROOT, "refused", NOW),  # over fs.nr_open
        (wish(2 << 20), ROOT, "refused", NOW),
        (wish(None, 2048, change="set"), USER, "changed", Limits(1024, 2048)),
        (wish(None, 512, change="set"), USER, "changed", Limits(512, 512)),  # takes the soft limit along
        (wish(None, 512), USER, "unchanged", NOW),
        (wish(2048, 1024, change="set"), ROOT, "refused", NOW),
        (wish("hard", 2048, change="set"), USER, "changed", Limits(2048, 2048)),
    ],
)
def test_the_limits_it_gets(wished: Wish, powers: Powers, outcome: str, limits: Limits) -> None:
    found = decide(wished, at(), powers)
    assert (found.outcome, found.limits) == (outcome, limits)


@pytest.mark.parametrize(
    "wished, target, powers, said",
    [
        (wish(8192), at(), USER, "takes CAP_SYS_RESOURCE"),
        (wish(8192), at(), USER, "give soft: hard"),
        (wish(2 << 20), at(), ROOT, "fs.nr_open, which is 1048576: give hard: max"),
        (wish(2048), at(foreign="app"), ROOT, "it belongs to app: run as that user, or as root"),
        (wish(50, change="set"), at(), USER, "it uses 100: set allow_below_use"),
        (wish(50, change="set"), at(used=None), USER, "what it uses of nofile is not known"),
        (wish(5000, 4096, change="set"), at(), USER, "soft 5000 would be over hard 4096"),
        (wish(2048), at(Limits(1024, 2 << 20)), ROOT, "fs.nr_open"),  # the sysctl was lowered since
    ],
)
def test_why_it_keeps_its_own(wished: Wish, target: Target, powers: Powers, said: str) -> None:
    found = decide(wished, target, powers)
    assert (found.outcome, found.limits) == ("refused", target.limits)
    assert said in found.reason


def test_told_so_it_lowers_below_use() -> None:
    assert decide(wish(50, change="set", allow=True), at(), USER).limits == Limits(50, 4096)
    assert decide(wish(50, change="set", allow=True), at(used=None), USER).outcome == "changed"


def test_the_protected_are_raised_and_not_lowered() -> None:
    target = at(guarded="it is PID 1")
    assert decide(wish(2048, change="set"), target, USER).outcome == "changed"
    assert decide(wish(512, change="set", allow=True), target, ROOT) == Decision("protected", NOW, "it is PID 1")


def test_other_resources_have_no_such_most() -> None:
    target = Target(Limits(0, 0), None)
    found = decide(Wish("core", "unlimited", "max"), target, Powers(True, None))
    assert found.limits == Limits(None, None)
    assert found.reason == "soft 0, hard 0 to soft unlimited, hard unlimited"


LIMIT = st.one_of(st.none(), st.integers(0, 1 << 22))
NUMBER = st.one_of(st.none(), st.integers(0, 1 << 22), st.just("unlimited"))


def size(limit: int | None) -> float:
    return float("inf") if limit is None else limit


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    soft, hard = sorted((draw(LIMIT), draw(LIMIT)), key=size)
    return Limits(soft, hard)


@given(
    st.one_of(NUMBER, st.just("hard")),
    st.one_of(NUMBER, st.just("max")),
    st.sampled_from(["raise", "set"]),
    st.booleans(),
    limits(),
    st.one_of(st.none(), st.integers(0, 1 << 22)),
    st.sampled_from(["", "app"]),
    st.sampled_from(["", "it is PID 1"]),
    st.booleans(),
    st.sampled_from([None, 1 << 20]),
)
def test_whatever_is_wished_the_laws_hold(
    soft: t.Any, hard: t.Any, change: str, allow: bool, now: Limits, used: int | None, foreign: str, guarded: str,
    privileged: bool, most: int | None,
) -> None:  # fmt: skip
    wished = Wish("nofile", soft, hard, change, allow)
    found = decide(wished, Target(now, used, foreign, guarded), Powers(privileged, most))
    new = found.limits
    assert size(new.soft) <= size(new.hard)
    assert (found.outcome == "changed") == (new != now)
    if found.outcome != "changed":
        return
    assert not foreign
    assert most is None or size(new.hard) <= most
    lowers = size(new.soft) < size(now.soft) or size(new.hard) < size(now.hard)
    assert not (lowers and (change == "raise" or guarded))
    assert not (lowers and not allow and (used is None or used > size(new.soft)))
    assert privileged or size(new.hard) <= size(now.hard)
    # a second time nothing is left to do
    again = decide(wished, Target(new, used, foreign, guarded), Powers(privileged, most))
    assert again.outcome == "unchanged"


def test_texts() -> None:
    assert (limits_plan.text(None), limits_plan.text(7)) == ("unlimited", "7")
