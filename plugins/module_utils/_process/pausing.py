# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop the whole host for a moment: the last resort, beside a watchdog that wakes it should this process die.

kill(2) with -1 spares its caller alone, so the watchdog makes the call and wakes this process first of all. It is the
one place of the collection that forks: one process slot more.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import select
import signal
import time
import typing as t

from .._kernel import signals
from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable
from .journal import Identity


class Pause:
    """`begin` stops all but PID 1, this process and the watchdog; `end` wakes all that were not stopped before."""

    def __init__(self, table: ProcessTable, limit: float) -> None:
        self.table = table
        self.limit = limit
        self.stopped_before: frozenset[Identity] = frozenset()
        self._watchdog = 0
        self._pipe = -1

    def begin(self) -> None:
        """Raises Refused where no process slot is left for the watchdog."""
        if os.geteuid() != 0:
            raise Refused("method pause stops the whole host: it takes root; run with become.")
        self.stopped_before = frozenset(p.identity for p in self.table.scan() if p.is_stopped)
        watched, self._pipe = os.pipe()
        ready, told = os.pipe()
        try:
            self._watchdog = os.fork()
        except OSError as error:
            raise Refused(
                f"method pause needs one process slot for its watchdog and there is none ({error.strerror}): use "
                "method scan, or raise kernel.pid_max for the time of the remedy."
            ) from None
        if self._watchdog == 0:
            os.close(self._pipe)
            self._watch(watched, told)
        os.close(watched)
        os.close(told)
        os.read(ready, 1)
        os.close(ready)

    def end(self, kept: frozenset[Identity]) -> None:
        """Wake all but ``kept``, the victims that are to stay frozen."""
        if not self._watchdog:
            return
        wake_all(self.table, self.stopped_before | kept)
        os.write(self._pipe, b"x")
        os.close(self._pipe)
        os.waitpid(self._watchdog, 0)

    def _watch(self, watched: int, told: int) -> t.NoReturn:
        """The end of the pipe, or its silence for too long, means that nobody else will wake the host."""
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            parent = os.getppid()
            os.kill(-1, signal.SIGSTOP)
            os.kill(parent, signal.SIGCONT)
            os.write(told, b"x")
            readable, _writable, _failed = select.select([watched], [], [], self.limit)
            if not readable or os.read(watched, 1) != b"x":
                wake_all(self.table, self.stopped_before)
        finally:
            os._exit(0)


def wake_all(table: ProcessTable, stopped_before: t.Collection[Identity]) -> int:
    """SIGCONT for everything in state T that was not stopped before, looked at twice: a stop may still be under way."""
    signaller = signals.Signaller(table)
    woken = 0
    for _look in range(2):
        for process in table.scan():
            if process.state == "T" and process.identity not in stopped_before:
                woken += signaller.send(process, signal.SIGCONT) == signals.SENT
        time.sleep(0.005)
    return woken
