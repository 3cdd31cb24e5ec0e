# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The role without anything to cure, and with wishes that it has to refuse; the cure itself is a Molecule scenario."""

from __future__ import annotations

import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run, python_behind
from ansible_collections.hostcare.remediation.tests.support.ipc.bench import APP, SERVICE, program

ROLE = "hostcare.remediation.semaphore_leak"

# What is asked for, and what the refusal names.
REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "no unit": ({"semaphore_leak_service": "apache2"}, "that is no service of systemd"),
    "a path": ({"semaphore_leak_service": "../cron.service"}, "that is no service of systemd"),
    "an option": ({"semaphore_leak_service": "--user.service"}, "that is no service of systemd"),
    "a time for no unit": ({"semaphore_leak_stop_timeout": "5min"}, "Name the unit in semaphore_leak_service"),
    "no time": (
        {"semaphore_leak_stop_timeout": "soon", "semaphore_leak_service": "cron.service"},
        "give a time as in systemd.time(7)",
    ),
    "three numbers": ({"semaphore_leak_kernel_sem": "250 32000 32"}, "Give four numbers"),
    "words": ({"semaphore_leak_kernel_sem": "250 32000 32 many"}, "Give four numbers"),
    "a command": ({"semaphore_leak_kernel_sem": "250 32000 32 $(id)"}, "Give four numbers"),
    "a lost blank": ({"semaphore_leak_kernel_sem": "25032000 32 512 128"}, "SEMMNS may be smaller neither than SEMMSL"),
    "fewer semaphores than arrays": ({"semaphore_leak_kernel_sem": "8 16 32 128"}, "nor than SEMMNI"),
    "none": ({"semaphore_leak_kernel_sem": "250 32000 0 128"}, "none may be 0"),
    "more arrays than the kernel takes": ({"semaphore_leak_kernel_sem": "250 32000 32 32769"}, "at most 32768"),
    "less than there is": ({"semaphore_leak_kernel_sem": "1 1 1 1"}, "this host has 2 arrays"),
    "a mutex that leaks": ({"semaphore_leak_mutex": "sysvsem"}, "must be one of"),
    "a mutex for nobody": ({"semaphore_leak_mutex": "pthread"}, "this host has no Apache in a place that is known"),
}


# A process table, arrays, and directories for locks of its own.
OF_ITS_OWN = (
    "unshare", "--ipc", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
    "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && echo ready && exec sleep 600",
)  # fmt: skip
LEAKED, USER = 3, "54329"  # whom nobody else on the machine is


class Host:
    """Namespaces with two arrays that are in use, to which the role is played."""

    def __init__(self, controller: Controller, directory: Path) -> None:
        self.controller = controller
        self.keeper = subprocess.Popen(OF_ITS_OWN, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout is not None
        assert self.keeper.stdout.readline() == "ready\n"
        inner = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().strip()
        self.enter = ["nsenter", f"--target={inner}", "--ipc", "--pid", "--mount"]
        self.python = python_behind(self.enter, directory)
        (directory / SERVICE).symlink_to(program("holder"))
        self.holders = [
            subprocess.Popen([*self.enter, directory / SERVICE, "set", str(APP)], stdout=subprocess.PIPE, text=True)
            for _number in range(2)
        ]
        for holder in self.holders:
            assert holder.stdout is not None
            holder.stdout.readline()

    def play(self, *tasks: dict[str, t.Any], arguments: t.Sequence[str] = ()) -> Run:
        host_vars = {"ansible_connection": "local", "ansible_python_interpreter": str(self.python)}
        return self.controller.play(host_vars, *tasks, arguments=arguments)

    def state(self) -> str:
        files = ("/proc/sysvipc/sem", "/proc/sys/kernel/sem")
        return subprocess.run([*self.enter, "cat", *files], check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        for process in [*self.holders, self.keeper]:
            process.kill()
            process.wait()


@pytest.fixture
def host(controller: Controller, tmp_path: Path) -> Iterator[Host]:
    host = Host(controller, tmp_path)
    yield host
    host.close()


@pytest.mark.parametrize("entry_point", ["main", "assess"])
def test_with_the_defaults_a_host_is_looked_at_once_and_not_changed(host: Host, entry_point: str) -> None:
    before = host.state()
    role = {"name": ROLE, "tasks_from": f"{entry_point}.yml"}
    run = host.play({"name": "The role", "ansible.builtin.include_role": role})
    assert run.succeeded, run.output
    assert not any(result.data.get("changed") for result in run.results)
    (report,) = [result.data["msg"] for result in run.results if result.task.endswith(" : Report")]
    assert "REMEDY  no orphan is known here: nothing to remove." in report
    assert not any(line.startswith(("TO ACT", "SO THAT", "UNIT", "REPAIR")) for line in report), report
    assert host.state() == before


@pytest.mark.once
def test_what_cannot_be_meant_is_refused_with_the_reason_before_anything_is_touched(host: Host) -> None:
    before = host.state()
    tasks = [
        {
            "name": wish,
            "block": [
                {"name": "Ask", "ansible.builtin.include_role": {"name": ROLE}, "vars": variables},
                {"name": "Go on", "ansible.builtin.fail": {"msg": "it was not refused"}},
            ],
            "rescue": [{"name": f"said: {wish}", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}],
        }
        for wish, (variables, _named) in REFUSED.items()
    ]
    run = host.play(*tasks)
    said = {
        result.task.removeprefix("said: "): " ".join(str(result.data["msg"]).split())
        for result in run.results
        if result.task.startswith("said: ")
    }
    assert {wish: named in said.get(wish, "") for wish, (_variables, named) in REFUSED.items()} == dict.fromkeys(
        REFUSED, True
    ), said
    assert host.state() == before
    assert not Path("/etc/sysctl.d/60-hostcare-semaphore_leak.conf").exists()


@pytest.mark.once
def test_a_lock_that_is_refused_leaves_the_orphans(host: Host) -> None:
    subprocess.run([*host.enter, program("csem"), "make", str(LEAKED), USER], check=True)
    before = host.state()
    time.sleep(3)  # or they are too young to be told from those in use
    wish = {
        "semaphore_leak_selector": {"owner": [USER]},
        "semaphore_leak_min_age": "1s",
        "semaphore_leak_budget": 1,
    }
    lock = {"remedy": "semaphore_leak", "owner": "another", "max_remedies": 1}
    run = host.play(
        {"name": "Hold", "hostcare.remediation.remedy_lock": {"state": "held", **lock}},
        {"name": "Busy", "ansible.builtin.include_role": {"name": ROLE}, "vars": wish},
        {"name": "Release", "hostcare.remediation.remedy_lock": {"state": "released", "remedied": True, **lock}},
        {"name": "Spent", "ansible.builtin.include_role": {"name": ROLE, "tasks_from": "assess.yml"}, "vars": wish},
        {
            "name": "Ask for more than the budget has",
            "block": [{"name": "Ask", "ansible.builtin.include_role": {"name": ROLE}, "vars": wish}],
            "rescue": [{"name": "Refused", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}],
        },
    )
    assert run.succeeded, run.output
    reports = [result.data["msg"] for result in run.results if result.task.endswith(" : Report")]
    assert [sum(line.startswith("LOCK  ") for line in report) for report in reports] == [1, 1, 1], reports
    (refusal,) = [result.data["msg"] for result in run.results if result.task == "Refused"]
    assert refusal.startswith("lock: "), refusal
    assert host.state() == before
    more = {**wish, "semaphore_leak_budget": 2}
    run = host.play({"name": "Within it", "ansible.builtin.include_role": {"name": ROLE}, "vars": more})
    assert run.succeeded, run.output
    assert len(before.splitlines()) - len(host.state().splitlines()) == LEAKED
