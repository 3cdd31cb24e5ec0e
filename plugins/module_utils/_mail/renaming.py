# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renames that cannot overwrite, and an exchange of two names in one step (rename(2), renameat2).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
import typing as t

_NOREPLACE = 1  # linux/fs.h
_EXCHANGE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def exchange(directory: int, one: str, other: str) -> bool:
    """False where this kernel, C library or file system knows no exchange."""
    try:
        _renameat2(directory, one, directory, other, _EXCHANGE)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def move(source: int, name: str, target: int, new_name: str) -> None:
    """Raises FileExistsError where the new name is taken."""
    try:
        _renameat2(source, name, target, new_name, _NOREPLACE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _move_by_link(source, name, target, new_name)


def _move_by_link(source: int, name: str, target: int, new_name: str) -> None:
    facts = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):  # a directory replaces no more than an empty one
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
        return
    try:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except FileExistsError:
        # The same file is one that an interrupted move left with both names.
        if not os.path.samestat(facts, os.stat(new_name, dir_fd=target, follow_symlinks=False)):
            raise
    os.unlink(name, dir_fd=source)


def _renameat2(source: int, name: str, target: int, new_name: str, flags: int) -> None:
    call = _call()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    call(source, os.fsencode(name), target, os.fsencode(new_name), flags)


@functools.lru_cache(maxsize=None)
def _call() -> t.Callable[[int, bytes, int, bytes, int], None] | None:
    """None without ctypes, or with a C library that does not have it."""
    try:
        import ctypes

        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def call(source: int, name: bytes, target: int, new_name: bytes, flags: int) -> None:
        if function(source, name, target, new_name, flags) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(name))

    return call
