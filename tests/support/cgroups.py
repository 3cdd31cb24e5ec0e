# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A pids cgroup of the tests' own: the fence every test that fills a process table works behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

from .storm.cgroups import pids_hierarchy


class PidsCgroup:
    """`with PidsCgroup() as cgroup:` makes one and at the end kills all that is in it and removes it."""

    def __init__(self, within: Path | None = None) -> None:
        self.path = (within or pids_hierarchy()) / f"hostcare-test-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> PidsCgroup:
        self.path.mkdir()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.limit = None
        deadline = time.monotonic() + 10
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.path} is not empty after ten seconds of SIGKILL: {pids}")
            time.sleep(0.01)
        while True:
            try:
                self.path.rmdir()
                return
            except OSError:  # a killed task is still leaving
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def nested(self) -> PidsCgroup:
        return PidsCgroup(self.path)

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def enter(self) -> None:
        """For `preexec_fn`: the process started next, and all its children, are counted here."""
        self.add(0)

    def processes(self) -> list[int]:
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    @property
    def used(self) -> int:
        return int((self.path / "pids.current").read_text())

    @property
    def limit(self) -> int | None:
        text = (self.path / "pids.max").read_text().strip()
        return None if text == "max" else int(text)

    @limit.setter
    def limit(self, tasks: int | None) -> None:
        (self.path / "pids.max").write_text("max" if tasks is None else str(tasks))

    def leave_free(self, slots: int) -> None:
        self.limit = self.used + slots

    @property
    def refusals(self) -> int:
        """How many forks the limit has refused."""
        return int((self.path / "pids.events").read_text().split()[1])
