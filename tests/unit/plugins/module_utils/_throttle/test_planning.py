# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a limit, as a table, and what must hold whatever happens to it."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.clock import Moment
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import planning
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.planning import (
    GONE,
    LEFT_ALONE,
    RELEASED,
    THROTTLED,
    UNCHANGED,
    Decision,
    Seen,
    delay,
    lower,
    release,
    throttle,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.records import CGROUP, Limit, Record
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import Delays

DELAYS = Delays(release_after=60, jitter=0, max_repeats=3, longest=3600, forget_after=1000)
NOW = 5000.0


def seen(value: Limit = None, current: int = 10, inode: int = 7) -> Seen:
    return Seen(CGROUP, "/cg/app", inode, value, current)


def decide(now: float = NOW, limit: str = "none_new", record: Record | None = None, **found: t.Any) -> Decision:
    return throttle(seen(**found), record, limit, DELAYS, now, "boot")


def standing(**changes: t.Any) -> Record:
    record = decide().record
    assert record is not None
    return record._replace(**changes)


@pytest.mark.parametrize(
    "limit, value, current, becomes",
    [
        ("none_new", None, 10, 0),
        ("none_new", 512, 0, 0),
        ("current", None, 10, 10),
        ("current", 512, 600, UNCHANGED),  # over its limit: attaching a process is never refused
        ("current", 600, 512, 512),
        ("20", None, 10, 20),
        ("5", None, 10, 5),
        ("512", 512, 10, UNCHANGED),
        ("1000", 512, 10, UNCHANGED),
        ("none_new", 0, 10, UNCHANGED),
        ("0", 1, 10, 0),
    ],
)
def test_a_first_throttle(limit: str, value: Limit, current: int, becomes: int | str) -> None:
    found = decide(limit=limit, value=value, current=current)
    if becomes == UNCHANGED:
        assert found == Decision(UNCHANGED, found.reason, value, None)
        return
    assert (found.outcome, found.limit, found.write) == (THROTTLED, becomes, True)
    assert found.record is not None
    assert (found.record.old, found.record.ours, found.record.release_at) == (value, (becomes,), NOW + 60)


def test_a_limit_below_what_runs_is_said() -> None:
    assert "10 run, over the limit of 5: none of them ends" in decide(limit="5").reason
    assert decide(limit="50").reason == "10 run, at most 50 may"


@pytest.mark.parametrize(
    "value, limit, now, outcome, says, at",
    [
        (0, "none_new", NOW + 59, UNCHANGED, "throttled already", NOW + 60),
        (0, "none_new", NOW + 60, THROTTLED, "its time was over", NOW + 60 + 120),
        (None, "none_new", NOW + 30, THROTTLED, "somebody else had set unlimited", NOW + 60),
        (99, "none_new", NOW + 30, THROTTLED, "somebody else had set 99", NOW + 60),
        (0, "4", NOW + 30, THROTTLED, "another limit", NOW + 30 + 60),
    ],
)
def test_asked_for_again(value: Limit, limit: str, now: float, outcome: str, says: str, at: float) -> None:
    found = decide(value=value, limit=limit, now=now, record=standing())
    assert (found.outcome, found.record and found.record.release_at) == (outcome, at)
    assert says in found.reason


def test_a_limit_that_somebody_lowered_further_stays() -> None:
    found = decide(value=2, limit="5", record=standing(ours=(5,), wish="5"))
    assert (found.outcome, found.limit) == (UNCHANGED, 2)


def test_the_limit_of_somebody_else_is_what_is_put_back() -> None:
    mended = decide(value=99, record=standing(old=512)).record
    assert mended is not None
    assert mended.old == 99


def test_a_cgroup_made_anew_begins_again_but_is_not_forgotten() -> None:
    found = decide(inode=8, record=standing())
    assert found.record is not None
    assert (found.outcome, found.record.repeats, found.record.old) == (THROTTLED, 1, None)


def test_repeats_grow_and_end() -> None:
    record: Record | None = None
    now, lasted = NOW, []
    for _throttle in range(5):
        record = decide(now=now, record=record).record
        assert record is not None
        if record.release_at is None:
            break
        lasted.append(record.release_at - now)
        now = record.release_at
        record = release(seen(0), record, now, keeps_history=True).record
        now += 10
    assert lasted == [60, 120, 240, 480]
    assert record is not None
    assert (record.repeats, record.release_at) == (4, None)
    kept = decide(value=0, now=now + 1e6, record=record)
    assert kept.outcome == UNCHANGED
    assert "it stays throttled" in kept.reason


def test_long_enough_free_begins_from_zero() -> None:
    past = standing(repeats=2, in_force=False, ended=NOW)
    again = [decide(now=NOW + after, record=past).record for after in (999, 1000)]
    assert [record and record.repeats for record in again] == [3, 0]


@pytest.mark.parametrize(
    "value, inode, outcome, limit, write",
    [
        (0, 7, RELEASED, 512, True),
        (3, 7, RELEASED, 512, True),  # set by a run that died before it set the next one
        (512, 7, RELEASED, 512, False),  # a timer was there before
        (100, 7, LEFT_ALONE, 100, False),
        (None, 7, LEFT_ALONE, None, False),
        (0, 8, GONE, 0, False),
    ],
)
def test_a_release(value: Limit, inode: int, outcome: str, limit: Limit, write: bool) -> None:
    found = release(seen(value, inode=inode), standing(old=512, ours=(3, 0)), NOW, keeps_history=False)
    assert found == Decision(outcome, found.reason, limit, None, write)


def test_a_cgroup_that_is_gone() -> None:
    assert release(None, standing(), NOW, keeps_history=False).outcome == GONE


@given(st.integers(0, 20), st.floats(1, 10), st.floats(0, 1), st.floats(1, 1e6), st.floats(1, 1e6), st.text())
def test_a_delay_grows_up_to_the_longest_and_little_more(
    repeats: int, backoff: float, jitter: float, first: float, more: float, seed: str
) -> None:
    delays = Delays(first, backoff, jitter, first + more, 100)
    one = delay(delays, repeats, seed)
    assert one is not None
    assert first <= one + 0.001
    assert one <= (first + more) * (1 + jitter) + 0.001
    assert one == delay(delays, repeats, seed), "check mode tells the very delay"
    if jitter == 0:
        assert one <= (delay(delays, repeats + 1, seed) or 0) + 0.001


LIMITS = st.one_of(st.none(), st.integers(51, 99))  # what is ours is less, so that it can be told from theirs
STEPS = st.lists(
    st.tuples(st.sampled_from(["throttle", "release", "foreign", "wait"]), LIMITS, st.integers(0, 50)), max_size=12
)


@given(LIMITS, STEPS)
def test_what_was_there_is_put_back_whatever_the_order(first: Limit, steps: list[tuple[str, Limit, int]]) -> None:
    """The last value that was not ours is in place at the end; no throttle raises it."""
    value, theirs, now = first, first, NOW
    record: Record | None = None
    for what, other, current in steps:
        now += 1
        if what == "wait":
            now += 100
        elif what == "foreign":
            value = theirs = other
        elif what == "throttle":
            found = decide(value=value, limit=str(current), now=now, record=record)
            if found.write:
                assert found.limit is not None
                assert not lower(theirs, found.limit), "never raised above theirs"
                value = found.limit
            record = found.record
        elif record is not None and record.in_force:
            found = release(seen(value), record, now, keeps_history=True)
            value, record = (found.limit if found.write else value), found.record
    if record is not None and record.in_force:
        found = release(seen(value), record, now, keeps_history=False)
        value = found.limit if found.write else value
    assert value == theirs


def test_the_timer_is_set_by_the_calendar_and_without_a_semicolon() -> None:
    """Whenever systemd reads its configuration, a time from now would begin anew, and a semicolon be read wrongly."""
    seen = Seen(CGROUP, "/sys/fs/cgroup/app.service", 7, None, 3)
    record = planning.throttle(seen, None, "none_new", Delays(release_after=60, jitter=0), 100.0, "").record
    assert record is not None
    command = planning.release_command(record, "/run/hostcare/throttled-1", Moment("", 105.0, 1_700_000_005.0))
    assert command is not None
    assert "--on-calendar='2023-11-14 22:14:21 UTC'" in command
    assert ";" not in command
    assert planning.release_command(record._replace(release_at=None), "", Moment("", 0.0, 0.0)) is None
