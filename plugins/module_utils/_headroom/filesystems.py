# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inodes and space of every file system that can be used up, each once, and never of one that may hang.

statvfs(3) of a network file system whose server is gone does not return, and neither does a walk through a directory of
it. Both are told from the mount table (proc_pid_mountinfo(5)) alone, before anything is touched.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._kernel.processes import text
from .survey import Limit, Resource, Survey

# Asks a server, another node or a daemon, each of which may be gone. FUSE is here, too.
_ASKS_OTHERS = frozenset({
    "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "cvfs", "davfs", "gfs", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "sshfs",
    "vboxsf", "vmhgfs",
})  # fmt: skip
_FUSE = re.compile(r"^fuse(blk|ctl)?(\.|$)|^virtiofs$")
# Images: as full as can be from the day they were made.
_IMAGES = frozenset({"cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf"})
# Without a block device of their own (their device number has the major 0), and yet with limits.
_COUNTED = frozenset({"aufs", "bcachefs", "btrfs", "devtmpfs", "overlay", "tmpfs", "ubifs", "zfs"})
_UNIONS = frozenset({"aufs", "overlay"})
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(t.NamedTuple):
    """One line of the mount table; ``device`` is the same for every mount of one file system."""

    number: int
    parent: int
    device: str
    point: str
    kind: str
    read_only: bool

    @property
    def may_hang(self) -> bool:
        return self.kind in _ASKS_OTHERS or self.is_fuse

    @property
    def is_fuse(self) -> bool:
        return bool(_FUSE.match(self.kind)) and self.kind != "fusectl"

    def lies_on_the_way_to(self, other: Mount) -> bool:
        """Whoever walks to the other mount may have to walk through this one. All have come from the root already."""
        return self.point == other.point or (self.point != "/" and other.point.startswith(self.point + "/"))

    @property
    def counts(self) -> bool:
        """It has inodes or blocks of its own that can be used up."""
        if self.read_only or self.kind in _IMAGES:
            return False
        return self.may_hang or self.kind in _COUNTED or not self.device.startswith("0:")


class Space(t.NamedTuple):
    """statvfs(3) of one file system, space in bytes; ``free`` is what others than root may use."""

    mount: Mount
    blocks: int
    blocks_used: int
    blocks_free: int
    blocks_kept: bool
    inodes: int
    inodes_used: int
    inodes_free: int


def parse_mounts(raw: bytes) -> list[Mount]:
    """``/proc/self/mountinfo``. A line that is none is left out; white space in paths is escaped by the kernel."""
    mounts = []
    for line in raw.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 6 or len(kind) < 3 or not (fields[0] + fields[1]).isdigit():
            continue
        point = os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match.group(1), 8) & 255]), fields[4]))
        read_only = b"ro" in kind[-1].split(b",")
        device, name = (part.decode("utf-8", "backslashreplace") for part in (fields[2], kind[0]))
        mounts.append(Mount(int(fields[0]), int(fields[1]), device, point, name, read_only))
    return mounts


def choose(mounts: t.Sequence[Mount], include_fuse: bool) -> tuple[list[Mount], dict[str, str]]:
    """The mounts to look at, the shortest path of each file system first, and what is left out and why."""
    hanging = [mount for mount in mounts if mount.may_hang and not (include_fuse and mount.is_fuse)]
    chosen: list[Mount] = []
    left_out: dict[str, str] = {}
    for mount in sorted(mounts, key=lambda mount: (len(mount.point), mount.number)):
        if not mount.counts:
            continue
        obstacle = next((other for other in hanging if other.lies_on_the_way_to(mount)), None)
        if obstacle is None:
            chosen.append(mount)
        elif obstacle.point == mount.point:
            left_out[text(mount.point)] = f"{obstacle.kind}: a file system that may hang is not asked"
        else:
            left_out[text(mount.point)] = f"lies below {text(obstacle.point)} ({obstacle.kind}), which may hang"
    return chosen, left_out


def measure(survey: Survey) -> list[Space]:
    """Each file system once. A mount point that another mount covers is left out: it shows the other one."""
    with open(survey.table.root + "/self/mountinfo", "rb") as file:
        mounts = parse_mounts(file.read())
    return ask(survey, mounts, lambda mount: _space(mount, survey.table.root))


def ask(survey: Survey, mounts: t.Sequence[Mount], space_of: t.Callable[[Mount], Space | None]) -> list[Space]:
    """The mounts that may be asked, each file system once; who is missing is said."""
    chosen, left_out = choose(mounts, survey.include_fuse)
    survey.left_out.update(left_out)
    spaces: dict[str, Space] = {}
    denied = 0
    for mount in chosen:
        if mount.device in spaces:
            continue
        if survey.is_over:
            survey.gaps.append(f"the time budget ended after {len(spaces)} file systems: raise time_budget to see all")
            break
        try:
            space = space_of(mount)
        except PermissionError:
            denied += 1
            continue
        except OSError as error:
            survey.gaps.append(f"{text(mount.point)} cannot be asked for its space ({error.strerror})")
            continue
        if space is not None and not any(_is_same(space, other) for other in spaces.values()):
            spaces[mount.device] = space
    if denied:
        survey.gaps.append(f"{denied} mount points may not be reached: run as root to see all file systems")
    return list(spaces.values())


def _space(mount: Mount, proc_root: str) -> Space | None:
    try:
        fd = os.open(mount.point, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None  # unmounted meanwhile, or covered from above
    try:
        if _mount_number(fd, proc_root) not in (None, mount.number):
            return None
        return space(mount, os.fstatvfs(fd))
    finally:
        os.close(fd)


def space(mount: Mount, found: os.statvfs_result) -> Space:
    return Space(
        mount,
        found.f_blocks * found.f_frsize,
        (found.f_blocks - found.f_bfree) * found.f_frsize,
        max(0, found.f_bavail) * found.f_frsize,
        found.f_bfree > found.f_bavail,
        found.f_files,
        found.f_files - found.f_ffree,
        max(0, found.f_favail),
    )


def _mount_number(fd: int, proc_root: str) -> int | None:
    """Of the mount that the descriptor came to lie in; None where the kernel (before 3.15) does not tell."""
    try:
        with open(f"{proc_root}/self/fdinfo/{fd}", "rb") as file:
            match = re.search(rb"^mnt_id:\s*(\d+)", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(match.group(1)) if match else None


def _is_same(space: Space, other: Space) -> bool:
    """A union passes on the figures of the file system that it writes to, under a device number of its own."""
    if not {space.mount.kind, other.mount.kind} & _UNIONS:
        return False
    nearly = space.blocks // 1000
    return space.blocks == other.blocks and abs(space.blocks_used - other.blocks_used) <= nearly


def inodes(spaces: t.Iterable[Space], top: int) -> list[Limit]:
    found = [
        Limit(_scope(space), "inodes", space.inodes_used, space.inodes, free=space.inodes_free)
        for space in spaces
        if space.inodes > 0
    ]
    return sorted(found, key=lambda limit: limit.scarcity)[: max(0, top)]


def blocks(spaces: t.Iterable[Space], top: int) -> list[Limit]:
    found = [
        Limit(
            _scope(space),
            "blocks",
            space.blocks_used,
            space.blocks,
            stops_root=not space.blocks_kept,
            free=space.blocks_free,
            measure="bytes",
        )
        for space in spaces
        if space.blocks > 0
    ]
    return sorted(found, key=lambda limit: limit.scarcity)[: max(0, top)]


def _scope(space: Space) -> str:
    return f"filesystem {text(space.mount.point)}"


INODES = Resource("inodes", "", lambda survey, top: inodes(measure(survey), top), needs_processes=False)
BLOCKS = Resource("blocks", "", lambda survey, top: blocks(measure(survey), top), needs_processes=False)
