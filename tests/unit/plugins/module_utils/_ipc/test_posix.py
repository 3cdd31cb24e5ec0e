# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX objects: real files and mappings of real processes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import attachments, posix
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.people import People
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.verdict import (
    CONTAINER,
    HOST,
    IN_USE,
    ORPHANED,
    UNKNOWN,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping

NEVER = float("inf")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dev/shm").mkdir(parents=True)
    (tmp_path / "dev/mqueue").mkdir()
    (tmp_path / "dev/shm/sem.mutex").write_bytes(b"\0" * 32)
    (tmp_path / "dev/shm/cache").write_bytes(b"\0" * 8192)
    (tmp_path / "dev/mqueue/jobs").write_text("QSIZE:129        NOTIFY:2     SIGNO:0     NOTIFY_PID:8260\n")
    return tmp_path


def objects(root: Path) -> dict[str, posix.Named]:
    return {named.path[len(str(root)) :]: named for named in posix.objects(posix.KINDS, str(root))}


def test_files_and_what_they_are(root: Path) -> None:
    (root / "dev/shm/directory").mkdir()
    (root / "dev/shm/link").symlink_to("/etc/passwd")
    os.mkfifo(root / "dev/shm/fifo")
    found = objects(root)
    assert {path: (named.kind, named.bytes) for path, named in found.items()} == {
        "/dev/shm/sem.mutex": (posix.SEMAPHORES, 32),
        "/dev/shm/cache": (posix.SHARED_MEMORY, 8192),
        "/dev/mqueue/jobs": (posix.MESSAGE_QUEUES, 129),
    }
    assert found["/dev/mqueue/jobs"].notifies == 8260
    assert [named.kind for named in posix.objects([posix.SEMAPHORES], str(root))] == [posix.SEMAPHORES]


def test_a_host_without_any(tmp_path: Path) -> None:
    assert posix.objects(posix.KINDS, str(tmp_path)) == []
    assert posix.places(posix.KINDS, [], str(tmp_path), str(tmp_path)) == []


def test_limits(root: Path) -> None:
    places = posix.places(posix.KINDS, list(objects(root).values()), str(root))
    assert [(place.name, place.kind) for place in places] == [
        ("size", posix.SHARED_MEMORY), ("queues_max", posix.MESSAGE_QUEUES),
    ]  # fmt: skip
    assert places[1].used == 1
    assert all(place.limit > place.used >= 0 for place in places)


@pytest.mark.parametrize(
    "users,notifies,sight,gaps,verdict",
    [
        ([], 0, HOST, [], ORPHANED),
        ([5], 0, HOST, [], IN_USE),
        ([5], 0, CONTAINER, ["one"], IN_USE),
        ([], 7, HOST, [], IN_USE),
        ([], 0, CONTAINER, [], UNKNOWN),
        ([], 0, HOST, ["maps may not be read"], UNKNOWN),
    ],
)
def test_verdict(users: list[int], notifies: int, sight: str, gaps: list[str], verdict: str) -> None:
    named = posix.Named(posix.SHARED_MEMORY, "/dev/shm/x", (1, 2), 0, 0o600, 1, 0.0, 0.0, notifies)
    assert posix.judge(named, users, sight, gaps).verdict == verdict


class TestAttachments:
    @staticmethod
    def of(root: Path, pid: int) -> dict[str, set[int]]:
        """The users of each file, so far as they are that process."""
        found = objects(root)
        names = {named.file: os.path.basename(path) for path, named in found.items()}
        seen = attachments.read(People(ProcessTable()), names, NEVER)
        return {path: seen.files.get(named.file, set()) & {pid} for path, named in found.items()}

    def test_a_file_that_is_open(self, root: Path) -> None:
        with (root / "dev/shm/sem.mutex").open(), sleeping() as child:
            found = self.of(root, child.pid)
        assert found == {"/dev/shm/sem.mutex": {child.pid}, "/dev/shm/cache": set(), "/dev/mqueue/jobs": set()}

    def test_a_file_that_is_mapped_and_closed(self, root: Path) -> None:
        with (root / "dev/shm/cache").open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 0)
        with sleeping() as child:
            assert self.of(root, child.pid)["/dev/shm/cache"] == {child.pid}
        mapped.close()

    def test_another_file_of_the_same_name(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "cache").write_bytes(b"x")
        with (tmp_path / "cache").open(), sleeping() as child:
            assert self.of(root, child.pid)["/dev/shm/cache"] == set()

    def test_time_that_is_over(self, root: Path) -> None:
        assert attachments.read(People(ProcessTable()), {}, 0.0).gaps
        assert objects(root)
