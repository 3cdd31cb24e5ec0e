# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs over real directories, as whoever runs the tests. What takes root, a full disk or Postfix is elsewhere."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import (
    archive,
    maildrop,
    purge,
    removal,
    renaming,
    restoring,
    spool,
    swapping,
)
from ansible_collections.hostcare.remediation.tests.unit.support.mail_queue import Queue

OLD = time.time() - 7200


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def in_a_child(work: t.Callable[[], object]) -> None:
    """Which is to end on the way, by os._exit: as SIGKILL would have it, nothing is cleaned up."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "it came to its end"


def without_times(result: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in result.items() if key not in ("elapsed_ms", "spool", "actions", "archive")}


# --- purge ---


def test_all_that_is_selected_goes_and_the_rest_stays(queue: Queue) -> None:
    for number in range(20):
        queue.write(f"{number:X}240970", mtime=OLD)
    queue.write("young")
    queue.write("half", mode=0o644, mtime=OLD)
    os.mkdir(queue.maildrop / "directory")
    outcome = queue.run(older_than=3600.0, include_incomplete="none")
    assert (outcome.result["removed"], outcome.result["inodes_freed"], outcome.result["matched"]) == (20, 20, 20)
    assert {row["reason"]: row["files"] for row in outcome.result["kept"]} == {
        "young": 1,
        "incomplete": 1,
        "foreign": 1,
    }
    assert queue.names() == ["directory", "half", "young"]
    assert (outcome.result["remaining"], outcome.result["kept_total"], outcome.result["arrived"]) == (3, 3, 0)
    assert (outcome.result["changed"], outcome.result["converged"], outcome.problem) == (True, True, "")
    assert sum(row["files"] for row in outcome.result["by_age"]) == 20
    assert outcome.result["by_age"][0]["age"] == "1h to 1d"


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("archived", [False, True])
def test_the_second_run_changes_nothing_and_check_mode_says_the_same(queue: Queue, swap: bool, archived: bool) -> None:
    for number in range(20):
        queue.write(f"{number:X}240970", mtime=OLD)
    queue.write("young")
    options = {"older_than": 3600.0, "swap": swap, "archive": str(queue.archives) if archived else None}
    before = queue.snapshot()
    foreseen = queue.run(check_mode=True, **options)
    assert queue.snapshot() == before
    assert not queue.archives.exists()
    done = queue.run(**options)
    expected = {**without_times(foreseen.result), "converged": True}
    assert without_times(done.result) == expected
    assert foreseen.result["converged"] is False
    if archived:
        for key in ("files", "bytes"):
            assert foreseen.result["archive"][key] == done.result["archive"][key]
        assert done.result["archive"]["size"] <= foreseen.result["archive"]["size"]
    again = queue.run(**options)
    assert (again.result["changed"], again.result["removed"], again.result["archive"]) == (False, 0, None)
    assert again.result["converged"] is True
    assert again.result["kept"][0]["reason"] == "young"
    foreseen = queue.run(check_mode=True, **options)
    assert {**foreseen.result, "elapsed_ms": 0, "spool": 0} == {**again.result, "elapsed_ms": 0, "spool": 0}
    assert queue.names() == ["young"]


def test_without_an_account_only_the_number_is_told(queue: Queue) -> None:
    queue.write("4F1A", mode=0o644)
    queue.write("4F1B")
    os.symlink("/etc/passwd", queue.maildrop / "link")
    result = queue.run(include_incomplete="all", account=False).result
    assert (result["removed"], result["by_submitter"], result["by_age"], result["bytes_freed"]) == (2, [], [], None)
    assert queue.names() == ["link"]


def test_over_the_brake_nothing_is_touched(queue: Queue) -> None:
    for number in range(5):
        queue.write(f"{number:X}", mtime=OLD)
    for number in range(5, 9):
        queue.write(f"{number:X}")
    for check_mode in (True, False):
        with pytest.raises(Refused, match="max_files=4 files"):
            queue.run(max_files=4, older_than=60.0, check_mode=check_mode)
    assert len(queue.names()) == 9
    assert queue.run(max_files=5, older_than=60.0).result["removed"] == 5


def test_the_brake_holds_when_more_comes_in(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        queue.write(f"{number:X}")
    monkeypatch.setattr(purge, "count", lambda _fd: 3)  # as it was a moment ago
    outcome = queue.run(max_files=3)
    assert "more mail came in than max_files=3" in outcome.problem
    assert (outcome.result["removed"], outcome.result["converged"]) == (0, False)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("archived", [False, True])
def test_when_the_time_is_up_the_rest_is_in_the_queue(
    queue: Queue, swap: bool, archived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        queue.write(f"{number:X}")
    monkeypatch.setattr(purge, "_SLICE", 8)
    clock = iter(range(100000))
    monkeypatch.setattr(purge.time, "monotonic", lambda: float(next(clock)))
    outcome = queue.run(time_budget=8.0, swap=swap, archive=str(queue.archives) if archived else None)
    assert outcome.problem == ""
    assert (outcome.result["partial"], outcome.result["converged"]) == (True, False)
    assert "the time budget of 8 s ended" in outcome.result["partial_reasons"][0]
    assert queue.aside() == []
    assert len(queue.names()) == 40 - outcome.result["removed"]
    assert set(queue.names()) | set(queue.archived()) == {f"{number:X}" for number in range(40)} or not archived
    assert queue.run().result["converged"] is True


def test_what_was_archived_in_time_is_removed_whatever_the_time(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        queue.write(f"{number:X}")
    now = [0.0]
    original = archive.Writer.commit

    def slow(writer: archive.Writer) -> None:
        original(writer)
        now[0] = 1000.0

    monkeypatch.setattr(purge.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(archive.Writer, "commit", slow)
    result = queue.run(time_budget=10.0, archive=str(queue.archives)).result
    assert (result["removed"], result["partial"], result["converged"], queue.names()) == (20, False, True, [])


def test_a_missing_maildrop_is_empty(queue: Queue) -> None:
    queue.maildrop.rmdir()
    for check_mode in (True, False):
        result = queue.run(check_mode=check_mode).result
        assert (result["changed"], result["converged"], result["remaining"]) == (False, True, 0)
    assert not queue.maildrop.exists()


@pytest.mark.parametrize("what", ["link", "file", "dangling"])
@pytest.mark.parametrize("state", ["purged", "present"])
def test_what_is_no_directory_is_refused(queue: Queue, tmp_path: Path, what: str, state: str) -> None:
    queue.maildrop.rmdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch(0o744)
    if what == "file":
        queue.maildrop.touch()
    else:
        queue.maildrop.symlink_to(precious if what == "link" else "/nowhere")
    for check_mode in (True, False):
        with pytest.raises(Refused, match="symbolic link or no directory"):
            queue.run(state, check_mode=check_mode)
    assert (precious / "file").exists()


def test_a_maildrop_that_is_replaced_during_the_run(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was opened is purged, and its place is not gone into."""
    for number in range(10):
        queue.write(f"{number:X}")
    precious = tmp_path / "precious"
    precious.mkdir()
    for number in range(10):
        (precious / f"{number:X}").touch(0o744)
    original = removal._unlink

    def replace(batch: removal.Batch) -> None:
        if precious.exists():
            queue.maildrop.rename(tmp_path / "moved")
            precious.rename(queue.maildrop)
        original(batch)

    monkeypatch.setattr(removal, "_unlink", replace)
    outcome = queue.run()
    assert "was replaced by something else" in outcome.problem
    assert len(os.listdir(queue.maildrop)) == 10
    assert os.listdir(tmp_path / "moved") == []


def test_another_run_is_at_work(queue: Queue) -> None:
    queue.write("4F1A")
    fd = os.open(queue.path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Refused, match="another run is at work"):
        queue.run()
    assert queue.run(check_mode=True).result["removed"] == 1
    os.close(fd)
    assert queue.run().result["removed"] == 1


def test_files_that_the_file_system_refuses_are_counted(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        queue.write(f"{number:X}")
    original = os.unlink

    def refuse(name: str, dir_fd: int | None = None) -> None:
        if name in ("3", "7"):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        original(name, dir_fd=dir_fd)

    monkeypatch.setattr(removal.os, "unlink", refuse)
    outcome = queue.run()
    assert "2 files" in outcome.problem
    assert "Operation not permitted" in outcome.problem
    assert (outcome.result["removed"], outcome.result["matched"], outcome.result["converged"]) == (8, 10, False)
    assert queue.names() == ["3", "7"]


def test_a_read_only_file_system_ends_it_at_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(purge, "_SLICE", 2)
    for number in range(10):
        queue.write(f"{number:X}")
    monkeypatch.setattr(removal.os, "unlink", refuse)
    outcome = queue.run()
    assert "remount it read-write" in outcome.problem
    assert outcome.result["removed"] == 0
    assert outcome.result["kept_total"] < 10


def test_mail_that_comes_in_is_told(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        queue.write(f"{number:X}")
    original = removal._unlink

    def arrive(batch: removal.Batch) -> None:
        original(batch)
        queue.write("late1")
        queue.write("late2")

    monkeypatch.setattr(removal, "_unlink", arrive)
    result = queue.run(swap=True).result
    assert (result["removed"], result["remaining"], result["arrived"]) == (5, 2, 2)
    assert queue.names() == ["late1", "late2"]


# --- the second thread ---


@pytest.mark.parametrize("threads", [1, 2])
def test_every_file_is_removed_once(queue: Queue, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_SLOW", 0.0)
    monkeypatch.setattr(removal, "_MANY", 32)
    monkeypatch.setattr(removal, "_BATCH", 16)
    for number in range(500):
        queue.write(f"{number:X}")
    result = queue.run(threads=threads).result
    assert (result["removed"], queue.names()) == (500, [])
    assert threading.active_count() == 1


def test_without_a_slot_for_a_thread_one_does_it_all(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(removal, "_SLOW", 0.0)
    monkeypatch.setattr(removal, "_MANY", 32)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(removal, "_BATCH", 16)
    for number in range(100):
        queue.write(f"{number:X}")
    assert queue.run().result["removed"] == 100


def test_an_error_on_the_way_leaves_no_thread(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_SLOW", 0.0)
    monkeypatch.setattr(removal, "_MANY", 32)
    monkeypatch.setattr(removal, "_BATCH", 16)
    for number in range(300):
        queue.write(f"{number:X}")
    calls = iter(range(100))

    def fail(*_arguments: object, **_keywords: object) -> None:
        if next(calls) > 3:
            raise ZeroDivisionError

    monkeypatch.setattr(purge, "_SLICE", 50)
    monkeypatch.setattr(purge._Purge, "check_clock", fail)
    with pytest.raises(ZeroDivisionError):
        queue.run()
    assert threading.active_count() == 1
    assert 0 < len(queue.names()) < 300


# --- swap ---


def refuse_flags(*_arguments: object) -> t.NoReturn:
    raise OSError(errno.EINVAL, "flags")


def test_a_swapped_directory_is_like_the_old_one(queue: Queue) -> None:
    queue.write("old", mtime=OLD)
    queue.write("young")
    before, inode = queue.maildrop.stat(), (queue.maildrop / "young").stat().st_ino
    try:
        os.setxattr(queue.maildrop, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no user attributes")
    result = queue.run(swap=True, older_than=60.0).result
    after = queue.maildrop.stat()
    assert result["swapped"] is True
    assert before.st_ino != after.st_ino
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    assert os.getxattr(queue.maildrop, "user.note") == b"kept"
    assert (queue.names(), (queue.maildrop / "young").stat().st_ino) == (["young"], inode)
    assert queue.aside() == []


def test_without_an_exchange_three_renames_do(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "_renameat2", refuse_flags)
    queue.write("old", mtime=OLD)
    queue.write("young")
    assert queue.run(swap=True, older_than=60.0).result["removed"] == 1
    assert (queue.names(), queue.aside()) == (["young"], [])


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("state", ["purged", "present"])
def test_an_exchange_in_three_that_died_is_mended(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, step: int, state: str
) -> None:
    monkeypatch.setattr(renaming, "_renameat2", refuse_flags)
    queue.write("old", mtime=OLD)
    queue.write("young")
    calls = iter(range(1, 100))
    original = os.rename

    def rename(*arguments: t.Any, **keywords: t.Any) -> None:
        if next(calls) == step:
            os._exit(0)
        original(*arguments, **keywords)

    monkeypatch.setattr(swapping.os, "rename", rename)
    in_a_child(lambda: queue.run(swap=True, older_than=60.0))
    monkeypatch.undo()
    assert sorted(queue.everywhere()) == ["old", "young"]
    assert queue.run(state, older_than=60.0).result["converged"] is True
    assert (queue.names(), queue.aside()) == (["young"] if state == "purged" else ["old", "young"], [])


@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_exchange_in_three_that_fails_is_undone(queue: Queue, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(renaming, "_renameat2", refuse_flags)
    queue.write("old", mtime=OLD)
    queue.write("young")
    calls = iter(range(1, 100))
    original = os.rename

    def rename(*arguments: t.Any, **keywords: t.Any) -> None:
        if next(calls) == step:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        original(*arguments, **keywords)

    monkeypatch.setattr(swapping.os, "rename", rename)
    outcome = queue.run(swap=True, older_than=60.0)
    assert (outcome.result["swapped"], outcome.result["removed"], queue.names()) == (False, 1, ["young"])
    assert queue.aside() == []


def die_after_the_swap(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge.Run, "_remove", lambda *_arguments: os._exit(0))
    in_a_child(lambda: queue.run(swap=True, older_than=60.0))
    monkeypatch.undo()
    assert queue.names() == []
    assert len(queue.aside()) == 1


@pytest.mark.parametrize("swap", [False, True])
def test_an_interrupted_swap_is_finished(queue: Queue, monkeypatch: pytest.MonkeyPatch, swap: bool) -> None:
    queue.write("old", mtime=OLD)
    queue.write("young")
    die_after_the_swap(queue, monkeypatch)
    queue.write("new")
    foreseen = queue.run(older_than=60.0, check_mode=True, swap=swap).result
    assert (foreseen["removed"], len(foreseen["leftovers"]), foreseen["changed"]) == (1, 1, True)
    result = queue.run(older_than=60.0, swap=swap).result
    assert (result["removed"], result["leftovers"], result["converged"]) == (1, foreseen["leftovers"], True)
    assert (queue.names(), queue.aside()) == (["new", "young"], [])
    assert queue.run(older_than=60.0, swap=swap).result["changed"] is False


def test_an_interrupted_swap_is_undone(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.write("old", mtime=OLD)
    queue.write("young")
    die_after_the_swap(queue, monkeypatch)
    queue.write("new")
    assert queue.run("present", check_mode=True).result["changed"] is True
    assert queue.run("present").result["changed"] is True
    assert (queue.names(), queue.aside()) == (["new", "old", "young"], [])
    assert queue.run("present").result["changed"] is False


def test_an_interrupted_swap_is_seen_where_there_is_nothing_else(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.write("young")
    queue.write("old", mtime=OLD)
    die_after_the_swap(queue, monkeypatch)
    with pytest.raises(Refused, match="max_files=1 files"):
        queue.run(max_files=1)
    assert sorted(queue.everywhere()) == ["old", "young"]


def test_a_subdirectory_with_mail_is_brought_back_whole(queue: Queue) -> None:
    (queue.maildrop / "deep").mkdir()
    (queue.maildrop / "deep" / "file").touch()
    queue.write("4F1A")
    assert queue.run(swap=True).result["converged"] is True
    assert (queue.maildrop / "deep" / "file").exists()


def test_without_room_for_a_new_directory_it_is_done_in_place(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    queue.write("4F1A")
    monkeypatch.setattr(swapping.os, "mkdir", refuse)
    outcome = queue.run(swap=True)
    assert (outcome.result["swapped"], outcome.result["removed"], outcome.result["converged"]) == (False, 1, True)
    assert "cannot be swapped (No space left on device)" in outcome.warnings[0]


# --- archive ---


def test_what_is_archived_can_be_put_back_once(queue: Queue) -> None:
    for number in range(30):
        queue.write(f"{number:X}", bytes([number]) * number * 50, mtime=OLD + number)
    before = queue.snapshot()
    path = queue.run(archive=str(queue.archives)).result["archive"]["path"]
    assert queue.names() == []
    foreseen = queue.run("present", from_archive=path, check_mode=True).result
    assert (foreseen["restored"], foreseen["changed"], queue.names()) == (30, True, [])
    restored = queue.run("present", from_archive=path).result
    assert (restored["restored"], restored["remaining"], restored["converged"]) == (30, 30, True)
    assert queue.snapshot() == before
    for check_mode in (True, False):
        again = queue.run("present", from_archive=path, check_mode=check_mode).result
        assert (again["restored"], again["changed"]) == (0, False)
    assert [one.name for one in queue.archives.iterdir()] == [Path(path).name + restoring.RESTORED]


@pytest.mark.parametrize("undone", [False, True])
def test_what_was_archived_and_never_removed_is_not_put_back(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, undone: bool
) -> None:
    for number in range(10):
        queue.write(f"{number:X}")
    monkeypatch.setattr(purge.Run, "_remove_archived", lambda *_arguments: os._exit(0))
    in_a_child(lambda: queue.run(archive=str(queue.archives), swap=True))
    monkeypatch.undo()
    if undone:
        queue.run("present")
    (queue.path / queue.aside()[0] if queue.aside() else queue.maildrop).joinpath("3").unlink()
    (path,) = queue.archives.iterdir()
    foreseen = queue.run("present", from_archive=str(path), check_mode=True).result
    result = queue.run("present", from_archive=str(path)).result
    assert result["restored"] == 1
    assert foreseen["restored"] == (1 if undone else 10), "what is put aside is brought back first"
    assert queue.names() == sorted(f"{number:X}" for number in range(10))


def test_a_file_that_changed_after_it_was_archived_stays(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("same", "rewritten", "replaced", "gone"):
        queue.write(name, b"x" * 100)
    original = archive.Writer.commit

    def meanwhile(writer: archive.Writer) -> None:
        original(writer)
        queue.write("rewritten", b"y" * 100)
        (queue.maildrop / "replaced").unlink()
        queue.write("replaced", b"z" * 100)
        (queue.maildrop / "gone").unlink()

    monkeypatch.setattr(archive.Writer, "commit", meanwhile)
    outcome = queue.run(archive=str(queue.archives))
    assert "2 files" in outcome.problem
    assert (outcome.result["removed"], outcome.result["matched"]) == (1, 3)
    assert queue.names() == ["replaced", "rewritten"]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("call", ["add", "commit"])
def test_an_archive_that_cannot_be_written_leaves_all_mail(
    queue: Queue, swap: bool, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    for number in range(10):
        queue.write(f"{number:X}")
    monkeypatch.setattr(archive.Writer, call, refuse)
    outcome = queue.run(archive=str(queue.archives), swap=swap)
    assert "nothing was removed" in outcome.problem
    assert (len(queue.names()), queue.aside(), os.listdir(queue.archives)) == (10, [], [])
    assert (outcome.result["removed"], outcome.result["archive"], outcome.result["converged"]) == (0, None, False)


def test_an_archive_that_reads_back_wrong_leaves_all_mail(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.pwrite(fd, b"damage", 20)

    for number in range(10):
        queue.write(f"{number:X}")
    original = os.fsync
    monkeypatch.setattr(archive.os, "fsync", lambda fd: (damage(fd), original(fd)))
    outcome = queue.run(archive=str(queue.archives))
    assert "nothing was removed" in outcome.problem
    assert (len(queue.names()), os.listdir(queue.archives)) == (10, [])


def test_no_archive_is_made_of_nothing(queue: Queue) -> None:
    assert queue.run(archive=str(queue.archives)).result["archive"] is None
    assert not queue.archives.exists()


# --- restore ---


def die_in_restore(queue: Queue, path: str, where: str, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owner: t.Any = {"write": (restoring, "_write"), "rename": (restoring.os, "rename"), "move": (swapping, "move")}[
        where
    ]
    original = getattr(*owner)
    left = iter(range(after))

    def fatal(*arguments: t.Any, **keywords: t.Any) -> t.Any:
        if next(left, None) is None:
            os._exit(0)
        return original(*arguments, **keywords)

    monkeypatch.setattr(*owner, fatal)
    in_a_child(lambda: queue.run("present", from_archive=path))
    monkeypatch.undo()


@pytest.mark.parametrize(
    "where, after", [("write", 0), ("write", 5), ("rename", 0), ("move", 0), ("move", 5), ("move", 9)]
)
def test_a_restore_that_died_puts_each_mail_back_once(
    queue: Queue, where: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Postfix takes what is back at once."""
    for number in range(10):
        queue.write(f"{number:X}")
    path = queue.run(archive=str(queue.archives)).result["archive"]["path"]
    die_in_restore(queue, path, where, after, monkeypatch)
    taken = queue.names()
    for name in taken:
        (queue.maildrop / name).unlink()
    told = queue.run("present", check_mode=True).result
    assert told["partial"] is (queue.run().result["partial"] is True)
    foreseen = queue.run("present", from_archive=path, check_mode=True).result
    result = queue.run("present", from_archive=path).result
    assert foreseen["restored"] == result["restored"]
    assert sorted(taken + queue.names()) == [f"{number:X}" for number in range(10)]
    assert (result["converged"], queue.aside()) == (True, [])


@pytest.mark.parametrize("damage", ["cut", "garbage", "foreign"])
def test_a_damaged_archive_puts_nothing_back(queue: Queue, damage: str) -> None:
    for number in range(10):
        queue.write(f"{number:X}", os.urandom(2000))
    path = Path(queue.run(archive=str(queue.archives)).result["archive"]["path"])
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-1000], "garbage": b"garbage", "foreign": b""}[damage])
    for check_mode in (True, False):
        with pytest.raises(Refused, match=r"from_archive: .*(damaged|cannot be put back)"):
            queue.run("present", from_archive=str(path), check_mode=check_mode)
    assert (queue.names(), queue.aside()) == ([], [])
    assert path.exists()


def test_an_archive_of_somebody_else_is_not_taken(queue: Queue) -> None:
    queue.write("4F1A")
    path = Path(queue.run(archive=str(queue.archives)).result["archive"]["path"])
    path.chmod(0o666)
    with pytest.raises(Refused, match="only root may have written"):
        queue.run("present", from_archive=str(path))
    path.chmod(0o600)
    link = queue.archives / "link.tar.gz"
    link.symlink_to(path)
    with pytest.raises(Refused, match="cannot be read"):
        queue.run("present", from_archive=str(link))
    with pytest.raises(Refused, match="does not exist"):
        queue.run("present", from_archive=str(queue.archives / "nowhere"))
    os.mkfifo(queue.archives / "fifo")
    with pytest.raises(Refused, match="only root may have written"):
        queue.run("present", from_archive=str(queue.archives / "fifo"))


# --- present ---


def test_present_makes_and_mends(queue: Queue) -> None:
    os.umask(0o077)
    queue.maildrop.rmdir()
    foreseen = queue.run("present", check_mode=True)
    assert not queue.maildrop.exists()
    outcome = queue.run("present")
    assert outcome.result["objects"] == foreseen.result["objects"]
    assert outcome.diff == foreseen.diff
    assert [one["verdict"] for one in outcome.result["objects"]] == ["made", "made", "made"]
    for path, mode in (
        (queue.maildrop, 0o1730),
        (queue.path / "public", 0o2710),
        (queue.path / "public/pickup", 0o622),
    ):
        assert path.lstat().st_mode & 0o7777 == mode
    assert queue.run("present").result["changed"] is False
    queue.maildrop.chmod(0o700)
    (queue.path / "public" / "pickup").chmod(0o600)
    outcome = queue.run("present")
    assert [one["verdict"] for one in outcome.result["objects"]] == ["mended", "right", "mended"]
    assert queue.maildrop.stat().st_mode & 0o7777 == 0o1730
    assert (queue.path / "public" / "pickup").stat().st_mode & 0o777 == 0o622


def test_the_socket_of_pickup_is_left_to_postfix(queue: Queue) -> None:
    (queue.etc / "master.cf").write_text("pickup unix n - y 60 1 pickup\n")
    result = queue.run("present").result
    assert [one["verdict"] for one in result["objects"]] == ["right", "made", "left"]
    assert (result["converged"], (queue.path / "public" / "pickup").exists()) == (True, False)


# --- trust ---


def test_a_way_that_others_may_change_is_refused(queue: Queue, tmp_path: Path) -> None:
    queue.write("4F1A")
    queue.path.chmod(0o777)
    with pytest.raises(Refused, match="queue_directory"):
        queue.run()
    queue.path.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(queue.path)  # of root, or of whoever runs this
    assert queue.run(queue_directory=str(link), check_mode=True).result["removed"] == 1


def test_a_queue_directory_that_is_missing(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not exist"):
        queue.run(queue_directory=str(tmp_path / "nowhere"))


def test_users_that_do_not_exist(queue: Queue) -> None:
    with pytest.raises(Refused, match="user 'hostcare-nobody' does not exist"):
        queue.run(submitters=("hostcare-nobody",))
    (queue.etc / "main.cf").write_text("mail_owner = hostcare-nobody\n")
    with pytest.raises(Refused, match="mail_owner 'hostcare-nobody' does not exist"):
        queue.run()


def test_what_is_asked_of_the_owner_of_requeued_mail(queue: Queue) -> None:
    with pytest.raises(Refused, match="keep_requeued keeps"):
        queue.run(submitters=(queue.owner,), keep_requeued=True)


def test_no_name_of_ours_is_one_that_postfix_looks_at() -> None:
    for name in (spool.ASIDE, swapping.SWAP, restoring.STAGING):
        assert not name.isalnum()  # mail_queue_name_ok


def test_hostile_names_are_shown_as_text(queue: Queue) -> None:
    queue.write("\udcff\n\x1b[2J", mode=0o644)
    result = queue.run(include_incomplete="none").result
    assert result["kept"][0]["detail"].encode("utf-8")
    assert result["kept"][0]["reason"] == maildrop.INCOMPLETE
