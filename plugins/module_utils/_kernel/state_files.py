# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory for small state files that nobody but its owner can have tampered with.

Every file is reached through the descriptor of the checked directory: a path that is swapped meanwhile changes nothing.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
import typing as t

from .errors import Refused

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO that somebody put in the file's place must not make us wait for its writer.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_BYTES = 65536  # far above any small file of ours; a bigger one is not ours
_GUARD_PATIENCE = 5.0
_GUARD_PAUSE = 0.02


class Content(t.NamedTuple):
    """A file as it was found."""

    raw: bytes
    modified: float


class Directory:
    """A checked directory, open as long as the ``with`` block lasts."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def __enter__(self) -> Directory:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._fd)

    def where(self, name: str) -> str:
        return os.path.join(self.path, name)

    @contextlib.contextmanager
    def guarded(self) -> t.Iterator[None]:
        """Alone in this directory: two runs that decide at the same moment decide one after the other.

        The kernel lets go of it when the process ends, however it ends.
        """
        deadline = time.monotonic() + _GUARD_PATIENCE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused(
                        f"{self.path} has been locked by another process for {_GUARD_PATIENCE:.0f} s. "
                        f"Find it with `fuser {self.path}` and end it, then run again."
                    ) from None
                time.sleep(_GUARD_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def read(self, name: str, most: int = MAX_BYTES) -> Content | None:
        """The content, or None where there is no such file; of a file with more than ``most`` bytes one byte more."""
        try:
            fd = os.open(name, _OPEN_FILE, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: FreeBSD's word for it
                raise Refused(f"{self.where(name)} is a symbolic link: it is not followed. Remove it.") from None
            raise
        with os.fdopen(fd, "rb") as file:
            facts = os.fstat(fd)
            _check_owner(facts, self.where(name))
            if not stat.S_ISREG(facts.st_mode):
                raise Refused(f"{self.where(name)} is not a regular file. Remove it.")
            return Content(file.read(most + 1), facts.st_mtime)

    def create(self, name: str, raw: bytes) -> bool:
        """Make the file with its whole content in one step; False when it exists already."""
        draft = self._draft(name, raw)
        try:
            os.link(draft, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            self.remove(draft)
        return True

    def replace(self, name: str, raw: bytes) -> None:
        """Old content or new content, never half of it."""
        draft = self._draft(name, raw)
        try:
            os.replace(draft, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            self.remove(draft)
            raise

    def remove(self, name: str) -> bool:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def _draft(self, name: str, raw: bytes) -> str:
        draft = f".{name}.draft"  # one name is enough: writers are alone here (guarded)
        self.remove(draft)
        fd = os.open(draft, _CREATE_FILE, 0o644, dir_fd=self._fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(fd)
        except OSError:
            self.remove(draft)
            raise
        return draft


def open_directory(path: str) -> Directory | None:
    """The directory, checked, or None where there is none."""
    try:
        fd = os.open(path, _OPEN_DIRECTORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise Refused(
                f"{path} is a symbolic link or no directory: it is not followed. Remove it or name another directory."
            ) from None
        raise
    try:
        _check_owner(os.fstat(fd), path)
    except Refused:
        os.close(fd)
        raise
    return Directory(path, fd)


def make_directory(path: str) -> Directory:
    """The directory, made when it was not there; its parent has to exist."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)
    directory = open_directory(path)
    if directory is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return directory


def _check_owner(facts: os.stat_result, path: str) -> None:
    """Only root and who runs this may have written it: anybody else could forge who holds the lock."""
    if facts.st_uid not in (0, os.geteuid()):
        raise Refused(f"{path} belongs to uid {facts.st_uid}: it is not trusted. Remove it or give it to root.")
    if facts.st_mode & 0o022:
        raise Refused(
            f"{path} can be written by others (mode {stat.S_IMODE(facts.st_mode):04o}): it is not trusted. "
            f"Take the right to write away (chmod go-w) after a look at its content."
        )
