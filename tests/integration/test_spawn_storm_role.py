# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The role spawn_storm on a host with a process table, a /run and cgroups of its own: what it ends, and lets go of."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shlex
import signal
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.storm import TOOLS, Arena, hierarchies
from ansible_collections.hostcare.remediation.tests.support.storm.arena import Task, wait_until
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif("unified" not in hierarchies(), reason="this machine has no cgroup v2 tree to name units in"),
]

# So often something is asked of the host: look; throttle and end; let go and look again; release the lock.
INCIDENT, ROUND = 4, 3
# No names of other hosts on this machine: a v1 hierarchy does not list processes of other PID namespaces.
JOBS, WEB = "system.slice/hcv-jobs.service", "system.slice/hcv-web.service"
RUNAWAY = "(trap '' TERM; exec sleep 301) & sleep 302 & kill -STOP $!; while :; do sleep 303 & sleep 0.05; done"
DEAF = "trap '' TERM; "
# A main process with a job that forks without end, and one that works.
DAEMON = "sleep 999 & bash -c {} & wait"
# A main process that multiplies itself.
SPAWNER = """
import subprocess, time
while True:
    try:
        subprocess.Popen(["sleep", "304"])
    except OSError:
        pass
    time.sleep(0.03)
"""


class Host:
    def __init__(self, controller: Controller, arena: Arena, directory: Path) -> None:
        self.controller, self.arena, self._counted = controller, arena, directory / "tasks.json"
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        self.twin = arena.innocent(name="bash", cgroup=WEB)

    def storm(self, job: str = RUNAWAY) -> None:
        self.arena.start(["bash", "-c", DAEMON.format(shlex.quote(job))], cgroup=JOBS)
        wait_until(lambda: len(self.living()) > 20, 20, "it multiplies")

    def living(self) -> list[Task]:
        return self.arena.living(JOBS)

    def job(self) -> list[Task]:
        return [task for task in self.living() if task.name == "bash"][1:]

    def assert_goes_on(self) -> None:
        assert self.limit == "max"
        before = len(self.living())
        wait_until(lambda: len(self.living()) > before, 10, "nobody was ended, nobody is held back")
        assert [task.state for task in self.living()].count("T") == 1, "what had stopped itself"
        self.twin.assert_unharmed()

    @property
    def limit(self) -> str:
        return (self.arena.grounds.pids(JOBS) / "pids.max").read_text().strip()

    def play(self, *arguments: str, **variables: t.Any) -> Run:
        cgroups = " ".join(f"--cgroup {directory}" for directory in self.arena.grounds.make(TOOLS))
        python = f"{program('enter')} {self.arena.init} {cgroups} -- /usr/bin/python3"
        host = {"ansible_connection": "local", "ansible_python_interpreter": python}
        counting = {"ANSIBLE_CALLBACKS_ENABLED": "hostcare_tasks", "HOSTCARE_TASKS": str(self._counted)}
        wish = {
            "spawn_storm_auto": True, "spawn_storm_duration": "2s", "spawn_storm_min_growth": 15,
            "spawn_storm_grace_period": "1s", "spawn_storm_timer": False, **variables,
        }  # fmt: skip
        return self.controller.run_playbook(
            "hostcare.remediation.spawn_storm", {"web1": host}, "-e", json.dumps(wish), *arguments, environment=counting
        )

    @property
    def tasks(self) -> list[str]:
        """The names of those of the last run that asked something of the host."""
        return list(json.loads(self._counted.read_text())["web1"]["host_tasks"])


@pytest.fixture
def host(controller: Controller, tmp_path: Path) -> Iterator[Host]:
    with Arena(700) as arena:
        yield Host(controller, arena, tmp_path)


def test_a_job_is_ended_and_its_service_goes_on(host: Host) -> None:
    host.storm()
    run = host.play(spawn_storm_timer=True)
    assert run.succeeded, run.output
    assert len(host.tasks) <= INCIDENT, host.tasks
    assert len(host.living()) == 2, "the daemon, and its job that works"
    assert host.limit == "max"
    host.twin.assert_unharmed()


@pytest.mark.parametrize(
    "brake, said",
    [
        pytest.param({"spawn_storm_budget": 0}, "max_remedies is 0", id="the lock"),
        pytest.param({"spawn_storm_max_victims": 1}, "max_victims", id="the freeze, and so the end"),
        pytest.param({"spawn_storm_max_processes": 1}, "max_processes", id="the throttle"),
        pytest.param({"spawn_storm_grace_period": "soon"}, "grace_period", id="the end alone"),
    ],
)
def test_what_is_not_ended_after_all_goes_on(host: Host, brake: dict[str, t.Any], said: str) -> None:
    host.storm()
    run = host.play(**brake)
    assert not run.succeeded
    assert said in run.output
    assert len(host.tasks) <= INCIDENT, host.tasks
    host.assert_goes_on()


def test_what_was_stopped_goes_on_where_its_end_was_killed(host: Host) -> None:
    """All of the job is still, and the process that is to end it dies."""
    host.storm(DEAF + RUNAWAY)
    with concurrent.futures.ThreadPoolExecutor() as aside:
        played = aside.submit(host.play, spawn_storm_grace_period="30s")
        wait_until(lambda: {task.state for task in host.job()} == {"T"}, 60, "the job is stopped", every=0.002)
        for task in host.arena.living(TOOLS):
            os.kill(task.pid, signal.SIGKILL)
        run = played.result()
    assert not run.succeeded
    assert host.tasks[-1].endswith("Release the lock of the host")
    host.assert_goes_on()


def test_who_storms_again_after_the_release_is_throttled_for_longer(host: Host) -> None:
    host.arena.start([sys.executable, "-c", SPAWNER], cgroup=JOBS)
    wait_until(lambda: len(host.living()) > 20, 20, "it multiplies")
    run = host.play(
        spawn_storm_rounds=1, spawn_storm_release_after="2s", spawn_storm_jitter=0, spawn_storm_duration="1s"
    )
    assert run.succeeded, run.output
    assert len(host.tasks) <= INCIDENT + ROUND, host.tasks
    report = "\n".join(run.results[-1].data["msg"])
    assert report.count("hcv-jobs.service: throttled") == 2, report
    assert report.count(" ended, ") == 2, report
    assert any(task.name != "sleep" for task in host.living()), "the spawner itself was not meant"
    assert host.limit != "max"
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
