# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved comes back, and nothing that is damaged or somebody else's is taken for it."""

from __future__ import annotations

import errno
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import backup
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.backup import Kept
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused

ONE = Kept("/etc/crontab", b"* * * * * root x\n", None, frozenset([backup.digest(b"y")]), "system", "cronie")

NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: not set(name) & set(b"\0/\n") and name not in (b".", b"..")
)


@given(NAMES, st.binary(max_size=500))
def test_any_name_and_any_content_come_back(name: bytes, raw: bytes) -> None:
    kept = ONE._replace(path="/etc/cron.d/" + os.fsdecode(name), raw=raw)
    assert backup._unpack(backup._pack([ONE, kept])) == [ONE, kept]


def test_it_is_a_tar_file_that_any_tar_restores(tmp_path: Path) -> None:
    source = tmp_path / "crontab"
    source.write_bytes(ONE.raw)
    source.chmod(0o640)
    path, warning = backup.save([ONE._replace(facts=source.stat())], "/saved", str(tmp_path))
    assert warning is None
    file = tmp_path / path.lstrip("/")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with tarfile.open(file) as archive:
        (member,) = archive
        assert (member.name, member.mode, member.uid) == ("etc/crontab", 0o640, os.geteuid())
        assert member.mtime == int(source.stat().st_mtime)
    assert backup.load(path, str(tmp_path)) == [ONE]
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_the_newest_is_found(tmp_path: Path) -> None:
    for name in ("20260301T120000Z-9.tar", "20260301T120001Z-1.tar", ".20270101T000000Z-1.tar", "zzz.tar"):
        (tmp_path / name).touch()
    (tmp_path / "run").mkdir()
    assert backup.newest(["/", "/run", "/nowhere"], str(tmp_path)) == "//20260301T120001Z-1.tar"
    (tmp_path / "run" / "20260301T120002Z-1.tar").touch()
    assert backup.newest(["/", "/run"], str(tmp_path)) == "/run/20260301T120002Z-1.tar"
    with pytest.raises(Refused, match="nothing was saved there"):
        backup.newest(["/nowhere"], str(tmp_path))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_where_the_disk_is_full_memory_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    write = backup._write

    def full(content: bytes, directory: str, root: str) -> str:
        if directory == "/saved":
            raise OSError(error, os.strerror(error))
        return write(content, directory, root)

    monkeypatch.setattr(backup, "_write", full)
    path, warning = backup.save([ONE], "/saved", str(tmp_path))
    assert path.startswith(backup.FALLBACK)
    assert "gone after a boot" in str(warning)
    assert backup.load(path, str(tmp_path)) == [ONE]


def test_where_nothing_can_be_saved_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(backup, "_write", full)
    with pytest.raises(Refused, match="neither in /saved"):
        backup.save([ONE], "/saved", str(tmp_path))


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved").chmod(0o777)
    with pytest.raises(Refused, match="backup_directory /saved is not trusted"):
        backup.save([ONE], "/saved", str(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "foreign"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path, _warning = backup.save([ONE._replace(raw=b"x" * 5000)], "/saved", str(tmp_path))
    file = tmp_path / path.lstrip("/")
    if damage == "cut":
        os.truncate(file, 2100)
    elif damage == "foreign":
        with tarfile.open(file, "w") as archive:
            archive.add(__file__)
    else:
        file.write_bytes(b"" if damage == "empty" else b"garbage" * 1000)
    with pytest.raises(Refused, match=r"damaged|no backup"):
        backup.load(path, str(tmp_path))


def test_a_file_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    path, _warning = backup.save([ONE], "/saved", str(tmp_path))
    (tmp_path / path.lstrip("/")).chmod(0o666)
    with pytest.raises(Refused, match="not trusted"):
        backup.load(path, str(tmp_path))
    with pytest.raises(Refused, match="cannot be read"):
        backup.load("/saved/none.tar", str(tmp_path))
