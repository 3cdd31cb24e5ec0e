# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleted files that are open: their room is told, and no server is asked."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import deleted
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.deleted import (
    EXISTS,
    GONE,
    UNKNOWN,
    File,
    Sizes,
    mounts,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import DescriptorTables, Holding


@pytest.fixture
def tables() -> DescriptorTables:
    return DescriptorTables()


@pytest.fixture
def holding(tables: DescriptorTables) -> Holding:
    found = tables.holding(os.getpid())
    assert found is not None
    return found


@pytest.fixture
def log(tmp_path: Path) -> t.Iterator[tuple[int, Path]]:
    """A file of 64 KiB, open for writing."""
    path = tmp_path / "a.log"
    with open(path, "wb") as file:
        file.write(b"x" * 65536)
        file.flush()
        os.fsync(file.fileno())
        yield file.fileno(), path


def test_the_room_of_a_deleted_file(tables: DescriptorTables, holding: Holding, log: tuple[int, Path]) -> None:
    fd, path = log
    path.unlink()
    found = Sizes(tables).of(holding, fd, os.fsencode(path))
    assert isinstance(found, File)
    assert 65536 <= found.bytes <= 65536 + 8192
    assert found.path == str(path)
    assert (found.device, found.inode) == (os.fstat(fd).st_dev, os.fstat(fd).st_ino)


def test_a_name_that_only_looks_deleted(tables: DescriptorTables, holding: Holding, tmp_path: Path) -> None:
    with open(tmp_path / "x (deleted)", "wb") as file:
        assert Sizes(tables).of(holding, file.fileno(), b"/x") == EXISTS


def test_a_file_with_another_name_takes_no_room_of_the_dead(
    tables: DescriptorTables, holding: Holding, log: tuple[int, Path]
) -> None:
    fd, path = log
    os.link(path, path.with_name("other"))
    path.unlink()
    assert os.readlink(f"/proc/self/fd/{fd}").endswith(" (deleted)")
    assert Sizes(tables).of(holding, fd, b"/x") == EXISTS


def test_what_was_closed_has_gone(tables: DescriptorTables, holding: Holding) -> None:
    assert Sizes(tables).of(holding, 999999, b"/x") == GONE


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs", "fuse", "ceph", "9p", "autofs", "no-such-type"])
def test_no_server_is_asked(
    tables: DescriptorTables, holding: Holding, log: tuple[int, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Sizes(tables)
    monkeypatch.setattr(sizes, "_types", lambda _pid: {_mount_id(log[0]): kind})
    monkeypatch.setattr(os, "stat", lambda path: pytest.fail(f"{path} was asked"))
    assert sizes.of(holding, log[0], b"/x") == UNKNOWN


def _mount_id(fd: int) -> bytes:
    lines = dict(line.split(b":", 1) for line in Path(f"/proc/self/fdinfo/{fd}").read_bytes().splitlines())
    return lines[b"mnt_id"].strip()


def test_a_mount_that_is_in_no_table_is_not_asked(
    tables: DescriptorTables, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe, a memfd, a lazily unmounted file system: their mounts are the kernel's own, or gone."""
    ends = os.pipe()
    monkeypatch.setattr(os, "stat", lambda path: pytest.fail(f"{path} was asked"))
    try:
        assert Sizes(tables).of(holding, ends[0], b"/x") == UNKNOWN
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("flags, expected", [(os.O_RDONLY, UNKNOWN), (os.O_RDWR, EXISTS), (os.O_WRONLY, EXISTS)])
def test_of_an_overlay_only_the_upper_layer_is_asked(
    tables: DescriptorTables,
    holding: Holding,
    log: tuple[int, Path],
    flags: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fd = os.open(log[1], flags)
    sizes = Sizes(tables)
    monkeypatch.setattr(sizes, "_types", lambda _pid: {_mount_id(fd): "overlay"})
    try:
        assert sizes.of(holding, fd, b"/x") == expected
    finally:
        os.close(fd)


def test_mounts_are_told_by_id_and_type() -> None:
    lines = [
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
        b"37 35 0:40 / /mnt/with\\040blank\\012newline rw shared:2 master:1 - nfs4 server:/x rw\n",
        b"38 35 0:41 / /mnt rw - fuse.sshfs a@b: rw\n",
        b"garbage\n",
    ]
    assert dict(mounts(lines)) == {b"36": "ext3", b"37": "nfs4", b"38": "fuse.sshfs"}


def test_the_mounts_of_this_machine() -> None:
    found = dict(mounts(DescriptorTables().lines("self/mountinfo")))
    assert "proc" in found.values()
    assert all(mount.isdigit() for mount in found)


def test_no_network_counts_as_local() -> None:
    assert not {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "fuse", "autofs", "overlay"} & deleted.LOCAL
