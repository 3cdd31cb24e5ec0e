# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RLIMIT_NPROC of a user's processes: who is bound by it, what it becomes, and who gets which one back."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Limits, Rlimits
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.records import USER, Member, Record
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.users import Users
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

APP = 54321


class Limited(Rlimits):
    """The limits of processes that are files: what only a kernel keeps is kept here."""

    def __init__(self, limits: dict[int, Limits]) -> None:
        super().__init__(ways=())
        self.limits = limits

    def get(self, pid: int, name: str) -> Limits | None:  # noqa: ARG002
        return self.limits.get(pid)


def users(directory: Path, limits: dict[int, Limits], binding: bool = True) -> Users:
    made = Users(ProcTree(directory / "proc").table, Limited(limits))
    made.binding = binding
    return made


def record(*members: Member, ours: tuple[int, ...] = (5,)) -> Record:
    return Record(USER, str(APP), 0, None, ours, "5", 0.0, None, 0.0, 0, True, 0.0, 0.0, members)


def of_app(pid: int, **changes: t.Any) -> Process:
    return process(pid, owner=APP, **changes)


@pytest.mark.parametrize(
    "before, limit, binding, after",
    [
        (Limits(None, None), 5, True, Limits(5, 5)),
        (Limits(None, None), 5, False, Limits(5, None)),
        (Limits(100, 200), 150, True, Limits(100, 150)),
        (Limits(100, 200), 150, False, Limits(100, 200)),
        (Limits(3, 4), 5, True, Limits(3, 4)),
        (Limits(3, None), 0, True, Limits(0, 0)),
    ],
)
def test_a_cap_never_raises(tmp_path: Path, before: Limits, limit: int, binding: bool, after: Limits) -> None:
    assert users(tmp_path, {}, binding).capped(before, limit) == after


def test_each_gets_its_own_back_and_the_children_their_parents(tmp_path: Path) -> None:
    everybody = [
        of_app(10, start=100),
        of_app(11, start=100),
        of_app(20, ppid=11, start=500),  # born under the throttle
        of_app(21, ppid=20, start=600),
        of_app(22, ppid=1, start=700),  # its parent is gone
        of_app(30, ppid=1, start=50),  # older than all that, with such a limit of its own
        of_app(40, start=100),  # somebody else has changed it
        of_app(41, start=100, state="Z"),
        of_app(10_000, ppid=12, start=800),
        process(50, owner=APP + 1, start=900),
    ]
    capped = Limits(5, 5)
    now = dict.fromkeys((10, 11, 20, 21, 22, 30, 41, 10_000, 50), capped)
    now[40] = Limits(77, 77)
    members = (Member(10, 100, 900, 1000), Member(11, 100, 70, 80), Member(12, 100, 70, 80), Member(40, 100, 70, 80))
    found = users(tmp_path, now).holders(record(*members), everybody)
    assert {member.pid: old for member, old in found} == {
        10: Limits(900, 1000),
        11: Limits(70, 80),
        20: Limits(70, 80),
        21: Limits(70, 80),
        22: Limits(70, 80),
        10_000: Limits(70, 80),
    }


def test_a_number_used_again_is_another_process(tmp_path: Path) -> None:
    capped = {10: Limits(5, 5)}
    found = users(tmp_path, capped).holders(record(Member(10, 100, 9, 9)), [of_app(10, start=50)])
    assert found == [], "it is older than what was remembered"


def test_an_earlier_value_of_ours_is_ours(tmp_path: Path) -> None:
    found = users(tmp_path, {10: Limits(2, 2)}).holders(record(Member(10, 1, 9, 9), ours=(2, 5)), [of_app(10, start=1)])
    assert [old for _member, old in found] == [Limits(9, 9)]


def test_what_was_less_all_the_time_is_left(tmp_path: Path) -> None:
    found = users(tmp_path, {10: Limits(2, 2)}).holders(record(Member(10, 1, 2, 2)), [of_app(10, start=1)])
    assert found == []


@pytest.mark.parametrize(
    "uid, capabilities, why",
    [
        (0, "0", "is root's"),
        (APP, "1000000", "CAP_SYS_RESOURCE"),
        (APP, "200000", "CAP_SYS_ADMIN"),
        (APP, "1", "may not be changed: run as root"),
    ],
)
def test_whom_the_limit_does_not_bind(tmp_path: Path, uid: int, capabilities: str, why: str) -> None:
    tree = ProcTree(tmp_path / "proc")
    made = tree.add(process(10, owner=0), uid=uid)
    tree.write("10/status", f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t10\nCapEff:\t{capabilities}\n")
    limits = Rlimits()
    limits.may_set = lambda _pid, _name: False  # type: ignore[method-assign]
    assert why in Users(tree.table, limits).obstacle([made])


def test_a_process_that_ends_is_no_obstacle(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    limits = Rlimits()
    limits.may_set = lambda _pid, _name: False  # type: ignore[method-assign]
    ending = [
        process(4000001, owner=0),
        of_app(4000000),
        tree.add(of_app(10, flags=4), uid=APP),
        tree.add(of_app(11, state="Z"), uid=APP),
    ]
    assert Users(tree.table, limits).obstacle(ending) == ""
    unknown_by_now, of_app_once = ending[:2]
    assert Users(tree.table, limits).by_uid([unknown_by_now, of_app_once]) == {APP: [of_app_once]}


def test_no_way_to_set_limits(tmp_path: Path) -> None:
    assert "can set no limits" in users(tmp_path, {}).obstacle([of_app(10)])


def test_what_runs_is_counted_by_real_user_and_thread(tmp_path: Path) -> None:
    everybody = [of_app(10, threads=3), of_app(11), process(12, owner=APP + 1, threads=9)]
    seen = users(tmp_path, {}).look(APP, [Member(10, 1, 40, 50), Member(11, 1, None, None)], everybody)
    assert (seen.current, seen.value, seen.name) == (4, None, str(APP))
    assert users(tmp_path / "b", {}).look(APP, [Member(10, 1, 40, 50)], everybody).value == 40


def test_the_own_capabilities_decide_about_the_hard_limit() -> None:
    text = Path("/proc/self/status").read_text()
    mine = int(text.partition("CapEff:")[2].split()[0], 16)
    assert Users(ProcessTable(), Rlimits()).binding == bool(mine >> 24 & 1)
