# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has memory mapped or a file open: proven by ``/proc/PID/maps`` and ``/proc/PID/fd``, for memory of System V too.

Reading maps takes the memory lock of its process, which one inside fork(2) holds: not for a host in a process storm.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from .people import People

# address, permissions, offset, device, inode, path: proc_pid_maps(5)
_LINE = re.compile(rb"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)$", re.MULTILINE)
_SYSV = b"/SYSV"
_DELETED = " (deleted)"

File = t.Tuple[int, int]  # device and inode


class Attachments(t.NamedTuple):
    """``files``: processes by file; ``segments``: by identifier. ``gaps``: why some users may be missing."""

    files: dict[File, set[int]]
    segments: dict[int, set[int]]
    gaps: list[str]


def read(people: People, names: t.Mapping[File, str], deadline: float) -> Attachments:
    """``names``: the files that matter, with the last part of their path.

    The name of an open file is compared before it is looked at more closely: to look at a file on a server that does
    not answer would take for ever.
    """
    found = Attachments({}, {}, [])
    wanted = set(names.values())
    denied = 0
    for pid in people.processes:
        if time.monotonic() > deadline:
            found.gaps.append("the time budget ended before the maps of all processes were read")
            break
        try:
            _maps(people, pid, names, found)
            if wanted:
                _descriptors(people, pid, wanted, names, found)
        except PermissionError:
            denied += 1
        except OSError:
            continue
    if denied:
        found.gaps.append(f"maps and descriptors of {denied} processes may not be read by this user")
    return found


def _maps(people: People, pid: int, names: t.Mapping[File, str], found: Attachments) -> None:
    with open(f"{people.table.root}/{pid}/maps", "rb") as file:
        content = file.read()
    for major, minor, inode, path in _LINE.findall(content):
        if path.startswith(_SYSV):
            if people.is_here(pid):
                found.segments.setdefault(int(inode), set()).add(pid)
            continue
        key = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
        if key in names:
            found.files.setdefault(key, set()).add(pid)


def _descriptors(
    people: People, pid: int, wanted: t.Collection[str], names: t.Mapping[File, str], found: Attachments
) -> None:
    directory = f"{people.table.root}/{pid}/fd"
    for number in os.listdir(directory):
        try:
            target = os.readlink(f"{directory}/{number}")
            if target.endswith(_DELETED):
                target = target[: -len(_DELETED)]
            if target.rpartition("/")[2] not in wanted:
                continue
            status = os.stat(f"{directory}/{number}")
        except FileNotFoundError:
            continue
        key = (status.st_dev, status.st_ino)
        if key in names:
            found.files.setdefault(key, set()).add(pid)
