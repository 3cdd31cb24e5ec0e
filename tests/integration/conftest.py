# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import Controller
from ansible_collections.hostcare.remediation.tests.support.mounts import empty
from ansible_collections.hostcare.remediation.tests.support.operators import Operator
from ansible_collections.hostcare.remediation.tests.support.slots import Login
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

# They act on the processes of the machine itself, which one run at a time may do.
ON_THE_MACHINE = (
    "test_lean_full_disks.py", "test_lean_no_forks.py", "test_lean_ways.py", "test_slots.py", "test_standby.py",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def session_of_its_own() -> None:
    """Where the tests are started in the session of init, which shields nobody, they make the operator's themselves."""
    if os.getsid(0) in (0, 1, os.getsid(1)):
        os.setsid()


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those that act on the machine do so one after the other, whichever workers run them."""
    if request.path.name not in ON_THE_MACHINE:
        yield
        return
    with (tmp_path_factory.getbasetemp().parent / "turn").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a text at the end of the run, whichever of the workers it comes from."""
    return lambda text: request.node.user_properties.append(("shown", text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, text in report.user_properties:
            if name == "shown" and report.when == "call":
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line(text)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


@pytest.fixture(scope="module")
def cgroup() -> Iterator[PidsCgroup]:
    """Around `sshd`; a test that sets its limit starts from a `Login`, which lifts it first."""
    with PidsCgroup() as cgroup:
        yield cgroup


@pytest.fixture(scope="module")
def sshd(cgroup: PidsCgroup) -> Iterator[PrivateSshd]:
    """A server whose sessions find no state of the machine's, and no start-up file that forks."""
    with PrivateSshd(cgroup.enter, empty("/root", "/run", "/var/lib")) as sshd:
        yield sshd


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    with Operator() as operator:
        yield operator


@pytest.fixture
def root(controller: Controller, cgroup: PidsCgroup, sshd: PrivateSshd) -> Iterator[Login]:
    login = Login(controller, cgroup, sshd, "root")
    yield login
    login.reset()


@pytest.fixture
def sudoer(controller: Controller, cgroup: PidsCgroup, sshd: PrivateSshd, operator: Operator) -> Iterator[Login]:
    login = Login(controller, cgroup, sshd, operator.name)
    yield login
    login.reset()
