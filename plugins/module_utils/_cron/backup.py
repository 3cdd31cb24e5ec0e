# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old content of what is about to be rewritten: one tar file for each run, which any tar restores.

It is on disk before the first crontab is touched, and takes one inode. Each member carries what the crontab was to
become, so that one that was edited later is told from one that was not.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import tarfile
import time
import typing as t

from .._kernel import filesystems
from .._kernel.errors import Refused
from .._kernel.filesystems import Unsafe
from .._kernel.processes import text

FALLBACK = "/run/hostcare/cron"  # a tmpfs, where there is room when the disks are full
_SUFFIX = ".tar"
_MOST_BYTES = 256 << 20
_AFTER, _PLACE, _DIALECT = "HOSTCARE.after", "HOSTCARE.place", "HOSTCARE.dialect"


class Kept(t.NamedTuple):
    """One crontab as it was; ``after`` are digests of what it was to become, written in one way or the other."""

    path: str
    raw: bytes
    facts: os.stat_result | None
    after: frozenset[str]
    place: str
    dialect: str


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def new_name() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}{_SUFFIX}"


def save(kept: t.Sequence[Kept], directory: str, root: str = "/") -> tuple[str, str | None]:
    """Where it was saved, and a warning where that is not where it was wished for."""
    content = _pack(kept)
    try:
        return _write(content, directory, root), None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise Refused(
                f"{directory} cannot be written ({error.strerror}). Name another backup_directory, or set backup: "
                f"false."
            ) from None
        first = error
    try:
        path = _write(content, FALLBACK, root)
    except OSError as error:
        raise Refused(
            f"the old content can be saved neither in {directory} ({first.strerror}) nor in {FALLBACK} "
            f"({error.strerror}). Free an inode there, name another backup_directory, or set backup: false."
        ) from None
    return path, f"{directory}: {first.strerror}. The old content is in {path}, which is gone after a boot: copy it."


def newest(directories: t.Sequence[str], root: str = "/") -> str:
    """The newest file. Raises Refused where there is none."""
    found: list[tuple[str, str]] = []
    for directory in directories:
        with contextlib.suppress(OSError):
            names = os.listdir(root.rstrip("/") + directory)
            found += [(name, f"{directory}/{name}") for name in names if name.endswith(_SUFFIX) and name[:1].isdigit()]
    if not found:
        raise Refused(f"{' and '.join(directories)}: nothing was saved there. Name the file with backup_file.")
    return max(found)[1]


def load(path: str, root: str = "/") -> list[Kept]:
    """Raises Refused where it is not a whole file of ours that nobody else can have written."""
    try:
        with filesystems.locate(path, root) as spot:
            found = filesystems.read(spot, _MOST_BYTES)
            reason = filesystems.obstacle(spot, found.facts, (0, os.geteuid()))
        if reason:
            raise Unsafe(reason)
        return _unpack(found.raw)
    except Unsafe as unsafe:
        raise Refused(f"{path} is not trusted: {unsafe}. Name another copy, or restore by hand (tar -xpf).") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}): correct backup_file, or run as root.") from None
    except (tarfile.TarError, ValueError, EOFError):
        raise Refused(f"{path} is damaged, or is no backup of this module: restore it by hand (tar -xpf).") from None


def _pack(kept: t.Sequence[Kept]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in kept:
            member = tarfile.TarInfo(one.path.lstrip("/"))
            member.size = len(one.raw)
            if one.facts is not None:
                member.mode = one.facts.st_mode & 0o7777
                member.uid, member.gid, member.mtime = one.facts.st_uid, one.facts.st_gid, int(one.facts.st_mtime)
            member.pax_headers = {_AFTER: ",".join(sorted(one.after)), _PLACE: one.place, _DIALECT: one.dialect}
            archive.addfile(member, io.BytesIO(one.raw))
    return stream.getvalue()


def _unpack(raw: bytes) -> list[Kept]:
    kept = []
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None or _AFTER not in member.pax_headers:
                raise ValueError(member.name)
            content = stream.read()
            if len(content) != member.size:
                raise EOFError
            headers = member.pax_headers
            after = frozenset(headers[_AFTER].split(","))
            path = "/" + member.name.lstrip("/")
            kept.append(Kept(path, content, None, after, headers.get(_PLACE, ""), headers.get(_DIALECT, "")))
    return kept


def _write(content: bytes, directory: str, root: str) -> str:
    name = new_name()
    os.makedirs(root.rstrip("/") + directory, mode=0o700, exist_ok=True)
    try:
        spot = filesystems.locate(f"{directory}/{name}", root)
    except Unsafe as unsafe:
        raise Refused(f"backup_directory {directory} is not trusted: {unsafe}. Name one of root alone.") from None
    draft = f".{name}"
    with spot:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(draft, flags, 0o600, dir_fd=spot.directory)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
            os.rename(draft, name, src_dir_fd=spot.directory, dst_dir_fd=spot.directory)
            os.fsync(spot.directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=spot.directory)
            raise
    return f"{text(directory)}/{name}"
