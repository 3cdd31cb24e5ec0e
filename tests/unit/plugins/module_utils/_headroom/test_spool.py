# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full a maildrop is, who filled it, and when that is the incident."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources, spool
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.spool import Content, judge, look
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.report import user_name
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.spool import Room
from ansible_collections.hostcare.remediation.tests.unit.support.mail_queue import Queue
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue(tmp_path)
    monkeypatch.setattr(spool, "CONFIG_DIRECTORY", str(made.etc))
    return made


def report(root: Path | str = "/proc", **options: t.Any) -> dict[str, t.Any]:
    return resources.report(5, 20.0, str(root), only=["maildrop"], **options)


# files, inodes of the file system, of these free for users, used in all -> share, incident
@pytest.mark.parametrize(
    "files, free, used, share, incident",
    [
        (0, 900, 100, 0.0, ""),
        (950, 0, 1000, 1.0, "cron_mail_storm"),
        (900, 100, 1000, 0.9, "cron_mail_storm"),
        (100, 900, 1000, 0.1, ""),  # no more than a tenth of what is used
        (101, 899, 1000, 0.101, "cron_mail_storm"),
        (3, 0, 100000, 1.0, ""),  # something else has filled the file system
    ],
)
def test_when_it_is_the_incident(files: int, free: int, used: int, share: float, incident: str) -> None:
    room = Room(inodes=used + free, inodes_free=free, bytes=1 << 30, bytes_free=1 << 29)
    (inodes, blocks) = judge("/q/maildrop", Content(files, files, 0, {0: files}), room, used)
    assert (inodes.scope, inodes.limit_name, inodes.used, inodes.share) == (
        "maildrop /q/maildrop",
        "inodes",
        files,
        share,
    )
    assert inodes.incident == incident
    assert (blocks.limit_name, blocks.used, blocks.measure, blocks.incident) == ("blocks", 0, "bytes", "")


def test_bytes_are_known_only_where_each_file_was_looked_at() -> None:
    room = Room(inodes=0, inodes_free=0, bytes=1000, bytes_free=100)
    assert judge("/q", Content(10, 5, 500, {0: 5}), room, 10) == []
    (blocks,) = judge("/q", Content(10, 10, 500, {0: 10}), room, 10)
    assert (blocks.used, blocks.limit, blocks.free, blocks.incident) == (500, 600, 100, "cron_mail_storm")


def test_all_are_counted_and_the_first_are_looked_at(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        queue.write(f"{number:X}", b"x" * 5000)
    fd = os.open(queue.maildrop, os.O_RDONLY)
    content = look(fd, lambda: False)
    assert (content.files, content.looked_at, content.owners) == (20, 20, {os.geteuid(): 20})
    assert content.size >= 20 * 5000
    monkeypatch.setattr(spool, "_MOST_LOOKED_AT", 7)
    assert look(fd, lambda: False)[:2] == (20, 7)
    assert look(fd, lambda: True).files is None
    os.close(fd)


def test_a_host_with_mail(queue: Queue) -> None:
    for number in range(12):
        queue.write(f"{number:X}")
    found = report()
    inodes = next(one for one in found["resources"] if one["limit_name"] == "inodes")
    room = os.statvfs(queue.maildrop)
    assert inodes["scope"] == f"maildrop {queue.maildrop}"
    assert (inodes["used"], inodes["holders"][0]["used"]) == (12, 12)
    assert inodes["holders"][0]["name"] == user_name(os.geteuid())
    assert abs(inodes["free"] - room.f_favail) < 1000
    assert found["partial"] is False


def test_a_host_without_postfix_or_without_a_maildrop(queue: Queue, tmp_path: Path) -> None:
    queue.maildrop.rmdir()
    assert (report()["resources"], report()["partial"]) == ([], False)
    queue.path.rename(tmp_path / "elsewhere")
    assert (report()["resources"], report()["partial"]) == ([], False)
    (queue.etc / "main.cf").unlink()
    assert (report()["resources"], report()["partial"]) == ([], False)


def test_instances_are_counted_one_by_one(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Queue(tmp_path / "second")
    with (queue.etc / "main.cf").open("a") as file:
        file.write(f"multi_instance_directories = {second.etc}\n")
    found = {one["scope"] for one in report()["resources"] if one["limit_name"] == "inodes"}
    assert found == {f"maildrop {queue.maildrop}", f"maildrop {second.maildrop}"}


def test_what_is_led_astray_is_not_counted(queue: Queue, tmp_path: Path) -> None:
    queue.maildrop.rmdir()
    queue.maildrop.symlink_to(tmp_path)
    found = report()
    assert found["resources"] == []
    assert "cannot be looked into" in found["partial_reasons"][0]


def test_what_main_cf_does_not_tell_is_said(queue: Queue) -> None:
    (queue.etc / "main.cf").write_text("queue_directory = $unheard_of\n")
    assert "only postconf can tell" in report()["partial_reasons"][0]


def test_a_spool_that_may_hang_is_not_asked(queue: Queue, tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.write("self/mountinfo", f"1 1 0:1 / {queue.path} rw - nfs4 server:/ rw\n")
    found = report(tree.root)
    assert found["resources"] == []
    assert found["left_out"] == [{"what": str(queue.path), "reason": f"lies on {queue.path} (nfs4), which may hang"}]
    tree.write("self/mountinfo", f"1 1 0:1 / {queue.path} rw - fuse.sshfs server:/ rw\n")
    assert report(tree.root)["resources"] == []
    assert report(tree.root, include_fuse=True)["resources"] != []
