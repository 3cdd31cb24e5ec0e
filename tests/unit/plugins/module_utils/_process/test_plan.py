# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a snapshot to what will be done: tables."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.plan import (
    SCOPES,
    Scope,
    Snapshot,
    choose,
    make,
    obstacle,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Selector, parse
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import process

BY_NAME = parse({"name": ["worker"]})
OWN = 4000
VICTIMS = [process(pid) for pid in range(100, 110)]
CGROUP, USER, GROUP = Scope("cgroup", "/cg/app", 10, 0), Scope("user", "1000", 10, 0), Scope("group", "100", 10, 0)


def snapshot(victims: t.Sequence[t.Any] = VICTIMS, **changes: t.Any) -> Snapshot:
    plain = Snapshot(list(victims), [], [], frozenset(), [CGROUP, USER, GROUP], OWN, True)
    return plain._replace(**changes)


def spoiled(scope: Scope) -> Scope:
    return scope._replace(strangers=2)


@pytest.mark.parametrize(
    "protected, fragments",
    [
        ([process(1, b"systemd")], ("PID 1", "matches everything", "add a criterion")),
        ([process(OWN)], ("this module itself", "add a criterion", "name or unit")),
        ([process(1), process(OWN)], ("PID 1",)),
    ],
)
@pytest.mark.parametrize("method", ["auto", "scan", "pause"])
def test_pid_1_and_the_module_itself_are_refused(
    protected: list[t.Any], fragments: tuple[str, ...], method: str
) -> None:
    with pytest.raises(Refused) as refusal:
        make(snapshot(protected=[(one, "why") for one in protected]), BY_NAME, method, 500)
    for fragment in fragments:
        assert fragment in str(refusal.value)


def test_other_protected_processes_are_left_alone_and_the_rest_is_taken() -> None:
    plan = make(snapshot(protected=[(process(50), "it is sshd")]), BY_NAME, "auto", 500)
    assert plan.victims == VICTIMS


@pytest.mark.parametrize(
    "count, brake, refused",
    [(10, 10, False), (10, 11, False), (10, 9, True), (1, 0, True), (1, -1, True), (0, 0, False)],
)
def test_the_brake_names_the_count_and_the_option(count: int, brake: int, refused: bool) -> None:
    found = snapshot(VICTIMS[:count])
    if not refused:
        assert len(make(found, BY_NAME, "auto", brake).victims) == count
        return
    with pytest.raises(
        Refused, match=f"^{count} processes match, more than max_victims {brake} .* nothing was touched"
    ) as e:
        make(found, BY_NAME, "auto", brake)
    assert f"set max_victims to {count} or more" in str(e.value)


@pytest.mark.parametrize("count, least, acts", [(10, 10, True), (10, 11, False), (0, 1, False), (10, 0, True)])
def test_min_count(count: int, least: int, acts: bool) -> None:
    plan = make(snapshot(VICTIMS[:count]), BY_NAME._replace(min_count=least), "auto", 500)
    assert bool(plan.victims) is acts
    if not acts:
        assert plan.method == "none"
        assert plan.reason == f"{count} match, fewer than min_count {least}"


def test_min_count_goes_before_the_brake() -> None:
    assert make(snapshot(), BY_NAME._replace(min_count=11), "auto", 5).victims == []


def test_no_match_is_a_plan_for_nobody() -> None:
    plan = make(snapshot([], scopes=[]), BY_NAME, "auto", 500)
    assert (plan.victims, plan.scopes) == ([], [])
    assert "nothing matches" in plan.reason


@pytest.mark.parametrize(
    "scopes, method, targets",
    [
        ([CGROUP, USER, GROUP], "cgroup", ["/cg/app"]),
        ([spoiled(CGROUP), USER, GROUP], "user", ["1000"]),
        ([USER, GROUP], "user", ["1000"]),
        ([spoiled(CGROUP), spoiled(USER), GROUP], "group", ["100"]),
        ([spoiled(CGROUP), spoiled(USER), spoiled(GROUP)], "scan", []),
        ([], "scan", []),
        ([CGROUP, CGROUP._replace(target="/cg/b")], "cgroup", ["/cg/app", "/cg/b"]),
        ([CGROUP, spoiled(CGROUP._replace(target="/cg/b")), USER], "user", ["1000"]),
    ],
)
def test_auto_takes_the_strongest_that_holds_nothing_else(scopes: list[Scope], method: str, targets: list[str]) -> None:
    plan = make(snapshot(scopes=scopes), BY_NAME, "auto", 500)
    assert (plan.method, [scope.target for scope in plan.scopes]) == (method, targets)


def test_scan_says_why_nothing_stronger_fits() -> None:
    reason = choose(snapshot(scopes=[spoiled(CGROUP), spoiled(USER)]), BY_NAME, "auto")[2]
    assert (
        reason
        == "cgroup: /cg/app also holds 2 others; user: 1000 also holds 2 others; group: no group holds the victims"
    )


@pytest.mark.parametrize("method", ["scan", "pause"])
def test_scan_and_pause_are_taken_when_asked_for(method: str) -> None:
    assert choose(snapshot(), BY_NAME, method) == (method, [], "asked for")


@pytest.mark.parametrize("method", SCOPES)
def test_a_method_that_fits_is_taken_when_asked_for(method: str) -> None:
    chosen, scopes, reason = choose(snapshot(), BY_NAME, method)
    assert (chosen, [scope.kind for scope in scopes], reason) == (method, [method], "asked for")


@pytest.mark.parametrize("method", SCOPES)
def test_a_method_that_would_hit_others_is_refused(method: str) -> None:
    found = snapshot(scopes=[spoiled(CGROUP), spoiled(USER), spoiled(GROUP)])
    with pytest.raises(Refused, match=f"^method {method} does not fit: .* also holds 2 others. Use method auto"):
        make(found, BY_NAME, method, 500)


@pytest.mark.parametrize(
    "selector, changes, kind, why",
    [
        (BY_NAME, {}, "cgroup", ""),
        (BY_NAME, {}, "user", ""),
        (BY_NAME, {"can_assume_users": False}, "user", "it takes root with CAP_SETUID and CAP_KILL"),
        (BY_NAME, {"can_assume_users": False}, "group", ""),
        (BY_NAME, {"scopes": []}, "cgroup", "no cgroup holds the victims"),
        (parse({"name": ["x"], "cmdline_regex": "y"}), {}, "cgroup", "a command line is compared"),
        (parse({"name": ["x"], "cmdline_regex": "y"}), {}, "group", "a command line is compared"),
        (parse({"name": ["x"], "min_age": "1m"}), {}, "cgroup", "min_age spares the young"),
        (parse({"pid": [100], "min_age": "1m"}), {}, "cgroup", ""),
    ],
)
def test_obstacles(selector: Selector, changes: dict[str, t.Any], kind: str, why: str) -> None:
    found = obstacle(snapshot(**changes), selector, kind)
    assert found.startswith(why)
    assert bool(found) is bool(why)


SCOPE = st.builds(Scope, st.sampled_from(SCOPES), st.sampled_from(["x", "y"]), st.integers(1, 9), st.integers(0, 2))


@given(st.lists(SCOPE, max_size=6), st.booleans())
def test_auto_never_takes_a_stranger(scopes: list[Scope], root: bool) -> None:
    method, taken, reason = choose(snapshot(scopes=scopes, can_assume_users=root), BY_NAME, "auto")
    assert reason
    assert all(scope.kind == method and not scope.strangers for scope in taken)
    assert (method == "scan") is (not taken)
    if not root:
        assert method != "user"
