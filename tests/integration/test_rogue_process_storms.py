# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rogue_process against real storms, each on a process table of its own, beside innocents that must not notice."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.storm import (
    OTHER_USER,
    ROGUE_USER,
    ROGUES,
    TOOLS,
    Arena,
    Armed,
    hierarchies,
)
from ansible_collections.hostcare.remediation.tests.support.storm.arena import wait_until

pytestmark = pytest.mark.once

TOOL = str(Path(__file__).resolve().parents[1] / "support" / "remedy_tool.py")
MEANT = {"name": ["rogue"], "user": [ROGUE_USER]}
TRIES = range(5)
SLOTS = 700


def arm(arena: Arena, state: str = "killed", selector: dict[str, Any] | None = None, **options: Any) -> Armed:
    wanted = {"state": state, "selector": selector, "max_victims": 5000, **options}
    return arena.arm([sys.executable, TOOL, json.dumps(wanted)], gate=False)


def finish(tool: Armed, timeout: float = 60) -> dict[str, Any]:
    tool.go()
    outcome = tool.outcome(timeout)
    assert outcome.returncode == 0, outcome.err.decode()
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def set_off(arena: Arena, kind: str, seed: int = 1) -> None:
    if kind in ("comet", "hopper"):
        arena.bomb(kind, "--count", "100", "--seed", str(seed))
        arena.wait_population(60)
    else:
        arena.bomb(kind, "--seed", str(seed))
        arena.wait_full()


def signal_tool(arena: Arena, number: int) -> None:
    """The busy tool itself by its number out here: `Armed.process` only stands for it, its watchdog came later."""
    tools = [task for task in arena.living(TOOLS) if task.name.startswith("python")]
    os.kill(min(tools, key=lambda task: task.inside).pid, number)


def states(arena: Arena) -> set[str]:
    return {task.state for task in arena.living(ROGUES)}


@pytest.mark.parametrize("seed", TRIES)
@pytest.mark.parametrize("kind", ["nap", "spin", "comet", "hopper", "setsid"])
def test_a_storm_alone_with_its_user_is_ended(kind: str, seed: int) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        twin = arena.innocent(name="rogue", user=OTHER_USER)
        tree = arena.innocent(name="sh", user=OTHER_USER, generations=3)
        stopped = arena.innocent(name="job", user=OTHER_USER, stopped=True)
        tool = arm(arena, selector=MEANT)
        set_off(arena, kind, seed)
        found = finish(tool)
        assert found["converged"], found
        assert found["method"] in ("user", "group")
        assert not arena.living(ROGUES)
        time.sleep(0.25)
        assert not arena.living(ROGUES)
        for innocent in (twin, tree, stopped):
            innocent.assert_unharmed()


@pytest.mark.parametrize("seed", TRIES)
@pytest.mark.parametrize("kind", ["nap", "spin", "comet", "setsid"])
def test_a_storm_among_innocents_of_its_user_is_ended(kind: str, seed: int) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        twin = arena.innocent(name="rogue", user=OTHER_USER)
        neighbour = arena.innocent(name="job", user=ROGUE_USER, generations=2)
        stopped = arena.innocent(name="editor", user=ROGUE_USER, stopped=True)
        tool = arm(arena, selector=MEANT, method="scan")
        set_off(arena, kind, seed)
        found = finish(tool)
        assert found["converged"], found
        assert not arena.living(ROGUES)
        time.sleep(0.25)
        assert not arena.living(ROGUES)
        for innocent in (twin, neighbour, stopped):
            innocent.assert_unharmed()


@pytest.mark.parametrize("kind", ["nap", "comet", "hopper", "setsid"])
def test_a_storm_in_its_own_cgroup_is_ended_as_a_whole(kind: str) -> None:
    if "unified" not in hierarchies():
        pytest.skip("this machine has no cgroup v2 tree to freeze and kill in")
    with Arena(SLOTS) as arena:
        same_name_and_user = arena.innocent(name="rogue", user=ROGUE_USER, cgroup="other.service")
        stopped = arena.innocent(name="rogue", user=ROGUE_USER, cgroup="other.service", stopped=True)
        path = f"/{arena.grounds.name}/{ROGUES}"
        tool = arm(arena, selector={**MEANT, "cgroup": [path]})
        set_off(arena, kind)
        found = finish(tool)
        assert found["converged"], found
        # Of those that live for moments none may be there to tell its cgroup at the first look.
        assert found["method"] == "cgroup" or kind in ("comet", "hopper")
        assert not arena.living(ROGUES)
        directory = arena.grounds.unified(ROGUES)
        assert directory is not None
        assert (directory / "cgroup.freeze").read_text().strip() == "0"
        same_name_and_user.assert_unharmed()
        stopped.assert_unharmed()


@pytest.mark.parametrize("unit", ["bad.service", "bad@1.service"])
def test_a_unit_is_meant_and_its_twin_in_another_unit_is_not(unit: str) -> None:
    with Arena(SLOTS) as arena:
        twin = arena.innocent(name="rogue", user=ROGUE_USER, cgroup="system.slice/good.service")
        tool = arm(arena, selector={"unit": [unit]})
        arena.bomb("crowd", "--count", "50", cgroup=f"system.slice/{unit}")
        arena.wait_population(50, cgroup=f"system.slice/{unit}")
        found = finish(tool)
        assert found["converged"], found
        assert found["groups"][0]["unit"] == unit
        assert not arena.living(f"system.slice/{unit}")
        twin.assert_unharmed()


@pytest.mark.parametrize("method", ["auto", "scan", "group", "user"])
def test_what_was_frozen_is_thawed_and_what_others_stopped_is_not(method: str) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        job = arena.innocent(name="rogue", user=ROGUE_USER, stopped=True)
        freeze = arm(arena, "frozen", MEANT, method="scan" if method == "group" else method)
        again = arm(arena, "frozen", MEANT, method="scan" if method == "group" else method)
        thaw = arm(arena, "thawed")
        once_more = arm(arena, "thawed")
        set_off(arena, "nap")
        found = finish(freeze)
        assert found["converged"], found
        assert found["changed"]
        assert found["already_stopped"] == 1
        assert states(arena) == {"T"}
        assert finish(again)["changed"] is False
        woken = finish(thaw)
        assert woken["thawed"] == found["frozen"], woken
        assert "T" not in states(arena)
        job.assert_unharmed()
        assert finish(once_more)["changed"] is False


def test_a_frozen_cgroup_is_thawed_with_its_limit_put_back() -> None:
    if "unified" not in hierarchies():
        pytest.skip("this machine has no cgroup v2 tree to freeze in")
    with Arena(SLOTS) as arena:
        twin = arena.innocent(name="rogue", user=ROGUE_USER, cgroup="other.service")
        selector = {"cgroup": [f"/{arena.grounds.name}/{ROGUES}"]}
        freeze, again = arm(arena, "frozen", selector), arm(arena, "frozen", selector)
        thaw, once_more = arm(arena, "thawed", selector), arm(arena, "thawed", selector)
        arena.bomb("crowd", "--count", "50")
        arena.wait_population(50)
        directory = arena.grounds.unified(ROGUES)
        assert directory is not None
        found = finish(freeze)
        assert (found["method"], found["frozen"], found["converged"]) == ("cgroup", 50, True), found
        assert (directory / "cgroup.freeze").read_text().strip() == "1"
        assert finish(again)["changed"] is False
        woken = finish(thaw)
        assert (woken["thawed"], woken["changed"], woken["converged"]) == (50, True, True), woken
        assert (directory / "cgroup.freeze").read_text().strip() == "0"
        assert finish(once_more)["changed"] is False
        twin.assert_unharmed()


@pytest.mark.parametrize("delay", [0.01, 0.03, 0.05, 0.08, 0.12])
@pytest.mark.parametrize("method", ["scan", "user"])
def test_what_a_dead_module_left_frozen_is_thawed(method: str, delay: float) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        job = arena.innocent(name="job", user=OTHER_USER, stopped=True)
        freeze = arm(arena, "killed", MEANT, method=method)
        thaw = arm(arena, "thawed")
        set_off(arena, "nap")
        freeze.go()
        time.sleep(delay)
        signal_tool(arena, signal.SIGKILL)
        freeze.outcome()
        found = finish(thaw)
        assert found["converged"], found
        time.sleep(0.05)
        assert "T" not in states(arena)
        job.assert_unharmed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_frozen(number: int) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, "terminated", MEANT, grace_period=20)
        arena.bomb("crowd", "--count", "100", "--ignore", "15")
        arena.wait_population(100)
        tool.go()
        time.sleep(1)
        signal_tool(arena, number)
        outcome = tool.outcome()
        found = json.loads(outcome.out)
        assert "interrupted by" in found["problem"]
        assert not found["converged"]
        assert "T" not in states(arena)


def test_a_plan_over_the_brake_touches_nothing() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, selector=MEANT, max_victims=20)
        arena.bomb("crowd", "--count", "50")
        arena.wait_population(50)
        before = {task.pid for task in arena.living(ROGUES)}
        found = finish(tool)
        assert "max_victims" in found["refused"]
        assert {task.pid for task in arena.living(ROGUES)} == before
        assert "T" not in states(arena)


def test_terminated_lets_them_end_and_kills_the_deaf() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        twin = arena.innocent(name="rogue", user=OTHER_USER)
        tool = arm(arena, "terminated", MEANT, grace_period=0.5)
        arena.bomb("crowd", "--count", "30")
        arena.bomb("crowd", "--count", "20", "--ignore", "15")
        arena.wait_population(50)
        found = finish(tool)
        assert found["converged"], found
        assert found["terminated"] >= 30
        assert found["killed"] >= 20
        assert not arena.living(ROGUES)
        twin.assert_unharmed()


def test_a_supervisor_outside_the_selection_is_named_not_fought_for_ever() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, selector={"name": ["worker"], "user": [ROGUE_USER]}, timeout=20)
        arena.bomb("supervisor", "--count", "20", "--child-name", "worker", name="boss")
        arena.wait_population(21)
        found = finish(tool)
        assert "kept coming" in found["problem"], found
        assert "boss" in found["problem"]
        assert "T" not in states(arena)


@pytest.mark.parametrize("answer", ["report", "signal_parent", "kill_parent"])
def test_zombies_are_reported_with_the_parent_to_blame(answer: str) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, selector={"name": ["dead"], "user": [ROGUE_USER]}, zombies=answer)
        arena.bomb("zombie", "--count", "100", "--child-name", "dead", name="parent")

        arena.wait_population(101)
        wait_until(lambda: len(arena.living()) == 1, 10, "all children are dead, not only born")
        found = finish(tool)
        assert not found["problem"], found
        if answer == "kill_parent":
            time.sleep(0.1)
            assert arena.population(ROGUES) == 0
        else:
            assert found["zombies"]["total"] == 100
            parent = found["zombies"]["parents"][0]
            assert (parent["name"], parent["zombies"], parent["told"]) == ("parent", 100, answer == "signal_parent")


def test_a_stopped_group_whose_leader_is_killed_stays_down() -> None:
    """A group that is orphaned while members are stopped gets SIGHUP and SIGCONT; these ignore the first."""
    with Arena(SLOTS, hierarchies=[]) as arena:
        twin = arena.innocent(name="rogue", user=OTHER_USER)
        tool = arm(arena, selector=MEANT, method="scan")
        arena.bomb("crowd", "--count", "50", "--ignore", str(int(signal.SIGHUP)))
        arena.wait_population(50)
        found = finish(tool)
        assert found["converged"], found
        assert not arena.living(ROGUES)
        twin.assert_unharmed()


@pytest.mark.parametrize("kind", ["headless", "vfork"])
def test_odd_lives_are_frozen_and_ended(kind: str) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        freeze = arm(arena, "frozen", MEANT)
        kill = arm(arena, "killed", MEANT)
        arena.bomb(kind, "--count", "20")
        arena.wait_population(20)
        time.sleep(0.2)
        found = finish(freeze)
        assert found["converged"], found
        found = finish(kill)
        assert found["converged"], found
        assert not arena.living(ROGUES)


def test_only_the_command_line_that_is_meant_ends() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        good = arena.start(["/bin/sleep", "1000"], cgroup="good")
        bad = arena.start(["/bin/sleep", "2000"], cgroup="bad")
        tool = arm(arena, selector={"name": ["sleep"], "cmdline_regex": "2000"})
        arena.wait_population(1, cgroup="good")
        arena.wait_population(1, cgroup="bad")
        found = finish(tool)
        assert found["converged"], found
        assert found["matched"] == 2  # both were stopped, for a command line is read of stopped processes only
        assert bad.wait(5) == 128 + signal.SIGKILL
        assert good.poll() is None
        assert [task.state for task in arena.living("good")] == ["S"]


def test_pause_ends_what_forks_and_exits_and_wakes_the_rest() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        arena.start(["/bin/sleep", "1000"], cgroup="good")
        stopped = arena.innocent(name="job", user=ROGUE_USER, stopped=True)
        tool = arm(arena, selector=MEANT, method="pause")
        set_off(arena, "hopper")
        found = finish(tool)
        assert (found["method"], found["converged"]) == ("pause", True), found
        assert not arena.living(ROGUES)
        assert [task.state for task in arena.living("good")] == ["S"]
        stopped.assert_unharmed()


def test_pause_is_refused_where_no_slot_is_left_for_its_watchdog() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, selector=MEANT, method="pause")
        set_off(arena, "nap")
        found = finish(tool)
        assert "process slot" in found["refused"]
        assert "T" not in states(arena)


def test_the_watchdog_wakes_the_host_when_the_module_dies() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        arena.start(["/bin/sleep", "1000"], cgroup="good")
        tool = arm(arena, "terminated", MEANT, method="pause", grace_period=20)
        arena.bomb("crowd", "--count", "50", "--ignore", "15")
        arena.wait_population(50)
        tool.go()
        time.sleep(0.5)
        signal_tool(arena, signal.SIGKILL)
        tool.outcome()
        time.sleep(0.5)
        assert "T" not in states(arena)
        assert [task.state for task in arena.living("good")] == ["S"]


@pytest.mark.parametrize("selector", [{"name_regex": "."}, {"user": ["root"]}, {"cmdline_regex": "remedy_tool"}])
def test_a_selector_that_matches_everything_or_the_module_is_refused(selector: dict[str, Any]) -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        innocent = arena.innocent(name="job")
        found = finish(arm(arena, selector=selector))
        assert "add a criterion" in found["refused"]
        innocent.assert_unharmed()


def test_a_rogue_named_like_the_ssh_daemon_dies() -> None:
    with Arena(SLOTS, hierarchies=[]) as arena:
        tool = arm(arena, selector={"name": ["sshd"], "user": [ROGUE_USER]})
        arena.bomb("nap", name="sshd")
        arena.wait_full()
        found = finish(tool)
        assert found["converged"], found
        assert not arena.living(ROGUES)
