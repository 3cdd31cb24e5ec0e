# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What the sum of the reserve rests on, as this kernel has it; and the module on this machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve import options, report
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.arithmetic import NUMBERS_PER_TASK
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import ASKED

pytestmark = pytest.mark.once

PID_MAX = 460
LOST = 300
# Fork until the kernel refuses; each task keeps the numbers of a session and a group whose leaders have ended.
FILL = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
open("/proc/sys/kernel/pid_max", "w").write(sys.argv[1])
pins = sys.argv[2] == "pin"
def one(end):
    try:
        if os.fork():
            return True
        if pins:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.setpgid(0, 0)
            if os.fork():
                os._exit(0)
    except OSError:
        os._exit(0) if os.getpid() != 1 else None
        return False
    os.write(end, b".")
    signal.pause()
    os._exit(0)
read, write = os.pipe()
os.set_blocking(read, False)
refused = alive = quiet = 0
while quiet < 60:  # those that go make room for a moment
    refused = 0 if one(write) else refused + 1
    time.sleep(0.002)
    try:
        alive += len(os.read(read, 4096))
        quiet = 0
    except BlockingIOError:
        quiet += 1
print(alive)
"""


def old_kernel() -> bool:
    major, minor = (int(part) for part in re.findall(r"\d+", platform.release())[:2])
    return (major, minor) < (6, 14)


def tasks_that_fit(way: str) -> int:
    """In a PID namespace with a ``pid_max`` of its own, and a pids cgroup, should that not hold."""
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-c",
        FILL,
        str(PID_MAX),
        way,
    ]
    with PidsCgroup() as cell:
        cell.limit = 800
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, preexec_fn=cell.enter)
    return int(ran.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces take root")
@pytest.mark.skipif(old_kernel(), reason="before Linux 6.14 pid_max is the whole machine's, and is not touched")
def test_a_task_can_keep_three_numbers_and_no_more(show: t.Callable[[str], None]) -> None:
    plain, pinning = tasks_that_fit("plain"), tasks_that_fit("pin")
    show(f"kernel.pid_max {PID_MAX}: {plain} plain tasks fit, {pinning} that keep three numbers each")
    assert PID_MAX - LOST <= plain <= PID_MAX
    assert (PID_MAX - LOST) // NUMBERS_PER_TASK <= pinning <= PID_MAX // NUMBERS_PER_TASK + 3


def test_this_machine_as_it_is() -> None:
    found = report.report(options.parse(ASKED))
    assert found["size"]["cores"] == os.cpu_count()
    assert found["totals"]["untrusted"] <= found["totals"]["room"]
    assert found["elapsed_ms"] < 10_000
