# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storm or work: a table of what hosts do, and what must hold whatever they do."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.evidence import (
    Birth,
    Evidence,
    Place,
    _is_steady,
    gather,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.verdict import (
    BUSY,
    CRASH_LOOP,
    FINE,
    RUNAWAY,
    Thresholds,
    judge,
)

SECONDS = 5.0
APP = "/system.slice/app.service"
FAILED, KILLED, DONE = 1 << 8, 11, 0


def births(
    count: int, status: int | None = FAILED, lives: float | None = 0.01, parent: int = 50, late: bool = False
) -> list[Birth]:
    """Evenly over the time; ``lives`` None for those that live on."""
    found = []
    for number in range(count):
        born = 1000 + number * SECONDS / count
        ended = None if lives is None else born + lives
        found.append(Birth(number + 100, "child", parent, "boss", APP, born, ended, status if ended else None, late))
    return found


def of(found: t.Sequence[Birth], free: int | None = None, **place: t.Any) -> Evidence:
    places = {APP: Place(APP, "app.service", **place)}
    evidence = gather(found, places, 1000.0, SECONDS, 2.0, free)
    return evidence[0] if evidence else Evidence(places[APP], SECONDS, 0, 0, 0, False, 0, ())


CASES = {
    "nothing at all": (of([]), FINE),
    "a job now and then": (of(births(4, DONE)), FINE),
    "one failure now and then": (of(births(4)), FINE),
    "children that fail at once, slowly": (of(births(6)), CRASH_LOOP),
    "children that fail at once": (of(births(500)), CRASH_LOOP),
    "children that crash at once": (of(births(500, KILLED)), CRASH_LOOP),
    "beside children that live": (of(births(500) + births(20, lives=None, parent=50)), CRASH_LOOP),
    "beside others that succeed": (of(births(100) + births(400, DONE, parent=51)), CRASH_LOOP),
    "four of five fail": (of(births(80) + births(20, DONE)), CRASH_LOOP),
    "a script that waits for something: each second child is a sleep": (of(births(50) + births(50, DONE)), BUSY),
    "a build": (of([*births(300, DONE, 0.3), *births(20, lives=None, late=True, parent=60)], before=5, after=25), BUSY),
    "a build that fails here and there": (of(births(300, DONE, 0.3) + births(10)), BUSY),
    "children that work for a while and fail": (of(births(30, FAILED, 3.0)), BUSY),
    "how they end is not known": (of(births(500, None)), BUSY),
    "of too few the end is known": (of(births(4) + births(400, None)), BUSY),
    "a server that starts workers": (of(births(100, lives=None), free=30000, before=10, after=110), BUSY),
    "a server at its limit": (of(births(6, lives=None), before=150, after=150, refused=9000, limit=150), BUSY),
    "a service that starts with many": (of(births(180, lives=None, late=True)[:60], before=0, after=60), BUSY),
    "systemd starts it again": (of(births(50, parent=1), starts=40), CRASH_LOOP),
    "systemd starts it again, unseen": (of([], starts=40), CRASH_LOOP),
    "systemd starts it again, how it ends is not known": (of(births(50, None, parent=1), starts=40), CRASH_LOOP),
    "a path unit with much to do": (of(births(50, DONE, parent=1), starts=40), BUSY),
    "restarted once by hand": (of(births(8, DONE), starts=1), BUSY),
    "who forks and forks again": (of(births(200, lives=None, late=True), before=1, after=201), RUNAWAY),
    "one that starts without end": (of(births(100, lives=None), free=500, before=1, after=101), RUNAWAY),
    "the same, with room for an hour": (of(births(100, lives=None), free=500000, before=1, after=101), BUSY),
    "one that has reached its limit": (of(births(100, lives=None), before=1, after=101, refused=5, limit=101), RUNAWAY),
    "one that starts another with each": (
        of(births(101, DONE) + births(100, lives=None), free=500, before=1, after=101), RUNAWAY,
    ),
    "one that has reached its limit half-way": (
        of(births(100, lives=None)[:50], before=1, after=51, refused=2, limit=51), RUNAWAY,
    ),
    "births that end as fast": (of(births(400, DONE) + births(60, lives=None, late=True), before=9, after=9), BUSY),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_hosts_do(case: str) -> None:
    evidence, wanted = CASES[case]
    verdict = judge(evidence, Thresholds())
    assert verdict.verdict == wanted, verdict.reasons
    assert verdict.reasons
    assert all(reason and not reason.endswith(".") for reason in verdict.reasons)


def test_who_is_to_blame() -> None:
    others = births(500, DONE, parent=51)
    verdict = judge(of(births(100) + others), Thresholds())
    assert verdict.spawner is not None
    assert (verdict.spawner.pid, verdict.spawner.failed, verdict.restarted) == (50, 100, False)
    verdict = judge(of(births(50, parent=1), starts=40), Thresholds())
    assert (verdict.restarted, verdict.spawner) == (True, None)


@pytest.mark.parametrize("rate, wanted", [(60, CRASH_LOOP), (240, CRASH_LOOP), (241, FINE)])
def test_the_rate_it_takes(rate: int, wanted: str) -> None:
    assert judge(of(births(20)), Thresholds(min_rate=rate)).verdict == wanted


@pytest.mark.parametrize("growth, wanted", [(100, RUNAWAY), (101, BUSY)])
def test_the_growth_it_takes(growth: int, wanted: str) -> None:
    grown = of(births(100, lives=None, late=True), before=1, after=101)
    assert judge(grown, Thresholds(min_growth=growth)).verdict == wanted


def test_the_room_is_the_lesser_of_the_hosts_and_the_units() -> None:
    assert of(births(10), free=30, after=20, limit=25).free == 5
    assert of(births(10), free=3, after=20, limit=25).free == 3
    assert of(births(10), after=20, limit=10).free == 0
    assert of(births(10)).free is None


ANY_BIRTH = st.builds(
    Birth,
    pid=st.integers(2, 400),
    name=st.just("x"),
    parent=st.sampled_from([1, 7, 8]),
    parent_name=st.just("p"),
    place=st.just(APP),
    born=st.floats(999, 1006),
    ended=st.none() | st.floats(999, 1010),
    status=st.none() | st.sampled_from([0, 9, 256]),
    late=st.booleans(),
)
ANY_PLACE = st.builds(
    Place,
    path=st.just(APP),
    unit=st.just("app.service"),
    before=st.integers(0, 500),
    after=st.integers(0, 500),
    starts=st.integers(0, 5),
    refused=st.integers(0, 99),
    limit=st.none() | st.integers(0, 600),
)


@given(st.lists(ANY_BIRTH, max_size=120), ANY_PLACE, st.none() | st.integers(0, 9999))
def test_whatever_is_seen(found: list[Birth], place: Place, free: int | None) -> None:
    for evidence in gather(found, {APP: place}, 1000.0, SECONDS, 2.0, free):
        verdict = judge(evidence, Thresholds())
        assert verdict.verdict in (RUNAWAY, CRASH_LOOP, BUSY, FINE)
        assert sum(spawner.births for spawner in evidence.spawners) == evidence.births
        if verdict.verdict == CRASH_LOOP:
            assert verdict.restarted or any(birth.status for birth in found), "somebody has failed"
        if verdict.verdict == RUNAWAY:
            assert evidence.survivors * 3.1 >= evidence.births
            assert evidence.grown >= 50


@given(st.lists(ANY_BIRTH, max_size=120).map(lambda found: [one._replace(status=0) for one in found]))
def test_who_succeeds_is_no_crash_loop(found: list[Birth]) -> None:
    for evidence in gather(found, {}, 1000.0, SECONDS, 2.0, None):
        assert judge(evidence, Thresholds()).verdict != CRASH_LOOP


@given(st.lists(ANY_BIRTH, max_size=60), st.randoms())
def test_the_order_of_births_changes_nothing(found: list[Birth], random: t.Any) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    one, other = (gather(seen, {}, 1000.0, SECONDS, 2.0, 99) for seen in (found, shuffled))
    assert [judge(evidence, Thresholds()).verdict for evidence in one] == [
        judge(evidence, Thresholds()).verdict for evidence in other
    ]


@pytest.mark.parametrize(
    "parts, steady",
    [
        ((25, 25, 25, 25), True),
        ((2, 8, 40, 200), True),
        ((1, 1, 1, 97), True),
        ((0, 5, 40, 200), False),
        ((97, 1, 1, 1), False),
        ((0, 0, 0, 50), False),
        ((0, 0, 0, 0), False),
    ],
)
def test_growth_all_the_time(parts: tuple[int, ...], steady: bool) -> None:
    assert _is_steady(parts) is steady
