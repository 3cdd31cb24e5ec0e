# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Triage and remedy of a fleet: each host is a PID namespace with a process table, a /run and a bomb of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.storm.arena import TOOLS, Arena
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

SLOTS = 320
SPARE = 15


class Fleet:
    """Hosts by name; the controller reaches each by entering its namespaces."""

    def __init__(self, controller: Controller, home: Path, arenas: dict[str, Arena]) -> None:
        self.controller, self.home, self.arenas = controller, home, arenas

    def storm(self, *names: str) -> None:
        for name in names:
            self.arenas[name].spare(SPARE)
            self.arenas[name].bomb("nap")
        for name in names:
            self.arenas[name].wait_full(spare=SPARE, share=1)  # to the last one: it is counted afterwards

    def living(self) -> dict[str, int]:
        return {name: len(arena.living()) for name, arena in self.arenas.items()}

    def play(self, playbook: str, *arguments: str, **more: dict[str, t.Any]) -> Run:
        inventory = {name: _reached(arena) for name, arena in self.arenas.items()}
        for name, variables in more.items():
            inventory[name] = {**inventory.get(name, {}), **variables}
        # A bomb that is short of its limit for a moment has to count as well.
        settings = {"triage_directory": f"{self.home}/report", "triage_critical": 0.6, "triage_warning": 0.5}
        return self.controller.run_playbook(
            f"hostcare.remediation.{playbook}", inventory, "-e", json.dumps(settings), *arguments
        )

    @property
    def report(self) -> dict[str, t.Any]:
        return dict(json.loads((self.home / "report" / "triage.json").read_text()))


def _reached(arena: Arena) -> dict[str, t.Any]:
    cgroups = " ".join(f"--cgroup {directory}" for directory in arena.grounds.make(TOOLS))
    python = f"{program('enter')} {arena.init} {cgroups} -- /usr/bin/python3"
    return {"ansible_connection": "local", "ansible_python_interpreter": python, "hostcare_session_timeout": "5s"}


@pytest.fixture
def fleet(controller: Controller, tmp_path: Path) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        # Not by pid_max: each fork takes a number before it is refused, and the few that are left have all been
        # taken for a moment where many rogues try at once and the machine is busy.
        arenas = {f"web{one}": stack.enter_context(Arena(slots=SLOTS, full_by="pids.max")) for one in range(1, 5)}
        for arena in arenas.values():
            for directory in ("/run", "/var/lib"):
                assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        yield Fleet(controller, tmp_path, arenas)


def test_each_host_gets_its_remedy_and_the_healthy_one_nothing(fleet: Fleet) -> None:
    twins = {name: arena.innocent(name="rogue") for name, arena in fleet.arenas.items()}
    fleet.storm("web1", "web2", "web4")
    run = fleet.play("remediate")
    assert run.succeeded, run.output
    assert fleet.living() == dict.fromkeys(fleet.arenas, 0)
    for twin in twins.values():
        twin.assert_unharmed()
    assert fleet.report["plan"] == {"process_storm": ["web1", "web2", "web4"]}
    touched = [result.host for result in run.results if result.task.endswith("then end them")]
    assert sorted(touched) == ["web1", "web2", "web4"]
    assert touched[0] == "web1", "the canary is the first of the inventory"
    again = fleet.play("remediate")
    assert again.succeeded, again.output
    assert fleet.report["plan"] == {}
    assert not any(result.data.get("changed") for result in again.results)
    assert not any(result.task.startswith("hostcare.remediation.process_storm") for result in again.results)


@pytest.mark.once
def test_a_window_that_is_closed_and_a_plan_over_the_budget_stop_it_before_the_first_host(fleet: Fleet) -> None:
    fleet.storm("web1", "web2")
    before = fleet.living()
    tomorrow = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=2)).strftime("%a 00:00-24:00")
    for settings, why in (
        ({"hostcare_window": tomorrow}, "outside of hostcare_window"),
        ({"hostcare_window": "nights"}, "is no window"),
        ({"hostcare_max_hosts": 1}, "2 hosts have something to remedy, more than hostcare_max_hosts=1"),
    ):
        run = fleet.play("remediate", "-e", json.dumps(settings))
        assert not run.succeeded, run.output
        assert why in " ".join(run.output.split()), run.output
        assert fleet.living() == before, settings
    opened = fleet.play("remediate", "-e", json.dumps({"hostcare_window": "00:00-24:00", "hostcare_max_hosts": 2}))
    assert opened.succeeded, opened.output
    assert fleet.living() == dict.fromkeys(fleet.arenas, 0)


@pytest.mark.once
def test_the_playbook_of_one_remedy_has_a_budget_of_hosts_too(fleet: Fleet) -> None:
    twin = fleet.arenas["web2"].innocent(name="rogue")
    fleet.storm("web1", "web2")
    before = fleet.living()
    settings = {"hostcare_hosts": "web1,web2", "process_storm_auto": True}
    over = fleet.play("process_storm", "-e", json.dumps({**settings, "hostcare_max_hosts": 1}))
    assert not over.succeeded
    assert "This run is for 2 hosts, more than hostcare_max_hosts=1" in over.output
    assert fleet.living() == before
    equal = fleet.play("process_storm", "-e", json.dumps({**settings, "hostcare_max_hosts": 2}))
    assert equal.succeeded, equal.output
    assert fleet.living() == dict.fromkeys(fleet.arenas, 0)
    twin.assert_unharmed()


@pytest.mark.once
def test_in_check_mode_it_is_the_assessment(fleet: Fleet) -> None:
    fleet.storm("web1", "web2")
    before = fleet.living()
    run = fleet.play("remediate", "--check")
    assert run.succeeded, run.output
    assert fleet.living() == before
    plans = [result.data for result in run.results if result.task.endswith("then end them")]
    assert [plan["matched"] for plan in plans] == [before["web1"], before["web2"]]


@pytest.mark.once
def test_after_a_canary_that_fails_nothing_is_touched(fleet: Fleet) -> None:
    fleet.storm("web1", "web2", "web3")
    before = fleet.living()
    run = fleet.play("remediate", web1={"process_storm_max_victims": 3})
    assert not run.succeeded, run.output
    assert "process_storm" in run.output
    assert fleet.living() == before
    acted = {result.host for result in run.results if result.task.startswith("hostcare.remediation.process_storm")}
    assert acted == {"web1"}
    assert fleet.report["plan"] == {"process_storm": ["web1", "web2", "web3"]}


@pytest.mark.once
def test_what_the_inventory_says_of_a_host_holds(fleet: Fleet) -> None:
    """Neither is every suspect acted on, nor another than the one that is named."""
    fleet.storm("web1", "web2")
    before = fleet.living()
    run = fleet.play(
        "remediate",
        web1={"process_storm_selector": {"name": ["somebody-else"], "user": ["games"]}},
        web2={"process_storm_auto": False},
    )
    assert run.succeeded, run.output
    assert fleet.living() == before


@pytest.mark.once
def test_hosts_that_cannot_be_measured_stand_in_the_report_and_end_nothing(fleet: Fleet) -> None:
    fleet.storm("web1")
    fleet.arenas["web2"].spare(1)
    dead = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "hostcare_session_timeout": 0}
    run = fleet.play(
        "remediate",
        "-e", "hostcare_hosts=all",
        aaa=dead,  # the first of all: what runs once must not depend on it
        bbb={"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent"},
        ccc={"ansible_connection": "local", "ansible_python_interpreter": "{{ undefined_variable }}"},
    )  # fmt: skip
    assert run.succeeded, run.output
    assert fleet.living()["web1"] == 0
    states = {host["name"]: host["state"] for host in fleet.report["hosts"]}
    assert states == {
        "web1": "critical", "aaa": "unreachable", "bbb": "failed", "ccc": "failed",
        "web2": "fine", "web3": "fine", "web4": "fine",
    }  # fmt: skip
    (published,) = (result.data["ansible_stats"]["data"]["hostcare_triage"] for result in run.results
                    if "ansible_stats" in result.data)  # fmt: skip
    assert published["counts"] == {"critical": 1, "unreachable": 1, "failed": 2, "warning": 0, "fine": 3}
    assert published["plan"] == {"process_storm": ["web1"]}
    reasons = {host["name"]: host["reason"] for host in fleet.report["hosts"]}
    assert reasons["aaa"]
    assert "/nonexistent" in reasons["bbb"]


def test_a_host_that_dies_with_a_connection_open_is_given_up(fleet: Fleet) -> None:
    hung = {"ansible_connection": "local", "ansible_python_interpreter": "sh -c 'exec sleep 30'"}
    run = fleet.play("triage", "-e", "hostcare_hosts=hung:web1", "-e", "triage_timeout=8", hung=hung)
    assert run.succeeded, run.output
    reasons = {host["name"]: host["reason"] for host in fleet.report["hosts"] if host["state"] == "failed"}
    assert list(reasons) == ["hung"]
    assert "8" in reasons["hung"], reasons


@pytest.mark.once
def test_one_task_a_host(fleet: Fleet) -> None:
    run = fleet.play("triage", "--limit", "web2,web3")
    assert run.succeeded, run.output
    tasks = {host: [result.task for result in run.results if result.host == host] for host in ("web2", "web3")}
    assert all(names.count("hostcare.remediation.triage : Measure") == 1 for names in tasks.values())
    # What reports runs once, for the first host; arguments are checked on the controller.
    assert len([name for name in tasks["web3"] if "Validating arguments" not in name]) == 1
    assert [host["name"] for host in fleet.report["hosts"]] == ["web2", "web3"]
    assert [result.data["ansible_stats"]["data"]["hostcare_triage"]["hosts"] for result in run.results
            if "ansible_stats" in result.data] == [2]  # fmt: skip
