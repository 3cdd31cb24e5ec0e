# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX semaphores, shared memory and message queues: files in ``/dev/shm`` and ``/dev/mqueue``, whose use is proven.

Sources: sem_overview(7), shm_overview(7), mq_overview(7).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t

from .verdict import HOST, IN_USE, ORPHANED, UNKNOWN, Verdict

SEMAPHORES = "posix_semaphores"
SHARED_MEMORY = "posix_shared_memory"
MESSAGE_QUEUES = "posix_message_queues"
KINDS = (SEMAPHORES, SHARED_MEMORY, MESSAGE_QUEUES)

_SHM = "/dev/shm"
_MQUEUE = "/dev/mqueue"
_PREFIX = "sem."
_QUEUE_SIZE = re.compile(r"^QSIZE:(\d+).*NOTIFY_PID:(\d+)")
_QUEUE_BYTES = 256


class Named(t.NamedTuple):
    """A file. ``notifies`` is the process that is told of the next message in a queue, 0 for none."""

    kind: str
    path: str
    file: tuple[int, int]
    uid: int
    mode: int
    bytes: int
    ctime: float
    used: float
    notifies: int = 0


class Place(t.NamedTuple):
    """A file system with a limit: what is used of it, and where the limit is set."""

    kind: str
    name: str
    parameter: str
    unit: str
    used: int
    limit: int
    error: str


def objects(kinds: t.Collection[str], root: str = "") -> list[Named]:
    """Those on this host. A directory that is missing has none."""
    found = [*_files(root + _SHM), *_files(root + _MQUEUE)]
    return [named for named in found if named.kind in kinds]


def _files(directory: str) -> t.Iterator[Named]:
    is_queues = directory.endswith(_MQUEUE)
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        try:
            status = os.lstat(path)
        except OSError:
            continue  # gone
        if not stat.S_ISREG(status.st_mode):
            continue
        kind = MESSAGE_QUEUES if is_queues else SEMAPHORES if name.startswith(_PREFIX) else SHARED_MEMORY
        size, notifies = _queue(path) if is_queues else (status.st_size, 0)
        yield Named(
            kind, path, (status.st_dev, status.st_ino), status.st_uid, stat.S_IMODE(status.st_mode), size,
            status.st_ctime, status.st_mtime, notifies,
        )  # fmt: skip


def _queue(path: str) -> tuple[int, int]:
    """The bytes in a queue, and who is told of the next message."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            match = _QUEUE_SIZE.match(file.read(_QUEUE_BYTES))
    except OSError:
        match = None
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def judge(named: Named, users: t.Collection[int], sight: str, gaps: t.Collection[str]) -> Verdict:
    """Pure. Unlike an identifier a file cannot be used without having it open or mapped."""
    if users:
        return Verdict(IN_USE, "processes have it open or mapped")
    if named.notifies:
        return Verdict(IN_USE, "a process is to be told of its next message")
    if gaps or sight != HOST:
        return Verdict(UNKNOWN, "no process is seen to have it open or mapped, but not all can be seen")
    return Verdict(ORPHANED, "no process has it open or mapped")


def places(kinds: t.Collection[str], found: t.Sequence[Named], root: str = "", proc_root: str = "/proc") -> list[Place]:
    """The limits on such files, where this host has them."""
    limits = []
    if SHARED_MEMORY in kinds or SEMAPHORES in kinds:
        with contextlib.suppress(OSError):
            room = os.statvfs(root + _SHM)
            size = room.f_blocks * room.f_frsize
            used = size - room.f_bfree * room.f_frsize
            limits.append(Place(SHARED_MEMORY, "size", _SHM, "bytes", used, size, "SIGBUS, or ENOSPC from write(2)"))
    if MESSAGE_QUEUES in kinds:
        with contextlib.suppress(OSError, ValueError):
            with open(f"{proc_root}/sys/fs/mqueue/queues_max", encoding="ascii") as file:
                most = int(file.read())
            used = sum(1 for named in found if named.kind == MESSAGE_QUEUES)
            error = "ENOSPC from mq_open(3)"
            limits.append(Place(MESSAGE_QUEUES, "queues_max", "fs.mqueue.queues_max", "queues", used, most, error))
    return limits
