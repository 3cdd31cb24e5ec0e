# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The kernel's limits of descriptors for good; the cure of a leak is a Molecule scenario.

They are the machine's: no namespace has its own. So files of the test lie over those of the kernel.
"""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run, python_behind

pytestmark = pytest.mark.once

ROLE = "hostcare.remediation.fd_leak"
NR_OPEN, WATCHES = "fs/nr_open", "fs/inotify/max_user_watches"
BEFORE = {NR_OPEN: 100000, WATCHES: 20000}
KEPT = "/etc/sysctl.d/60-hostcare-fd_leak.conf"
SET_UP = """
for directory in /run /var/lib /etc/sysctl.d; do mount -t tmpfs tmpfs $directory || exit; done
for limit; do
    file=/run/limits/${limit%=*}
    mkdir -p ${file%/*} && echo ${limit#*=} >$file && mount --bind $file /proc/sys/${limit%=*} || exit
done
echo ready && exec sleep 600
"""


class Host:
    """A mount namespace to which the role is played, with limits of the test's own."""

    def __init__(self, controller: Controller, directory: Path) -> None:
        self.controller = controller
        limits = [f"{name}={value}" for name, value in BEFORE.items()]
        command = ["unshare", "--mount", "sh", "-c", SET_UP, "sh", *limits]
        self.keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout is not None
        assert self.keeper.stdout.readline() == "ready\n"
        self.enter = ["nsenter", f"--target={self.keeper.pid}", "--mount"]
        self.python = python_behind(self.enter, directory)

    def play(self, limits: t.Mapping[str, int], *arguments: str, entry_point: str = "main") -> Run:
        host_vars = {"ansible_connection": "local", "ansible_python_interpreter": str(self.python)}
        role = {"name": ROLE, "tasks_from": f"{entry_point}.yml"}
        wish = {"fd_leak_sysctl": limits, "fd_leak_samples": 1}
        task = {"name": "The role", "ansible.builtin.include_role": role, "vars": wish}
        return self.controller.play(host_vars, task, arguments=arguments)

    def run(self, *command: str) -> str:
        done = subprocess.run([*self.enter, *command], check=False, capture_output=True, text=True)
        return done.stdout

    def limits(self) -> dict[str, int]:
        return {name: int(self.run("cat", f"/proc/sys/{name}")) for name in BEFORE}

    def close(self) -> None:
        self.keeper.kill()
        self.keeper.wait()


@pytest.fixture
def host(controller: Controller, tmp_path: Path) -> Iterator[Host]:
    host = Host(controller, tmp_path)
    yield host
    host.close()


def machine() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in BEFORE}


def changed(run: Run) -> list[str]:
    return [result.task for result in run.results if result.data.get("changed")]


def report(run: Run) -> str:
    (found,) = [result.data["msg"] for result in run.results if result.task.endswith(" : Report")]
    return "\n".join(found)


MORE = {"fs.nr_open": 200000, "fs.inotify.max_user_watches": 20000}


def test_a_larger_limit_holds_now_and_from_the_next_boot_and_is_set_once(host: Host) -> None:
    before = machine()
    for arguments, entry_point in (("--check",), "main"), ((), "assess"):
        asked = host.play(MORE, *arguments, entry_point=entry_point)
        assert asked.succeeded, asked.output
        assert "FOR GOOD would be set" in report(asked)
        assert host.limits() == BEFORE
        assert host.run("ls", "/etc/sysctl.d") == ""
    run = host.play(MORE)
    assert run.succeeded, run.output
    assert "FOR GOOD\n  fs.inotify.max_user_watches, fs.nr_open by" in report(run)
    assert host.limits() == {NR_OPEN: 200000, WATCHES: 20000}
    kept = [line for line in host.run("cat", KEPT).splitlines() if not line.startswith("#")]
    assert kept == ["fs.inotify.max_user_watches = 20000", "fs.nr_open = 200000"]
    again = host.play(MORE)
    assert again.succeeded, again.output
    assert changed(again) == []
    assert machine() == before


def test_one_that_cannot_be_set_is_said_and_the_other_is_set(host: Host) -> None:
    host.run("mount", "-o", "remount,bind,ro", f"/proc/sys/{NR_OPEN}")
    run = host.play({"fs.nr_open": 200000, "fs.inotify.max_user_watches": 30000})
    assert not run.succeeded
    assert "holds from the next boot, but not all of" in run.output
    assert "/proc/sys/fs/nr_open: Read-only file system" in run.output
    assert host.limits() == {NR_OPEN: 100000, WATCHES: 30000}
    assert "fs.nr_open = 200000" in host.run("cat", KEPT)


@pytest.mark.parametrize(
    "limits, refusal",
    [
        ({"fs.nr_open": 99999, "fs.inotify.max_user_watches": 30000}, "would lower fs.nr_open"),
        ({"fs.nr_open": "many"}, "Give numbers for some of"),
        ({"kernel.pid_max": 65536}, "Give numbers for some of"),
    ],
)
def test_what_would_do_harm_is_refused_before_anything_is_touched(
    host: Host, limits: dict[str, t.Any], refusal: str
) -> None:
    run = host.play(limits)
    assert not run.succeeded
    assert refusal in run.output
    assert changed(run) == []
    assert host.limits() == BEFORE
    assert host.run("ls", "/etc/sysctl.d") == ""
