# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are found without being led astray by a link, and rewritten with all that belongs to them.

A file is replaced in one step by a draft with the same owner, mode, access list and extended attributes. Where no draft
can be made, it is written in place. Sources: openat(2), rename(2), xattr(7), acl(5), fallocate(2), ioctl_iflags(2).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import time
import typing as t

DRAFT = ".hostcare-draft"  # no cron daemon reads a file whose name begins with a dot
PAGE = 4096
_MOST_LINKS = 40  # as many as the kernel follows (path_resolution(7))
_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO in the file's place must not make us wait for its writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FS_IOC_GETFLAGS = 0x80006601 | (struct.calcsize("l") << 16)
_FS_IMMUTABLE, _FS_APPEND = 0x10, 0x20
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
_EXCHANGE = 2  # RENAME_EXCHANGE
_FULL = (errno.ENOSPC, errno.EDQUOT)
# The file, or its directory, is of a kind that cannot be replaced: a mount point, a file system without rename.
_FIXED = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES)

REPLACED, IN_PLACE = "replaced", "in_place"


class Unsafe(Exception):
    """A file that is left alone, and why."""


class Changed(Exception):
    """Somebody else has written the file since it was read."""


class Found(t.NamedTuple):
    """A regular file as it was read."""

    raw: bytes
    facts: os.stat_result
    attributes: dict[str, bytes]


class Spot:
    """A name in an open directory. ``through_link`` says that the path led here through a symbolic link at its end."""

    def __init__(self, directory: int, name: str, path: str, through_link: bool) -> None:
        self.directory, self.name, self.path, self.through_link = directory, name, path, through_link

    def __enter__(self) -> Spot:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self.directory)

    def look(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def has_room(self, size: int) -> bool:
        """Whether a draft of this size can be made: an inode and the blocks for it are free."""
        room = os.statvfs(self.directory)
        # Some file systems count no inodes (btrfs), and root may use the blocks that are kept from others.
        inodes = room.f_favail if os.geteuid() else room.f_ffree
        blocks = room.f_bavail if os.geteuid() else room.f_bfree
        return (not room.f_files or inodes > 0) and (not room.f_blocks or blocks * room.f_frsize >= size)

    def is_read_only(self) -> bool:
        return bool(os.statvfs(self.directory).f_flag & os.ST_RDONLY)


class _Walk:
    """The way from a root to a directory, as a stack of open directories, so that `..` leads back and no further."""

    def __init__(self, root: str) -> None:
        self.fds = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        self.names: list[str] = []
        self.links = 0

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)

    def where(self, name: str) -> str:
        return "/" + "/".join([*self.names, name])

    def back(self) -> None:
        if self.names:
            self.names.pop()
            os.close(self.fds.pop())

    def enter(self, name: str) -> None:
        self.fds.append(os.open(name, _WALK, dir_fd=self.fds[-1]))
        self.names.append(name)
        _check_directory(os.fstat(self.fds[-1]), self.where("")[:-1])

    def link(self, name: str) -> list[str] | None:
        """Where a symbolic link of this name leads to, part by part; None where there is none."""
        try:
            facts = os.stat(name, dir_fd=self.fds[-1], follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(facts.st_mode):
            return None
        self.links += 1
        if self.links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.where(name))
        _check_owner(facts, f"the symbolic link {self.where(name)}")
        target = os.readlink(name, dir_fd=self.fds[-1])
        while target.startswith("/") and self.names:
            self.back()
        return _parts(target)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def locate(path: str, root: str = "/") -> Spot:
    """The directory and the name that a path below ``root`` leads to.

    Raises Unsafe where somebody who may not be trusted could lead it elsewhere, OSError where there is nothing.
    """
    walk = _Walk(root)
    through_link = False
    try:
        parts = _parts(path)
        while parts:
            name = parts.pop(0)
            if name == "..":
                walk.back()
                continue
            target = walk.link(name)
            if target is not None:
                through_link = through_link or not parts
                parts = target + parts
            elif parts:
                walk.enter(name)
            else:
                directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.fds[-1])
                return Spot(directory, name, walk.where(name), through_link)
        raise Unsafe("it is a directory")
    finally:
        walk.close()


def read(spot: Spot, most: int) -> Found:
    """The file, when it is a regular one of at most ``most`` bytes. Raises Unsafe or OSError."""
    facts = spot.look()
    if not stat.S_ISREG(facts.st_mode):  # asked before it is opened: opening a device may do something
        raise Unsafe(f"it is {_kind(facts.st_mode)} and not a regular file")
    fd = os.open(spot.name, _READ, dir_fd=spot.directory)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise Unsafe("it is not a regular file")
        if facts.st_size > most:
            raise Unsafe(f"it is larger than {most} bytes")
        raw = _read_all(fd, most + 1)
        if len(raw) > most:
            raise Unsafe(f"it is larger than {most} bytes")
        return Found(raw, facts, _attributes(fd))
    finally:
        os.close(fd)


def obstacle(spot: Spot, facts: os.stat_result, owners: t.Container[int]) -> str | None:
    """Why a regular file may not be rewritten, whatever is in it."""
    if facts.st_nlink > 1:
        return f"it has {facts.st_nlink} names (hard links), and the others would keep the old content"
    if facts.st_uid not in owners:
        return f"it belongs to uid {facts.st_uid}, who can change it at any moment"
    if facts.st_mode & 0o022:
        return f"others than its owner may write to it (mode {stat.S_IMODE(facts.st_mode):04o})"
    if spot.is_read_only():
        return "its file system is read-only"
    flags = _flags(spot)
    if flags & (_FS_IMMUTABLE | _FS_APPEND):
        return f"it is {'immutable' if flags & _FS_IMMUTABLE else 'append-only'}: chattr -ia lets it be changed"
    return None


def rewrite(spot: Spot, found: Found, new: bytes, in_place: bytes | None) -> str:
    """REPLACED, or IN_PLACE where that is what there is room for: then with the content ``in_place`` where given.

    Raises Changed where the file is not what was read, and Unsafe or OSError where it was left as it was.
    """
    with _alone(spot):
        before = os.fstat(spot.directory)
        try:
            _replace(spot, found, new)
            method = REPLACED
        except OSError as error:
            if in_place is None or error.errno not in (*_FULL, *_FIXED):
                raise
            _write_in_place(spot, found, in_place)
            method = IN_PLACE
        with contextlib.suppress(OSError):
            os.fsync(spot.directory)
        touch(spot.directory, before)
    return method


def touch(directory: int, before: os.stat_result) -> None:
    """Let the directory look changed to who compares whole seconds of its time of change."""
    now = os.fstat(directory)
    if int(now.st_mtime) == int(before.st_mtime):
        with contextlib.suppress(OSError):
            os.utime(directory, ns=(now.st_atime_ns, _later(before)))


def _replace(spot: Spot, found: Found, new: bytes) -> None:
    remove_draft(spot)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(DRAFT, flags, 0o600, dir_fd=spot.directory)
    try:
        _write_all(fd, new)
        _dress(fd, found)
        os.fsync(fd)
        _swap(spot, found)
    except BaseException:
        remove_draft(spot)
        raise
    finally:
        os.close(fd)


def _dress(fd: int, found: Found) -> None:
    """Owner, mode and attributes of the old file, an SELinux label and an access list among them."""
    facts = found.facts
    os.fchown(fd, facts.st_uid, facts.st_gid)
    os.fchmod(fd, stat.S_IMODE(facts.st_mode))
    for name in _attributes(fd).keys() - found.attributes.keys():  # the directory's default access list
        os.removexattr(fd, name)
    for name, value in found.attributes.items():
        if _attributes(fd).get(name) != value:
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                raise Unsafe(f"its attribute {name} cannot be kept ({error.strerror})") from None
    os.utime(fd, ns=(facts.st_atime_ns, _later(facts)))
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid, now.st_mode) != (facts.st_uid, facts.st_gid, facts.st_mode):
        raise Unsafe("its owner and mode cannot be kept")


def _swap(spot: Spot, found: Found) -> None:
    """The draft takes the file's place. If that was not the file that was read, it gets its place back."""
    now = spot.look()
    if not _is_same(now, found.facts) or now.st_ctime_ns != found.facts.st_ctime_ns:
        raise Changed
    try:
        _rename2(spot.directory, DRAFT, spot.name, _EXCHANGE)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
        os.rename(DRAFT, spot.name, src_dir_fd=spot.directory, dst_dir_fd=spot.directory)
        return
    if not _has(spot.directory, DRAFT, found):
        _rename2(spot.directory, DRAFT, spot.name, _EXCHANGE)
        raise Changed
    with contextlib.suppress(FileNotFoundError):
        os.unlink(DRAFT, dir_fd=spot.directory)


def _write_in_place(spot: Spot, found: Found, new: bytes) -> None:
    """One call writes all that differs; it takes no block that was not set aside before."""
    old = found.raw
    start = next((at for at, (one, other) in enumerate(zip(old, new)) if one != other), min(len(old), len(new)))
    end = len(new)
    while len(old) == len(new) and end > start and old[end - 1] == new[end - 1]:
        end -= 1
    fd = os.open(spot.name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=spot.directory)
    try:
        if not _is_same(os.fstat(fd), found.facts):
            raise Changed
        _set_aside(fd, len(new))
        try:
            written = os.pwrite(fd, new[start:end], start)
            if written != end - start:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), spot.path)
        except OSError:
            os.pwrite(fd, old[start:], start)
            os.ftruncate(fd, len(old))
            raise
        if len(new) < len(old):
            os.ftruncate(fd, len(new))
        os.utime(fd, ns=(found.facts.st_atime_ns, _later(found.facts)))
        os.fsync(fd)
    finally:
        os.close(fd)


def _later(facts: os.stat_result) -> int:
    """A time of change, in nanoseconds, that differs from the old one in whole seconds: cron compares those."""
    return max(time.time_ns(), (facts.st_mtime_ns // 10**9 + 1) * 10**9)


def _has(directory: int, name: str, found: Found) -> bool:
    """Whether the file of this name is the one that was read, and still says the same."""
    fd = os.open(name, _READ, dir_fd=directory)
    try:
        return _is_same(os.fstat(fd), found.facts) and _read_all(fd, len(found.raw) + 1) == found.raw
    finally:
        os.close(fd)


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_dev,
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )


@contextlib.contextmanager
def _alone(spot: Spot) -> t.Iterator[None]:
    """Two runs that rewrite files of one directory do so one after the other. The lock ends with this process."""
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(spot.directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unsafe("its directory has been locked by another process for 5 s") from None
            time.sleep(0.02)
    try:
        yield
    finally:
        fcntl.flock(spot.directory, fcntl.LOCK_UN)


def remove_draft(spot: Spot) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(DRAFT, dir_fd=spot.directory)


def _check_owner(facts: os.stat_result, what: str) -> None:
    if facts.st_uid not in (0, os.geteuid()):
        raise Unsafe(f"{what} belongs to uid {facts.st_uid}, who can change it at any moment")


def _check_directory(facts: os.stat_result, path: str) -> None:
    _check_owner(facts, f"the directory {path}")
    if facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX:
        mode = stat.S_IMODE(facts.st_mode)
        raise Unsafe(f"others than its owner may write to the directory {path} (mode {mode:04o})")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _read_all(fd: int, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < most:
        part = os.read(fd, min(1 << 20, most - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _write_all(fd: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(fd, view) :]


def _attributes(fd: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
    except (OSError, AttributeError):  # a file system, or a platform, that knows none
        return {}


def _flags(spot: Spot) -> int:
    try:
        fd = os.open(spot.name, _READ, dir_fd=spot.directory)
    except OSError:
        return 0
    try:
        room = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, struct.pack("l", 0))
        return int(struct.unpack("l", room)[0])
    except OSError:
        return 0
    finally:
        os.close(fd)


def _libc() -> t.Any:
    try:
        import ctypes
    except ImportError:  # some builds of Python come without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    return ctypes, ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: t.Any) -> None:
    ctypes, libc = _libc()
    function = getattr(libc, name, None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _rename2(directory: int, source: str, target: str, flags: int) -> None:
    _call("renameat2", directory, os.fsencode(source), directory, os.fsencode(target), flags)


def _set_aside(fd: int, size: int) -> None:
    """Blocks for the whole file, so that the write cannot end half-way for want of one. Its size stays."""
    missing = size - os.fstat(fd).st_size
    if missing <= 0:
        return
    try:
        ctypes, libc = _libc()
        # glibc on 32 bits has two of them
        name = "fallocate64" if hasattr(libc, "fallocate64") else "fallocate"
        _call(name, fd, _KEEP_SIZE, ctypes.c_longlong(size - missing), ctypes.c_longlong(missing))
    except OSError as error:
        if error.errno in _FULL:
            raise
