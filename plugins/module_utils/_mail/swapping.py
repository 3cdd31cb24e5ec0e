# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty directory in the place of the maildrop, and back what has to be kept.

The state of a swap is in the names alone, so it survives the module: ``maildrop.hostcare-swap-*`` is either a new
directory that is empty yet or the old one that is not empty yet. Both are dealt with by moving what is kept out of it,
removing what goes, and removing it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import typing as t

from .renaming import exchange, move
from .spool import ASIDE, MAILDROP, Spool

SWAP = ASIDE + "swap-"
# Attributes of inodes that chattr(1) may set on a queue directory: S, A, D, j, d.
_COPIED_FLAGS = 0x00000008 | 0x00000080 | 0x00010000 | 0x00004000 | 0x00000040
_GETFLAGS = 0x80086601 if struct.calcsize("l") == 8 else 0x80046601
_SETFLAGS = 0x40086602 if struct.calcsize("l") == 8 else 0x40046602


def leftovers(spool: Spool) -> list[str]:
    return [name for name in spool.aside() if name.startswith(SWAP)]


def swap(spool: Spool, maildrop: int) -> tuple[str, int]:
    """Where the old directory is now, and the new one, opened.

    Raises OSError where there is no room for a new one, or where the file system cannot rename it (as overlayfs, with
    what comes from an image); then all is as it was.
    """
    aside = SWAP + os.urandom(4).hex()
    os.mkdir(aside, 0o700, dir_fd=spool.fd)
    fresh = -1
    try:
        fresh = spool.open(aside)
        _copy_attributes(maildrop, fresh)
        if not exchange(spool.fd, MAILDROP, aside):
            _exchange_in_three(spool, aside)
    except BaseException:
        if fresh >= 0:
            os.close(fresh)
        with contextlib.suppress(OSError):
            os.rmdir(aside, dir_fd=spool.fd)
        raise
    with contextlib.suppress(OSError):
        os.fsync(spool.fd)
    return aside, fresh


def _exchange_in_three(spool: Spool, aside: str) -> None:
    """For a moment there is no maildrop; whoever submits mail then waits and tries again (mail_queue_enter)."""
    fresh = aside + "-new"
    steps = [(aside, fresh), (MAILDROP, aside), (fresh, MAILDROP)]
    for number, (old, new) in enumerate(steps):
        try:
            os.rename(old, new, src_dir_fd=spool.fd, dst_dir_fd=spool.fd)
        except OSError:
            for before, now in reversed(steps[:number]):
                os.rename(now, before, src_dir_fd=spool.fd, dst_dir_fd=spool.fd)
            raise


def _copy_attributes(old: int, new: int) -> None:
    """Owner, mode, ACL, SELinux label and other extended attributes, and the flags of chattr(1)."""
    facts = os.fstat(old)
    os.fchown(new, facts.st_uid, facts.st_gid)
    with contextlib.suppress(OSError):  # a file system without them
        for name in os.listxattr(new):  # such as an ACL inherited from the queue directory
            if name not in os.listxattr(old):
                os.removexattr(new, name)
    for name in _attributes(old):
        os.setxattr(new, name, os.getxattr(old, name))
    os.fchmod(new, facts.st_mode & 0o7777)  # after the ACL, whose mask is in the mode
    with contextlib.suppress(OSError):
        before = struct.unpack("l", fcntl.ioctl(old, _GETFLAGS, struct.pack("l", 0)))[0]
        if before & _COPIED_FLAGS:
            fcntl.ioctl(new, _SETFLAGS, struct.pack("l", before & _COPIED_FLAGS))


def _attributes(directory: int) -> list[str]:
    try:
        return os.listxattr(directory)
    except OSError:
        return []


def bring_back(source: int, target: int, names: t.Iterable[str]) -> int:
    """Move names into the maildrop, under another legal name where other mail has taken it. How many could not be."""
    failed = 0
    for name in names:
        try:
            _move_to_free_name(source, name, target)
        except FileNotFoundError:
            continue
        except OSError:
            failed += 1
    return failed


def _move_to_free_name(source: int, name: str, target: int) -> None:
    """The name of a file in the maildrop means nothing to Postfix: the message is given another one on its way in."""
    free = name
    while True:
        try:
            move(source, name, target, free)
            return
        except FileExistsError:
            if len(os.fsencode(free)) >= 255:
                raise
            free += "0"


def recover(spool: Spool) -> str:
    """Put the maildrop back where an exchange in three steps was interrupted; the name that it had."""
    names = leftovers(spool)
    try:
        os.stat(MAILDROP, dir_fd=spool.fd, follow_symlinks=False)
    except FileNotFoundError:
        if names:
            os.rename(names[-1], MAILDROP, src_dir_fd=spool.fd, dst_dir_fd=spool.fd)
            return names[-1]
    return ""
