# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A queue directory of whoever runs the tests, and its configuration."""

from __future__ import annotations

import gzip
import os
import pwd
import tarfile
import typing as t
from pathlib import Path

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import remedy


class Queue:
    """``mail_owner`` is who runs the tests, to whom all mail belongs, so requeued mail is not kept unless asked for."""

    def __init__(self, base: Path) -> None:
        os.umask(0o022)
        self.etc, self.path, self.archives = base / "etc", base / "queue", base / "archives"
        self.maildrop = self.path / "maildrop"
        self.owner = pwd.getpwuid(os.geteuid()).pw_name
        self.etc.mkdir()
        self.path.mkdir()
        self.maildrop.mkdir()
        self.maildrop.chmod(0o1730)
        (self.etc / "main.cf").write_text(
            f"queue_directory = {self.path}\nmail_owner = {self.owner}\nsetgid_group = {_group()}\n"
        )
        (self.etc / "master.cf").write_text("pickup fifo n - n 60 1 pickup\n")

    def write(self, name: str, content: bytes = b"mail", mode: int = 0o744, mtime: float | None = None) -> None:
        path = self.maildrop / name
        path.write_bytes(content)
        path.chmod(mode)
        if mtime is not None:
            os.utime(path, (mtime, mtime))

    def run(self, state: str = "purged", **options: t.Any) -> remedy.Outcome:
        given: dict[str, t.Any] = {"keep_requeued": False, "config_directory": str(self.etc), **options}
        return remedy.run(remedy.Options(state, **given))

    def names(self) -> list[str]:
        return sorted(os.listdir(self.maildrop))

    def aside(self) -> list[str]:
        return sorted(name for name in os.listdir(self.path) if name not in ("maildrop", "public"))

    def everywhere(self) -> list[str]:
        """Names in the maildrop and in what was put aside."""
        return [name for directory in self.path.iterdir() for name in os.listdir(directory)]

    def archived(self) -> list[str]:
        """Names in complete archives."""
        found = []
        for path in self.archives.glob("*.tar.gz") if self.archives.exists() else ():
            with gzip.open(path) as stream, tarfile.open(fileobj=stream) as tar:
                found += tar.getnames()
        return found

    def snapshot(self) -> dict[str, tuple[t.Any, ...]]:
        found = {}
        for name in self.names():
            facts = (self.maildrop / name).stat()
            content = (self.maildrop / name).read_bytes()
            found[name] = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, content)
        return found


def _group() -> str:
    import grp

    return grp.getgrgid(os.getegid()).gr_name
