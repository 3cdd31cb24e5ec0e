# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who must not be harmed, and how it shows if they were."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .programs import program

_LIFE = struct.Struct("=iIII")  # struct life of innocent.c


class Life(NamedTuple):
    """One process at one moment: what /proc says of it, and what it recorded itself."""

    pid: int
    start: int | None
    state: str
    beats: int
    signals: int
    last_signal: int

    @property
    def standing(self) -> str:
        """Sleeping, running and waiting are one to an observer; the rest matters."""
        return "alive" if self.state in "RSDI" else {"T": "stopped", "t": "traced"}.get(self.state, "dead")


class Harmed(AssertionError):
    """An innocent was killed, stopped, woken or signalled."""


class Innocent:
    """A family of one or more generations; `before` is how it was when it came into the world."""

    def __init__(self, record: Path, generations: int, proc: Path, process: subprocess.Popen[bytes]) -> None:
        self.generations = generations
        self.proc = proc
        self.process = process
        with record.open("r+b") as file:
            self._record = mmap.mmap(file.fileno(), _LIFE.size * generations)

    @classmethod
    def born(
        cls,
        record: Path,
        generations: int,
        proc: Path,
        stopped: bool,
        start: Callable[[Sequence[str]], subprocess.Popen[bytes]],
    ) -> Innocent:
        record.write_bytes(bytes(_LIFE.size * generations))
        command = [program("innocent"), str(record), "--generations", str(generations)]
        family = cls(record, generations, proc, start(command + (["--stopped"] if stopped else [])))
        wanted = "stopped" if stopped else "alive"
        deadline = time.monotonic() + 10
        while not all(life.beats and life.standing == wanted for life in family.look()):
            if family.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the innocent was never born: {family.look()}")
            time.sleep(0.005)
        family.before = family.look()
        return family

    before: list[Life]

    def look(self) -> list[Life]:
        return [self._life(index) for index in range(self.generations)]

    def _life(self, index: int) -> Life:
        pid, beats, signals, last = _LIFE.unpack_from(self._record, index * _LIFE.size)
        start: int | None = None
        state = "X"
        try:
            fields = (self.proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            state, start = fields[0], int(fields[19])
        except (FileNotFoundError, ProcessLookupError):
            pass
        return Life(pid, start, state, beats, signals, last)

    @property
    def pids(self) -> list[int]:
        """Their numbers inside the arena."""
        return [life.pid for life in self.before]

    def harm(self, patience: float = 5) -> str:
        """What was done to it since `before`, or nothing. Waits for one more heartbeat of those that had one."""
        since = self.look()
        beating = [index for index, life in enumerate(since) if life.standing == "alive"]
        deadline = time.monotonic() + patience
        while True:
            after = self.look()
            silent = [
                after[index]
                for index in beating
                if after[index].standing == "alive" and after[index].beats == since[index].beats
            ]
            if not silent or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        wounds = [wound for index, life in enumerate(self.before) for wound in _wounds(life, after[index])]
        wounds += [f"process {life.pid} has had no heartbeat for {patience} s" for life in silent]
        return ", ".join(wounds)

    def assert_unharmed(self) -> None:
        """It lives on, unchanged. A SIGSTOP that was taken back shows too: by the SIGCONT."""
        harm = self.harm()
        if harm:
            raise Harmed(harm)


def _wounds(old: Life, new: Life) -> Iterator[str]:
    if (new.pid, new.start) != (old.pid, old.start) or new.standing == "dead":
        yield f"process {old.pid} died"
    elif new.standing != old.standing:
        yield f"process {old.pid} was {old.standing} and is {new.standing}"
    if new.signals != old.signals:
        yield f"process {old.pid} received {new.signals - old.signals} signals, the last was {new.last_signal}"
