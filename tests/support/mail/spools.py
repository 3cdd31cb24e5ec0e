# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Queue directories without a Postfix, on file systems of their own, filled by a C program as postdrop would."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.hostcare.remediation.tests.support.storm.programs import BINARIES, COMPILE

from .tool import module

OWNER, GROUP = "nobody", "nogroup"
READY = 0o744
_PREFIX = "hostcare-mail-of-"
_SOURCES = Path(__file__).resolve().parent / "src"


def program(name: str) -> str:
    """The path of a C program of ``src``."""
    source, binary = _SOURCES / f"{name}.c", BINARIES / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        BINARIES.mkdir(parents=True, exist_ok=True)
        new = BINARIES / f"{name}.{os.getpid()}"
        subprocess.run([*COMPILE, "-D_GNU_SOURCE", "-o", str(new), str(source)], check=True)
        new.replace(binary)
    return str(binary)


class Spool:
    """A queue directory and its configuration; mail of `OWNER` counts as requeued."""

    def __init__(self, base: Path, maildrop: bool = True) -> None:
        base.mkdir(parents=True, exist_ok=True)
        base.chmod(0o755)
        self.base, self.etc, self.path = base, base / "etc", base / "queue"
        self.maildrop, self.archives = self.path / "maildrop", base / "archives"
        self.etc.mkdir(exist_ok=True)
        self.path.mkdir(exist_ok=True)
        for directory in (self.etc, self.path):
            directory.chmod(0o755)
        (self.etc / "main.cf").write_text(
            f"queue_directory = {self.path}\nmail_owner = {OWNER}\nsetgid_group = {GROUP}\n"
        )
        if maildrop:
            self.make()

    def make(self) -> None:
        self.maildrop.mkdir()
        os.chown(self.maildrop, pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid)
        self.maildrop.chmod(0o1730)

    def fill(self, files: int, size: int = 1200) -> None:
        subprocess.run([program("fill"), str(self.maildrop), str(files), str(size)], check=True)

    def write(self, name: str, content: bytes = b"mail", mode: int = READY, user: str = "root") -> Path:
        path = self.maildrop / name
        path.write_bytes(content)
        found = pwd.getpwnam(user)
        os.chown(path, found.pw_uid, found.pw_gid)
        path.chmod(mode)
        return path

    def names(self) -> list[str]:
        return sorted(os.listdir(self.maildrop))

    def aside(self) -> list[str]:
        return sorted(path.name for path in self.path.glob("maildrop.*"))

    def run(self, state: str = "purged", **options: t.Any) -> dict[str, t.Any]:
        return module(state, config_directory=str(self.etc), **options)


@contextlib.contextmanager
def mount(kind: str, options: str = "", size: str = "64M", inodes: int = 0) -> Iterator[Path]:
    """A fresh file system: tmpfs, or ext4 in a file that is kept in memory where there is room."""
    _sweep()
    point = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/var/tmp"))
    image = point.with_suffix(".img")
    if kind != "tmpfs" and Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 2 * _bytes(size):
        image = Path("/dev/shm") / image.name
    try:
        if kind == "tmpfs":
            given = [f"size={size}", *([f"nr_inodes={inodes}"] if inodes else []), *([options] if options else [])]
            _run("mount", "-t", "tmpfs", "-o", ",".join(["mode=0755", *given]), "tmpfs", str(point))
        else:
            _run("truncate", "-s", size, str(image))
            _run(f"mkfs.{kind}", "-q", *(["-N", str(inodes)] if inodes else []), str(image))
            _run("mount", "-o", ",".join(["loop", *([options] if options else [])]), str(image), str(point))
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
        image.unlink(missing_ok=True)
        point.rmdir()


def _sweep() -> None:
    """What tests left that were killed."""
    for path in [*Path("/var/tmp").glob(_PREFIX + "*-*"), *Path("/dev/shm").glob(_PREFIX + "*-*")]:
        if not Path("/proc", path.name.removeprefix(_PREFIX).split("-")[0]).exists():
            if path.is_dir():
                subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)
                path.rmdir()
            else:
                path.unlink(missing_ok=True)


def _bytes(size: str) -> int:
    return int(size[:-1]) << {"M": 20, "G": 30}[size[-1]]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout
