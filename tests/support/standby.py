# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A standby as a host has one that was hardened; beside a private sshd, or alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing as t
from collections.abc import Callable, Mapping
from pathlib import Path

from .controller import ROOT
from .sshd import PrivateSshd

PROGRAM = ROOT / "roles" / "harden" / "files" / "standby.py"
SOCKET = Path("/run/hostcare-standby/socket")


class Standby:
    """`with Standby(sshd) as standby:` starts one that sees what the server sees, on the usual socket; without a server
    its socket is in a directory of its own. `preexec` runs before exec: the place to enter a cgroup. `wrapper` goes in
    front of its Python, `options` behind its program."""

    def __init__(
        self,
        sshd: PrivateSshd | None = None,
        preexec: Callable[[], None] | None = None,
        wrapper: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self._preexec, self._options = preexec, options
        self._process: subprocess.Popen[bytes] | None = None
        # Short: a socket's path has at most 108 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="hcsb-", dir="/var/cache"))
        self._within = SOCKET if sshd else self.home / "run" / "socket"
        self.path = Path(f"/proc/{sshd.pid}/root{SOCKET}") if sshd else self._within
        self._wrapper = (*(("nsenter", f"--mount=/proc/{sshd.pid}/ns/mnt") if sshd else ()), *wrapper)
        self._log = self.home / "log"

    def __enter__(self) -> Standby:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._wrapper, "/usr/bin/python3", "-IB", PROGRAM, *self._options, self._within],
                preexec_fn=self._preexec,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # as a service has one
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TMPDIR": "/dev/shm"},
            )
        deadline = time.monotonic() + 10
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the standby did not start: {self.log}")
            time.sleep(0.01)

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # strace in front of it would leave it behind
            self._process.wait()
        shutil.rmtree(self.home)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def runs(self) -> int:
        return self.log.count("ran a module")

    def is_running(self) -> bool:
        """A module, at this moment: its output is kept in memory."""
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(link))
        return any("memfd:stdout" in target for target in found)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return os.path.exists(self.path) and probe.connect_ex(str(self.path)) == 0

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(self.path))
        return connection

    def run(self, source: str, environment: Mapping[str, str] | None = None) -> tuple[dict[str, t.Any], str, str]:
        """What the standby says to a payload: the header, and what was printed."""
        payload = source.encode()
        with self.connect() as connection, connection.makefile("rb") as stream:
            assert stream.readline(), self.log
            header = {"size": len(payload), "environment": dict(environment or {})}
            connection.sendall(json.dumps(header).encode() + b"\n" + payload)
            answer = json.loads(stream.readline())
            sizes = (answer.pop("stdout", 0), answer.pop("stderr", 0))
            stdout, stderr = (stream.read(size).decode() for size in sizes)
            return answer, stdout, stderr
