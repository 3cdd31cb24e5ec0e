# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit that systemd itself starts again and again: its cgroup is new each time, so what is set there is lost.

A drop-in that lasts until the next boot sets ``RestartSec=`` (systemd.service(5)), and SIGHUP makes PID 1 read it
(systemd(1)). So systemd waits and starts it in time, whatever becomes of the module.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time

from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable
from .._process.selection import Selector
from .planning import Seen
from .records import UNIT

BOOTED = "/run/systemd/system"  # there only where systemd is PID 1: sd_booted(3)
READ = "/run/systemd/systemd-units-load"  # touched whenever systemd has read its units, from systemd 249 on
DROP_IN = "zz-hostcare-spawn_throttle.conf"
_FORM = re.compile(r"[A-Za-z0-9:_.\\@-]+\.service\Z")
_FRAGMENTS = (
    "/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient", "/run/systemd/generator",
    "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
)  # fmt: skip
_PATIENCE = 3.0  # seconds, for systemd to read its configuration


def is_unit(name: str) -> bool:
    return _FORM.match(name) is not None and not name.startswith(".")


class Restarts:
    """The units of one service manager. ``root`` stands before each path, for tests."""

    def __init__(self, table: ProcessTable, root: str = "") -> None:
        self.table = table
        self.root = root
        self.is_told = True

    def check(self, selector: Selector) -> list[str]:
        """The units that are meant. Raises Refused where this is not the way."""
        if selector != Selector(units=selector.units, min_count=selector.min_count) or not selector.units:
            raise Refused("method restart takes unit and no other criterion: name the services that are meant.")
        for unit in sorted(selector.units):
            if not is_unit(unit):
                raise Refused(f"unit: {unit!r} is no service of systemd, and method restart is for services only.")
        if not os.path.isdir(self.root + BOOTED) or os.path.basename(self.table.exe(1) or "systemd") != "systemd":
            raise Refused("method restart takes systemd as PID 1, and here it is not: use another method.")
        if not os.access(self.root + BOOTED, os.W_OK):
            raise Refused(f"{BOOTED} may not be written: run as root (become: true).")
        return [unit for unit in sorted(selector.units) if self._is_known(unit)]

    def _is_known(self, unit: str) -> bool:
        names = {unit, re.sub(r"@.*\.service$", "@.service", unit)}
        return any(os.path.lexists(f"{self.root}{place}/{name}") for place in _FRAGMENTS for name in names)

    def look(self, unit: str) -> Seen:
        """Limited to 0 while the drop-in is there."""
        return Seen(UNIT, unit, 0, 0 if os.path.lexists(self._path(unit)) else None, 0)

    def put(self, unit: str, delay: float | None) -> str:
        """Let systemd wait so long before it starts the unit again, None for ever; why not, empty where it is so."""
        text = f"[Service]\nRestartSec={'infinity' if delay is None else f'{delay:.3f}'}\n"
        path = self._path(unit)
        draft = f"{path}.draft"  # systemd reads what ends in .conf
        try:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            with open(draft, "w", encoding="ascii") as file:
                file.write(text)
            os.replace(draft, path)
            with open(path, encoding="ascii") as file:
                if file.read() != text:
                    return f"{path} did not become what it should"
        except OSError as error:
            self._unlink(draft)
            return f"{error.filename or path} cannot be written ({error.strerror})"
        self.is_told = False
        return ""

    def take_back(self, unit: str) -> str:
        """Why not, empty where it is gone."""
        path = self._path(unit)
        obstacle = self._unlink(path)
        if not obstacle:
            self.is_told = False
            with contextlib.suppress(OSError):  # there are other drop-ins
                os.rmdir(os.path.dirname(path))
        return obstacle

    @staticmethod
    def _unlink(path: str) -> str:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"{path} cannot be removed ({error.strerror})"
        return ""

    def is_read(self, unit: str) -> bool:
        """Whether systemd has read the drop-in. Where it does not tell, it has."""
        read_at, written_at = self._changed_at(self.root + READ), self._changed_at(self._path(unit))
        return read_at is None or written_at is None or written_at <= read_at

    def tell(self) -> None:
        """Once for all changes so far, and wait until systemd has read them."""
        self.is_told = True
        before = self._changed_at(self.root + READ)
        os.kill(1, signal.SIGHUP)
        until = time.monotonic() + _PATIENCE
        while before is not None and self._changed_at(self.root + READ) == before and time.monotonic() < until:
            time.sleep(0.02)

    @staticmethod
    def _changed_at(path: str) -> int | None:
        try:
            return os.lstat(path).st_ctime_ns
        except OSError:
            return None

    def _path(self, unit: str) -> str:
        return f"{self.root}{BOOTED}/{unit}.d/{DROP_IN}"
