# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maildrop, ``public`` and ``public/pickup`` as Postfix wants them (postfix-files, postfix-script, master(8)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import stat
import typing as t

from . import labels
from .spool import MAILDROP, Spool

RIGHT, MADE, MENDED, LEFT = "right", "made", "mended", "left"
_PUBLIC = "public"
_PICKUP = "pickup"
_PICKUP_MODE = 0o622  # master_listen.c
# The mode to make it with; Postfix checks neither bit above 0777, Debian sets both, others none.
_MODES = {MAILDROP: 0o1730, _PUBLIC: 0o2710}


class Found(t.NamedTuple):
    """Something in the queue directory as it was found; ``mode`` without the type, all but ``kind`` None if missing."""

    name: str
    kind: str
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


class Wanted(t.NamedTuple):
    name: str
    kind: str
    uid: int
    gid: int | None
    mode: int


class Step(t.NamedTuple):
    """What was found, what is wanted, and what is to be done about it."""

    found: Found
    wanted: Wanted
    verdict: str


def wanted(uid: int, gid: int, pickup: str) -> list[Wanted]:
    """``pickup`` is the type of that service in master.cf."""
    directories = [Wanted(name, "directory", uid, gid, mode) for name, mode in _MODES.items()]
    kind = {"fifo": "fifo", "unix": "socket"}.get(pickup, "")
    return [*directories, Wanted(f"{_PUBLIC}/{_PICKUP}", kind, uid, None, _PICKUP_MODE)]


def look(spool: Spool, name: str) -> Found:
    try:
        facts = os.stat(name, dir_fd=spool.fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return Found(name, "missing")
    kinds = {stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(facts.st_mode), "other")
    return Found(name, kind, facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode))


def decide(found: Found, want: Wanted) -> str:
    """Sockets are made by Postfix alone, and what is of the wrong kind is not removed."""
    if found.kind == "missing":
        return MADE if want.kind in ("directory", "fifo") else LEFT
    if found.kind != want.kind:
        return LEFT
    if found.kind == "socket":
        return RIGHT
    same_owner = found.uid == want.uid and want.gid in (None, found.gid)
    mode = found.mode or 0
    same_mode = mode & 0o777 == want.mode & 0o777 and not (mode & 0o7000) & ~want.mode
    return RIGHT if same_owner and same_mode else MENDED


def plan(spool: Spool, wants: t.Iterable[Wanted]) -> list[Step]:
    """Raises Refused where a directory is a link or something else than a directory."""
    steps = []
    for want in wants:
        found = look(spool, want.name)
        if want.kind == "directory" and found.kind not in ("directory", "missing"):
            os.close(spool.open(want.name))  # refuses it, and says why
        steps.append(Step(found, want, decide(found, want)))
    return steps


def apply(spool: Spool, step: Step) -> None:
    if step.wanted.kind == "directory":
        if step.verdict == MADE:
            os.mkdir(step.wanted.name, 0o700, dir_fd=spool.fd)
        _mend_directory(spool, step.wanted, step.verdict == MADE)
    else:
        _fifo(spool, step)


def _mend_directory(spool: Spool, want: Wanted, made: bool) -> None:
    fd = spool.open(want.name)
    try:
        if made:
            labels.set_default(os.path.join(spool.path, want.name), fd)
        os.fchown(fd, want.uid, -1 if want.gid is None else want.gid)
        os.fchmod(fd, want.mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def _fifo(spool: Spool, step: Step) -> None:
    """In a directory that belongs to Postfix: never by way of a link that it might have put there."""
    directory = spool.open(_PUBLIC)
    before = os.umask(0)
    try:
        if step.verdict == MADE:
            os.mkfifo(_PICKUP, _PICKUP_MODE, dir_fd=directory)
        fd = os.open(_PICKUP, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.chown(f"/proc/self/fd/{fd}", step.wanted.uid, -1)
                os.chmod(f"/proc/self/fd/{fd}", step.wanted.mode)
        finally:
            os.close(fd)
    finally:
        os.umask(before)
        os.close(directory)
