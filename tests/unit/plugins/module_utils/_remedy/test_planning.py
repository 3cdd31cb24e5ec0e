# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may begin a remedy: tables of snapshots and the verdicts they have to give."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.clock import Moment
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.planning import (
    Request,
    Snapshot,
    budget,
    plan,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.records import Claim

NOW = Moment("boot", 10000.0, 1000000.0)
HOLD = Request("held", "storm", "me", stale_after=3600, max_remedies=3, window=3600)
RELEASE = HOLD._replace(state="released")


def claim(seconds_ago: float, owner: str = "me", remedy: str = "storm", boot_id: str = "boot") -> Claim:
    return Claim(remedy, owner, Moment(boot_id, NOW.uptime - seconds_ago, NOW.wall - seconds_ago))


@pytest.mark.parametrize(
    "holder, verdict",
    [
        (None, "taken"),
        (claim(5), "kept"),
        (claim(5, owner="you"), "busy"),
        (claim(5, remedy="leak"), "busy"),
        (claim(3599, owner="you"), "busy"),
        (claim(3600, owner="you"), "taken"),
        (claim(3600), "taken"),
        (claim(5, owner="you", boot_id="an earlier boot"), "taken"),
        (claim(5, owner="you", boot_id=""), "busy"),
        (claim(-500, owner="you"), "busy"),
    ],
)
def test_hold(holder: Claim | None, verdict: str) -> None:
    decided = plan(Snapshot(NOW, holder), HOLD)
    assert decided.verdict == verdict
    assert decided.changed == (verdict == "taken")
    assert decided.refused == (verdict == "busy")


def test_taking_spends_one_and_names_the_taker() -> None:
    decided = plan(Snapshot(NOW, None, (claim(10),)), HOLD)
    assert decided.holder == claim(0)
    assert decided.spent == (claim(10), claim(0))


def test_holding_again_spends_nothing() -> None:
    decided = plan(Snapshot(NOW, claim(5), (claim(5),)), HOLD._replace(max_remedies=1))
    assert (decided.verdict, decided.spent, decided.changed) == ("kept", (claim(5),), False)


def test_busy_says_who_and_since_when() -> None:
    reason = plan(Snapshot(NOW, claim(120, owner="job 7")), HOLD).reason
    assert "job 7 for storm since 1970-01-12T13:44:40Z (2 min ago)" in reason


@pytest.mark.parametrize(
    "remedy, next_step",
    [("storm", "this one does what is left"), ("leak", "run leak again, too: it may have stopped half-way")],
)
def test_a_lock_that_is_taken_over_says_whose_run_was_cut_off(remedy: str, next_step: str) -> None:
    reason = plan(Snapshot(NOW, claim(7200, owner="job 7", remedy=remedy)), HOLD).reason
    assert f"taken over from job 7 for {remedy} since" in reason
    assert f"That run was cut off; {next_step}." in reason


def test_budget_spent_says_when_it_is_free_again() -> None:
    spent = tuple(claim(ago, f"run {ago}") for ago in (3000, 2000, 1000))
    decided = plan(Snapshot(NOW, None, spent), HOLD)
    assert decided.verdict == "exhausted"
    assert not decided.changed
    assert "3 of 3 storm remedies" in decided.reason
    assert "Free again in 10 min" in decided.reason
    assert budget(spent, NOW, HOLD).free_again == 600


def test_budget_of_another_remedy_does_not_count() -> None:
    spent = tuple(claim(ago, remedy="leak") for ago in (3, 2, 1))
    assert plan(Snapshot(NOW, None, spent), HOLD).verdict == "taken"


def test_a_lowered_budget_waits_for_enough_to_leave_the_window() -> None:
    spent = tuple(claim(ago) for ago in (3000, 2000, 1000))
    assert budget(spent, NOW, HOLD._replace(max_remedies=1)).free_again == 2600


def test_budget_of_zero_is_never_free() -> None:
    decided = plan(Snapshot(NOW), HOLD._replace(max_remedies=0))
    assert decided.verdict == "exhausted"
    assert "max_remedies is 0" in decided.reason


def test_damaged_budget_is_spent_for_one_window_and_no_longer() -> None:
    decided = plan(Snapshot(NOW, budget_damage="x: it is not JSON"), HOLD)
    assert decided.verdict == "exhausted"
    assert decided.write_budget
    assert not decided.write_lock
    later = Moment("boot", NOW.uptime + 3600, NOW.wall - 99999)
    assert plan(Snapshot(later, None, tuple(set(decided.spent))), HOLD).verdict == "taken"
    sooner = later._replace(uptime=NOW.uptime + 3599)
    assert plan(Snapshot(sooner, None, tuple(set(decided.spent))), HOLD).verdict == "exhausted"


@pytest.mark.parametrize(
    "holder, changes, verdict",
    [
        (None, {}, "free"),
        (claim(5), {}, "released"),
        (claim(9999), {}, "released"),
        (claim(5, owner="you"), {}, "foreign"),
        (claim(5, remedy="leak"), {}, "foreign"),
        (claim(5, owner="you"), {"force": True}, "released"),
    ],
)
def test_release(holder: Claim | None, changes: dict[str, t.Any], verdict: str) -> None:
    decided = plan(Snapshot(NOW, holder), RELEASE._replace(**changes))
    assert decided.verdict == verdict
    assert decided.changed == decided.remove_lock == (verdict == "released")


def test_a_run_that_remedied_nothing_gets_its_debit_back_and_no_other() -> None:
    spent = (claim(50, "you"), claim(40), claim(5))
    snapshot = Snapshot(NOW, claim(5), spent)
    assert plan(snapshot, RELEASE).spent == spent
    assert plan(snapshot, RELEASE._replace(remedied=False)).spent == spent[:2]


MOMENTS = st.builds(Moment, st.sampled_from(["", "boot", "old"]), st.floats(0, 20000), st.floats(0, 2000000))
CLAIMS = st.builds(Claim, st.sampled_from(["storm", "leak"]), st.sampled_from(["me", "you"]), MOMENTS)


@given(st.none() | CLAIMS, st.lists(CLAIMS, max_size=8), st.integers(0, 5))
def test_never_two_holders_and_never_over_budget(holder: Claim | None, spent: list[Claim], limit: int) -> None:
    request = HOLD._replace(max_remedies=limit)
    decided = plan(Snapshot(NOW, holder, tuple(spent)), request)
    if decided.write_lock:
        assert budget(decided.spent, NOW, request).used <= limit
        assert decided.holder == claim(0)
        # the same run again: unchanged; another run: refused
        after = Snapshot(NOW, decided.holder, decided.spent)
        assert plan(after, request).verdict == "kept"
        assert plan(after, request._replace(owner="other")).verdict == "busy"
    else:
        assert decided.holder == holder
        assert decided.spent == tuple(spent)
