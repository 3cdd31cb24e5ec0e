# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One compressed tar of what is removed: written as a stream, on disk and read back before anything is unlinked.

A pax archive (POSIX.1-2001) that tar(1) reads too. Beside what tar needs, each header says which inode the file was and
when that last changed, so that later only the very file that is in the archive is removed.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import os
import stat
import tarfile
import time
import typing as t
import zlib

from .._kernel.errors import Refused
from .._kernel.processes import text
from .maildrop import Tally
from .spool import Room, open_trusted

SUFFIX = ".tar.gz"
_PART = ".part"
_PREFIX = "maildrop-"
_BLOCK = 512
_PIECE = 65536
_GZIP = 31  # for zlib: a window of 2^15, in the format of gzip
# What gzip makes of one header and its padding at the most, and of data that cannot be compressed.
_OVERHEAD = 256
_LEAST_ROOM = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
DAMAGES = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError)


class Identity(t.NamedTuple):
    """What tells a file from any other of the same name, and from itself after a change."""

    inode: int
    mode: int
    uid: int
    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Identity:
        return cls(facts.st_ino, facts.st_mode, facts.st_uid, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class Place(t.NamedTuple):
    """The directory for archives, open; ``made`` where this run made it."""

    path: str
    fd: int
    room: Room


def worst_size(files: int, length: int) -> int:
    """What an archive of so many files with so many bytes together grows to at the most."""
    return _LEAST_ROOM + files * _OVERHEAD + length + length // 1000


def place(path: str, make: bool) -> Place:
    """Raises Refused where mail is not safe there. In check mode a directory that is yet to be made is its parent."""
    path = os.path.normpath(path)
    parent, name = os.path.split(path)
    if not path.startswith("/") or not name:
        raise Refused(f"archive: {text(path)!r} is not the absolute path of a directory: correct it.")
    try:
        above = open_trusted(parent, "archive")
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=above)
                    os.fsync(above)
        finally:
            os.close(above)
        fd = _open_or_parent(path, parent, make)
    except OSError as error:
        raise Refused(
            f"archive: {text(path)} cannot be used ({error.strerror}): name a directory whose parent exists, on a file "
            "system with room."
        ) from None
    if os.fstat(fd).st_mode & 0o022:
        os.close(fd)
        raise Refused(f"archive: others may write to {text(path)}: name a directory that is root's alone.")
    return Place(path, fd, Room.of(fd))


def _open_or_parent(path: str, parent: str, make: bool) -> int:
    try:
        return open_trusted(path, "archive")
    except FileNotFoundError:
        if make:
            raise
    return open_trusted(parent, "archive")


def _check_room(where: Place, plan: Tally) -> None:
    needed = worst_size(plan.files, plan.length)
    if where.room.bytes_free < needed:
        raise Refused(
            f"archive: {plan.files} files with {plan.length} bytes may take {needed} bytes, and {text(where.path)} has "
            f"{where.room.bytes_free} left. Nothing was touched. Name a directory on a larger file system, narrow the "
            "selection (older_than, submitter), or leave archive out."
        )


def foresee(path: str, plan: Tally) -> dict[str, t.Any]:
    """For check mode. Raises Refused where there is no room."""
    where = place(path, make=False)
    try:
        _check_room(where, plan)
    finally:
        os.close(where.fd)
    return {
        "path": None,
        "files": plan.files,
        "bytes": plan.length,
        "size": worst_size(plan.files, plan.length),
        "free": where.room.bytes_free,
    }


class Writer:
    """An archive being written, of as much as ``plan`` says. Without `commit` nothing is left of it."""

    def __init__(self, directory: str, plan: Tally) -> None:
        """Raises Refused where there is no room; then not even the directory was made."""
        foresee(directory, plan)
        self.place = place(directory, make=True)
        try:
            self._sweep()
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(plan.now))
            self.name = f"{_PREFIX}{stamp}-{os.urandom(4).hex()}{SUFFIX}"
            self.path = os.path.join(self.place.path, self.name)
            self.files = 0
            self.bytes = 0
            self.fd = os.open(self.name + _PART, _CREATE, 0o600, dir_fd=self.place.fd)
        except OSError as error:
            os.close(self.place.fd)
            raise Refused(
                f"archive: no file can be made in {text(self.place.path)} ({error.strerror}): nothing was touched. "
                "Name another directory."
            ) from None
        except BaseException:
            os.close(self.place.fd)
            raise
        fcntl.flock(self.fd, fcntl.LOCK_EX)  # says that its writer lives
        self._file = os.fdopen(os.dup(self.fd), "wb", buffering=_PIECE)
        self._packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        self._is_committed = False

    def __enter__(self) -> Writer:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._is_committed:
            with contextlib.suppress(OSError):
                os.unlink(self.name + _PART, dir_fd=self.place.fd)
            with contextlib.suppress(OSError):
                self._file.close()  # what is in its buffers is not wanted any more, and may find no room
        os.close(self.fd)
        os.close(self.place.fd)

    def facts(self) -> dict[str, t.Any]:
        return {
            "path": text(self.path),
            "files": self.files,
            "bytes": self.bytes,
            "size": os.fstat(self.fd).st_size,
            "free": self.place.room.bytes_free,
        }

    def _sweep(self) -> None:
        """Drafts whose writer died."""
        for name in os.listdir(self.place.fd):
            if not (name.startswith(_PREFIX) and name.endswith(SUFFIX + _PART)):
                continue
            with contextlib.suppress(OSError):
                fd = os.open(name, _READ, dir_fd=self.place.fd)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=self.place.fd)
                finally:
                    os.close(fd)

    def add(self, directory: int, name: str) -> bool:
        """False where there is no such file, or no regular one, any more."""
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                return False
            raise
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                return False
            self._write(_header(name, facts))
            self._copy(fd, facts.st_size)
        finally:
            os.close(fd)
        self.files += 1
        self.bytes += facts.st_size
        return True

    def _copy(self, fd: int, size: int) -> None:
        """As long as the header says, whatever happens to the file meanwhile: one that changed is not removed."""
        left = size
        while left:
            piece = os.read(fd, min(left, _PIECE))
            if not piece:
                piece = bytes(min(left, _PIECE))
            self._write(piece)
            left -= len(piece)
        self._write(bytes(-size % _BLOCK))

    def _write(self, raw: bytes) -> None:
        self._file.write(self._packer.compress(raw))

    def commit(self) -> None:
        """On disk under its name, read back, and its directory on disk. Raises OSError or one of `DAMAGES`."""
        self._write(bytes(2 * _BLOCK))
        self._file.write(self._packer.flush())
        self._file.close()
        os.fsync(self.fd)
        verify(self.fd)
        os.rename(self.name + _PART, self.name, src_dir_fd=self.place.fd, dst_dir_fd=self.place.fd)
        os.fsync(self.place.fd)
        self._is_committed = True


def _header(name: str, facts: os.stat_result) -> bytes:
    info = tarfile.TarInfo(name)
    info.mode = facts.st_mode & 0o7777
    info.uid, info.gid, info.size = facts.st_uid, facts.st_gid, facts.st_size
    info.pax_headers = {
        "mtime": _stamp(facts.st_mtime_ns),
        "ctime": _stamp(facts.st_ctime_ns),
        "comment": f"inode {facts.st_ino}",
    }
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)  # a time before 1970 is stored as (floor, positive rest) too
    return f"{seconds}.{rest:09}" if seconds >= 0 or not rest else f"-{-seconds - 1}.{1_000_000_000 - rest:09}"


def nanoseconds(stamp: str) -> int:
    """The reverse of what a header holds, without the detour of a float."""
    negative = stamp.startswith("-")
    whole, _point, part = stamp.lstrip("-").partition(".")
    value = int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9] or 0)
    return -value if negative else value


def verify(fd: int) -> None:
    """Read it all from disk again; gzip checks every byte. Raises OSError or one of `DAMAGES`."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file, gzip.GzipFile(fileobj=file) as content:
        while content.read(_PIECE):
            pass


class Member(t.NamedTuple):
    """One file of an archive; ``content`` can be read until the next one is asked for."""

    name: str
    identity: Identity
    gid: int
    content: t.IO[bytes]


def members(fd: int) -> t.Iterator[Member]:
    """The files of an archive, in bounded memory. Raises OSError or one of `DAMAGES`; ValueError for foreign ones."""
    os.lseek(fd, 0, os.SEEK_SET)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(os.fdopen(os.dup(fd), "rb"))
        stream = stack.enter_context(gzip.GzipFile(fileobj=file))
        tar: t.Any = stack.enter_context(
            tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape")
        )
        while True:
            info = tar.next()
            if info is None:
                return
            tar.members.clear()  # it would remember every one
            content = tar.extractfile(info) if info.isreg() else None
            if content is None:
                raise ValueError(f"{text(info.name)} is no regular file")
            yield Member(info.name, _identity(info), info.gid, content)


def _identity(info: tarfile.TarInfo) -> Identity:
    label, _blank, inode = info.pax_headers.get("comment", "").partition(" ")
    name = os.fsencode(info.name)
    if label != "inode" or b"/" in name or b"\0" in name or name in (b"", b".", b".."):
        raise ValueError(f"{text(info.name)} was not put there by this module")
    times = [nanoseconds(info.pax_headers[key]) for key in ("mtime", "ctime") if key in info.pax_headers]
    if len(times) != 2:
        raise ValueError(f"{text(info.name)} has no times")
    return Identity(int(inode), stat.S_IFREG | (info.mode & 0o7777), info.uid, info.size, times[0], times[1])
