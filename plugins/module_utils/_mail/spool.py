# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue directory and its maildrop, opened once and proven to be what Postfix means.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import typing as t

from .._kernel import filesystems
from .._kernel.errors import Refused
from .._kernel.processes import text

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAILDROP = "maildrop"
# Beside maildrop, on its file system; Postfix looks only at the names it knows.
ASIDE = "maildrop.hostcare-"


def open_trusted(path: str, what: str) -> int:
    """A directory that nobody but root could have put there: each one above it belongs to root, and so does each link.

    Raises FileNotFoundError where it is missing, Refused where it is not to be trusted.
    """
    try:
        with filesystems.locate(path) as spot:
            fd = os.open(spot.name, DIRECTORY, dir_fd=spot.directory)
    except filesystems.Unsafe as reason:
        raise Refused(f"{what} {text(path)}: {reason}. Mend that, or name another directory.") from None
    except NotADirectoryError:
        raise Refused(f"{what} {text(path)} is no directory: correct it.") from None
    found = os.fstat(fd)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (0, os.geteuid()) or (mode & 0o022 and not mode & stat.S_ISVTX):
        os.close(fd)
        raise Refused(
            f"{what} {text(path)} belongs to uid {found.st_uid} with mode {mode:04o}, so that others than root may "
            "write to it: what is in it is not to be trusted. Mend that (chown root, chmod go-w), or name another one."
        )
    return fd


class Room(t.NamedTuple):
    """statvfs(3) for users other than root. ``inodes`` is 0 where the file system does not count them (btrfs)."""

    inodes: int
    inodes_free: int
    bytes: int
    bytes_free: int

    @classmethod
    def of(cls, fd: int) -> Room:
        found = os.fstatvfs(fd)
        return cls(found.f_files, found.f_favail, found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class Spool:
    """A queue directory, open as long as the ``with`` block lasts."""

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.owner = owner
        try:
            self.fd = open_trusted(path, "queue_directory")
        except FileNotFoundError:
            raise Refused(
                f"queue_directory {text(path)} does not exist: is Postfix installed here? Name another one, or have "
                "`postfix check` make it."
            ) from None
        except PermissionError as error:
            raise Refused(f"queue_directory {text(path)}: {error.strerror}: run as root (become: true).") from None

    def __enter__(self) -> Spool:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.fd)

    def lock(self) -> None:
        """One run at a time. The kernel lets go of it when this process ends, and it takes no room anywhere."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another run is at work in {text(self.path)}: wait for it, then run again.") from None

    def where(self, name: str = MAILDROP) -> str:
        return text(os.path.join(self.path, name))

    def room(self) -> Room:
        return Room.of(self.fd)

    def maildrop(self) -> int | None:
        """The maildrop, proven; None where there is none. Raises Refused where it is anything but Postfix's own."""
        try:
            fd = self.open(MAILDROP)
        except FileNotFoundError:
            return None
        try:
            self._check_maildrop(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_maildrop(self, fd: int) -> None:
        found, parent = os.fstat(fd), os.fstat(self.fd)
        if found.st_dev != parent.st_dev or _mount_of(fd) != _mount_of(self.fd):
            raise Refused(
                f"{self.where()} is a mount point or on another file system than {text(self.path)}: Postfix keeps both "
                "on one. Unmount it, or mount the whole queue directory."
            )
        if found.st_uid != self.owner:
            raise Refused(
                f"{self.where()} belongs to uid {found.st_uid}, not to Postfix's mail_owner (uid {self.owner}): what "
                "is in it may not be mail. Have a look, then mend it with state: present."
            )

    def open(self, name: str) -> int:
        """A directory in the queue directory; never by way of a link."""
        try:
            return os.open(name, DIRECTORY, dir_fd=self.fd)
        except PermissionError as error:
            raise Refused(f"{self.where(name)}: {error.strerror}: run as root (become: true).") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Refused(
                    f"{self.where(name)} is a symbolic link or no directory: it is not followed. Have a look where it "
                    "leads, remove it, and have the directory made with state: present."
                ) from None
            raise

    def aside(self) -> list[str]:
        """Directories that a run put aside and did not get to remove."""
        with os.scandir(self.fd) as entries:
            return sorted(entry.name for entry in entries if entry.name.startswith(ASIDE))

    def is_in_place(self, fd: int) -> bool:
        """Whether the directory that was opened is the maildrop still."""
        try:
            found = os.stat(MAILDROP, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(fd))


def _mount_of(fd: int) -> bytes:
    """The mount that a descriptor belongs to (proc(5), fdinfo); a bind mount has the device of its source."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return line
    return b""
