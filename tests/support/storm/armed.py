# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tool that waits inside the arena: once the table is full nothing can be started there any more."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    """How a tool ended; ``returncode`` is None where it had to be killed at the end of its time."""

    returncode: int | None
    seconds: float
    cpu_seconds: float
    out: bytes
    err: bytes


class Armed:
    """Waits for its "ready" when made; `go` lets it begin, `outcome` collects what it did."""

    def __init__(self, process: subprocess.Popen[bytes], kill: Callable[[], None]) -> None:
        self.process = process
        self._kill = kill
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        line = self._out.readline()
        if line != b"ready\n":
            raise RuntimeError(f"not ready: {line!r} {self._err.read().decode(errors='replace')}")

    def go(self) -> float:
        """Give the word; returns the moment."""
        self.started = time.monotonic()
        self._in.write(b"go\n")
        self._in.close()
        return self.started

    def running(self) -> bool:
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def outcome(self, timeout: float = 60) -> Outcome:
        """Wait for the end, at the latest ``timeout`` seconds after `go`; a tool that is late is killed."""
        collected = {self._out.fileno(): b"", self._err.fileno(): b""}
        in_time = self._collect(collected, self.started + timeout)
        if not in_time:
            self._kill()
        _pid, status, usage = os.wait4(self.process.pid, 0)
        seconds = time.monotonic() - self.started
        self.process.returncode = os.WEXITSTATUS(status)  # `enter` reports signals as 128 + N
        returncode = self.process.returncode if in_time else None
        out, err = collected.values()
        return Outcome(returncode, seconds, usage.ru_utime + usage.ru_stime, out, err)

    def _collect(self, collected: dict[int, bytes], deadline: float) -> bool:
        """Read both streams to their ends; False where the deadline came first."""
        with selectors.DefaultSelector() as selector:
            for fd in collected:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                for key, _events in selector.select(left):
                    part = os.read(key.fd, 65536)
                    collected[key.fd] += part
                    if not part:
                        selector.unregister(key.fd)
        return True
