# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes and what stays: the plan of the first look, and what the second leaves of it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.clock import Clock
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.look import Judged, Look, settled
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.people import People
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.removal import (
    CHANGED_BETWEEN,
    Options,
    Plan,
    check,
    confirm,
    plan,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import Selection
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.verdict import Case, Judge, Verdict, World
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    GONE,
    MESSAGE_QUEUES,
    SEMAPHORES,
    Facts,
    Object,
    Touch,
)

NOW = 10_000.0
ASKED = Options(Selection(frozenset([SEMAPHORES, MESSAGE_QUEUES]), frozenset([500])))


def judged(
    verdict: str = "orphaned",
    ids: t.Sequence[int] = (1,),
    touch: t.Any = Touch((42,)),  # noqa: B008
    is_private: bool = True,
    is_named: bool = False,
    **changes: t.Any,
) -> Judged:
    plain: dict[str, t.Any] = {"ctime": 9000, "used": 0, "trace": b"as it was"}
    made = Facts(changes.pop("kind", SEMAPHORES), 0o600, 500, 500, **{**plain, **changes})
    case = Case(made, touch, is_private, is_named)
    return Judged(case, Verdict(verdict, "why"), [Object(number, 0, made) for number in ids])


def goes(found: Plan) -> list[int]:
    return [member.id for one in found.doomed for member in one.members]


def stays(found: Plan) -> dict[int, str]:
    return {member.id: reason for one, reason in found.kept for member in one.members}


class TestPlan:
    @pytest.mark.parametrize(
        "one,changes,reason",
        [
            (judged(), {}, None),
            (judged("unknown"), {}, ""),
            (judged("in_use"), {}, ""),
            (judged("unknown"), {"verdicts": frozenset(["unknown"])}, None),
            (judged("orphaned"), {"verdicts": frozenset(["unknown"])}, ""),
            (judged("in_use"), {"verdicts": frozenset(["unknown", "orphaned", "in_use"])}, ""),
            (judged("unknown", is_private=False), {"verdicts": frozenset(["unknown"])}, "it has a key"),
            (judged("unknown", is_private=False, is_named=True), {"verdicts": frozenset(["unknown"])}, None),
            (judged(ctime=9991), {}, "it is younger than min_age"),
            (judged(ctime=9990), {}, None),
            (judged(ctime=9991), {"min_age": 0.0}, None),
            (judged(ctime=10_100), {"min_age": 0.0}, "its time lies in the future"),
            (judged(kind=MESSAGE_QUEUES, messages=1), {}, "it holds unread messages"),
            (judged(kind=MESSAGE_QUEUES, messages=1), {"discard_messages": True}, None),
            (judged(kind=MESSAGE_QUEUES, messages=0), {}, None),
        ],
    )
    def test_table(self, one: Judged, changes: dict[str, t.Any], reason: str | None) -> None:
        found = plan([one], ASKED._replace(**changes), NOW)
        if reason is None:
            assert (goes(found), stays(found)) == ([1], {})
        else:
            assert goes(found) == []
            assert stays(found)[1].startswith(reason)

    def test_what_vanished_is_counted(self) -> None:
        found = plan([judged("unknown", [1, 2], GONE)], ASKED, NOW)
        assert (goes(found), stays(found), found.vanished) == ([], {}, 2)


class TestConfirm:
    """The first look gave up arrays 1 and 2."""

    FIRST = plan([judged(ids=[1, 2])], ASKED, NOW)

    def second(self, *seen: Judged, **changes: t.Any) -> Plan:
        return confirm(self.FIRST, seen, ASKED._replace(**changes), NOW + 1)

    def test_unchanged_ones_go(self) -> None:
        assert goes(self.second(judged(ids=[2, 1]))) == [1, 2]

    def test_new_ones_do_not(self) -> None:
        assert goes(self.second(judged(ids=[1, 2, 3]))) == [1, 2]

    @pytest.mark.parametrize(
        "changed",
        [
            {"trace": b"another"},
            {"touch": Touch((43,))},
            {"touch": Touch((0,))},
            {"touch": Touch((42,), values=1)},
            {"touch": Touch((42,), waiters=1)},
        ],
    )
    def test_changed_ones_stay(self, changed: dict[str, t.Any]) -> None:
        found = self.second(judged(ids=[1]), judged(ids=[2], **changed))
        assert (goes(found), stays(found)) == ([1], {2: CHANGED_BETWEEN})

    def test_those_with_another_verdict_stay(self) -> None:
        found = self.second(judged("in_use", [1]), judged("unknown", [2]))
        assert (goes(found), stays(found)) == ([], {1: "", 2: ""})

    def test_vanished_ones_are_counted(self) -> None:
        found = self.second(judged("unknown", [2], GONE))
        assert (goes(found), stays(found), found.vanished) == ([], {}, 2)

    def test_what_stayed_before_stays(self) -> None:
        first = plan([judged(ids=[1]), judged("unknown", [9])], ASKED, NOW)
        found = confirm(first, [judged(ids=[1]), judged(ids=[9])], ASKED, NOW)
        assert (goes(found), stays(found)) == ([1], {9: ""})


class TestSettled:
    """What the second look need not ask an array for, since its line in the table would tell."""

    @pytest.mark.parametrize(
        "one,step,is_settled",
        [
            (judged(), 0.0, True),
            (judged(used=int(NOW) - 3), 0.0, True),
            (judged(used=int(NOW) - 1), 0.0, False),
            (judged(ctime=int(NOW) - 1), 0.0, False),
            (judged(used=int(NOW) + 9), 0.0, False),
            (judged(), 5.0, False),
            (judged(touch=Touch((0,), values=1)), 0.0, False),
            (judged(touch=Touch((42,), waiters=1)), 0.0, False),
            (judged(touch=Touch((42, 42)), nsems=2), 0.0, False),
            (judged(touch=GONE), 0.0, False),
            (judged(kind=MESSAGE_QUEUES), 0.0, False),
        ],
    )
    def test_table(self, one: Judged, step: float, is_settled: bool) -> None:
        facts = one.case.facts._replace(nsems=one.case.facts.nsems or one.case.facts.kind == SEMAPHORES)
        one = one._replace(case=one.case._replace(facts=facts))
        judge = Judge(World({}, Clock(0.0, NOW, step)))
        seen = Look({}, [], judge, People(ProcessTable()), [], began=NOW)
        assert settled([one], seen) == ({facts: {1: one.case.touch}} if is_settled else {})


@pytest.mark.parametrize(
    "options,says",
    [
        (ASKED._replace(selection=Selection(frozenset([SEMAPHORES]))), "every object of the host would be meant"),
        (ASKED._replace(observe=601.0), "observe"),
        (ASKED._replace(max_removals=-1), "max_removals"),
    ],
)
def test_refused_before_anything_is_looked_at(options: Options, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check(options)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(frozenset([SEMAPHORES]), uids=frozenset([0])),
        Selection(frozenset([SEMAPHORES]), ids=frozenset([0])),
        Selection(frozenset([SEMAPHORES]), keys=frozenset([5])),
    ],
)
def test_one_of_owner_id_and_key_will_do(selection: Selection) -> None:
    check(ASKED._replace(selection=selection))
