# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is born, of whom, where, and how it ends: glimpses of the process table between two full looks.

What lives for less than the time between two glimpses may be missed, so all counts are lower bounds; the numbers that
the kernel gave out meanwhile are the upper one.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import resource
import time
import typing as t

from .._kernel import cgroups
from .._kernel.exits import Watched
from .._kernel.processes import Process, ProcessTable, unit_of, unit_path
from .evidence import Birth, Place

INVOCATIONS = "/run/systemd/units"  # a link for each unit that runs, which names this very start of it
_BETWEEN_GLIMPSES = 0.02  # seconds; longer where a glimpse takes long
_SHARE = 3  # of which a glimpse takes one
_MOST_WATCHED = 400  # descriptors held at once
_MOST_BIRTHS = 100_000
_PROBES = 8  # looks in a row at the number given out last: what lives for less than a listing takes
_BETWEEN_PROBES = 0.002
_FOLLOWED = 2.0  # seconds from its birth in which a process gets its name and its cgroup, or ends at once
_RESERVED = 300  # where numbers start again once they have been round: RESERVED_PIDS, kernel/pid.c


class _Newborn:
    """A birth that is followed until it ends."""

    def __init__(self, process: Process, parent_name: str, place: str, watched: Watched | None) -> None:
        self.process = process
        self.parent = process.ppid
        self.parent_name = parent_name
        self.place = place
        self.watched = watched
        self.ended: float | None = None
        self.status: int | None = None

    @property
    def born(self) -> float:
        """In seconds since boot; ``start`` is in clock ticks."""
        return self.process.start / os.sysconf("SC_CLK_TCK")

    def end(self, at: float) -> None:
        self.ended = at
        if self.watched is not None:
            self.status = self.watched.status()
            self.watched.close()
            self.watched = None


class Seen(t.NamedTuple):
    """All that was seen. ``numbers`` is how many process numbers the kernel gave out, threads and failures included."""

    began: float
    seconds: float
    births: list[Birth]
    places: dict[str, Place]
    branches: dict[int, int]
    numbers: int
    glimpses: int


class Watch:
    """One watch over one table."""

    def __init__(self, table: ProcessTable, invocations: str = INVOCATIONS) -> None:
        self.table = table
        self.invocations = invocations
        self.hierarchies = cgroups.Hierarchies(table.root)
        self.processes: dict[int, Process] = {}  # the last that is known of each number
        self.place_of: dict[int, str] = {}
        self.directories: dict[str, str] = {}
        self.listed: set[str] = set()
        self.living: dict[int, _Newborn] = {}
        self.births: list[_Newborn] = []
        self.starts: dict[str, set[str]] = {}
        self.watched = 0
        self.probed = 0
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.most_watched = max(0, min(_MOST_WATCHED, soft // 2 - 8))  # the rest is for looking

    def run(self, seconds: float) -> Seen:
        began, started = _boottime(), time.monotonic()
        first = self._whole()
        refused = {place: self._refused(place) for place in self.directories}
        self.listed = set(self.table.pids())
        self._note_starts()
        pid_max, last = self.table.pid_max(), self.table.load()[1]
        numbers = glimpses = 0
        while True:
            glimpse = time.monotonic()
            self._glimpse()
            now = self.table.load()[1]
            numbers += now - last if now >= last else max(0, now - _RESERVED) + max(0, pid_max - last)
            last = now
            glimpses += 1
            left = started + seconds - time.monotonic()
            if left <= 0 or len(self.births) >= _MOST_BIRTHS:
                break
            cost = time.monotonic() - glimpse
            self._wait(min(left, max(_BETWEEN_GLIMPSES, cost * (_SHARE - 1))))
        took = time.monotonic() - started
        final = self._whole()
        self._let_go(final)
        return Seen(
            began,
            took,
            self._told(),
            self._places(first, final, refused),
            {pid: self._branch(pid) for pid in {one.parent for one in self.births}},
            numbers,
            glimpses,
        )

    # --- looking ---

    def _whole(self) -> dict[int, Process]:
        """Everybody of userland who is alive, and where."""
        found = {}
        for process in self.table.scan():
            if not process.is_kernel_thread and not process.is_dead:
                found[process.pid] = self.processes[process.pid] = process
                self.place_of[process.pid] = self._locate(process)
        return found

    def _wait(self, seconds: float) -> None:
        """What begins and ends meanwhile is known by its number only."""
        until = time.monotonic() + seconds
        while True:
            self._probe()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _BETWEEN_PROBES))

    def _probe(self) -> None:
        for _look in range(_PROBES):
            number = self.table.load()[1]
            if number == self.probed or number in self.living or self.watched >= self.most_watched:
                return
            self.probed = number
            if str(number) not in self.listed:
                self._meet(number, must_hold=True)

    def _glimpse(self) -> None:
        self._probe()
        listed = set(self.table.pids())
        for pid in listed - self.listed:
            if int(pid) not in self.living:
                self._meet(int(pid))
        now = _boottime()
        for newborn in list(self.living.values()):
            if str(newborn.process.pid) not in listed:
                self._end(newborn, now)
            elif now - newborn.born < _FOLLOWED:
                self._follow(newborn, now)
        self.listed = listed
        self._note_starts()

    def _meet(self, pid: int, must_hold: bool = False) -> None:
        process = self.table.read(pid)
        if process is None or process.is_kernel_thread:
            return
        watched = Watched(self.table, pid, process.start) if self.watched < self.most_watched else None
        if must_hold and (watched is None or not watched.holds):
            return
        place = self._locate(process)
        parent = self.processes.get(process.ppid) or self.table.read(process.ppid)
        self.watched += watched is not None
        self.processes[pid], self.place_of[pid] = process, place
        newborn = _Newborn(process, parent.name if parent else "?", place, watched)
        self.births.append(newborn)
        self.living[pid] = newborn

    def _follow(self, newborn: _Newborn, now: float) -> None:
        """Until it has settled: its own name by exec, and its own cgroup where a service manager moves it."""
        process = self.table.read(newborn.process.pid)
        if process is None or process.start != newborn.process.start:
            self._end(newborn, now)
            return
        newborn.process = self.processes[process.pid] = process
        if process.is_dead:
            if newborn.watched is not None:
                newborn.watched.look()
            newborn.ended = newborn.ended or now
        elif process.ppid == 1 and newborn.place == self.place_of.get(1):
            newborn.place = self.place_of[process.pid] = self._locate(process)

    def _end(self, newborn: _Newborn, now: float) -> None:
        self.watched -= newborn.watched is not None
        newborn.end(newborn.ended or now)
        del self.living[newborn.process.pid]

    def _let_go(self, final: t.Mapping[int, Process]) -> None:
        """At the end: who is not in the last look has ended, whoever has its number now."""
        now = _boottime()
        for newborn in list(self.living.values()):
            found = final.get(newborn.process.pid)
            if found is None or found.start != newborn.process.start:
                self._end(newborn, now)
            elif newborn.watched is not None:
                newborn.watched.close()

    def _note_starts(self) -> None:
        """Each start of a unit has an id of its own, and the link to it is there while the unit runs."""
        try:
            names = os.listdir(self.invocations)
        except OSError:
            return
        for name in names:
            kind, _colon, unit = name.partition(":")
            if kind == "invocation" and unit.endswith(".service"):
                try:
                    self.starts.setdefault(unit, set()).add(os.readlink(f"{self.invocations}/{name}"))
                except OSError:
                    continue

    # --- places ---

    def _locate(self, process: Process) -> str:
        """The unit, wherever in it the process is. On cgroup v1 who ends is in the root by then."""
        paths = self.table.cgroups(process.pid) or {}
        path = unit_path(paths)
        if path == "/" and process.ppid > 1 and process.ppid in self.place_of:
            return self.place_of[process.ppid]
        place = _whole_unit(path)
        if place not in self.directories:
            directory = self.hierarchies.directory("pids", paths)
            if directory is not None:
                self.directories[place] = _whole_unit(directory)
        return place

    def _refused(self, place: str) -> int:
        for line in (cgroups.read(self.directories.get(place, ""), "pids.events") or "").splitlines():
            name, _blank, count = line.partition(" ")
            if name == "max" and count.isdigit():
                return int(count)
        return 0

    def _places(
        self, first: t.Mapping[int, Process], final: t.Mapping[int, Process], refused: t.Mapping[str, int]
    ) -> dict[str, Place]:
        """Those in which anything runs, was born or was started."""
        found = {
            path: Place(path, unit_of(path)) for path in (*self.place_of.values(), *(one.place for one in self.births))
        }
        by_unit = {place.unit: path for path, place in found.items()}
        for pid in first:
            path = self.place_of[pid]
            found[path] = found[path]._replace(before=found[path].before + 1)
        for pid, process in sorted(final.items(), key=lambda item: item[1].start):
            path = self.place_of[pid]
            place = found[path]
            old = first.get(pid)
            lasting = process.threads if old is not None and old.start == process.start else 0
            main = place.main or (pid if process.ppid <= 1 else 0)
            found[path] = place._replace(after=place.after + 1, lasting=place.lasting + lasting, main=main)
        for unit, ids in self.starts.items():
            path = by_unit.get(unit, unit)
            found[path] = found.get(path, Place(path, unit))._replace(starts=len(ids) - 1)
        for path, place in found.items():
            directory = self.directories.get(path)
            if directory is not None:
                more = max(0, self._refused(path) - refused.get(path, 0))
                found[path] = place._replace(refused=more, limit=cgroups.number(directory, "pids.max"))
        return found

    def _branch(self, pid: int) -> int:
        """Who of its ancestors, or itself, was started by the main process of its unit."""
        seen: set[int] = set()
        while pid not in seen and pid in self.processes:
            seen.add(pid)
            parent = self.processes[pid].ppid
            above = self.processes.get(parent)
            if above is not None and above.ppid <= 1 and self.place_of.get(parent) == self.place_of.get(pid):
                return pid
            pid = parent
        return 0

    def _told(self) -> list[Birth]:
        newborn = {one.process.pid for one in self.births}
        return [
            Birth(
                one.process.pid,
                one.process.name,
                one.parent,
                one.parent_name,
                one.place,
                one.born,
                one.ended,
                one.status,
                one.parent in newborn,
            )
            for one in self.births
        ]


def _whole_unit(path: str) -> str:
    """The path up to the innermost unit in it; the path itself where no service manager named a part of it."""
    unit = unit_of(path)
    at = path.rfind(f"/{unit}")
    return path[: at + 1 + len(unit)] if at >= 0 and unit != path else path


def _boottime() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
