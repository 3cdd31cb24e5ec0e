# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The role spawn_storm on a host with a process table, a /run and cgroups of its own: what it ends, and lets go of."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.storm import TOOLS, Arena, hierarchies
from ansible_collections.hostcare.remediation.tests.support.storm.arena import Task, wait_until
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif("unified" not in hierarchies(), reason="this machine has no cgroup v2 tree to name units in"),
]

CRON, WEB = "system.slice/cron.service", "system.slice/web.service"
RUNAWAY = "(trap '' TERM; exec sleep 301) & sleep 302 & kill -STOP $!; while :; do sleep 303 & sleep 0.05; done"
# A main process with a job that forks without end, and one that works.
DAEMON = f"sleep 999 & bash -c {json.dumps(RUNAWAY).replace('$', chr(92) + '$')} & wait"


class Host:
    def __init__(self, controller: Controller, arena: Arena) -> None:
        self.controller, self.arena = controller, arena
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        self.twin = arena.innocent(name="bash", cgroup=WEB)

    def storm(self) -> None:
        self.arena.start(["bash", "-c", DAEMON], cgroup=CRON)
        wait_until(lambda: len(self.living()) > 20, 20, "it multiplies")

    def living(self) -> list[Task]:
        return self.arena.living(CRON)

    @property
    def limit(self) -> str:
        return (self.arena.grounds.pids(CRON) / "pids.max").read_text().strip()

    def play(self, *arguments: str, **variables: t.Any) -> Run:
        cgroups = " ".join(f"--cgroup {directory}" for directory in self.arena.grounds.make(TOOLS))
        python = f"{program('enter')} {self.arena.init} {cgroups} -- /usr/bin/python3"
        host = {"ansible_connection": "local", "ansible_python_interpreter": python}
        wish = {
            "spawn_storm_auto": True, "spawn_storm_duration": "2s", "spawn_storm_min_growth": 15,
            "spawn_storm_grace_period": "1s", "spawn_storm_timer": False, **variables,
        }  # fmt: skip
        return self.controller.run_playbook(
            "hostcare.remediation.spawn_storm", {"web1": host}, "-e", json.dumps(wish), *arguments
        )


@pytest.fixture
def host(controller: Controller) -> Iterator[Host]:
    with Arena(700) as arena:
        yield Host(controller, arena)


def test_a_job_is_ended_and_its_service_goes_on(host: Host) -> None:
    host.storm()
    run = host.play()
    assert run.succeeded, run.output
    assert len(host.living()) == 2, "the daemon, and its job that works"
    assert host.limit == "max"
    host.twin.assert_unharmed()


def test_the_throttle_is_released_also_when_the_ending_fails(host: Host) -> None:
    host.storm()
    run = host.play(spawn_storm_max_victims=1)
    assert not run.succeeded
    assert "max_victims" in run.output
    assert host.limit == "max"
    before = len(host.living())
    wait_until(lambda: len(host.living()) > before, 10, "nobody was ended, nobody is held back")
    host.twin.assert_unharmed()


def test_check_mode_changes_nothing(host: Host) -> None:
    host.storm()
    before = len(host.living())
    run = host.play("--check")
    assert run.succeeded, run.output
    assert "would be throttled" in run.output
    assert host.limit == "max"
    assert len(host.living()) > before
    host.twin.assert_unharmed()
