# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rogue_process where something is missing: rights, /proc, descriptors, room, kernel features. Nothing stays frozen."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.storm import (
    OTHER_USER,
    ROGUE_USER,
    ROGUES,
    TOOLS,
    Arena,
    hierarchies,
)

pytestmark = pytest.mark.once

TOOL = str(Path(__file__).resolve().parents[1] / "support" / "remedy_tool.py")
PYTHON = "/usr/bin/python3"  # that of these tests may be out of reach for other users
MEANT = {"name": ["rogue"], "user": [ROGUE_USER]}
FULL_RUN = "mount -t tmpfs -o nr_inodes=1 none /run"


def run_in(arena: Arena, preparation: str, state: str = "killed", **options: Any) -> dict[str, Any]:
    """The tool, in mounts and limits of its own that the shell prepares."""
    wanted = json.dumps({"state": state, "selector": MEANT, **options})
    script = f"{preparation} && exec {shlex.join([sys.executable, TOOL, wanted])}"
    tool = arena.arm(["unshare", "--mount", "sh", "-c", script], gate=False)
    arena.bomb("crowd", "--count", "20")
    arena.wait_population(20)
    tool.go()
    outcome = tool.outcome()
    assert outcome.returncode == 0, outcome.err.decode()
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def untouched(arena: Arena) -> bool:
    return len(arena.living(ROGUES)) == 20 and {task.state for task in arena.living(ROGUES)} == {"S"}


@pytest.mark.parametrize(
    "preparation, said",
    [
        ("mount -t tmpfs none /proc", "mount -t proc"),
        ("mount --bind /proc/self /proc", "mount -t proc"),
        ("ulimit -n 5", "descriptor"),
    ],
)
def test_what_cannot_be_read_is_refused(preparation: str, said: str) -> None:
    with Arena(400, hierarchies=[]) as arena:
        found = run_in(arena, preparation)
        assert said in found["refused"], found
        assert untouched(arena)


def test_the_proc_of_another_namespace_is_refused() -> None:
    with Arena(400, hierarchies=[]) as arena:
        inner = f"exec {shlex.join([sys.executable, TOOL, json.dumps({'state': 'killed', 'selector': MEANT})])}"
        tool = arena.arm(["unshare", "--pid", "--fork", "sh", "-c", inner], gate=False)
        arena.bomb("crowd", "--count", "20")
        arena.wait_population(20)
        tool.go()
        found = json.loads(tool.outcome().out)
        assert "another PID namespace" in found["refused"]
        assert untouched(arena)


@pytest.mark.parametrize(
    "proc, said",
    [("", "belong to other users"), ("mount -o remount,hidepid=2 /proc &&", "hidepid")],
)
def test_a_user_without_rights_is_told_to_become_root(proc: str, said: str) -> None:
    with Arena(400, hierarchies=[]) as arena:
        wanted = json.dumps({"state": "killed", "selector": MEANT})
        change = ["setpriv", "--reuid", OTHER_USER, "--regid", OTHER_USER, "--clear-groups"]
        script = f"{proc} exec {shlex.join([*change, PYTHON, TOOL, wanted])}"
        tool = arena.arm(["unshare", "--mount", "sh", "-c", script], gate=False)
        arena.bomb("crowd", "--count", "20")
        arena.wait_population(20)
        tool.go()
        outcome = tool.outcome()
        found = json.loads(outcome.out)
        assert said in found["refused"], found
        assert "become" in found["refused"]
        assert untouched(arena)


def test_a_freeze_that_cannot_be_remembered_is_refused() -> None:
    with Arena(400, hierarchies=[]) as arena:
        found = run_in(arena, FULL_RUN, "frozen")
        assert "/run" in found["refused"]
        assert untouched(arena)


@pytest.mark.parametrize("preparation", [FULL_RUN, "ulimit -f 0"])
def test_a_kill_that_cannot_be_remembered_says_so_and_goes_on(preparation: str) -> None:
    with Arena(400, hierarchies=[]) as arena:
        twin = arena.innocent(name="rogue", user=OTHER_USER)
        found = run_in(arena, preparation, method="scan")
        assert found["converged"], found
        assert any("not remembered" in warning for warning in found["warnings"])
        assert not arena.living(ROGUES)
        twin.assert_unharmed()


def test_read_only_cgroups_do_not_stand_in_the_way() -> None:
    with Arena(400) as arena:
        found = run_in(arena, "for d in /sys/fs/cgroup/*; do mount --bind $d $d && mount -o remount,ro,bind $d; done")
        assert found["converged"], found
        assert found["method"] != "cgroup"
        assert not arena.living(ROGUES)


@pytest.mark.parametrize("tree", ["freezer", "unified"])
def test_victims_that_somebody_froze_by_cgroup(tree: str) -> None:
    if tree not in hierarchies():
        pytest.skip(f"this machine has no {tree} hierarchy")
    with Arena(400, hierarchies=[tree]) as arena:
        tool = arena.arm(
            [sys.executable, TOOL, json.dumps({"state": "killed", "selector": MEANT, "method": "scan", "timeout": 1})],
            gate=False,
        )
        arena.bomb("crowd", "--count", "20")
        arena.wait_population(20)
        directory = hierarchies()[tree] / arena.grounds.name / ROGUES
        file, frozen, thawed = (
            ("freezer.state", "FROZEN", "THAWED") if tree == "freezer" else ("cgroup.freeze", "1", "0")
        )
        (directory / file).write_text(frozen)
        tool.go()
        found = json.loads(tool.outcome().out)
        if tree == "unified":  # there a frozen process dies at once
            assert found["converged"], found
        else:
            assert "cgroup" in found["problem"], found
        (directory / file).write_text(thawed)
        assert "T" not in {task.state for task in arena.living(ROGUES)}


def test_containers_are_left_alone_unless_meant() -> None:
    with Arena(400, hierarchies=[]) as arena:
        wanted = {"state": "killed", "selector": {"name": ["sleep"]}}
        spare = arena.arm([sys.executable, TOOL, json.dumps(wanted)], gate=False)
        include = arena.arm([sys.executable, TOOL, json.dumps({**wanted, "include_containers": True})], gate=False)
        box = arena.start(["unshare", "--pid", "--fork", "sleep", "1000"], cgroup="box")
        arena.wait_population(2, cgroup="box")
        spare.go()
        found = json.loads(spare.outcome().out)
        assert "container" in found["protected"][0]["reason"], found
        assert box.poll() is None
        include.go()
        found = json.loads(include.outcome().out)
        assert found["killed"] == 1, found
        box.wait(5)


def test_the_tools_own_session_is_left_alone() -> None:
    with Arena(400, hierarchies=[]) as arena:
        wanted = json.dumps({"state": "killed", "selector": {"name": ["sleep"]}})
        script = f"sleep 1000 > /dev/null 2>&1 & exec {shlex.join([sys.executable, TOOL, wanted])}"
        tool = arena.arm(["sh", "-c", script], gate=False)
        tool.go()
        found = json.loads(tool.outcome().out)
        assert "session" in found["protected"][0]["reason"], found
        assert [task.name for task in arena.living(TOOLS)] == ["sleep"]
