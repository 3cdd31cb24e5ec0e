# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak, near a limit, load or fine: what is decided from what was held at some moments."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import verdict
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.verdict import Case, Moment, Verdict

Kinds = t.Mapping[str, int]
NEAR = 0.8


def moments(
    *held: Kinds, threads: t.Sequence[int] = (), processes: t.Sequence[int] = (), closed: Kinds | None = None
) -> list[Moment]:
    """Five seconds apart. What is more than before was opened; ``closed`` was as well, and closed, in each step."""
    made = []
    before: Kinds = {}
    for number, kinds in enumerate(held):
        gone = dict.fromkeys(kinds, 0) if closed is None else dict(closed)
        opened = {kind: max(0, count - before.get(kind, 0)) + gone.get(kind, 0) for kind, count in kinds.items()}
        made.append(
            Moment(
                number * 5.0,
                sum(kinds.values()),
                kinds,
                threads[number] if threads else 1,
                processes[number] if processes else 1,
                opened if number else {},
                gone if number else {},
            )
        )
        before = kinds
    return made


def judge(case: Case) -> Verdict:
    return verdict.judge(case, NEAR)


def of(*held: Kinds, **others: t.Any) -> Verdict:
    made = moments(*held, **others)
    return judge(Case(made, [moment.descriptors for moment in made]))


LEAKY = ("CLOSE_WAIT", "pipe", "deleted", "eventfd", "epoll", "inotify", "timerfd", "memfd", "socket", "bpf-map")


@pytest.mark.parametrize("kind", LEAKY)
def test_what_is_opened_and_not_closed_leaks(kind: str) -> None:
    found = of({kind: 10}, {kind: 20}, {kind: 30})
    assert (found.verdict, found.leaking, found.growth) == ("leak", kind, 20)
    assert f"20 more of {kind} in 10 s, 0 closed" in found.reasons[0]
    assert "did not grow" in found.reasons[1]
    assert found.per_minute == 120.0


def test_a_file_that_is_opened_again_and_again_leaks() -> None:
    found = of({"file": 10, "repeated": 9}, {"file": 20, "repeated": 19}, {"file": 30, "repeated": 29})
    assert (found.verdict, found.leaking) == ("leak", "file")


def test_files_that_are_opened_again_for_a_moment_are_no_leak() -> None:
    held = moments({"file": 13, "repeated": 12}, {"file": 20, "repeated": 19}, {"file": 51, "repeated": 50})
    for counts, wanted in (([13, 55, 12, 40, 20, 48, 14, 33, 51], "load"), ([13, 14, 16, 20, 28, 30, 41, 51], "leak")):
        assert judge(Case(held, counts)).verdict == wanted
        assert judge(Case(held, [13, 51], falls={"repeated": verdict.fall(counts)})).verdict == wanted


@pytest.mark.parametrize("kind", ["eventfd", "epoll", "memfd", "deleted", "timerfd"])
def test_what_is_opened_again_at_the_same_number_shows_by_its_fall(kind: str) -> None:
    """The kernel gives the lowest number, so each look finds the same ones, and more."""
    held = moments({kind: 10}, {kind: 20}, {kind: 30})
    assert judge(Case(held, falls={kind: 11})).verdict == "load"
    assert judge(Case(held, falls={kind: 10})).verdict == "leak"
    assert judge(Case(held, falls={})).verdict == "leak"
    assert judge(Case(held, [10, 40, 12, 30])).verdict == "load", "without a glimpse the counts tell"


@pytest.mark.parametrize("kind", ["pipe", "CLOSE_WAIT", "socket"])
def test_what_its_inode_tells_leaks_however_all_the_rest_comes_and_goes(kind: str) -> None:
    held = moments({kind: 10}, {kind: 20}, {kind: 30})
    assert judge(Case(held, [500, 90, 700, 20, 610])).leaking == kind


def test_a_cache_of_files_is_no_leak() -> None:
    assert of({"file": 10}, {"file": 200}, {"file": 400}).verdict == "load"


@pytest.mark.parametrize("kind", ["connection", "file", "device"])
def test_what_serves_somebody_is_load_whatever_its_growth(kind: str) -> None:
    found = of({kind: 10}, {kind: 500}, {kind: 1000})
    assert (found.verdict, found.leaking) == ("load", None)


def test_growth_with_connections_is_load() -> None:
    """A program for each request: three pipes each."""
    found = of({"connection": 10, "pipe": 30}, {"connection": 60, "pipe": 180}, {"connection": 100, "pipe": 300})
    assert found.verdict == "load"
    assert "connections, threads and processes from 12 to 102" in found.reasons[0]


def test_growth_with_threads_is_load() -> None:
    found = of({"eventfd": 10}, {"eventfd": 30}, {"eventfd": 50}, threads=[10, 30, 50])
    assert found.verdict == "load"


def test_growth_with_processes_is_load() -> None:
    found = of({"pipe": 10}, {"pipe": 30}, {"pipe": 50}, processes=[5, 15, 25])
    assert found.verdict == "load"


def test_far_more_than_connections_explain_is_a_leak() -> None:
    found = of({"connection": 10, "pipe": 0}, {"connection": 11, "pipe": 50}, {"connection": 12, "pipe": 100})
    assert (found.verdict, found.leaking) == ("leak", "pipe")
    assert "do not explain it: 12 before, 14 now" in found.reasons[1]


def test_what_comes_and_goes_is_load() -> None:
    found = of({"pipe": 10}, {"pipe": 20}, {"pipe": 30}, closed={"pipe": 10})
    assert found.verdict == "load"


def test_a_busy_server_always_has_some_that_the_peer_just_closed() -> None:
    found = of({"CLOSE_WAIT": 2}, {"CLOSE_WAIT": 15}, {"CLOSE_WAIT": 22}, closed={"CLOSE_WAIT": 14})
    assert found.leaking is None


@pytest.mark.parametrize(
    "counts",
    [
        (10, 40, 40),  # grew once: a start
        (10, 10, 40),  # grew at the end: a peak
        (10, 60, 40),
        (10, 12, 17),  # too little to tell
    ],
)
def test_what_does_not_grow_steadily_is_no_leak(counts: tuple[int, ...]) -> None:
    assert of(*({"eventfd": count} for count in counts)).leaking is None


def test_of_several_leaks_the_largest_is_named_and_all_are_told() -> None:
    found = of({"pipe": 0, "eventfd": 0}, {"pipe": 20, "eventfd": 10}, {"pipe": 40, "eventfd": 20})
    assert found.leaking == "pipe"
    assert [reason.split(" in ")[0] for reason in found.reasons[:2]] == ["40 more of pipe", "20 more of eventfd"]


def test_one_look_never_says_leak() -> None:
    found = of({"CLOSE_WAIT": 5000, "pipe": 9000})
    assert (found.verdict, found.leaking, found.growth, found.per_minute) == ("fine", None, None, None)
    assert "5000 sockets in CLOSE_WAIT" in found.reasons[0]
    assert "take two samples" in found.reasons[0]


def test_what_was_not_looked_at_is_not_judged() -> None:
    made = [moment._replace(kinds=None) for moment in moments({"pipe": 1}, {"pipe": 100}, {"pipe": 200})]
    assert judge(Case(made)).leaking is None


def test_a_kind_whose_closing_is_not_known_is_judged_by_its_growth() -> None:
    made = [moment._replace(opened={}, closed={}) for moment in moments({"pipe": 1}, {"pipe": 100}, {"pipe": 200})]
    assert judge(Case(made)).leaking == "pipe"


STILL = moments({"file": 10}, {"file": 10}, {"file": 10})


@pytest.mark.parametrize(
    "case, expected, said",
    [
        (Case(STILL, share=0.79, left=100), "fine", "nothing grows"),
        (Case(STILL, share=0.8, left=100), "near_limit", "80% of RLIMIT_NOFILE are used"),
        (Case(STILL[:1], share=0.95, left=5), "near_limit", "95% of RLIMIT_NOFILE"),
        (Case(STILL, share=0.5, left=1000, pace=10.0), "near_limit", "will be hit in 100 s"),
        (Case(STILL, share=0.5, left=1000, pace=1.0), "fine", "nothing grows"),
        (Case(STILL, share=0.1, left=1, pace=0.01), "fine", "nothing grows"),  # one more in 100 s is no trend
        (Case(STILL, share=9.0, left=0), "near_limit", "900% of"),
    ],
)
def test_near_a_limit(case: Case, expected: str, said: str) -> None:
    found = judge(case)
    assert found.verdict == expected
    assert said in found.reasons[0]


def test_a_leak_near_its_limit_is_a_leak_and_says_both() -> None:
    made = moments({"pipe": 10}, {"pipe": 20}, {"pipe": 30})
    found = judge(Case(made, share=0.9, left=10, pace=2.0))
    assert (found.verdict, found.seconds_left) == ("leak", 5)
    assert any("90% of RLIMIT_NOFILE" in reason for reason in found.reasons)


def test_the_worst_verdict() -> None:
    assert verdict.worst([]) == "fine"
    assert verdict.worst(["fine", "load", "near_limit"]) == "near_limit"
    assert verdict.worst(["load", "leak", "fine"]) == "leak"


ANY_KINDS = st.dictionaries(st.sampled_from([*LEAKY, "connection", "file", "repeated", "other"]), st.integers(0, 10**6))


@given(st.lists(ANY_KINDS, min_size=1, max_size=5), st.integers(0, 1000), st.floats(0, 10), st.integers(0, 1000))
def test_whatever_is_held_there_is_an_answer(held: list[Kinds], left: int, share: float, threads: int) -> None:
    made = moments(*held, threads=[threads] * len(held))
    found = judge(Case(made, [1, 2], share, left, 0.5))
    assert found.verdict in verdict.ORDER
    assert (found.verdict == "leak") == (found.leaking is not None)
    assert found.reasons
    if len(held) == 1:
        assert found.leaking is None


@given(
    st.sampled_from(LEAKY),
    st.integers(0, 10**5),
    st.lists(st.integers(1, 10**4), min_size=2, max_size=4),
    st.integers(1, 4),
)
def test_what_grows_with_those_it_serves_is_never_a_leak(kind: str, first: int, steps: list[int], each: int) -> None:
    """At most four of a kind for each new connection, at any size and pace."""
    held = [{kind: first, "connection": 0}]
    for step in steps:
        held.append({kind: held[-1][kind] + each * step, "connection": held[-1]["connection"] + step})
    assert of(*held).leaking is None


@given(
    st.sampled_from(LEAKY),
    st.lists(st.integers(0, 10**4), min_size=2, max_size=5),
    st.data(),
)
def test_what_closes_every_fifth_is_never_a_leak(kind: str, counts: list[int], data: st.DataObject) -> None:
    made = moments(*({kind: count} for count in counts))
    turned = [made[0]]
    for before, after in zip(made, made[1:]):
        there = max((before.kinds or {})[kind], 1)
        opened = after.opened[kind] + there
        closed = data.draw(st.integers(opened // 5 + 1, opened))
        turned.append(after._replace(opened={kind: opened}, closed={kind: closed}))
    assert judge(Case(turned)).leaking is None
