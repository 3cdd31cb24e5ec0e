# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A refused session is asked for again until the deadline; what waiting does not cure fails at once."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import Controller
from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, Login
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

TASK = LEAN["headroom_info"]
PERSISTED = re.compile(r"refused (\d+) sessions? in [\d.]+ s before it had a free process slot")


@contextmanager
def slots_after_refusals(cgroup: PidsCgroup, count: int = 3) -> Iterator[None]:
    """The limit is lifted as soon as it has refused so many forks, however slow this machine is."""
    until = cgroup.refusals + count
    over = threading.Event()

    def lift() -> None:
        while cgroup.refusals < until and not over.wait(0.01):
            pass
        cgroup.limit = None

    watcher = threading.Thread(target=lift)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def master_pid(sshd: PrivateSshd) -> str:
    ask = ["ssh", "-O", "check", *sshd.options(persist=True), "x"]
    said = subprocess.run(ask, capture_output=True, text=True, check=False)
    found = re.search(r"pid=(\d+)", said.stderr)
    assert found, said
    return found[1]


@pytest.mark.parametrize("live, free", [(True, 0), (False, 0), (False, 1)], ids=["live", "fresh", "fresh, half way"])
def test_a_slot_that_comes_is_taken(root: Login, live: bool, free: int) -> None:
    root.leave_free(free, live)
    master = master_pid(root.sshd) if live else None
    with slots_after_refusals(root.cgroup):
        run = root.play(TASK, live, host_vars={"hostcare_session_timeout": "2m"})
    assert run.only.status == "ok", run.output
    found = PERSISTED.search(run.only.warnings)
    assert found, run.output
    assert int(found[1]) >= 2
    if live:
        assert master_pid(root.sshd) == master, "the connection that was open before was given up"


def test_sudo_that_cannot_fork_is_tried_again(sudoer: Login) -> None:
    sudoer.leave_free(1, live=True)  # for the session, none for what sudo starts
    with slots_after_refusals(sudoer.cgroup):
        run = sudoer.play(TASK, live=True, host_vars={"hostcare_session_timeout": "2m"})
    assert run.only.status == "ok", run.output
    assert PERSISTED.search(run.only.warnings), run.output


@pytest.mark.parametrize("live", [True, False], ids=["live", "fresh"])
def test_the_deadline_ends_it(root: Login, live: bool) -> None:
    root.leave_free(0, live)
    run = root.play(TASK, live, host_vars={"hostcare_session_timeout": "3s"})
    assert run.only.status == "unreachable", run.output
    found = re.search(
        r"target gave no session in (\d+) attempts over ([\d.]+) s: it has no free process slot, or .*"
        r"The last refusal: \S.*"
        r"Raise hostcare_session_timeout",
        run.only.data["msg"],
    )
    assert found, run.output
    assert int(found[1]) >= 4
    assert 3 <= float(found[2]) < 20


def test_what_was_started_is_not_started_again(root: Login, tmp_path: Path) -> None:
    """Python dies of a signal: ssh ends with 255 and no word, as it does when the host cannot fork."""
    starts = tmp_path / "starts"
    python = f"/bin/sh -c 'echo started >>{starts}; kill -9 $$'"
    root.leave_free(20, live=True)
    run = root.play(
        TASK, live=True, host_vars={"ansible_python_interpreter": python, "hostcare_session_timeout": "20s"}
    )
    assert run.only.status in ("failed", "unreachable"), run.output
    assert starts.read_text() == "started\n"
    assert "It may have acted, so it is not sent again" in run.output


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"ansible_user": "hostcare-nobody"}, "Permission denied"),
        ({"ansible_port": 1}, "Connection refused"),
        ({"ansible_host": "hostcare.invalid"}, "Could not resolve hostname"),
        (
            {"ansible_ssh_common_args": "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null"},
            "Host key verification",
        ),
    ],
    ids=["login", "port", "name", "host key"],
)
def test_what_waiting_does_not_cure_fails_at_once(root: Login, wrong: dict[str, object], said: str) -> None:
    if "ansible_ssh_common_args" in wrong:  # ssh takes the first value it is given
        common = root.sshd.inventory(persist=False)["ansible_ssh_args"]
        wrong = {"ansible_ssh_args": f"{wrong['ansible_ssh_common_args']} {common}"}
    began = time.monotonic()
    run = root.play(TASK, live=False, host_vars={"hostcare_session_timeout": "10m"} | wrong)
    assert run.only.status == "unreachable", run.output
    assert said in run.only.data["msg"]
    assert "attempts" not in run.only.data["msg"]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("value", ["soon", "-5s", "5 parsecs", True, [1]])
def test_a_bad_deadline_is_refused(root: Login, value: object) -> None:
    run = root.play(TASK, live=True, host_vars={"hostcare_session_timeout": value})
    assert run.only.status == "failed", run.output
    assert "hostcare_session_timeout" in run.only.data["msg"]
    assert "is not a duration" in run.only.data["msg"]


def test_the_deadline_of_a_task_wins(root: Login) -> None:
    root.leave_free(0, live=True)
    task = TASK | {"vars": {"hostcare_session_timeout": "{{ 1 + 1 }}s"}}
    run = root.play(task, live=True, host_vars={"hostcare_session_timeout": "10m"})
    assert run.only.status == "unreachable", run.output
    assert re.search(r"over 2\.\d s", run.only.data["msg"]), run.output


def test_no_log_hides_the_reason(root: Login) -> None:
    root.leave_free(0, live=True)
    run = root.play(TASK | {"no_log": True}, live=True, arguments=["-vvv"])
    assert run.only.status == "unreachable", run.output
    assert "kex" not in run.only.data.get("msg", "")
    assert "Connection" not in run.only.data.get("msg", "")


def test_a_local_shell_that_cannot_fork_is_tried_again(controller: Controller, tmp_path: Path) -> None:
    """Connections that return a code and no exception: the refusal is what the shell says."""
    tries = tmp_path / "tries"
    shell = tmp_path / "sh"
    shell.write_text(
        f"#!/bin/sh\necho try >>{tries}\n"
        f'if [ $(wc -l <{tries}) -lt 3 ]; then echo "sh: 0: Cannot fork" >&2; exit 2; fi\nexec /bin/sh "$@"\n'
    )
    shell.chmod(0o755)
    run = controller.play(
        {
            "ansible_connection": "local",
            "hostcare_session_timeout": "1m",
            "ansible_python_interpreter": "/usr/bin/python3",
        },
        TASK,
        environment={"ANSIBLE_EXECUTABLE": str(shell)},
    )
    assert run.only.status == "ok", run.output
    assert "refused 2 sessions" in run.only.warnings
    assert "Cannot fork" in run.only.warnings
