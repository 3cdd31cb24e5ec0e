# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""All children of a service are ended while its throttle holds, and the master is left alone: rogue_process with
spawn_throttle, in the order in which the role spawn_storm uses them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.storm import Arena
from ansible_collections.hostcare.remediation.tests.support.storm.arena import Task, wait_until

pytestmark = pytest.mark.once

SUPPORT = Path(__file__).resolve().parents[1] / "support"
SERVICE = "system.slice/svc.service"
KINDS = ("plain", "plain", "deaf", "stopped")


class Service:
    """A master with children, in a cgroup of its own; beside it a twin that must not notice."""

    def __init__(self, arena: Arena, directory: Path) -> None:
        self.arena = arena
        self.record = directory / "record"
        self.state = directory / "state"
        self.twin = arena.innocent(name="python3")
        arena.start([sys.executable, str(SUPPORT / "master.py"), str(self.record), *KINDS], cgroup=SERVICE)
        wait_until(lambda: len(self.tasks()) == 1 + len(KINDS), 10, "the master has its children")
        wait_until(lambda: "T" in {task.state for task in self.tasks()}, 10, "one of them has stopped itself")
        self.master = min(self.tasks(), key=lambda task: task.inside)

    def tasks(self) -> list[Task]:
        return self.arena.living(SERVICE)

    @property
    def children(self) -> set[int]:
        return {task.pid for task in self.tasks()} - {self.master.pid}

    @property
    def births(self) -> int:
        return int(self.record.read_text().split()[0])

    @property
    def refused(self) -> int:
        return int(self.record.read_text().split()[1])

    def _run(self, *command: str) -> dict[str, Any]:
        tool = self.arena.arm([sys.executable, *command], gate=False)
        tool.go()
        outcome = tool.outcome(60)
        assert outcome.returncode == 0, outcome.err.decode()
        found: dict[str, Any] = json.loads(outcome.out)
        return found

    def throttle(self, state: str = "throttled") -> dict[str, Any]:
        path = f"/{self.arena.grounds.name}/{SERVICE}"
        wish = {"state": state, "cgroup": [path]}
        return self._run(str(SUPPORT / "throttle_tool.py"), str(self.state), json.dumps(wish))

    def freeze(self, **selector: Any) -> dict[str, Any]:
        return self._run(str(SUPPORT / "remedy_tool.py"), json.dumps({"state": "frozen", "selector": selector}))

    def thaw(self, **selector: Any) -> dict[str, Any]:
        return self._run(str(SUPPORT / "remedy_tool.py"), json.dumps({"state": "thawed", "selector": selector}))

    def end(self, **options: Any) -> dict[str, Any]:
        wish = {"state": "terminated", "selector": {"descends_from": [self.master.inside]}, "grace_period": 0.5}
        return self._run(str(SUPPORT / "remedy_tool.py"), json.dumps({**wish, **options}))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    tmp_path.chmod(0o755)
    with Arena(700) as arena:
        yield Service(arena, tmp_path)


def test_all_children_end_and_none_comes_in_their_place(service: Service) -> None:
    throttled = service.throttle()
    assert (throttled["method"], throttled["converged"]) == ("cgroup", True), throttled
    before = service.births
    began = time.monotonic()
    found = service.end()
    assert found["converged"], found
    assert time.monotonic() - began < 20, "the deaf and the stopped hold nobody up for ever"
    assert (found["matched"], found["killed"], found["survivors_total"]) == (4, 1, 0), found
    assert found["terminated"] == 3, "the stopped one too, once it runs again"
    assert service.children == set()
    assert service.births == before
    wait_until(lambda: service.refused > 5, 10, "the master goes on trying")
    assert service.births == before, "and the throttle holds"
    assert service.master.pid in {task.pid for task in service.tasks()}, "it was not meant"
    service.throttle("released")
    wait_until(lambda: len(service.children) == len(KINDS), 10, "it has its children again")
    service.twin.assert_unharmed()


def test_without_a_throttle_they_keep_coming_and_that_is_said(service: Service) -> None:
    found = service.end(grace_period=0.1)
    assert "new ones kept coming" in found["problem"], found
    assert "master" in found["problem"] or "python" in found["problem"]
    assert len(service.children) >= 1
    service.twin.assert_unharmed()


def refused_by_the_brake(service: Service) -> dict[str, Any]:
    found = service.end(max_victims=2)
    assert "max_victims" in found["refused"], found
    return found


def refused_by_the_method(service: Service) -> dict[str, Any]:
    found = service.end(method="cgroup")
    assert "does not fit" in found["refused"], found
    return found


@pytest.mark.parametrize("fail", [refused_by_the_brake, refused_by_the_method])
def test_an_ending_that_fails_can_still_be_released(service: Service, fail: Callable[[Service], Any]) -> None:
    """Nobody was touched, nobody is left stopped but who was before, and the service may start children again."""
    service.throttle()
    before = service.children
    fail(service)
    assert service.children == before
    assert [task.state for task in service.tasks()].count("T") == 1
    released = service.throttle("released")
    assert (released["released"], released["in_force"]) == (1, 0), released
    assert service.end(grace_period=0.1)["problem"], "it starts them again: the limit is gone"
    assert service.births > len(KINDS)
    service.twin.assert_unharmed()


@pytest.fixture
def job(service: Service) -> Task:
    """A shell that the master's service has started beside its other children, and that starts more and more itself."""
    before = {task.pid for task in service.tasks()}
    command = ["dash", "-c", "while :; do sleep 300 & sleep 0.02; done"]
    service.arena.start(command, cgroup=SERVICE)
    wait_until(lambda: len(service.tasks()) > len(before) + 10, 10, "it multiplies")
    return min((task for task in service.tasks() if task.pid not in before), key=lambda task: task.inside)


def test_a_shell_that_gives_up_when_it_is_refused_a_child_leaves_none(service: Service, job: Task) -> None:
    """Stopped first with all it has started, or the throttle would make it end, and its children nobody's."""
    others = {task.pid for task in service.tasks() if task.name != "sleep"} - {job.pid}
    frozen = service.freeze(tree=[job.inside])
    assert frozen["converged"], frozen
    assert frozen["frozen"] > 10, frozen
    assert service.throttle()["converged"]
    found = service.end(selector={"tree": [job.inside]}, grace_period=5)
    assert (found["converged"], found["survivors_total"]) == (True, 0), found
    assert found["terminated"] >= frozen["frozen"] > 10, "SIGTERM is enough for what was stopped here"
    assert {task.pid for task in service.tasks()} == others
    service.throttle("released")
    service.twin.assert_unharmed()


def test_a_job_that_is_not_ended_after_all_goes_on(service: Service, job: Task) -> None:
    """What was stopped before that, by itself, stays so."""
    frozen = service.freeze(tree=[job.inside])
    count = len(service.tasks())
    found = service.thaw(tree=[job.inside])
    assert found["thawed"] == frozen["frozen"] > 10, found
    wait_until(lambda: len(service.tasks()) > count + 5, 10, "it multiplies again")
    assert [task.state for task in service.tasks()].count("T") == 1
    service.twin.assert_unharmed()


def test_a_shell_that_was_not_stopped_first_leaves_its_children(service: Service, job: Task) -> None:
    """Why it is."""
    assert service.throttle()["converged"]
    wait_until(lambda: job.pid not in {task.pid for task in service.tasks()}, 10, "it gives up")
    assert service.end(selector={"tree": [job.inside]})["matched"] == 0
    assert sum(task.name == "sleep" for task in service.tasks()) > 10
