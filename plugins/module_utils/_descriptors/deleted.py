# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The room that deleted files still take because they are open.

Only a file on a file system of this machine is asked for its size, for a server that does not answer would hang the
question: which mount a descriptor is on the kernel tells without one (``mnt_id`` in proc_pid_fdinfo(5)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._kernel.descriptors import DescriptorTables, Holding
from .._kernel.processes import text

# That answer from memory or a local disk: nothing on the network or in user space (FUSE).
LOCAL = frozenset(
    (
        "ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "devtmpfs", "zfs", "f2fs", "jfs", "bcachefs", "vfat",
        "reiserfs", "exfat", "ntfs3", "nilfs2", "ufs", "hugetlbfs", "minix", "udf", "hfsplus",
    )
)  # fmt: skip
# What is open for writing is in its upper layer, which cannot be on the network; a lower one can
# (Documentation/filesystems/overlayfs.rst).
_LAYERED = "overlay"
_FLAGS_AND_MOUNT = re.compile(rb"^flags:\s*([0-7]+)\s*mnt_id:\s*(\d+)", re.MULTILINE)
UNKNOWN, EXISTS, GONE = "unknown", "exists", "gone"
_BLOCK = 512  # of st_blocks, stat(2)


class File(t.NamedTuple):
    """A deleted file, told by device and inode, and the bytes it takes on its disk."""

    device: int
    inode: int
    bytes: int
    path: str


class Sizes:
    """Asks for the sizes of deleted files; mount tables are read once for each mount namespace."""

    def __init__(self, tables: DescriptorTables) -> None:
        self._tables = tables
        self._mounts: dict[str | None, dict[bytes, str]] = {}

    def of(self, holding: Holding, number: int, path: bytes) -> File | str:
        """The file; UNKNOWN where it may not be asked, EXISTS where only its name looks deleted, or GONE."""
        info = self._tables.info(holding, number)
        match = _FLAGS_AND_MOUNT.search(info or b"")
        if match is None:
            return GONE
        is_written = bool(int(match.group(1), 8) & os.O_ACCMODE)
        kind = self._types(holding.pid).get(match.group(2))
        if kind not in LOCAL and not (kind == _LAYERED and is_written):
            return UNKNOWN
        try:
            found = os.stat(f"{self._tables.root}/{holding.path}/{number}")
        except OSError:
            return GONE
        if found.st_nlink:
            return EXISTS
        return File(found.st_dev, found.st_ino, found.st_blocks * _BLOCK, text(path))

    def _types(self, pid: int) -> dict[bytes, str]:
        """Mount id -> type of file system. The ids are unique on the machine."""
        namespace = self._tables.namespace(pid, "mnt")
        if namespace not in self._mounts:
            self._mounts[namespace] = dict(mounts(self._tables.lines(f"{pid}/mountinfo")))
        return self._mounts[namespace]


def mounts(lines: t.Iterable[bytes]) -> t.Iterator[tuple[bytes, str]]:
    """Ids and types of ``mountinfo`` (proc_pid_mountinfo(5)); blanks and newlines in its paths are escaped."""
    for line in lines:
        fields, _dash, rest = line.partition(b" - ")
        if rest:
            yield fields.split(None, 1)[0], rest.split(None, 1)[0].decode("ascii", "replace")
