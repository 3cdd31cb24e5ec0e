# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arena: a PID namespace with a /proc, a kernel.pid_max and cgroups of its own, in which bombs may go off."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, final

from .armed import Armed
from .cgroups import Grounds
from .innocents import Innocent
from .programs import program

ROGUES, INNOCENTS, TOOLS = "rogues", "innocents", "tools"
# Debian's base system has both; a bomb needs a user that killall(1) can look up.
ROGUE_USER, OTHER_USER = "games", "news"
SMALLEST_PID_MAX = 301
_SAFETY = 64
# Once its numbers have gone round, the kernel gives out none below 300 again (RESERVED_PIDS, kernel/pid.c).
_RESERVED = 299
_GOES_ROUND = ("hopper", "comet")


class Task(NamedTuple):
    """One process as the machine outside sees it; ``inside`` is its number in the arena."""

    pid: int
    inside: int
    name: str
    state: str
    uid: int

    @property
    def is_dead(self) -> bool:
        return self.state in "ZX"


def pid_max_is_private() -> bool:
    """Since Linux 6.14 kernel.pid_max belongs to the PID namespace; before, a bench must not touch it."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (6, 14)


def wait_until(true: Callable[[], bool], timeout: float, what: str, every: float = 0.005) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(every)


@final
class Arena:
    """See the package's documentation. ``slots`` is the size of the process table: init, tools and innocents count."""

    def __init__(self, slots: int = 2000, full_by: str = "", hierarchies: Sequence[str] = ("unified",)) -> None:
        if slots < SMALLEST_PID_MAX:
            raise ValueError(f"the kernel takes no kernel.pid_max below {SMALLEST_PID_MAX}")
        self.slots = slots
        self.full_by = full_by or ("pid_max" if pid_max_is_private() else "pids.max")
        self._hierarchies = list(hierarchies)
        self._started: list[subprocess.Popen[bytes]] = []
        self._bombs: list[subprocess.Popen[bytes]] = []
        self._goes_round = False

    # --- life ---

    def __enter__(self) -> Arena:
        self.grounds = Grounds(self._hierarchies)
        self._scratch = tempfile.TemporaryDirectory(prefix=self.grounds.name + "-")
        self._warden: subprocess.Popen[bytes] | None = None
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _open(self) -> None:
        # pid_max N gives the numbers 1 to N - 1; the pids limit above is the net below it.
        limit = self.slots if self.full_by == "pids.max" else self.slots + _SAFETY
        (self.grounds.pids() / "pids.max").write_text(str(limit))
        pid_max = str(self.slots + 1) if self.full_by == "pid_max" else "0"
        homes = self.grounds.make("init")
        self._warden = subprocess.Popen([program("warden"), pid_max], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._warden.stdout is not None
        said = self._warden.stdout.readline().split()
        if len(said) != 2:
            raise RuntimeError("no PID namespace to be had: this needs root (CAP_SYS_ADMIN)")
        self.init = int(said[1])
        for home in homes:
            (home / "cgroup.procs").write_text(str(self.init))

    def _close(self) -> None:
        self.grounds.thaw()
        if self._warden is not None:
            assert self._warden.stdin is not None
            assert self._warden.stdout is not None
            self._warden.stdin.close()  # the warden kills init, and the kernel all the rest
            self._warden.wait()
            self._warden.stdout.close()
        for process in self._started:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self.grounds.remove()
        self._scratch.cleanup()

    # --- what the arena holds ---

    @property
    def proc(self) -> Path:
        """The arena's own /proc, readable from outside: numbers in it are those inside."""
        return Path(f"/proc/{self.init}/root/proc")

    def population(self, cgroup: str = "") -> int:
        """Slots in use in a cgroup of the arena (threads and unreaped zombies take one each), or in all of it."""
        return self.grounds.population(cgroup)

    def tasks(self, cgroup: str = ROGUES) -> list[Task]:
        """The processes of a cgroup. Not a snapshot: while it is being read a bomb goes on."""
        return [task for task in map(_task, self.grounds.members(cgroup)) if task is not None]

    def living(self, cgroup: str = ROGUES) -> list[Task]:
        return [task for task in self.tasks(cgroup) if not task.is_dead]

    def cpu_seconds(self, cgroup: str) -> float:
        """Processor time that the living processes of a cgroup have used so far."""
        stats = [_read(f"/proc/{task.pid}/schedstat").split() for task in self.living(cgroup)]
        return sum(int(stat[0]) for stat in stats if stat) / 1e9

    def free(self) -> int:
        return self.slots - self.population()

    # --- what happens in it ---

    def start(
        self, command: Sequence[str], cgroup: str = TOOLS, gate: bool = False, **streams: object
    ) -> subprocess.Popen[bytes]:
        """Run a program inside: root, a session of its own, streams as for Popen (by default none)."""
        arguments = [program("enter"), str(self.init)] + (["--gate"] if gate else [])
        for directory in self.grounds.make(cgroup):
            arguments += ["--cgroup", str(directory)]
        for stream in ("stdin", "stdout", "stderr"):
            streams.setdefault(stream, subprocess.DEVNULL)
        process: subprocess.Popen[bytes] = subprocess.Popen([*arguments, "--", *command], **streams)  # type: ignore[call-overload]
        self._started.append(process)
        return process

    def run(
        self, command: Sequence[str], cgroup: str = TOOLS, timeout: float = 30
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program inside and collect what it says. Return code 75: no process could be had."""
        process = self.start(command, cgroup, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill(cgroup)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def arm(
        self, command: Sequence[str], cgroup: str = TOOLS, gate: bool = True, env: dict[str, str] | None = None
    ) -> Armed:
        """Have a tool wait inside before the storm. With ``gate`` its process exists and exec follows `Armed.go`;
        without, the program itself prints "ready" and reads a line before it begins."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return Armed(self.start(command, cgroup, gate, env=env, **streams), lambda: self.kill(cgroup))

    def bomb(
        self, kind: str, *options: str, name: str = "rogue", user: str = ROGUE_USER, cgroup: str = ROGUES
    ) -> subprocess.Popen[bytes]:
        """Let a bomb go off and return at once; `wait_full` waits until the table is full."""
        uid, gid = numbers(user)
        who = ["--name", name, "--uid", str(uid), "--gid", str(gid)]
        process = self.start([program("bomb"), kind, *who, *options], cgroup, stderr=None)
        self._bombs.append(process)
        self._goes_round |= kind in _GOES_ROUND and self.full_by == "pid_max"
        return process

    def innocent(
        self,
        name: str = "rogue",
        user: str = OTHER_USER,
        cgroup: str = INNOCENTS,
        generations: int = 1,
        stopped: bool = False,
    ) -> Innocent:
        """Start one who must not be harmed, and wait for its first heartbeat."""
        record = Path(self._scratch.name) / f"innocent-{len(self._started)}"
        uid, gid = numbers(user)
        return Innocent.born(
            record, generations, self.proc, stopped,
            lambda command: self.start(
                [*command, "--name", name, "--uid", str(uid), "--gid", str(gid)], cgroup, stderr=None
            ),
        )  # fmt: skip

    def spare(self, slots: int, cgroup: str = ROGUES) -> None:
        """Keep this many slots free of the bomb: a limit on its cgroup. Call when all others have been started."""
        self.grounds.make(cgroup)
        room = self.slots - self.population() - slots
        (self.grounds.pids(cgroup) / "pids.max").write_text(str(room))

    def wait_full(self, spare: int = 0, timeout: float = 30, share: float = 0.97) -> None:
        """Wait until the bomb has filled the table (to ``share``: hoppers leave a few slots open for moments)."""
        others = sum(self.population(cgroup) for cgroup in self.grounds.names() if cgroup != ROGUES)
        room = self.slots - (max(others, _RESERVED) if self._goes_round else others) - spare
        self.wait_population(int(room * share), timeout)

    def wait_population(self, count: int, timeout: float = 30, cgroup: str = ROGUES) -> None:
        def reached() -> bool:
            for bomb in self._bombs:
                if 0 < (bomb.poll() or 0) < 128:  # a signal is no failure to start
                    raise RuntimeError(f"the bomb did not go off: return code {bomb.returncode}")
            return self.population(cgroup) >= count

        wait_until(reached, timeout, f"{count} processes in {cgroup}")

    def kill(self, cgroup: str = ROGUES, timeout: float = 10) -> None:
        """End all that lives in a cgroup, by the bench's own means: pids.max 0, then SIGKILL until none is left."""
        limit = self.grounds.pids(cgroup) / "pids.max"
        before = limit.read_text()
        limit.write_text("0")
        try:
            wait_until(lambda: self._killed(cgroup), timeout, f"the end of {cgroup}")
        finally:
            limit.write_text(before)

    def _killed(self, cgroup: str) -> bool:
        for pid in self.grounds.members(cgroup):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return self.population(cgroup) == 0


def numbers(user: str) -> tuple[int, int]:
    """The uid and gid of a user, or of a number that no user has."""
    if user.isdigit():
        return int(user), int(user)
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _task(pid: int) -> Task | None:
    """From status, whose Name line the kernel escapes."""
    fields = dict(line.split(":\t", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    if not fields:
        return None
    inside = int(fields.get("NSpid", str(pid)).split()[-1])
    return Task(pid, inside, fields["Name"], fields["State"][0], int(fields["Uid"].split()[0]))


def _read(path: str) -> str:
    """A file of a process; nothing where that is gone."""
    try:
        return Path(path).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
