# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The lean way heeds what a user sets, whatever the connection; where it is barred, the ordinary one is taken aloud."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.container import Container
from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.operators import Operator
from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, Login
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

TASK = LEAN["headroom_info"]
# Who is not root does not see all of it; of descriptors even root may not, in a container.
ALL_TO_SEE = {"hostcare.remediation.headroom_info": {"resources": ["process_slots"]}}
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}


def sessions(run: Run) -> int:
    """How many commands went to the host; the run needs -vvv."""
    return run.output.count("SSH: EXEC") + run.output.count("> EXEC")


class Recorder:
    """An interpreter that writes down its environment first."""

    def __init__(self, directory: Path) -> None:
        self._record = directory / "environment"
        self._record.touch()
        self._record.chmod(0o666)
        self.python = f"/bin/sh -c 'env >{self._record}; exec /usr/bin/python3'"

    def environment(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._record.read_text().splitlines() if "=" in line)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    return Recorder(tmp_path)


# --- always one session, whatever is configured ---


def test_one_session_whatever_is_configured(root: Login) -> None:
    run = root.play(
        TASK,
        live=True,
        host_vars={"ansible_pipelining": False, "ansible_remote_tmp": "/nonexistent/tmp"},
        environment={"ANSIBLE_PIPELINING": "false", "ANSIBLE_KEEP_REMOTE_FILES": "true", "ANSIBLE_SSH_RETRIES": "2"},
        arguments=["-vvv"],
    )
    assert run.only.status == "ok", run.output
    assert sessions(run) == 1
    assert "sleep 0" not in run.output
    assert "needs 1 free process slot over a live connection" in run.output


def test_a_loop_takes_one_session_an_item(root: Login) -> None:
    run = root.play(TASK | {"loop": [1, 2, 3]}, live=True, arguments=["-vvv"])
    assert run.only.status == "ok", run.output
    assert sessions(run) == 3


def test_check_mode_changes_nothing(root: Login, tmp_path: Path) -> None:
    program = shutil.copy("/bin/sleep", tmp_path / f"hcv{uuid.uuid4().hex[:8]}")
    bystander = subprocess.Popen([program, "300"], start_new_session=True)
    task = {"hostcare.remediation.rogue_process": {"state": "killed", "name": [Path(program).name]}}
    try:
        answer = root.play(task, live=True, arguments=["--check"]).only
        assert (answer.status, answer.data["changed"], answer.data["matched"]) == ("ok", True, 1), answer.data
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_async_is_refused(root: Login) -> None:
    answer = root.play(TASK | {"async": 10, "poll": 1}, live=True).only
    assert answer.status == "failed"
    assert re.search("does not support async|async is not supported", answer.data["msg"])


# --- environment ---


def test_environment_of_the_task_is_honoured(root: Login, recorder: Recorder) -> None:
    wanted = {"HOSTCARE_TEST": """it's "quite" $HOME; odd""", "TMPDIR": "/var/tmp", "NUMBER": 7}
    answer = root.play(
        TASK | {"environment": wanted}, live=True, host_vars={"ansible_python_interpreter": recorder.python}
    ).only
    assert answer.status == "ok", answer.data
    found = recorder.environment()
    assert {name: found[name] for name in wanted} == {name: str(value) for name, value in wanted.items()}
    assert (found["TEMP"], found["LC_ALL"]) == ("/run", "C")


def test_python_reads_the_module_in_one_piece(controller: Controller, recorder: Recorder) -> None:
    """PYTHONUNBUFFERED in the host's environment would make it read byte by byte."""
    answer = controller.play(
        LOCAL | {"ansible_python_interpreter": recorder.python},
        TASK,
        environment={"PYTHONUNBUFFERED": "1"},
    ).only
    assert answer.status == "ok", answer.data
    found = recorder.environment()
    assert "PYTHONUNBUFFERED" not in found
    assert (found["LC_ALL"], found["TMPDIR"]) == ("C", "/dev/shm")


# --- interpreter ---


@pytest.mark.parametrize("setting", ["auto", "auto_silent", ""])
def test_nothing_is_discovered(root: Login, setting: str) -> None:
    run = root.play(TASK, live=True, host_vars={"ansible_python_interpreter": setting}, arguments=["-vvv"])
    assert run.only.status == "ok", run.output
    assert sessions(run) == 1
    assert "LC_ALL=C /usr/bin/python3" in run.output


def test_the_configured_interpreter_serves(controller: Controller, sshd: PrivateSshd, recorder: Recorder) -> None:
    environment = {"ANSIBLE_PYTHON_INTERPRETER": recorder.python}
    run = controller.play(sshd.inventory(persist=True), TASK, environment=environment)
    assert run.only.status == "ok", run.output
    assert recorder.environment()["LC_ALL"] == "C"


def test_a_discovered_interpreter_serves(controller: Controller, sshd: PrivateSshd, recorder: Recorder) -> None:
    fact = {"ansible.builtin.set_fact": {"discovered_interpreter_python": recorder.python, "cacheable": True}}
    run = controller.play(sshd.inventory(persist=True), fact, TASK)
    assert [result.status for result in run.results] == ["ok", "ok"], run.output
    assert recorder.environment()["LC_ALL"] == "C"


def test_a_delegated_task_takes_the_interpreter_of_its_host(
    controller: Controller, sshd: PrivateSshd, recorder: Recorder
) -> None:
    run = controller.play(
        {"ansible_host": "hostcare.invalid", "ansible_python_interpreter": "/nonexistent/python"},
        TASK | {"delegate_to": "other"},
        inventory={"other": sshd.inventory(persist=True) | {"ansible_python_interpreter": recorder.python}},
    )
    assert run.only.status == "ok", run.output
    assert recorder.environment()["LC_ALL"] == "C"


@pytest.mark.parametrize("connection", ["ssh", "local"])
def test_a_missing_interpreter_is_named(controller: Controller, sshd: PrivateSshd, connection: str) -> None:
    way = sshd.inventory(persist=True) if connection == "ssh" else LOCAL
    answer = controller.play(way | {"ansible_python_interpreter": "/opt/nowhere/python3"}, TASK).only
    assert answer.status == "failed"
    assert "cannot run /opt/nowhere/python3. Set ansible_python_interpreter" in answer.data["msg"]


# --- names ---


@pytest.mark.parametrize("defaults", ["hostcare.remediation.headroom_info", "group/hostcare.remediation.remediation"])
def test_module_defaults_reach_the_module(root: Login, defaults: str) -> None:
    answer = root.play(TASK, live=True, module_defaults={defaults: {"top": 1}}).only
    assert answer.status == "ok", answer.data
    assert len(answer.data["process_table"]["by_name"]) == 1


def test_short_names_take_the_lean_way_too(root: Login) -> None:
    run = root.play({"headroom_info": {}}, live=True, collections=["hostcare.remediation"], arguments=["-vvv"])
    assert run.only.status == "ok", run.output
    assert sessions(run) == 1


# --- become ---


def test_sudo_is_left_out_for_one_and_the_same_user(root: Login) -> None:
    run = root.play(TASK, live=True, become=True, arguments=["-vvv"])
    assert run.only.status == "ok", run.output
    assert "sudo -H" not in run.output


@pytest.mark.parametrize("variables", [{}, {"ansible_sudo_chdir": "/usr"}], ids=["plain", "chdir"])
def test_sudo_takes_one_session(sudoer: Login, variables: dict[str, str]) -> None:
    run = sudoer.play(ALL_TO_SEE, live=True, host_vars=variables, arguments=["-vvv"])
    assert run.only.status == "ok", run.output
    assert run.only.data["partial"] is False
    assert sessions(run) == 1


def test_sudo_takes_one_session_over_the_local_connection(
    controller: Controller, operator: Operator, recorder: Recorder
) -> None:
    run = controller.play(
        LOCAL | {"ansible_python_interpreter": recorder.python},
        TASK,
        become=True,
        become_user=operator.name,
        arguments=["-vvv"],
    )
    assert run.only.status == "ok", run.output
    assert recorder.environment()["USER"] == operator.name
    assert sessions(run) == 1
    assert "sudo -H" in run.output


def test_sudo_with_a_password(controller: Controller, sshd: PrivateSshd) -> None:
    with Operator(password="right") as operator:
        way = sshd.inventory(persist=True, user=operator.name) | {"ansible_python_interpreter": "/usr/bin/python3"}
        right = controller.play(way | {"ansible_become_password": "right"}, ALL_TO_SEE, become=True).only
        assert right.status == "ok", right.data
        assert right.data["partial"] is False
        wrong = controller.play(way | {"ansible_become_password": "wrong"}, TASK, become=True)
        assert wrong.only.status == "failed"
        assert "Incorrect sudo password" in wrong.only.data["msg"]
        sshd.close_masters()


# --- where the lean way is barred ---


def took_the_ordinary_way(run: Run, because: str) -> None:
    assert run.only.status == "ok", run.output
    assert "takes the ordinary way" in run.only.warnings, run.output
    assert because in run.only.warnings


def test_su_takes_the_ordinary_way(root: Login, operator: Operator) -> None:
    run = root.play(TASK, live=True, become=True, become_method="su", become_user=operator.name)
    took_the_ordinary_way(run, "the become method su wants a terminal")


def test_requiretty_takes_the_ordinary_way(controller: Controller, sshd: PrivateSshd) -> None:
    with Operator("Defaults:{user} requiretty") as operator:
        run = controller.play(sshd.inventory(persist=True, user=operator.name), TASK, become=True)
        took_the_ordinary_way(run, "you must have a tty")
        sshd.close_masters()


@pytest.mark.parametrize("arguments", ["-tt", "-o RequestTTY=force"])
def test_a_terminal_asked_of_ssh_takes_the_ordinary_way(root: Login, arguments: str) -> None:
    run = root.play(TASK, live=True, host_vars={"ansible_ssh_extra_args": arguments})
    took_the_ordinary_way(run, "ssh is told to ask for a terminal")


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with Container(tmp_path) as container:
        yield container


def test_podman(controller: Controller, container: Container) -> None:
    """Lean with containers.podman 1.19 and later, whose connection can pipeline; in the ordinary way, aloud, before."""
    variables = {"ansible_python_interpreter": "/usr/bin/python3"}
    for module in ("headroom_info", "rogue_process"):
        run = controller.play(container.inventory() | variables, LEAN[module], environment=container.environment)
        assert run.only.status == "ok", run.output
        if "ordinary way" in run.only.warnings:
            assert "podman connection cannot send a module on standard input" in run.only.warnings
