# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A host without one free process slot is remedied over a connection that is open, by its standby; where that cannot
be, the user is told why and the session is asked for as ever."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.mounts import empty
from ansible_collections.hostcare.remediation.tests.support.operators import Operator
from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, Login
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd
from ansible_collections.hostcare.remediation.tests.support.standby import SOCKET, Standby
from ansible_collections.hostcare.remediation.tests.support.storm.arena import wait_until

TASK = LEAN["headroom_info"]
ARMED = {"hostcare_standby": True}
# 50 where it is asked for how often it works.
ROUNDS = int(os.environ.get("HOSTCARE_STANDBY_ROUNDS", "3"))
STANDBY_RAN = "so its standby, which needs none, ran"
FORKS = re.compile(r"\b(fork|vfork|clone|clone3)\(")
CREATES = re.compile(r"O_CREAT|\b(mkdir|mkdirat|mknod|mknodat|symlink|symlinkat|rename|renameat2?|link|linkat)\(")
CALLS = "%process,openat,open,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,rename,renameat,renameat2,link,linkat"


@pytest.fixture
def standby(root: Login) -> Iterator[Standby]:
    """In the cgroup that will be full, where it can start nothing either; over a connection opened before."""
    root.leave_free(0, live=True)
    with Standby(root.sshd, root.cgroup.enter) as standby:
        root.cgroup.leave_free(0)
        yield standby


@pytest.fixture
def victims(tmp_path: Path, root: Login, standby: Standby) -> Iterator[str]:  # noqa: ARG001 (it is beside them)
    """Twenty rogues that hold the last slots, none of them in the session of the tests; and their name."""
    name = f"hcv{uuid.uuid4().hex[:8]}"
    program = shutil.copy("/bin/sleep", tmp_path / name)
    root.cgroup.limit = None
    started = [
        subprocess.Popen([program, "300"], start_new_session=True, preexec_fn=root.cgroup.enter)
        for _number in range(20)
    ]
    root.cgroup.leave_free(0)
    # the dead hold their slots until somebody takes note of them
    reaper = threading.Thread(target=lambda: [process.wait() for process in started])
    reaper.start()
    yield name
    for process in started:
        process.kill()
    reaper.join()


def not_helped(run: Run, because: str) -> None:
    """The session was asked for until the end, and nothing has run."""
    assert run.only.status == "unreachable", run.output
    assert "no free process slot, or is not to be reached" in run.only.data["msg"], run.output
    assert "Its standby did not help: " in run.only.data["msg"], run.output
    assert because in run.only.data["msg"], run.output


# --- it works ---


@pytest.mark.parametrize(
    "module",
    ["headroom_info", *(pytest.param(one, marks=pytest.mark.once) for one in ("rogue_process", "spawn_throttle"))],
)
def test_with_no_slot_at_all(root: Login, standby: Standby, tmp_path: Path, module: str) -> None:
    refused, opened = root.cgroup.refusals, descriptors_of_master(root.sshd)
    task = LEAN[module] | {"loop": list(range(ROUNDS))}
    run = root.play(task, live=True, host_vars=ARMED, environment={"TMPDIR": str(tmp_path)})
    assert run.only.status == "ok", run.output
    assert STANDBY_RAN in " ".join(run.output.split()), run.output
    assert standby.runs() == ROUNDS
    assert root.cgroup.refusals >= refused + ROUNDS, "there was a slot"
    assert root.cgroup.used == root.cgroup.limit
    deadline = time.monotonic() + 5  # the last one may still be closing
    while descriptors_of_master(root.sshd) > opened:
        assert time.monotonic() < deadline, "a way that was not closed"
        time.sleep(0.1)
    assert not list(tmp_path.glob("hostcare-*"))


def descriptors_of_master(sshd: PrivateSshd) -> int:
    said = subprocess.run(
        ["ssh", "-O", "check", *sshd.options(persist=True), "x"], capture_output=True, text=True, check=True
    )
    return len(os.listdir(f"/proc/{said.stderr.split('pid=')[1].split(')')[0]}/fd"))


@pytest.mark.once
def test_what_took_the_last_slots_is_killed_and_all_is_well(root: Login, standby: Standby, victims: str) -> None:
    innocent = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    task = {"hostcare.remediation.rogue_process": {"state": "killed", "name": [victims]}}
    try:
        assert root.sshd.ssh("true", persist=True).returncode, "there was a slot"
        answer = root.play(task, live=True, host_vars=ARMED).only
        assert answer.status == "ok", answer.data
        assert (answer.data["changed"], answer.data["matched"]) == (True, 20), answer.data
        assert STANDBY_RAN in answer.warnings
        assert root.sshd.ssh("true", persist=True).returncode == 0
        again = root.play(task, live=True, host_vars=ARMED).only
        assert (again.status, again.data["changed"], again.warnings) == ("ok", False, "")
        assert innocent.poll() is None
        assert standby.is_alive
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.usefixtures("standby")
def test_check_mode_is_check_mode(root: Login, victims: str) -> None:
    task = {"hostcare.remediation.rogue_process": {"state": "killed", "name": [victims]}}
    answer = root.play(task, live=True, host_vars=ARMED, arguments=["--check"]).only
    assert (answer.status, answer.data["changed"], answer.data["matched"]) == ("ok", True, 20), answer.data
    assert root.cgroup.used == root.cgroup.limit


@pytest.mark.once
def test_no_module_starts_writes_or_reads_what_is_not_preloaded(root: Login, tmp_path: Path) -> None:
    root.leave_free(0, live=True)
    log = tmp_path / "calls"
    with Standby(
        root.sshd, wrapper=("strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={CALLS},accept4", "-o", str(log))
    ):
        run = root.controller.play(root.variables(live=True) | ARMED, *LEAN.values())
    assert [result.status for result in run.results] == ["ok"] * len(LEAN), run.output
    lines = [line for line in log.read_text().splitlines() if '"/proc/self/' not in line]
    assert [line for line in lines if FORKS.search(line)] == []
    # the directory of remedy_lock is a file it is asked to make
    creates = [line for line in lines if CREATES.search(line) and "/run/hostcare" not in line]
    assert creates == []
    running, read = False, []
    for line in lines:
        running = (running or "accept4(" in line) and "execve(" not in line
        if running and re.search(r'"/usr/lib/python3[^"]*\.(py|pyc|so)"', line) and "ENOENT" not in line:
            read.append(line)
    assert read == []


@pytest.mark.once
def test_two_controllers_at_once(root: Login, standby: Standby, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Login(Controller(tmp_path / "second"), root.cgroup, root.sshd, "root")
    runs: list[Run] = []

    def play(login: Login) -> None:
        task = {"hostcare.remediation.headroom_info": {"samples": 2, "interval": "2s", "resources": ["process_slots"]}}
        runs.append(login.play(task, live=True, host_vars=ARMED | {"hostcare_session_timeout": "1m"}))

    threads = [threading.Thread(target=play, args=(login,)) for login in (root, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.only.status for run in runs] == ["ok", "ok"], [run.output for run in runs]
    assert standby.runs() == 2


def test_a_session_is_preferred(root: Login, standby: Standby) -> None:
    root.cgroup.leave_free(1)
    run = root.play(TASK, live=True, host_vars=ARMED)
    assert (run.only.status, run.only.warnings) == ("ok", ""), run.output
    assert standby.runs() == 0


# --- who must live ---


@pytest.mark.once
def test_the_standby_does_not_end_itself(root: Login, standby: Standby) -> None:
    task = {"hostcare.remediation.rogue_process": {"state": "killed", "pid": [standby.pid]}}
    answer = root.play(task, live=True, host_vars=ARMED).only
    assert answer.status == "failed", answer.data
    assert "the selector matches this module" in answer.data["msg"]
    assert STANDBY_RAN in answer.warnings
    assert standby.is_alive


# --- where it does not help, which is said ---


def test_none_is_armed(root: Login) -> None:
    root.leave_free(0, live=True)
    run = root.play(TASK, live=True, host_vars=ARMED)
    not_helped(run, f"nothing answers at {SOCKET} on the host. Arm it with role hostcare.remediation.harden")


def test_none_is_armed_and_a_slot_comes(root: Login) -> None:
    root.leave_free(0, live=True)
    refused = root.cgroup.refusals

    def make_room() -> None:
        wait_until(lambda: root.cgroup.refusals > refused + 1, 60, "a session and its standby are refused")
        root.cgroup.limit = None

    maker = threading.Thread(target=make_room)
    maker.start()
    run = root.play(TASK, live=True, host_vars=ARMED | {"hostcare_session_timeout": "1m"})
    maker.join()
    assert run.only.status == "ok", run.output
    assert "Its standby did not help: nothing answers" in run.only.warnings


@pytest.mark.once
def test_sshd_does_not_forward(controller: Controller) -> None:
    with (
        PidsCgroup() as cgroup,
        PrivateSshd(cgroup.enter, empty("/root", "/run", "/var/lib"), "AllowStreamLocalForwarding no") as sshd,
        Standby(sshd) as standby,
    ):
        other = Login(controller, cgroup, sshd, "root")
        other.leave_free(0, live=True)
        not_helped(other.play(TASK, live=True, host_vars=ARMED), "AllowStreamLocalForwarding")
        assert standby.runs() == 0


def test_no_connection_is_open(root: Login) -> None:
    root.leave_free(0, live=False)
    not_helped(root.play(TASK, live=False, host_vars=ARMED), "ssh has no live connection that could forward to it (")


def test_a_login_that_is_not_root(sudoer: Login) -> None:
    sudoer.leave_free(0, live=True)
    with Standby(sudoer.sshd) as standby:
        run = sudoer.play(TASK, live=True, host_vars=ARMED)
        not_helped(run, f"this task logs in as {sudoer.user} and becomes root by sudo. Set ansible_user to root")
        # the way itself is closed to it, whatever the controller thinks of it
        local = sudoer.sshd.home / "l"
        ssh = ["ssh", *sudoer.sshd.options(True, sudoer.user)]
        subprocess.run([*ssh, "-O", "forward", "-L", f"{local}:{SOCKET}", "127.0.0.1"], check=True, capture_output=True)
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            asking.connect(str(local))
            assert asking.recv(1) == b""
        assert standby.runs() == 0


def test_another_user_is_asked_for(root: Login, standby: Standby, operator: Operator) -> None:
    run = root.play(TASK, live=True, become=True, become_user=operator.name, host_vars=ARMED)
    not_helped(run, f"becomes {operator.name} by sudo")
    assert standby.runs() == 0


@pytest.mark.once
def test_one_that_dies_has_perhaps_acted(root: Login, standby: Standby) -> None:
    """The module is not sent again."""
    task = {"hostcare.remediation.headroom_info": {"samples": 2, "interval": "1m", "resources": ["process_slots"]}}

    def kill_in_the_middle() -> None:
        while not standby.is_running():
            time.sleep(0.05)
        os.kill(standby.pid, 9)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    run = root.play(task, live=True, host_vars=ARMED | {"hostcare_session_timeout": "1m"})
    killer.join()
    assert run.only.status == "unreachable", run.output
    assert "It may have acted, so it is not sent again" in run.only.data["msg"]


@pytest.mark.once
def test_nonsense_is_refused(root: Login) -> None:
    run = root.play(TASK, live=True, host_vars={"hostcare_standby": "perhaps"})
    assert run.only.status == "failed", run.output
    assert "hostcare_standby: 'perhaps' is neither true nor false" in run.only.data["msg"]


@pytest.mark.once
def test_no_log_hides_what_ssh_said(root: Login) -> None:
    root.leave_free(0, live=False)
    run = root.play(TASK | {"no_log": True}, live=False, host_vars=ARMED)
    assert run.only.status == "unreachable", run.output
    assert "Control" not in run.only.data.get("msg", "")
