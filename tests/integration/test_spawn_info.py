# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""spawn_info on real storms and beside real work, each in a unit of its own."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.storm import Arena, hierarchies

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif("unified" not in hierarchies(), reason="this machine has no cgroup v2 tree to name units in"),
]

TOOL = str(Path(__file__).resolve().parents[1] / "support" / "spawn_tool.py")
MAKEFILE = "all: $(shell seq -f t%g 2000)\nt%:\n\t@expr $* + 1 >/dev/null; grep -q root /etc/passwd; sleep 0.02\n"


def start(arena: Arena, unit: str, script: str) -> None:
    arena.start(["bash", "-c", script], cgroup=f"system.slice/{unit}")


def watch(arena: Arena, begin: Callable[[], None] = lambda: None, **options: Any) -> dict[str, dict[str, Any]]:
    """``begin`` is called once the tool is loaded, just before it looks."""
    tool = arena.arm([sys.executable, TOOL, json.dumps(options)], gate=False)
    begin()
    tool.go()
    outcome = tool.outcome(60)
    assert outcome.returncode == 0, outcome.err.decode()
    return {group["unit"]: group for group in json.loads(outcome.out)["groups"]}


def test_storms_are_told_from_work(tmp_path: Path) -> None:
    """All at once on one host: who fails, who succeeds as often, who builds, who serves, who waits for something."""
    assert shutil.which("make"), "a real build takes make"
    (tmp_path / "Makefile").write_text(MAKEFILE)
    with Arena(700) as arena:
        twin = arena.innocent(name="bash")
        start(arena, "failing.service", "while :; do /bin/false; sleep 0.02 & wait; done")
        start(arena, "crashing.service", "ulimit -c 0; while :; do bash -c 'sleep 0.01; kill -SEGV $$'; done")
        start(arena, "jobs.service", "while :; do /bin/true; sleep 0.01; done")
        start(arena, "server.service", "for n in {1..40}; do sleep 300 & done; wait")
        start(arena, "waiting.service", "until test -e /nowhere; do /bin/false; sleep 0.05; done")
        start(arena, "build.service", f"make -s -j4 -C {tmp_path}")
        time.sleep(0.5)
        found = watch(arena)
        twin.assert_unharmed()
    verdicts = {unit: group["verdict"] for unit, group in found.items() if unit.endswith(".service")}
    assert verdicts.pop("crashing.service") == "crash_loop", found["crashing.service"]
    assert verdicts.pop("failing.service") == "busy", "each second child of it succeeds"
    assert set(verdicts.values()) <= {"busy", "fine"}, found
    assert {verdicts["jobs.service"], verdicts["waiting.service"], verdicts["build.service"]} == {"busy"}
    crashing = found["crashing.service"]
    assert crashing["selector"] == {"unit": ["crashing.service"]}
    assert crashing["children_of"] == crashing["spawner"]["pid"]
    assert crashing["births"] <= crashing["per_minute"]


def test_who_starts_without_end_is_told_from_who_starts_workers() -> None:
    with Arena(700) as arena:
        twin = arena.innocent(name="bash")
        workers = "sleep 1; for n in {1..60}; do sleep 300 & done; wait"
        runaway = "while :; do sleep 300 & sleep 0.01; done"
        start(arena, "cron.service", f"bash -c '{runaway}' & wait")
        found = watch(arena, lambda: start(arena, "server.service", workers), min_growth=20)
        twin.assert_unharmed()
    assert found["cron.service"]["verdict"] == "runaway", found
    assert found["cron.service"]["grown"] >= 20
    assert found["server.service"]["verdict"] == "busy", found


def test_children_of_children_without_end() -> None:
    """It grows as steadily whenever the look begins, and however slow the machine is."""
    bomb = "f() { sleep 0.02; f & wait; }; f & f & f & f & wait"
    with Arena(1500) as arena:
        found = watch(arena, lambda: start(arena, "bomb.service", bomb), duration="2s", min_growth=20)
    assert found["bomb.service"]["verdict"] == "runaway", found
    assert "started by others that were just born" in " ".join(found["bomb.service"]["reasons"])


@pytest.mark.parametrize("option", [{"unit": ["bad.service"]}, {"top": 1}])
def test_what_is_told_can_be_narrowed(option: dict[str, Any]) -> None:
    with Arena(700) as arena:
        start(arena, "bad.service", "while :; do (sleep 0.02; exit 1); done")
        start(arena, "good.service", "while :; do /bin/true; done")
        time.sleep(0.2)
        found = watch(arena, duration="2s", **option)
    assert {unit: group["verdict"] for unit, group in found.items()} == {"bad.service": "crash_loop"}
