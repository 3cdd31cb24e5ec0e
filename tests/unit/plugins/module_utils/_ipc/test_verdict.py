# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict: a decision table over plain data."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.clock import Clock
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.lineage import UNKNOWN as NEVER
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.lineage import Line
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.verdict import (
    CONTAINER,
    HIDDEN,
    IN_USE,
    ORPHANED,
    UNKNOWN,
    Case,
    Judge,
    Person,
    Verdict,
    World,
    shows_strangers,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    DENIED,
    GONE,
    MESSAGE_QUEUES,
    NO_TIME,
    SEMAPHORES,
    SHARED_MEMORY,
    SHM_DEST,
    Facts,
    Touch,
    Unseen,
)

NOW = 1_700_000_000
MADE = NOW - 1000
APP, OTHER = 500, 600
DEAD = 4242
WORLD = World({}, Clock(0.0, NOW), has_service=True)


def facts(kind: str = SEMAPHORES, **changes: t.Any) -> Facts:
    plain: dict[str, t.Any] = {
        "mode": 0o600, "uid": APP, "cuid": APP, "ctime": MADE, "used": 0, "trace": b"", "nsems": kind == SEMAPHORES,
    }  # fmt: skip
    return Facts(kind, **{**plain, **changes})


def case(touch: t.Any = None, is_private: bool = True, is_named: bool = False, **changes: t.Any) -> Case:
    made = facts(**changes)
    return Case(made, Touch(made.pids or (DEAD,)) if touch is None else touch, is_private, is_named)


def person(pid: int = 77, since: float = NOW - 2000, **changes: t.Any) -> Person:
    """As old as its line, of the array's user, of no service."""
    plain: dict[str, t.Any] = {
        "name": "app", "user": "app", "unit": "app.service", "uids": frozenset([APP]), "born": since,
        "line": Line(since, NEVER),
    }  # fmt: skip
    return Person(pid, **{**plain, **changes})


def judge(judged: Case, *people: Person, **changes: t.Any) -> Verdict:
    return Judge(WORLD._replace(people={one.pid: one for one in people}, **changes)).judge(judged)


# --- use that can be seen ---


@pytest.mark.parametrize(
    "judged,reason",
    [
        (case(Touch((DEAD,), waiters=1)), "processes sleep in semop on it"),
        (case(Touch((0,), waiters=1)), "processes sleep in semop on it"),
        (case(Touch((77,))), "a process that touched it last is alive"),
        (case(Touch((DEAD, 0, 77)), nsems=3), "a process that touched it last is alive"),
        (case(kind=SHARED_MEMORY, attached=1, pids=(DEAD, 0)), "processes have it attached"),
        (case(kind=SHARED_MEMORY, mode=SHM_DEST | 0o600, pids=(DEAD, 0)), ("it is removed already and goes with the "
         "last that has it attached")),
        (case(kind=SHARED_MEMORY, pids=(77, 0)), "a process that touched it last is alive"),
        (case(kind=MESSAGE_QUEUES, pids=(DEAD, 77)), "a process that touched it last is alive"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("private", [False, True])
def test_in_use_whatever_else_is_so(judged: Case, reason: str, named: bool, private: bool) -> None:
    alive = person(uids=frozenset([OTHER]), is_bystander=True, is_here=False)
    assert judge(judged._replace(is_named=named, is_private=private), alive) == Verdict(IN_USE, reason)


def test_a_number_that_a_younger_process_has_now_says_nothing() -> None:
    reused = person(since=NOW - 100.0, uids=frozenset([OTHER]))
    assert judge(case(Touch((77,)), used=NOW - 500), reused).verdict == ORPHANED
    assert Judge(WORLD._replace(people={77: reused})).state(77, NOW - 500) == "reused"


@pytest.mark.parametrize("touched", [{"used": NOW - 100}, {"ctime": NOW - 100}, {"used": NOW - 50}])
def test_a_process_no_younger_than_the_last_touch_is_who_touched(touched: dict[str, int]) -> None:
    assert judge(case(Touch((77,)), **touched), person(since=NOW - 100.0)).verdict == IN_USE


def test_one_tick_of_the_clock_is_no_proof_of_another_process() -> None:
    """Stamps are cut to seconds, starts to ticks."""
    for late in (0.0, 0.5, 1.0, 1.9):
        assert judge(case(Touch((77,)), used=NOW - 100), person(since=NOW - 100 + late)).verdict == IN_USE
    assert judge(case(Touch((77,)), used=NOW - 100), person(since=NOW - 97.9, uids=frozenset())).verdict == ORPHANED


# --- who could hold it ---


@pytest.mark.parametrize(
    "who",
    [
        pytest.param({}, id="of its user"),
        pytest.param({"uids": frozenset([0, APP])}, id="whose children are of its user"),
        pytest.param({"uids": frozenset([0]), "in_service": True}, id="of the service"),
        pytest.param({"uids": frozenset([0]), "uses": frozenset([APP])}, id="that uses something of its user"),
        pytest.param({"is_manager": True, "in_service": True}, id="of the service, and systemd's"),
    ],
)
def test_an_older_process_that_could_hold_it_keeps_it(who: dict[str, t.Any]) -> None:
    assert judge(case(), person(**who)).verdict == UNKNOWN
    assert judge(case(Touch((0,))), person(**who)).verdict == UNKNOWN, "a parent that never touched its array"
    younger = person(since=MADE + 1.0, **who)
    assert judge(case(), younger) == Verdict(ORPHANED, "every process that could hold it is younger than it is")
    holders = Judge(WORLD._replace(people={77: person(**who)})).holders(case())
    assert [holder.pid for holder in holders] == [77]


@pytest.mark.parametrize(
    "who",
    [
        pytest.param({"uids": frozenset([OTHER])}, id="of another user"),
        pytest.param({"uids": frozenset([0])}, id="of root"),
        pytest.param({"is_bystander": True}, id="a bystander"),
        pytest.param({"is_here": False}, id="of another IPC namespace"),
        pytest.param({"is_here": False, "in_service": True}, id="of the service in another IPC namespace"),
        pytest.param({"is_manager": True}, id="the user's systemd"),
        pytest.param({"uids": frozenset([0]), "uses": frozenset([OTHER, 0])}, id="that uses what others have"),
    ],
)
def test_an_older_process_that_could_not_hold_it_does_not_matter(who: dict[str, t.Any]) -> None:
    assert judge(case(), person(**who)) == Verdict(ORPHANED, "no process that could hold it is alive")


@pytest.mark.parametrize("late,verdict", [(-0.1, UNKNOWN), (0.0, UNKNOWN), (0.9, UNKNOWN), (1.0, ORPHANED)])
def test_a_process_of_the_same_second_is_not_younger(late: float, verdict: str) -> None:
    assert judge(case(), person(since=MADE + late)).verdict == verdict


def test_a_line_of_unknown_age_keeps_everything() -> None:
    found = judge(case(), person(since=NOW - 1.0, line=Line(NEVER, NEVER)))
    assert found == Verdict(UNKNOWN, "a process that could hold it may have it from a dead parent of unknown age")


# --- root ---


def test_without_a_service_nothing_of_root_is_orphaned() -> None:
    for users in ((0, 0), (APP, 0), (0, APP)):
        made = case(uid=users[0], cuid=users[1])
        assert judge(made, has_service=False).verdict == UNKNOWN, users
        assert judge(made).verdict == ORPHANED, users
    assert judge(case(), has_service=False).verdict == ORPHANED


def test_an_array_of_root_that_nobody_touched_is_anybodys() -> None:
    root = person(uids=frozenset([0]))
    untouched = case(Touch((0,)), uid=0, cuid=0)
    assert judge(untouched, root).verdict == UNKNOWN
    assert judge(untouched, root._replace(is_manager=True)).verdict == ORPHANED, "PID 1 holds none"
    assert judge(untouched, root._replace(is_bystander=True)).verdict == ORPHANED
    assert judge(untouched, root._replace(line=Line(NOW - 1.0, NEVER))).verdict == ORPHANED
    assert judge(case(uid=0, cuid=0), root).verdict == ORPHANED, "its maker is named and dead"


def test_another_daemon_of_root_that_uses_such_arrays_keeps_them() -> None:
    """Two servers whose arrays all are root's, and one of them is asked about."""
    other = person(uids=frozenset([0]), uses=frozenset([0]))
    assert judge(case(uid=0, cuid=0), other).verdict == UNKNOWN
    assert judge(case(uid=APP, cuid=0), other).verdict == ORPHANED, "it uses nothing of that user"


# --- keys, rights, sight ---


def test_a_key_spares_it_unless_it_is_named_and_nobody_is_there() -> None:
    keyed = case(is_private=False)
    assert judge(keyed).verdict == UNKNOWN
    assert judge(keyed._replace(is_named=True)).verdict == ORPHANED
    younger = person(since=NOW - 1.0)
    assert judge(keyed._replace(is_named=True), younger).verdict == UNKNOWN, "a young process can open it as well"
    holders = Judge(WORLD._replace(people={77: younger})).holders(keyed._replace(is_named=True))
    assert [holder.pid for holder in holders] == [77]


@pytest.mark.parametrize("unseen", [GONE, DENIED, NO_TIME])
def test_what_could_not_be_looked_at_is_unknown(unseen: Unseen) -> None:
    assert judge(case(unseen)) == Verdict(UNKNOWN, unseen.reason)


def test_where_not_all_can_be_seen_nothing_is_orphaned() -> None:
    assert judge(case(), gap="for a reason") == Verdict(UNKNOWN, "for a reason")
    assert judge(case(), sight=HIDDEN).verdict == UNKNOWN


class TestContainer:
    def test_an_array_that_names_its_last_user_everywhere_can_be_judged(self) -> None:
        assert judge(case(Touch((DEAD, DEAD)), nsems=2), sight=CONTAINER).verdict == ORPHANED

    @pytest.mark.parametrize(
        "made",
        [
            case(Touch((0,))),
            case(Touch((DEAD, 0)), nsems=2),
            case(kind=SHARED_MEMORY, pids=(0, DEAD)),
            case(kind=MESSAGE_QUEUES, touch=Touch((0, 0))),
        ],
    )
    def test_what_may_be_used_from_outside_is_unknown(self, made: Case) -> None:
        assert judge(made, sight=CONTAINER).verdict == UNKNOWN
        assert judge(made).verdict == ORPHANED, "on the host itself nobody is outside"

    def test_memory_is_known_by_who_made_it(self) -> None:
        assert judge(case(kind=SHARED_MEMORY, pids=(DEAD, 0)), sight=CONTAINER).verdict == ORPHANED

    def test_traces_of_a_stranger_keep_everything(self) -> None:
        assert judge(case(), sight=CONTAINER, has_strangers=True).verdict == UNKNOWN

    @pytest.mark.parametrize(
        "made,shows",
        [
            (case(Touch((0,)), used=0), False),  # never touched
            (case(Touch((0,)), used=MADE), True),
            (case(Touch((0, DEAD)), used=MADE, nsems=2), False),
            (case(GONE, used=MADE), False),
            (case(kind=SHARED_MEMORY, pids=(0, 0)), True),
            (case(kind=SHARED_MEMORY, pids=(DEAD, 0)), False),
            (case(kind=MESSAGE_QUEUES, touch=Touch((0, 0)), used=0), False),
            (case(kind=MESSAGE_QUEUES, touch=Touch((0, 0)), used=MADE), True),
        ],
    )
    def test_a_stranger_shows_where_a_use_names_nobody(self, made: Case, shows: bool) -> None:
        assert shows_strangers(made) is shows


class TestClockThatWasSetForward:
    STEPPED = Clock(0.0, NOW, step=7200.0)

    def test_start_times_prove_nothing(self) -> None:
        assert judge(case(), person(since=NOW - 1.0), clock=self.STEPPED).verdict == UNKNOWN
        assert judge(case(Touch((77,))), person(since=NOW - 1.0), clock=self.STEPPED).verdict == IN_USE

    def test_nobody_at_all_proves_something_still(self) -> None:
        assert judge(case(), clock=self.STEPPED).verdict == ORPHANED

    def test_stamps_of_the_same_clock_prove_something_still(self) -> None:
        made_later = person(since=NOW - 1.0, line=Line(NOW - 1.0, MADE + 1.0))
        assert judge(case(), made_later, clock=self.STEPPED).verdict == ORPHANED
        made_before = person(since=NOW - 1.0, line=Line(NOW - 1.0, MADE + 0.5))
        assert judge(case(), made_before, clock=self.STEPPED).verdict == UNKNOWN


def test_times_in_the_future_keep_it_while_anybody_is_there() -> None:
    assert judge(case(ctime=NOW + 7200), person(since=NOW - 1.0)).verdict == UNKNOWN
    assert judge(case(ctime=NOW + 7200)).verdict == ORPHANED


def test_who_uses_it_comes_before_who_could() -> None:
    people = {
        77: person(77, NOW - 2000.0),
        78: person(78, NOW - 3000.0),
        79: person(79, NOW - 5.0),
    }
    found = Judge(WORLD._replace(people=people)).holders(case(Touch((77,))))
    assert [holder.pid for holder in found] == [77, 78], "79 is younger than the array"
