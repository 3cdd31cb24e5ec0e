# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left for the operator when all others take what they may, and who could take that too."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.reserve import (
    Ceiling,
    Pool,
    ceilings,
    judge,
    pools,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.survey import Survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_KTHREAD
from ansible_collections.hostcare.remediation.tests.unit.support.pids_tree import PidsTree
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import process

HOST = Ceiling("host", "kernel.threads-max", 1000, 100)
NUMBERS = Ceiling("host", "kernel.pid_max", 1000, 100, each=3)


def pool(name: str, used: int, at_most: int | None) -> Pool:
    return Pool(f"cgroup /{name}", used, at_most, "pids.max" if at_most is not None else "")


@pytest.mark.parametrize(
    "ceiling, untrusted, kept, at_most, slots, breaks",
    [
        # nobody is there but the kernel
        (HOST, [], 100, 0, 900, {}),
        # what pools have now is counted once, as a part of what they may have
        (HOST, [pool("a", 60, 300)], 40, 300, 660, {"a": ""}),
        (HOST, [pool("a", 60, 300), pool("b", 20, 500)], 20, 800, 180, {"b": "", "a": ""}),
        # exactly all
        (HOST, [pool("a", 60, 480), pool("b", 20, 500)], 20, 980, 0, {"b": "together", "a": "together"}),
        (HOST, [pool("a", 60, 479), pool("b", 20, 500)], 20, 979, 1, {"b": "", "a": ""}),
        # the fewest that can do it together
        (
            HOST,
            [pool("a", 60, 600), pool("b", 20, 500), pool("c", 0, 9)],
            20, 1109, -129,
            {"a": "together", "b": "together", "c": ""},
        ),
        # one that can do it alone; the others are not added up
        (HOST, [pool("a", 60, 940), pool("b", 20, 500)], 20, 1440, -460, {"a": "together", "b": "together"}),
        (HOST, [pool("a", 60, 980), pool("b", 20, 500)], 20, 1480, -500, {"a": "alone", "b": ""}),
        # no limit, no sum
        (HOST, [pool("a", 60, None), pool("b", 20, 500)], 20, None, None, {"a": "alone", "b": ""}),
        (HOST, [pool("a", 1, None), pool("b", 70, None)], 29, None, None, {"b": "alone", "a": "alone"}),
        # each task may take three numbers
        (NUMBERS, [pool("a", 60, 300)], 40, 900, 60, {"a": ""}),
        (NUMBERS, [pool("a", 60, 320)], 40, 960, 0, {"a": "alone"}),
        # a pool that has more than the ceiling counts, as from outside
        (HOST, [pool("a", 600, 700)], 0, 700, 300, {"a": ""}),
    ],
)  # fmt: skip
def test_the_sum(
    ceiling: Ceiling, untrusted: list[Pool], kept: int, at_most: int | None, slots: int | None, breaks: dict[str, str]
) -> None:
    found = judge([ceiling], untrusted, 10)
    assert (found["kept"], found["at_most"], found["slots"]) == (kept, at_most, slots)
    assert [(one["scope"][len("cgroup /") :], one["breaks"]) for one in found["pools"]] == list(breaks.items())


@pytest.mark.parametrize(
    "found, binding",
    [
        ([HOST, NUMBERS], "kernel.pid_max"),
        ([HOST, NUMBERS._replace(limit=30000)], "kernel.threads-max"),
        ([HOST, Ceiling("cgroup /", "pids.max", 400, 90)], "pids.max"),
        ([HOST, Ceiling("cgroup /", "pids.max", 2000, 90)], "kernel.threads-max"),
        # the more that is kept back, the less is left
        ([HOST._replace(used=700), Ceiling("cgroup /", "pids.max", 800, 90)], "kernel.threads-max"),
    ],
)
def test_the_ceiling_that_leaves_least_is_binding(found: list[Ceiling], binding: str) -> None:
    assert judge(found, [pool("a", 60, 300)], 10)["limit_name"] == binding


def test_no_more_pools_than_asked_for() -> None:
    found = judge([HOST], [pool(f"p{number:02}", 1, 10 + number) for number in range(20)], 3)
    assert [one["at_most"] for one in found["pools"]] == [29, 28, 27]
    assert found["pools_total"] == 20


POOLS = st.lists(
    st.tuples(st.integers(0, 50), st.none() | st.integers(0, 400)).map(
        lambda pair: pool("x", pair[0], pair[1] if pair[1] is None else max(pair))
    ),
    max_size=6,
).map(lambda found: [one._replace(scope=f"cgroup /{number}") for number, one in enumerate(found)])


@given(POOLS, st.integers(1, 1500), st.integers(0, 400), st.sampled_from([1, 3]))
def test_someone_breaks_it_if_and_only_if_nothing_is_left(
    untrusted: list[Pool], limit: int, others: int, each: int
) -> None:
    used = sum(one.used for one in untrusted)
    found = judge([Ceiling("host", "x", limit, used + others, each)], untrusted, 10)
    named = {one["scope"]: one["breaks"] for one in found["pools"] if one["breaks"]}
    is_broken = found["slots"] is None or (found["slots"] <= 0 and any(one.at_most for one in untrusted))
    assert bool(named) == is_broken
    if "together" in named.values():
        taking = sum(each * (one.at_most or 0) for one in untrusted if one.scope in named)
        smallest = min(each * (one.at_most or 0) for one in untrusted if one.scope in named)
        assert set(named.values()) == {"together"}
        assert taking >= limit - others > taking - smallest


# --- what is read of a host ---


@pytest.fixture(params=[1, 2, 3], ids=["v1", "v2", "hybrid"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> PidsTree:
    return PidsTree(tmp_path, request.param)


def taken(tree: PidsTree) -> Survey:
    return Survey.take(tree.tree.table, time.monotonic() + 20)


def seen(tree: PidsTree) -> dict[str, tuple[int, int | None, str]]:
    return {one.scope[len("cgroup ") :]: one[1:] for one in pools(taken(tree)) if one.scope.startswith("cgroup /")}


NUMBER = iter(range(2000, 10**6))


def members(tree: PidsTree, path: str, count: int, limit: str = "max", uid: int = 0, nproc: str = "unlimited") -> None:
    made = []
    for _one in range(count):
        pid = next(NUMBER)
        made.append(tree.tree.add(process(pid, sid=pid, pgid=pid, owner=uid), cgroup=tree.line(path), limit=nproc))
    tree.cgroup(path, limit, made)


def own(tree: PidsTree, path: str) -> None:
    """Puts the process that looks there."""
    tree.tree.write("self/cgroup", tree.line(path))


def test_pools(tree: PidsTree) -> None:
    own(tree, "hostcare.slice/ssh.service")
    tree.tree.write("1/cgroup", tree.line("init.scope"))
    members(tree, "hostcare.slice/ssh.service", 3)
    members(tree, "init.scope", 1)
    members(tree, "user.slice/user-1000.slice/session-1.scope", 5, uid=1000)
    tree.cgroup("user.slice/user-1000.slice", "33")
    members(tree, "user.slice/user-1001.slice/session-2.scope", 2, uid=1001, nproc="20")
    tree.cgroup("user.slice/user-1001.slice", "33")
    members(tree, "system.slice/free.service", 2)
    members(tree, "system.slice/own.service", 2, uid=1002, nproc="9")
    members(tree, "system.slice/capped.service", 4, "3")
    members(tree, "machine.slice/a.scope/inner", 2, "5")
    tree.cgroup("machine.slice", "50")
    found = {path: (at_most, by) for path, (_used, at_most, by) in seen(tree).items() if path != "/"}
    assert found == {
        "/user.slice/user-1000.slice": (33, "pids.max"),
        "/user.slice/user-1001.slice": (20, "RLIMIT_NPROC"),
        "/system.slice/free.service": (None, ""),
        "/system.slice/own.service": (9, "RLIMIT_NPROC"),
        "/system.slice/capped.service": (4, "pids.max"),
        "/machine.slice": (50, "pids.max"),
    }


@pytest.mark.parametrize(
    "path, uid, nproc, at_most, by",
    [
        ("system.slice/a.service", 1000, "10", 10, "RLIMIT_NPROC"),
        ("system.slice/a.service", 1000, "unlimited", 40, "pids.max"),
        ("system.slice/a.service", 1000, "41", 40, "pids.max"),
        ("system.slice/a.service", 0, "10", 40, "pids.max"),  # root is exempt
        ("user.slice", 1000, "10", 40, "pids.max"),  # another user may log in
        ("user.slice/user-1000.slice", 1000, "10", 10, "RLIMIT_NPROC"),
        ("machine.slice", 1000, "10", 40, "pids.max"),
    ],
)
def test_the_smaller_limit_counts(tree: PidsTree, path: str, uid: int, nproc: str, at_most: int, by: str) -> None:
    members(tree, path, 2, "40", uid, nproc)
    assert seen(tree)["/" + path] == (2, at_most, by)


def test_users_are_added_up(tree: PidsTree) -> None:
    members(tree, "a.service", 2, "max", 1000, "10")
    members(tree, "a.service", 2, "max", 1001, "20")
    assert seen(tree)["/a.service"][1:] == (30, "RLIMIT_NPROC")


def test_the_dead_start_nothing(tree: PidsTree) -> None:
    """In a v1 hierarchy they are shown at its top."""
    tree.tree.add(process(900, state="Z"), cgroup=tree.line("left.service"))
    assert "/left.service" not in seen(tree)


def test_a_container_has_the_limit_of_its_own_group(tmp_path: Path) -> None:
    """cgroup v1 without a cgroup namespace: all paths begin with that of the container."""
    tree = PidsTree(tmp_path, 1)
    tree.tree.write("1/cgroup", tree.line("docker/0a1b/init.scope"))
    own(tree, "docker/0a1b/system.slice/a.service")
    members(tree, "docker/0a1b/system.slice/a.service", 3, "7")
    tree.cgroup("docker/0a1b", "50")
    (tree.top / "docker" / "0a1b" / "pids.current").write_text("12\n")
    found = {one.limit_name: one for one in ceilings(taken(tree))}
    assert found["pids.max"] == ("cgroup /docker/0a1b", "pids.max", 50, 12, 1)
    assert seen(tree) == {"/system.slice/a.service": (3, 7, "pids.max")}


def test_without_a_controller_the_users_are_all_there_is(tmp_path: Path) -> None:
    tree = PidsTree(tmp_path, 0)
    for pid, nproc in ((900, "5"), (901, "unlimited")):
        tree.tree.add(process(pid, sid=pid, pgid=pid, owner=1000), cgroup=b"", limit=nproc)
    assert [(one.scope, one.at_most) for one in pools(taken(tree))] == [("host", None)]


def test_in_a_report(tmp_path: Path) -> None:
    tree = PidsTree(tmp_path, 2)
    tree.tree.write("sys/kernel/pid_max", "1000\n")
    tree.tree.write("1/cgroup", tree.line("init.scope"))
    own(tree, "user.slice")
    members(tree, "user.slice", 30, "310")
    tree.tree.add(process(900, b"kworker/0:1", flags=PF_KTHREAD))
    found = resources.report(10, 20.0, str(tree.tree.root), only=["process_slots"])["reserve"]
    # PID 1 and the kernel thread; the process that looks is one of the slice, though not in its count
    assert found == {
        "scope": "host", "limit_name": "kernel.pid_max", "limit": 1000, "kept": 3, "at_most": 930, "slots": 67,
        "pools": [{"scope": "cgroup /user.slice", "used": 30, "at_most": 310, "limited_by": "pids.max", "breaks": ""}],
        "pools_total": 1,
    }  # fmt: skip


@pytest.mark.parametrize("only, is_there", [([], True), (["process_slots"], True), (["semaphores"], False)])
def test_of_this_machine(only: list[str], is_there: bool) -> None:
    found: t.Any = resources.report(10, 20.0, only=only)["reserve"]
    assert (found is not None) == is_there
    if is_there:
        assert found["limit"] > os.cpu_count()
        assert len(found["pools"]) <= 10 <= max(10, found["pools_total"])
