# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal reaches the process that was judged or nobody: with pidfd, through ctypes, and with kill(2)."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import signals
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.signals import DENIED, GONE, SENT, Signaller
from ansible_collections.hostcare.remediation.tests.unit.support.children import (
    NOBODY,
    in_child,
    sleeping,
    state_of,
    wait_for,
)

needs_pidfd = pytest.mark.skipif(not Signaller._has_pidfd(), reason="this kernel or its sandbox has no pidfd")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become another user")


@pytest.fixture(params=["pidfd", "ctypes", "kill"])
def signaller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Signaller:
    """Each way to send. ctypes is that of Python 3.8, tried on every Python."""
    if request.param == "ctypes":
        monkeypatch.setattr(signals, "pidfd_open", signals._pidfd_open)
        monkeypatch.setattr(signals, "pidfd_send_signal", signals._pidfd_send_signal)
    made = Signaller(ProcessTable())
    if request.param == "kill":
        made.uses_pidfd = False
    elif not made.uses_pidfd:
        pytest.skip("this kernel or its sandbox has no pidfd")
    return made


@pytest.fixture
def send(signaller: Signaller, request: pytest.FixtureRequest) -> t.Callable[[Process, int], str]:
    """`send`, and `send_open` over a ``stat`` that is opened now."""
    if "open" not in getattr(request, "param", ""):
        return signaller.send

    def by_descriptor(process: Process, number: int) -> str:
        opened = signaller.table.open(process.pid)
        if opened is None:
            return GONE
        try:
            return signaller.send_open(opened[0], process, number)
        finally:
            os.close(opened[0])

    return by_descriptor


both_ways = pytest.mark.parametrize("send", ["send", "send_open"], indirect=True)


@both_ways
def test_stop_and_continue(send: t.Callable[[Process, int], str]) -> None:
    with sleeping() as child:
        assert send(child, signal.SIGSTOP) == SENT
        wait_for(lambda: state_of(child.pid) == "T", "it stops")
        assert send(child, signal.SIGCONT) == SENT
        wait_for(lambda: state_of(child.pid) == "S", "it runs")
        assert send(child, signal.SIGKILL) == SENT
        wait_for(lambda: state_of(child.pid) == "Z", "it dies")


@both_ways
def test_a_zombie_takes_the_signal_and_stays_what_it_is(send: t.Callable[[Process, int], str]) -> None:
    with sleeping() as child:
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: state_of(child.pid) == "Z", "it dies")
        assert send(child, signal.SIGKILL) == SENT
        assert state_of(child.pid) == "Z"


@both_ways
def test_what_was_reaped_is_gone(send: t.Callable[[Process, int], str]) -> None:
    with sleeping() as child:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        assert send(child, signal.SIGKILL) == GONE


def test_another_process_of_the_same_number_is_not_hit(signaller: Signaller) -> None:
    with sleeping() as child:
        earlier = child._replace(start=child.start - 1)
        assert signaller.send(earlier, signal.SIGKILL) == GONE
        assert state_of(child.pid) in "RS"


def test_a_descriptor_of_a_process_that_was_reaped_sends_to_nobody(signaller: Signaller) -> None:
    with sleeping() as child:
        opened = signaller.table.open(child.pid)
        assert opened is not None
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        with sleeping() as other:  # as if the number had been given to it
            assert signaller.send_open(opened[0], child._replace(pid=other.pid), signal.SIGKILL) == GONE
            assert state_of(other.pid) in "RS"
        os.close(opened[0])


def test_a_number_that_is_a_thread_by_now_is_gone(signaller: Signaller) -> None:
    """pidfd_open(2) answers EINVAL, since Linux 6.16 ENOENT."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    with sleeping() as child:
        thread.start()
        try:
            reused = child._replace(pid=t.cast("int", thread.native_id), start=0)
            assert signaller.send(reused, signal.SIGKILL) == GONE
        finally:
            ended.set()
            thread.join()


@needs_root
@both_ways
def test_without_the_right_it_is_denied(send: t.Callable[[Process, int], str]) -> None:
    with sleeping() as child:

        def as_nobody() -> str:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            return send(child, signal.SIGKILL)

        assert in_child(as_nobody) == DENIED
        assert state_of(child.pid) in "RS"


@pytest.mark.skipif(os.geteuid() == 0, reason="root is denied nothing; the test above drops root")
def test_pid_1_is_denied_to_others(signaller: Signaller) -> None:
    init = signaller.table.read(1)
    if init is None:
        pytest.skip("/proc hides PID 1 from this user")
    assert signaller.send(init, 0) == DENIED


def test_without_a_free_descriptor_it_raises_and_does_not_say_gone(signaller: Signaller) -> None:
    with sleeping() as child:
        opened = signaller.table.open(child.pid)
        assert opened is not None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = os.open("/dev/null", os.O_RDONLY)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            with pytest.raises((OSError, Refused), match=r"descriptor|open files"):
                signaller.send(child, signal.SIGKILL)
            if signaller.uses_pidfd:
                assert signaller.send_open(opened[0], child, signal.SIGSTOP) == SENT, "it has its descriptor already"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.close(opened[0])
        assert state_of(child.pid) in "RST"


@needs_pidfd
def test_ctypes_reports_the_error_of_the_call() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        signals._pidfd_open(-1)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        signals._pidfd_send_signal(-1, 0)


@needs_pidfd
def test_ctypes_opens_the_same_as_python() -> None:
    with sleeping() as child:
        fd = signals._pidfd_open(child.pid)
        try:
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
                assert f"Pid:\t{child.pid}\n" in file
            assert not os.get_inheritable(fd)
        finally:
            os.close(fd)


@pytest.mark.parametrize("missing", ["open", "send"])
def test_a_kernel_without_pidfd_is_found_out(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Before Linux 5.3, and under a seccomp filter that answers EPERM."""

    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSYS if missing == "open" else errno.EPERM, "refused")

    monkeypatch.setattr(signals, "pidfd_open" if missing == "open" else "pidfd_send_signal", refuse)
    made = Signaller(ProcessTable())
    assert not made.uses_pidfd
    with sleeping() as child:
        assert made.send(child, signal.SIGSTOP) == SENT
        wait_for(lambda: state_of(child.pid) == "T", "it stops")


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_python_without_ctypes_still_signals(has_pidfd: bool) -> None:
    """Builds without libffi; then Python 3.8, which has no pidfd functions, is left with kill(2)."""
    program = f"""
import os, signal, sys
sys.modules["ctypes"] = None
if not {has_pidfd}:
    for module, name in ((os, "pidfd_open"), (signal, "pidfd_send_signal")):
        if hasattr(module, name):
            delattr(module, name)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import processes, signals
table = processes.ProcessTable()
print(signals.Signaller(table).send(table.read(os.getpid()), 0))
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (done.stdout, done.returncode) == (b"sent\n", 0), done.stderr.decode()


def test_a_group_is_stopped_by_one_call() -> None:
    with contextlib.ExitStack() as stack:
        leader = stack.enter_context(sleeping(session=False, life=_lead_a_group))
        wait_for(lambda: os.getpgid(leader.pid) == leader.pid, "it leads a group")
        assert signals.send_to_group(leader.pid, signal.SIGSTOP) == SENT
        wait_for(lambda: state_of(leader.pid) == "T", "it stops")
    assert signals.send_to_group(leader.pid, signal.SIGSTOP) == GONE


def _lead_a_group() -> None:
    os.setpgid(0, 0)
    signal.pause()


@needs_root
def test_a_group_of_somebody_else_is_denied() -> None:
    with sleeping() as child:

        def as_nobody() -> str:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            return signals.send_to_group(child.pgid, signal.SIGSTOP)

        assert in_child(as_nobody) == DENIED


USER = 2000000000 + os.getpid()  # nobody else's


@needs_root
@pytest.mark.skipif(not signals.can_assume_users(), reason="takes CAP_SETUID and CAP_KILL")
def test_a_user_is_stopped_by_one_call_and_nobody_else() -> None:
    with sleeping(uid=USER) as one, sleeping(uid=USER) as two, sleeping(uid=USER + 1) as other:
        assert signals.send_to_user(USER, signal.SIGSTOP) == SENT
        wait_for(lambda: state_of(one.pid) + state_of(two.pid) == "TT", "both stop")
        assert state_of(other.pid) in "RS"
        assert os.getresuid() == (0, 0, 0), "root was taken back"


@needs_root
def test_who_may_assume_users() -> None:
    def dropped() -> bool:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return signals.can_assume_users()

    def half_dropped() -> bool:
        os.setresuid(NOBODY, 0, 0)
        return signals.can_assume_users()

    assert not in_child(dropped)
    assert not in_child(half_dropped)


def test_no_descriptor_is_left_open(signaller: Signaller) -> None:
    before = os.listdir("/proc/self/fd")
    with sleeping() as child:
        signaller.send(child, 0)
        signaller.send(child._replace(start=0), 0)
        signaller.send(child._replace(pid=4194304), 0)
    assert os.listdir("/proc/self/fd") == before
