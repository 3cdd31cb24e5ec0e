# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether systemd made the units of systemd-cron anew, for which that has a path unit.

While systemd runs what the path unit is for, it does not watch (systemd.path(5)), and what is written meanwhile goes
unnoticed; after five such runs within ten seconds it does not watch any more. So it is nudged when it watches again,
and the age of the units is the proof.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import time

from .._kernel.processes import ProcessTable

UNWATCHED = "systemd-cron: systemd does not watch the crontabs (cron-update.path does not run)"
NOT_RENEWED = "systemd-cron: systemd has not made its units anew"
ADVICE = "; run systemctl daemon-reload && systemctl restart cron.target"

_UNITS = "/run/systemd/generator"
_PATIENCE = 10.0
_PAUSE = 0.05
_BETWEEN_NUDGES = 3.0
# The generator reads a crontab and then writes its units; the clock of files is that much coarser, too.
_MARGIN = 0.03


class Watch:
    """Made before the first crontab is written. Other daemons look at the time of change every minute by themselves."""

    def __init__(self, table: ProcessTable, root: str, is_needed: bool) -> None:
        self._table = table
        self._top = root.rstrip("/")
        self._is_needed = is_needed
        self._is_kept = not is_needed or self._watched() is not None

    @property
    def problem(self) -> str | None:
        """Why what is going to be written will not be noticed."""
        return None if self._is_kept else UNWATCHED + ADVICE

    def wait(self) -> str | None:
        """Why what has been written is not noticed."""
        if not self._is_needed or not self._is_kept:
            return self.problem
        written = time.time()
        deadline = time.monotonic() + _PATIENCE
        nudged = 0.0
        while time.monotonic() < deadline:
            if self._renewed_since(written):
                return None
            directory = self._watched() if time.monotonic() - nudged > _BETWEEN_NUDGES else None
            if directory is not None:
                nudged = time.monotonic()
                with contextlib.suppress(OSError):
                    os.utime(directory)
            time.sleep(_PAUSE)
        return NOT_RENEWED + ADVICE

    def _renewed_since(self, moment: float) -> bool:
        ages = []
        with contextlib.suppress(OSError), os.scandir(self._top + _UNITS) as entries:
            ages = [entry.stat().st_mtime for entry in entries if entry.name.startswith("cron-")]
        return bool(ages) and min(ages) > moment + _MARGIN

    def _watched(self) -> str | None:
        """A directory on which PID 1 has an inotify watch (proc_pid_fdinfo(5))."""
        marks: dict[bytes, str] = {}
        for directory in ("/etc/cron.d", "/var/spool/cron/crontabs"):
            with contextlib.suppress(OSError):
                marks[b" ino:%x " % os.stat(self._top + directory).st_ino] = self._top + directory
        path = f"{self._table.root}/1/fdinfo"
        try:
            names = os.listdir(path)
        except OSError:
            return None
        for name in names:
            with contextlib.suppress(OSError), open(f"{path}/{name}", "rb") as file:
                for line in file:
                    for mark, directory in marks.items():
                        if line.startswith(b"inotify ") and mark in line:
                            return directory
        return None
