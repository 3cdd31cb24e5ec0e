# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes for the tests: children that sleep, and code that runs in a child of its own."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
import typing as t

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable

NOBODY = 65534


def wait_for(condition: t.Callable[[], t.Any], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


def state_of(pid: int) -> str:
    """The state letter, or ``gone``."""
    found = ProcessTable().read(pid)
    return "gone" if found is None else found.state


def _prepare(comm: bytes, session: bool, uid: int | None) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if session:
        os.setsid()
    with open("/proc/self/comm", "wb", buffering=0) as file:
        file.write(comm)
    if uid is not None:
        os.setresuid(uid, uid, uid)


@contextlib.contextmanager
def sleeping(
    comm: bytes = b"hostcare-sleep",
    session: bool = True,
    uid: int | None = None,
    life: t.Callable[[], object] = signal.pause,
) -> t.Iterator[Process]:
    """A child that has reached ``life``; in a session of its own where not told otherwise. It is dead afterwards."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ready)
            _prepare(comm, session, uid)
            os.write(told, b"x")
            os.close(told)
            while True:
                life()
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert select.select([ready], [], [], 10)[0], "the child did not start"
        assert os.read(ready, 1) == b"x", "the child failed"
        assert os.read(ready, 1) == b"", "the child has closed its end, too"
        found = ProcessTable().read(pid)
        assert found is not None
        yield found
    finally:
        os.close(ready)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], "the child dies")


Result = t.TypeVar("Result")


def in_child(work: t.Callable[[], Result], seconds: float = 30.0) -> Result:
    """What ``work`` returns in a child, where it may change the session, limits and namespaces of its process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            try:
                answer = pickle.dumps((True, work()))
            except BaseException:
                answer = pickle.dumps((False, traceback.format_exc()))
            with os.fdopen(writing, "wb") as file:
                file.write(answer)
        finally:
            os._exit(0)
    os.close(writing)
    raw = b""
    deadline = time.monotonic() + seconds
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"the child did not finish within {seconds} s")
            part = os.read(reading, 65536)
            if not part:
                break
            raw += part
    finally:
        os.close(reading)
        os.waitpid(pid, 0)
    worked, value = pickle.loads(raw)
    assert worked, f"in the child:\n{value}"
    return t.cast("Result", value)
