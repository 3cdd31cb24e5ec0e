# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive back into the queue, each mail once, even where Postfix takes it at once and the module dies half-way.

All files are written into a directory of their own beside the maildrop. Then the archive is renamed, which says that
its mail is in the queue from now on, and each file is moved over. A run that finds such a directory knows by the name
of the archive whether to begin anew or to go on moving.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import text
from . import archive, labels, swapping
from .maildrop import count, names
from .report import Report
from .spool import ASIDE, Spool, open_trusted

STAGING = ASIDE + "restore-"
RESTORED = ".restored"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 65536


class Restore:
    """Of one archive. Used as a context, which closes it."""

    def __init__(self, path: str, spool: Spool, report: Report) -> None:
        self.path = os.path.normpath(path)
        self.spool = spool
        self.report = report
        directory, self.name = os.path.split(self.path)
        if not self.path.startswith("/") or not self.name:
            raise Refused(f"from_archive: {text(path)!r} is not the absolute path of an archive: correct it.")
        self.staging = staging_of(path)
        try:
            self.directory = open_trusted(directory, "from_archive")
        except OSError as error:
            raise Refused(f"from_archive: {text(directory)}: {error.strerror}: correct the path.") from None

    def __enter__(self) -> Restore:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.directory)

    def foresee(self, maildrop: int | None) -> None:
        """What `run` would do."""
        fd = self._archive()
        files = self._staged() if fd is None else self._count(fd, maildrop)
        self._say(files, "would put {} files from {} back")

    def run(self, maildrop: int) -> None:
        """Raises Refused where the archive is not put back, and nothing of it is."""
        fd = self._archive()
        if fd is not None:
            try:
                self._stage(fd, maildrop)
            except BaseException as error:
                self._forget()
                if isinstance(error, (OSError, *archive.DAMAGES)):
                    raise Refused(
                        f"from_archive: {text(self.path)} cannot be put back ({error}): nothing of it was. Free room "
                        f"in {text(self.spool.path)}, or use another copy of the archive."
                    ) from None
                raise
            finally:
                os.close(fd)
        self._say(self._deliver(maildrop), "put {} files from {} back")

    def _say(self, files: int, words: str) -> None:
        self.report.restored = files
        if files:
            self.report.changed = True
            self.report.actions.append(words.format(files, text(self.path)))

    def _archive(self) -> int | None:
        """The archive, opened; None where its mail was put back before. Raises Refused."""
        try:
            fd = os.open(self.name, _READ, dir_fd=self.directory)
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                os.stat(self.name + RESTORED, dir_fd=self.directory, follow_symlinks=False)
                return None
            raise Refused(f"from_archive: {text(self.path)} does not exist: correct the path.") from None
        except OSError as error:
            raise Refused(f"from_archive: {text(self.path)} cannot be read ({error.strerror}): run as root.") from None
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
            os.close(fd)
            raise Refused(
                f"from_archive: {text(self.path)} is no file that only root may have written: not taken. Have a look "
                "what is in it, then mend that (chown root, chmod go-w)."
            )
        return fd

    def _count(self, fd: int, maildrop: int | None) -> int:
        try:
            return sum(1 for member in archive.members(fd) if not _is_there(maildrop, member))
        except (OSError, *archive.DAMAGES) as error:
            raise Refused(
                f"from_archive: {text(self.path)} is damaged or no archive of this module ({error}): nothing was put "
                "back. Give another copy of it."
            ) from None
        finally:
            os.close(fd)

    def _staged(self) -> int:
        """How many files an interrupted run has yet to move."""
        try:
            staging = self.spool.open(self.staging)
        except FileNotFoundError:
            return 0
        try:
            return count(staging)
        finally:
            os.close(staging)

    def _stage(self, fd: int, maildrop: int) -> None:
        self._forget()
        os.mkdir(self.staging, 0o700, dir_fd=self.spool.fd)
        staging = self.spool.open(self.staging)
        try:
            labels.copy(maildrop, staging)
            for member in archive.members(fd):
                if not _is_there(maildrop, member):
                    _write(staging, member)
            _sync(staging)
        finally:
            os.close(staging)
        os.fsync(self.spool.fd)
        os.rename(self.name, self.name + RESTORED, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        os.fsync(self.directory)

    def _forget(self) -> None:
        """Remove copies of an archive that stays as it is."""
        try:
            staging = self.spool.open(self.staging)
        except FileNotFoundError:
            return
        try:
            for some in names(staging):
                for name in some:
                    os.unlink(name, dir_fd=staging)
        finally:
            os.close(staging)
        os.rmdir(self.staging, dir_fd=self.spool.fd)

    def _deliver(self, maildrop: int) -> int:
        try:
            staging = self.spool.open(self.staging)
        except FileNotFoundError:
            return 0
        moved = 0
        try:
            for some in names(staging):
                moved += len(some) - swapping.bring_back(staging, maildrop, some)
        finally:
            os.close(staging)
        os.fsync(maildrop)
        try:
            os.rmdir(self.staging, dir_fd=self.spool.fd)
        except OSError as error:
            self.report.partial_reasons.append(
                f"{self.spool.where(self.staging)} still holds mail ({error.strerror}): run again"
            )
        return moved


def staging_of(path: str) -> str:
    return STAGING + hashlib.sha256(os.fsencode(os.path.normpath(path))).hexdigest()[:16]


def unfinished(spool: Spool) -> list[str]:
    return [name for name in spool.aside() if name.startswith(STAGING)]


def _is_there(maildrop: int | None, member: archive.Member) -> bool:
    """Whether the very file that was archived was never removed, as by a run that died in between.

    Its time of change may be another by now: a swap may have moved it to and fro.
    """
    if maildrop is None:
        return False
    try:
        found = archive.Identity.of(os.stat(member.name, dir_fd=maildrop, follow_symlinks=False))
    except FileNotFoundError:
        return False
    return found._replace(ctime=member.identity.ctime) == member.identity


def _write(directory: int, member: archive.Member) -> None:
    """Complete, with owner, times and at last the mode, which is what tells Postfix that it is."""
    identity = member.identity
    fd = os.open(
        member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
    )
    try:
        left = identity.size
        while left:
            piece = member.content.read(min(left, _PIECE))
            if not piece:
                raise EOFError("it ends in the middle of a file")
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
            left -= len(piece)
        os.fchown(fd, identity.uid, member.gid)
        os.utime(fd, ns=(identity.mtime, identity.mtime))
        os.fchmod(fd, stat.S_IMODE(identity.mode))
    finally:
        os.close(fd)


def _sync(directory: int) -> None:
    """The whole file system at once: one file after the other would take a disk's time for each."""
    call: t.Any = None
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).syncfs
    if call is None:
        os.sync()
    elif call(directory) < 0:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
