# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What the sum of the reserve rests on, as this kernel has it; and the module on this machine."""

from __future__ import annotations

import ctypes.util
import os
import platform
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve import options, report, wanted
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.arithmetic import NUMBERS_PER_TASK
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.host import PAM_NICE
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


def can_raise() -> bool:
    """In a process of its own, which keeps what it has got."""
    raising = "import os; os.setpriority(os.PRIO_PROCESS, 0, -20)"
    return subprocess.run([sys.executable, "-c", raising], capture_output=True, check=False).returncode == 0


# A session of each user by the real libpam (pam_open_session(3)), from a process with the priority of sshd: prints what
# it answers, and the nice value of that process then, which the session inherits.
SESSION = """
import ctypes, os, sys
pam = ctypes.CDLL("libpam.so.0")
class Conversation(ctypes.Structure):
    _fields_ = [("call", ctypes.c_void_p), ("data", ctypes.c_void_p)]
for user in sys.argv[1:]:
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    handle = ctypes.c_void_p()
    pam.pam_start(b"sshd", user.encode(), ctypes.byref(Conversation(None, None)), ctypes.byref(handle))
    print(user, pam.pam_open_session(handle, 0), os.getpriority(os.PRIO_PROCESS, 0))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace takes root")
@pytest.mark.skipif(ctypes.util.find_library("pam") is None, reason="there is no libpam here")
@pytest.mark.skipif(not can_raise(), reason="raising a priority takes CAP_SYS_NICE")
@pytest.mark.parametrize("moves", [True, False], ids=["logind answers", "logind refuses"])
def test_operators_stay_and_others_are_moved_or_refused(tmp_path: Path, moves: bool) -> None:
    """In place of pam_systemd a program that says so. All in a mount namespace, with these files as /etc/pam.d."""
    log, mark = tmp_path / "log", tmp_path / "mark"
    mark.write_text(f'#!/bin/sh\necho "$1 $PAM_USER" >>{log}\n[ "$1" != moved ] || {str(moves).lower()}\n')
    mark.chmod(0o755)
    before = f"session required pam_permit.so\n@include common-session\nsession optional pam_exec.so {mark} after\n"
    before += "session required pam_limits.so\n"  # as distributions have it: what is lowered stays, and what is not
    demand = wanted.protected(9, 9, 9, "ssh.service", ["root", "daemon"], before, nice=-20)
    files = {one.path: one.content for one in demand}
    lowered = tmp_path / "lowered.conf"
    lowered.write_text(files[PAM_NICE])
    pam = tmp_path / "pam.d"
    pam.mkdir()
    ours = files["/etc/pam.d/hostcare-sshd"].replace("pam_systemd.so", f"pam_exec.so {mark} moved")
    (pam / "hostcare-sshd").write_text(ours.replace(PAM_NICE, str(lowered)))
    (pam / "sshd").write_text(files["/etc/pam.d/sshd"])
    (pam / "common-session").write_text(f"session required pam_permit.so\nsession optional pam_exec.so {mark} common\n")
    script = f'mount --bind {pam} /etc/pam.d && exec {sys.executable} -c "$0" root daemon nobody'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, SESSION]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    answers = {user: (int(answer), int(nice)) for user, answer, nice in zip(*[iter(said)] * 3, strict=True)}
    assert (answers["root"], answers["daemon"]) == ((0, -20), (0, -20))
    assert (answers["nobody"][0] == 0) == moves
    assert answers["nobody"][1] == 0
    assert [line for line in log.read_text().splitlines() if "nobody" not in line] == ["after root", "after daemon"]
    assert "moved nobody" in log.read_text()


def test_this_machine_as_it_is() -> None:
    found = report.report(options.parse(ASKED))
    assert found["size"]["cores"] == os.cpu_count()
    assert found["totals"]["untrusted"] <= found["totals"]["room"]
    assert found["elapsed_ms"] < 10_000
