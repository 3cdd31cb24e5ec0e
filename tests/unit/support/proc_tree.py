# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A /proc made of plain files, for what no well-behaved kernel would show on demand."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable

# What a process may call itself: prctl(PR_SET_NAME) takes any bytes but NUL.
HOSTILE_COMMS = (
    b"",
    b" ",
    b"a b",
    b")",
    b"(",
    b"x) R 1 1",
    b"foo) Z ",
    b"foo)\nZ\n",
    b"()()()())))(((",
    b"new\nline",
    b"tab\tESC\x1b[2J",
    b"-n",
    b"*",
    b"\xff\xfe\x80",
    b"\xff" * 15,
    b"fifteen bytes..",
    b"sshd",
    b"[kworker/0:1]",
    "é".encode() * 7 + b"\xc3",
    b"\\x41\\n",
    b"\x0b\x0c\x1c\x85",
)

PF_KTHREAD = 0x00200000
NAMESPACE = "pid:[4026531836]"


def stat_line(process: Process) -> bytes:
    """As fs/proc/array.c writes it."""
    fields = [
        process.ppid, process.pgid, process.sid, process.tty, -1, process.flags, 0, 0, 0, 0, 1, 2, 0, 0, 20, 0,
        process.threads, 0, process.start, *[0] * 30,
    ]  # fmt: skip
    numbers = " ".join(map(str, fields)).encode()
    return b"%d (%s) %s %s\n" % (process.pid, process.comm, process.state.encode(), numbers)


def process(pid: int, comm: bytes = b"worker", **changes: t.Any) -> Process:
    """A running process, a leader of nothing, of the user who runs the tests."""
    plain: dict[str, t.Any] = {
        "state": "S", "ppid": 1, "pgid": 500, "sid": 500, "tty": 0, "flags": 0, "threads": 1, "start": 1000,
        "owner": os.geteuid(),
    }  # fmt: skip
    plain.update(changes)
    return Process(pid=pid, comm=comm, **plain)


class ProcTree:
    """Directories as ``/proc`` has them; the module under test is number ``os.getpid()`` in it, as everywhere."""

    def __init__(self, root: Path, init: bool = True) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.write("loadavg", "0.00 0.00 0.00 1/100 99999\n")
        self.write("stat", "cpu  1 2 3\nbtime 1\nprocesses 5000\nprocs_running 1\n")
        self.write("sys/kernel/pid_max", "32768\n")
        self.write("sys/kernel/threads-max", "60000\n")
        self.write("sys/kernel/random/boot_id", "b007\n")
        if init:
            self.add(process(1, b"systemd", ppid=0, pgid=1, sid=1, start=1), cgroup="0::/init.scope\n")
        self.own = self.add(process(os.getpid(), b"python3", ppid=1, pgid=400, sid=400, start=900))
        os.symlink(str(os.getpid()), root / "self")
        self.write("self/ns/" + NAMESPACE, b"")  # what the link names, to be looked at and locked

    @property
    def table(self) -> ProcessTable:
        return ProcessTable(str(self.root))

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def add(
        self,
        made: Process,
        cgroup: str | bytes = "0::/user.slice/app.service\n",
        exe: str | None = None,
        cmdline: bytes = b"/usr/bin/worker\0",
        uid: int | None = None,
        saved: int | None = None,
        oom: int = 0,
        namespace: str = NAMESPACE,
        limit: str = "unlimited",
    ) -> Process:
        """``uid`` is the real one where the owner of the file does not tell it."""
        real = made.owner if uid is None else uid
        last = real if saved is None else saved
        self.write(f"{made.pid}/stat", stat_line(made))
        self.write(f"{made.pid}/status", f"Name:\tx\nUid:\t{real}\t{real}\t{last}\t{real}\nNSpid:\t{made.pid}\n")
        self.write(f"{made.pid}/cgroup", cgroup)
        self.write(f"{made.pid}/cmdline", cmdline)
        self.write(f"{made.pid}/oom_score_adj", f"{oom}\n")
        self.write(f"{made.pid}/limits", f"Max processes             {limit}  {limit}  processes\n")
        (self.root / str(made.pid) / "ns").mkdir(exist_ok=True)
        os.symlink(namespace, self.root / str(made.pid) / "ns" / "pid")
        os.symlink("mnt:[1]", self.root / str(made.pid) / "ns" / "mnt")
        if exe is not None:
            os.symlink(exe, self.root / str(made.pid) / "exe")
        return made
