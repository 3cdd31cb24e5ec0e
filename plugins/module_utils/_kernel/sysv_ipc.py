# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""System V semaphores, shared memory and message queues: what the kernel says of them and can be told.

Sources: sysvipc(7), semctl(2), shmctl(2), msgctl(2), proc_sys_kernel(5). Times and sizes come from ``/proc/sysvipc``,
never from the structures of the C library, whose layout differs from one machine and library to the next.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
import typing as t

from .errors import Refused

SEMAPHORES = "semaphores"
SHARED_MEMORY = "shared_memory"
MESSAGE_QUEUES = "message_queues"
KINDS = (SEMAPHORES, SHARED_MEMORY, MESSAGE_QUEUES)

SHM_DEST = 0o1000  # removed already, gone with the last detach: include/linux/shm.h
_IPC_RMID = 0  # include/uapi/linux/ipc.h and sem.h, the same on every architecture
_GETPID, _GETVAL, _GETALL, _GETNCNT, _GETZCNT = 11, 12, 13, 14, 15
_PORTION = 1000
_SEMVAL_BYTES = 2

# The first namespaces of a machine have these inodes: include/linux/proc_ns.h
INITIAL_IPC = 0xEFFFFFFF
INITIAL_PID = 0xEFFFFFFC


class Facts(t.NamedTuple):
    """What a line of a table says but for key and identifier, so that the lines of thousands of objects say the same.

    ``used`` is the last use, 0 for never; ``pids`` are those that the line names; ``trace`` is the line itself, less
    what changes without use.
    """

    kind: str
    mode: int
    uid: int
    cuid: int
    ctime: int
    used: int
    trace: bytes
    nsems: int = 0
    bytes: int = 0
    attached: int = 0
    messages: int = 0
    pids: tuple[int, ...] = ()


class Object(t.NamedTuple):
    """One line of a table. The key of a private object, which no second process can open by it, is 0 (IPC_PRIVATE)."""

    id: int
    key: int
    facts: Facts


class Touch(t.NamedTuple):
    """Who touched an object last, element by element, how many sleep on it, and the values of an array where they may
    tell more: every operation on a semaphore names who did it."""

    pids: tuple[int, ...]
    waiters: int = 0
    values: t.Any = None


class Unseen(t.NamedTuple):
    """Why there is no `Touch`."""

    reason: str


GONE = Unseen("it vanished")
DENIED = Unseen("it may not be read by this user")
CHANGED = Unseen("it changed while it was looked at")
NO_TIME = Unseen("the time budget ended before it was looked at")

TOUCHED = -1  # beside the numbers of errors


def _array(f: list[bytes], at: dict[bytes, int], trace: bytes) -> Facts:
    return Facts(
        SEMAPHORES, int(f[at[b"perms"]], 8), int(f[at[b"uid"]]), int(f[at[b"cuid"]]), int(f[at[b"ctime"]]),
        int(f[at[b"otime"]]), trace, nsems=int(f[at[b"nsems"]]),
    )  # fmt: skip


def _segment(f: list[bytes], at: dict[bytes, int], _trace: bytes) -> Facts:
    return Facts(
        SHARED_MEMORY, int(f[at[b"perms"]], 8), int(f[at[b"uid"]]), int(f[at[b"cuid"]]), int(f[at[b"ctime"]]),
        max(int(f[at[b"atime"]]), int(f[at[b"dtime"]])),
        b" ".join(f[: at.get(b"rss", len(f))]),  # rss and swap, the last ones, move with the memory's pages alone
        bytes=int(f[at[b"size"]]), attached=int(f[at[b"nattch"]]), pids=(int(f[at[b"cpid"]]), int(f[at[b"lpid"]])),
    )  # fmt: skip


def _queue(f: list[bytes], at: dict[bytes, int], trace: bytes) -> Facts:
    return Facts(
        MESSAGE_QUEUES, int(f[at[b"perms"]], 8), int(f[at[b"uid"]]), int(f[at[b"cuid"]]), int(f[at[b"ctime"]]),
        max(int(f[at[b"stime"]]), int(f[at[b"rtime"]])), trace,
        bytes=int(f[at[b"cbytes"]]), messages=int(f[at[b"qnum"]]), pids=(int(f[at[b"lspid"]]), int(f[at[b"lrpid"]])),
    )  # fmt: skip


_LINE = re.compile(rb"^ *(-?\d+) +(\d+) +(.*)$", re.MULTILINE)
_Parser = t.Callable[[t.List[bytes], t.Dict[bytes, int], bytes], Facts]
_TABLES: dict[str, tuple[str, bytes, _Parser]] = {
    SEMAPHORES: ("sem", b"semid", _array),
    SHARED_MEMORY: ("shm", b"shmid", _segment),
    MESSAGE_QUEUES: ("msg", b"msqid", _queue),
}


class Tables:
    """The objects of the IPC namespace of this process, by kind. Lines that say the same become the same `Facts`, and a
    table that says the same the same list."""

    def __init__(self, proc_root: str = "/proc") -> None:
        self.root = proc_root
        self._known: dict[str, dict[bytes, Facts]] = {kind: {} for kind in KINDS}
        self._latest: dict[str, tuple[bytes, list[Object]]] = {}

    def read(self, kind: str) -> list[Object] | None:
        """None where the kernel has no such objects."""
        try:
            raw = _read(f"{self.root}/sysvipc/{_TABLES[kind][0]}")
        except FileNotFoundError:
            return None
        if kind in self._latest and self._latest[kind][0] == raw:
            return self._latest[kind][1]
        try:
            found = self.parse(kind, raw)
        except (KeyError, ValueError, IndexError) as error:
            raise Refused(
                f"{self.root}/sysvipc/{_TABLES[kind][0]} has a form that is not known here ({error}): "
                "nothing is done with it."
            ) from None
        self._latest[kind] = (raw, found)
        return found

    def parse(self, kind: str, raw: bytes) -> list[Object]:
        """Columns are known by their names, since kernels add some; key and identifier are the first two in all."""
        heading, _newline, body = raw.partition(b"\n")
        _file, identifier, parser = _TABLES[kind]
        columns = heading.split()
        if columns[:2] != [b"key", identifier]:
            raise ValueError(f"it begins with {columns[:2]}")
        lines = _LINE.findall(body)
        if len(lines) != len(body.splitlines()):
            raise ValueError("a line of it does not begin with two numbers")
        if not lines:
            return []
        at = {column: number for number, column in enumerate(columns[2:])}
        keys, ids, traces = zip(*lines)
        known = self._known[kind]
        for trace in set(traces) - known.keys():
            known[trace] = parser(trace.split(), at, trace)
        return list(map(Object._make, zip(map(int, ids), map(int, keys), map(known.__getitem__, traces))))


_SETTINGS = {"sem": ("SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI"), **{
    name: (name.upper(),) for name in ("shmmni", "shmall", "shmmax", "msgmni", "msgmnb", "msgmax")
}}  # fmt: skip


def settings(proc_root: str = "/proc") -> dict[str, int]:
    """The limits of the IPC namespace by name: ``SEMMNI`` and so on. Those that the kernel lacks are missing."""
    found: dict[str, int] = {}
    for file, names in _SETTINGS.items():
        try:
            values = _read(f"{proc_root}/sys/kernel/{file}").split()
        except FileNotFoundError:
            continue
        found.update(zip(names, map(int, values)))
    return found


def namespace(name: str, pid: int | str = "self", proc_root: str = "/proc") -> int | None:
    """The inode of a process's namespace; None where it may not be seen or the process is gone."""
    try:
        return os.stat(f"{proc_root}/{pid}/ns/{name}").st_ino
    except OSError:
        return None


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
    finally:
        os.close(fd)


class Calls:
    """The system calls, through the C library. Raises Refused where Python cannot make them."""

    def __init__(self) -> None:
        try:
            import ctypes
        except ImportError:  # some builds of Python come without it
            raise Refused(
                "this Python has no ctypes, without which semaphores cannot be looked at: install the whole of Python "
                "(such as python3-ctypes or libffi) or set ansible_python_interpreter to another one."
            ) from None
        self._ctypes = ctypes
        # PyDLL: none of these calls sleeps, so that giving the interpreter lock away would only cost time.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._known: dict[tuple[int, ...], Touch] = {}
        try:
            self._semctl, self._shmctl, self._msgctl = libc.semctl, libc.shmctl, libc.msgctl
            self._ask = ctypes.PyDLL(None).semctl  # spares what keeping the error costs
        except AttributeError:
            raise Refused("the C library of this host has no System V IPC: there is nothing to be done.") from None

    # --- looking ---

    def touches(self, arrays: t.Sequence[Object], deadline: float = float("inf")) -> dict[int, Touch | Unseen]:
        """By identifier; equal ones are one. Past the deadline (monotonic seconds) the rest is `NO_TIME`."""
        found: dict[int, Touch | Unseen] = {}
        singles = [array.id for array in arrays if array.facts.nsems == 1]
        for start in range(0, len(singles), _PORTION):
            if time.monotonic() > deadline:
                found.update(dict.fromkeys(singles[start:], NO_TIME))
                break
            found.update(self._singles(singles[start : start + _PORTION]))
        for array in arrays:
            if array.facts.nsems != 1:
                found[array.id] = self._many(array, deadline)
        return found

    def _singles(self, ids: t.Sequence[int]) -> dict[int, Touch | Unseen]:
        """Arrays of one semaphore, as most are: the loops are left to the interpreter."""
        zero, what = itertools.repeat(0), itertools.repeat
        answers: list[tuple[int, ...]] = list(
            zip(*(map(self._ask, ids, zero, what(number)) for number in (_GETPID, _GETNCNT, _GETZCNT)))
        )
        if any(not answer[0] for answer in set(answers)):  # by nobody, or by somebody who has no number here
            answers = [
                answer if answer[0] else (*answer, self._ask(ids[at], 0, _GETVAL)) for at, answer in enumerate(answers)
            ]
        different = set(answers)
        for answer in different - self._known.keys():
            pid, sleepers, zero_sleepers, *values = answer
            self._known[answer] = Touch((pid,), sleepers + zero_sleepers, *values)
        found: dict[int, Touch | Unseen] = dict(zip(ids, map(self._known.__getitem__, answers)))
        if -1 in itertools.chain.from_iterable(different):
            found.update((ids[at], self._unseen(ids[at])) for at, answer in enumerate(answers) if -1 in answer)
        return found

    def _many(self, array: Object, deadline: float = float("inf")) -> Touch | Unseen:
        call, identifier, nsems = self._ask, array.id, array.facts.nsems
        pids: list[int] = []
        waiters = 0
        for number in range(nsems):
            pid, sleepers, zero_sleepers = (call(identifier, number, what) for what in (_GETPID, _GETNCNT, _GETZCNT))
            if pid < 0 or sleepers < 0 or zero_sleepers < 0:
                return self._unseen(identifier)
            pids.append(pid)
            waiters += sleepers + zero_sleepers
            if not number % _PORTION and time.monotonic() > deadline:
                return NO_TIME
        # One more than the kernel fills: an identifier never changes the size of its array (semget(2)).
        values = self._ctypes.create_string_buffer((nsems + 1) * _SEMVAL_BYTES)
        if call(identifier, 0, _GETALL, values) < 0:
            return self._unseen(identifier)
        return Touch(tuple(pids), waiters, values.raw)

    def _unseen(self, identifier: int) -> Unseen:
        """Ask again for the reason: the answer may be many calls ago."""
        if self._semctl(identifier, 0, _GETPID) >= 0:
            return CHANGED
        return DENIED if self._ctypes.get_errno() in (errno.EACCES, errno.EPERM) else GONE

    # --- removing ---

    def remove_untouched(self, arrays: t.Sequence[Object], touch: Touch) -> list[int]:
        """Each is looked at once more when its turn comes, and removed at once if it still is as it was.

        Of each 0, or why it was not removed: `TOUCHED`, or an error as of `remove`.
        """
        ids = [array.id for array in arrays]
        looks, untouched = itertools.tee(self._untouched(ids, touch))
        answers = iter(
            [*map(self._ask, itertools.compress(ids, looks), itertools.repeat(0), itertools.repeat(_IPC_RMID))]
        )
        return [
            0
            if is_untouched and next(answers) >= 0
            else self._why_left(array.id, errno.EPERM if is_untouched else TOUCHED)
            for array, is_untouched in zip(arrays, untouched)
        ]

    def _untouched(self, ids: t.Sequence[int], touch: Touch) -> t.Iterator[bool]:
        """Of each array whether it still is as it was, not before it is asked for."""
        if len(touch.pids) != 1:
            return (self._is_untouched(number, touch) for number in ids)
        zero, what = itertools.repeat(0), itertools.repeat
        now = zip(*(map(self._ask, ids, zero, what(number)) for number in (_GETPID, _GETNCNT, _GETZCNT)))
        return map((touch.pids[0], 0, 0).__eq__, now)

    def _is_untouched(self, identifier: int, touch: Touch) -> bool:
        call = self._ask
        for number, pid in enumerate(touch.pids):
            if call(identifier, number, _GETPID) != pid:
                return False
            if call(identifier, number, _GETNCNT) + call(identifier, number, _GETZCNT):
                return False
        return True

    def _why_left(self, identifier: int, otherwise: int) -> int:
        """Not by another try, which would be a removal without a look. semctl(2) knows no other reason than these."""
        return errno.EIDRM if self._unseen(identifier) is GONE else otherwise

    def remove(self, found: Object) -> int:
        """0, or the error: EIDRM and EINVAL mean that it was gone before, EPERM that it is neither ours nor root's."""
        if found.facts.kind == SEMAPHORES:
            done = self._semctl(found.id, 0, _IPC_RMID)
        else:
            done = (self._shmctl if found.facts.kind == SHARED_MEMORY else self._msgctl)(found.id, _IPC_RMID, None)
        return 0 if done >= 0 else int(self._ctypes.get_errno())
