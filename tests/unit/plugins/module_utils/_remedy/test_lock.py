# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock and the budget as files: what is written, and what is refused to be read or written."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import state_files
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.lock import LOCK, Places, preview, settle
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.planning import Request

HOLD = Request("held", "storm", "me", stale_after=3600, max_remedies=3, window=3600)
YOURS = HOLD._replace(owner="you")
RELEASE = HOLD._replace(state="released")
BUDGET = "budget-storm.json"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    os.umask(0o022)
    return Places(str(tmp_path / "run"), str(tmp_path / "lib"))


def files(directory: str) -> list[str]:
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def test_hold_again_other_and_release(places: Places) -> None:
    assert settle(places, HOLD).plan.verdict == "taken"
    assert settle(places, HOLD).plan.verdict == "kept"
    assert settle(places, YOURS).plan.verdict == "busy"
    assert settle(places, RELEASE).plan.verdict == "released"
    assert settle(places, RELEASE).plan.verdict == "free"
    assert (files(places.lock_directory), files(places.budget_directory)) == ([], [BUDGET])


def test_budget_is_spent_by_what_was_begun(places: Places) -> None:
    for _run in range(3):
        assert settle(places, HOLD).plan.verdict == "taken"
        settle(places, RELEASE)
    assert settle(places, HOLD).plan.verdict == "exhausted"


def test_a_run_that_remedied_nothing_spends_nothing(places: Places) -> None:
    for _run in range(9):
        assert settle(places, HOLD).plan.verdict == "taken"
        settle(places, RELEASE._replace(remedied=False))


def test_preview_touches_nothing(places: Places) -> None:
    assert preview(places, HOLD).plan.verdict == "taken"
    assert not os.path.exists(places.lock_directory)
    assert not os.path.exists(places.budget_directory)
    settle(places, HOLD)
    before = Path(places.lock_directory, LOCK).read_bytes()
    assert preview(places, YOURS).plan.verdict == "busy"
    assert preview(places, RELEASE).plan.verdict == "released"
    assert Path(places.lock_directory, LOCK).read_bytes() == before


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\x00", b"x" * 70000])
def test_damaged_lock_is_held_until_its_file_is_stale(places: Places, raw: bytes) -> None:
    os.mkdir(places.lock_directory)
    file = Path(places.lock_directory, LOCK)
    file.write_bytes(raw)
    outcome = settle(places, HOLD)
    assert outcome.plan.verdict == "busy"
    assert "damaged" in outcome.plan.reason
    assert outcome.warnings
    past = os.stat(file).st_mtime - 4000
    os.utime(file, (past, past))
    assert settle(places, HOLD).plan.verdict == "taken"


def test_damaged_budget_is_spent_and_written_anew(places: Places) -> None:
    os.mkdir(places.budget_directory)
    Path(places.budget_directory, BUDGET).write_bytes(b"{")
    first = settle(places, HOLD)
    assert first.plan.verdict == "exhausted"
    assert "damaged" in first.warnings[0]
    second = settle(places, HOLD)
    assert second.plan.verdict == "exhausted"
    assert not second.warnings
    assert len(second.snapshot.spent) == 3


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_disk_keeps_the_budget_beside_the_lock(
    places: Places, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    real = state_files.Directory.replace

    def full(self: state_files.Directory, name: str, raw: bytes) -> None:
        if self.path == places.budget_directory:
            raise OSError(error, os.strerror(error))
        real(self, name, raw)

    monkeypatch.setattr(state_files.Directory, "replace", full)
    outcome = settle(places, HOLD)
    assert outcome.plan.verdict == "taken"
    assert "kept in" in outcome.warnings[0]
    assert files(places.lock_directory) == [BUDGET, LOCK]
    settle(places, RELEASE)
    monkeypatch.undo()
    # With the disk back both records count, and are joined where they belong.
    assert len(settle(places, HOLD).plan.spent) == 2
    assert (files(places.lock_directory), files(places.budget_directory)) == ([LOCK], [BUDGET])


def test_a_debit_that_cannot_be_kept_anywhere_gives_the_lock_back(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_files.Directory, "replace", full)
    with pytest.raises(OSError, match="No space"):
        settle(places, HOLD)
    assert files(places.lock_directory) == []


@pytest.mark.parametrize("which", ["lock_directory", "budget_directory"])
def test_a_symbolic_link_for_a_directory_is_refused(places: Places, tmp_path: Path, which: str) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    Path(getattr(places, which)).symlink_to(target)
    for way in (settle, preview):
        with pytest.raises(Refused, match="symbolic link"):
            way(places, HOLD)
    assert files(str(target)) == []


@pytest.mark.parametrize("name", [LOCK, BUDGET])
def test_a_symbolic_link_for_a_file_is_refused_and_its_target_left(places: Places, tmp_path: Path, name: str) -> None:
    os.mkdir(places.lock_directory)
    target = tmp_path / "precious"
    target.write_text("precious")
    Path(places.lock_directory, name).symlink_to(target)
    with pytest.raises(Refused, match="symbolic link"):
        settle(places, HOLD)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("name", [LOCK, BUDGET])
def test_a_fifo_does_not_hang(places: Places, name: str) -> None:
    os.mkdir(places.lock_directory)
    os.mkfifo(os.path.join(places.lock_directory, name))
    with pytest.raises(Refused, match="not a regular file"):
        settle(places, HOLD)


def test_what_others_may_write_is_not_trusted(places: Places) -> None:
    os.mkdir(places.lock_directory)
    os.chmod(places.lock_directory, 0o777)
    with pytest.raises(Refused, match="written by others"):
        settle(places, HOLD)
    os.chmod(places.lock_directory, 0o755)
    settle(places, HOLD)
    os.chmod(os.path.join(places.lock_directory, LOCK), 0o666)
    with pytest.raises(Refused, match="written by others"):
        settle(places, HOLD)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_somebody_else_is_not_trusted(places: Places) -> None:
    os.mkdir(places.lock_directory)
    os.chown(places.lock_directory, 12345, 0)
    with pytest.raises(Refused, match="uid 12345"):
        settle(places, HOLD)
    os.chown(places.lock_directory, 0, 0)
    settle(places, HOLD)
    os.chown(os.path.join(places.lock_directory, LOCK), 12345, 0)
    with pytest.raises(Refused, match="uid 12345"):
        settle(places, HOLD)


def test_of_many_at_once_one_gets_it(places: Places) -> None:
    verdicts: list[str] = []
    ready = threading.Barrier(8)

    def run(number: int) -> None:
        ready.wait()
        verdicts.append(settle(places, HOLD._replace(owner=f"run {number}")).plan.verdict)

    runs = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert sorted(verdicts) == ["busy"] * 7 + ["taken"]


def test_a_guard_that_is_never_let_go_is_named(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_files, "_GUARD_PATIENCE", 0.1)
    os.mkdir(places.lock_directory)
    fd = os.open(places.lock_directory, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="fuser"):
            settle(places, HOLD)
    finally:
        os.close(fd)


def test_no_descriptor_is_left_open(places: Places) -> None:
    before = os.listdir("/proc/self/fd")
    for request in (HOLD, HOLD, YOURS, RELEASE):
        settle(places, request)
        preview(places, request)
    assert os.listdir("/proc/self/fd") == before
