# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""postfix_maildrop where nothing is left, and where somebody has tampered with the spool: a real kernel's word."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import archive, remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.maildrop import WINDOW
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.mail import Spool, mount
from ansible_collections.hostcare.remediation.tests.support.mail.tool import command
from ansible_collections.hostcare.remediation.tests.support.slots import Login

once = pytest.mark.once
MODULE = "hostcare.remediation.postfix_maildrop"
CLONES = re.compile(r"\b(fork|vfork|clone|clone3)\(")


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    with mount(request.param) as point:
        yield point


@pytest.fixture
def ext4() -> Iterator[Path]:
    with mount("ext4") as point:
        yield point


def reasons(result: dict[str, t.Any]) -> dict[str, int]:
    return {row["reason"]: row["files"] for row in result["kept"]}


# --- nothing left ---


def use_up_inodes(point: Path, spool: Spool) -> int:
    """Mail until none more can be made; how much."""
    with contextlib.suppress(OSError):
        for number in range(100000):
            os.close(os.open(spool.maildrop / f"{number:05X}F", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o744))
    assert os.statvfs(point).f_ffree == 0
    return len(spool.names())


def use_up_blocks(point: Path) -> Path:
    """A file that takes all there are."""
    for size in (1 << 16, 512):
        with contextlib.suppress(OSError), (point / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(size))
    assert os.statvfs(point).f_bavail == 0
    return point / "filler"


@once
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize("swap", [False, True], ids=["in place", "swap"])
@pytest.mark.parametrize("archived", [False, True], ids=["bare", "archive"])
def test_it_works_without_a_free_inode(tmp_path: Path, kind: str, swap: bool, archived: bool) -> None:
    with mount(kind, size="16M", inodes=600) as point:
        spool = Spool(point)
        files = use_up_inodes(point, spool)
        before = spool.run(check_mode=True)
        assert (before["matched"], before["spool"]["inodes_free"]) == (files, 0)
        elsewhere = str(tmp_path / "archives") if archived else None
        result = spool.run(swap=swap, archive=elsewhere)
        assert (result["removed"], result["inodes_freed"], result["problem"]) == (files, files, "")
        assert (result["swapped"], spool.names(), spool.aside()) == (False, [], [])
        assert bool(result["warnings"]) is swap
        assert result["spool"]["inodes_free"] >= files


@once
def test_it_works_without_a_free_block(ext4: Path) -> None:
    spool = Spool(ext4)
    spool.fill(500)
    use_up_blocks(ext4)
    result = spool.run()
    assert (result["removed"], result["problem"], spool.names()) == (500, "", [])


@once
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_an_archive_without_room_leaves_all_mail(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreseen; and where it was not foreseen, since somebody else takes the room meanwhile."""
    with mount("tmpfs") as queue, mount(kind, size="4M") as small:
        spool = Spool(queue)
        spool.fill(4000)
        for swap in (False, True):
            refused = spool.run(archive=str(small / "archives"), swap=swap)["refused"]
            assert "Nothing was touched" in refused
        assert len(spool.names()) == 4000
        (small / "a").mkdir()
        filler = use_up_blocks(small)
        os.truncate(filler, filler.stat().st_size - 60000)
        monkeypatch.setattr(archive, "worst_size", lambda _files, _length: 0)
        outcome = remedy.run(
            remedy.Options("purged", config_directory=str(spool.etc), archive=str(small / "a"), swap=True)
        )
        assert "nothing was removed" in outcome.problem
        assert "No space left on device" in outcome.problem
        assert (len(spool.names()), spool.aside(), os.listdir(small / "a")) == (4000, [], [])


@once
def test_one_process_is_all_there_may_be(ext4: Path) -> None:
    """Where a second thread would be of use and is refused, one does it all."""
    spool = Spool(ext4)
    spool.fill(3000)
    with PidsCgroup() as cell:
        cell.limit = 1
        script = f'echo $$ >{cell.path}/cgroup.procs; exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command("purged", config_directory=str(spool.etc))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert '"removed": 3000' in done.stdout
    assert spool.names() == []


def _of_names(fewer: int, more: int) -> int:
    """KiB that the names of more files may take: 128 bytes each, of as many as are put in order at a time."""
    return (min(more, WINDOW) - min(fewer, WINDOW)) * 128 // 1024


@once
@pytest.mark.parametrize("threads, allowance", [(1, 1024), (2, 2048)])
def test_memory_does_not_grow_with_the_number_of_files(threads: int, allowance: int) -> None:
    """The purge itself, the interpreter and what it imports apart, of some times as many as are put in order at a time.
    For a second thread, which begins where one file takes long, more or less may wait."""
    took = {}
    with mount("tmpfs", size="1G") as point:
        spool = Spool(point)
        for files in (3 * WINDOW, 6 * WINDOW):
            spool.fill(files, size=0)
            result = spool.run(max_files=files, threads=threads)
            assert result["removed"] == files
            took[files] = result["memory_kb"]
    assert took[6 * WINDOW] < 16 * 1024
    assert took[6 * WINDOW] < took[3 * WINDOW] + allowance


@once
def test_an_archive_takes_no_more_memory_for_more_files(tmp_path: Path) -> None:
    took = {}
    with mount("tmpfs", size="1G") as point:
        spool = Spool(point)
        for files in (33_000, 50_000):
            spool.fill(files, size=100)
            result = spool.run(max_files=files, archive=str(tmp_path / "archives"), swap=True)
            assert (result["removed"], result["archive"]["files"]) == (files, files)
            took[files] = result["memory_kb"]
            path = result["archive"]["path"]
        restored = spool.run("present", from_archive=path)
        assert restored["restored"] == 50_000
    assert took[50_000] < 16 * 1024
    assert took[50_000] < took[33_000] + _of_names(33_000, 50_000) + 1024
    assert restored["memory_kb"] < 16 * 1024


# --- a spool that somebody has tampered with ---


@once
def test_a_maildrop_on_a_mount_of_its_own_is_refused(disk: Path) -> None:
    spool = Spool(disk / "spool")
    elsewhere = disk / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch(0o744)
    for bound in (elsewhere, Path("/var/tmp")):  # of the same file system, and of another one
        subprocess.run(["mount", "--bind", bound, spool.maildrop], check=True)
        try:
            assert "mount point" in spool.run()["refused"]
        finally:
            subprocess.run(["umount", spool.maildrop], check=True)
    assert (elsewhere / "precious").exists()


@once
def test_an_owner_other_than_postfix_is_refused_until_mended(disk: Path) -> None:
    spool = Spool(disk)
    spool.fill(10)
    os.chown(spool.maildrop, 0, 0)
    assert "state: present" in spool.run()["refused"]
    assert len(spool.names()) == 10
    assert spool.run("present")["changed"] is True
    assert spool.run()["removed"] == 10


@once
def test_everything_that_is_no_mail_stays_and_nothing_is_followed(disk: Path) -> None:
    spool = Spool(disk)
    spool.fill(20)
    precious = disk / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    (precious / "file").chmod(0o744)
    os.link(precious / "file", spool.maildrop / "hardlink")
    (spool.maildrop / "link").symlink_to(precious / "file")
    (spool.maildrop / "to-directory").symlink_to(precious)
    (spool.maildrop / "loop").symlink_to("loop")
    (spool.maildrop / "directory").mkdir()
    (spool.maildrop / "directory" / "mail").touch(0o744)
    os.mkfifo(spool.maildrop / "fifo", 0o744)
    os.mknod(spool.maildrop / "device", stat.S_IFCHR | 0o744, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(spool.maildrop / "socket"))
    others = [name for name in spool.names() if not re.fullmatch("[0-9A-F]+", name)]
    for options in ({"swap": False}, {"swap": True}, {"include_incomplete": "all", "keep_requeued": False}):
        result = spool.run(**options)
        assert reasons(result) == {"foreign": 8}
        assert spool.names() == others
        spool.fill(20)
    spool.run(account=False, include_incomplete="all", keep_requeued=False)
    assert sorted({*spool.names(), "hardlink"}) == others  # one of its two names is all that such a look cannot tell
    assert (precious / "file").read_text() == "precious"
    assert (spool.maildrop / "directory" / "mail").exists()


@once
def test_names_that_are_none_of_postfix(disk: Path) -> None:
    spool = Spool(disk)
    names = ["n" * 255, "new\nline", "123456.789", "-rf", "\udcff\udcfe", " ", "*"]
    for name in names:
        spool.write(name)
    result = spool.run(swap=True, archive=str(spool.archives))
    assert (result["removed"], spool.names()) == (len(names), [])
    assert spool.run("present", from_archive=result["archive"]["path"])["restored"] == len(names)
    assert spool.names() == sorted(names)


@once
@pytest.mark.parametrize("flag", ["+i", "+a"], ids=["immutable", "append-only"])
@pytest.mark.parametrize("swap", [False, True], ids=["in place", "swap"])
def test_files_that_cannot_be_removed(ext4: Path, flag: str, swap: bool) -> None:
    """The rest goes all the same; once the flag is gone the next run takes them too."""
    spool = Spool(ext4)
    spool.fill(50)
    stuck = [spool.maildrop / name for name in spool.names()[10:13]]
    subprocess.run(["chattr", flag, *stuck], check=True)
    try:
        result = spool.run(swap=swap)
        assert (result["removed"], result["matched"], reasons(result)) == (47, 50, {"undeletable": 3})
        assert "Operation not permitted" in result["problem"]
        assert result["converged"] is False
        remaining = [
            *spool.maildrop.iterdir(),
            *(path for name in spool.aside() for path in (spool.path / name).iterdir()),
        ]
        assert len(remaining) == 3
    finally:
        found = [path for path in spool.path.rglob("*") if path.is_file()]
        subprocess.run(["chattr", "-i", "-a", *found], check=True)
    result = spool.run(swap=swap)
    assert (result["removed"], result["converged"], spool.names(), spool.aside()) == (3, True, [], [])


@once
def test_a_read_only_file_system(ext4: Path) -> None:
    spool = Spool(ext4)
    spool.fill(5000)
    subprocess.run(["mount", "-o", "remount,ro", ext4], check=True)
    try:
        result = spool.run()
        assert "remount it read-write" in result["problem"]
        assert result["removed"] == 0
        assert result["elapsed_ms"] < 5000
        assert spool.run(check_mode=True)["matched"] == 5000
    finally:
        subprocess.run(["mount", "-o", "remount,rw", ext4], check=True)


@once
def test_a_swapped_directory_keeps_access_list_attributes_and_flags(ext4: Path) -> None:
    spool = Spool(ext4)
    spool.fill(5)
    # acl(5), as the kernel stores it: user::rwx, user:2001:r-x, group::-wx, mask::rwx, other::---
    entries = [(1, 7, -1), (2, 5, 2001), (4, 3, -1), (16, 7, -1), (32, 0, -1)]
    access_list = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(spool.maildrop, "system.posix_acl_access", access_list)
    os.setxattr(spool.maildrop, "user.note", b"kept")
    os.setxattr(spool.path, "system.posix_acl_default", access_list)  # which a new directory inherits
    subprocess.run(["chattr", "+S", "+A", spool.maildrop], check=True)
    before = look(spool.maildrop)
    result = spool.run(swap=True)
    assert (result["swapped"], result["removed"]) == (True, 5)
    assert look(spool.maildrop) == before


def look(directory: Path) -> tuple[t.Any, ...]:
    flags = subprocess.run(["lsattr", "-d", directory], capture_output=True, text=True, check=True).stdout.split()[0]
    facts = directory.stat()
    attributes = {name: os.getxattr(directory, name) for name in os.listxattr(directory)}
    return facts.st_mode, facts.st_uid, facts.st_gid, attributes, set(flags) & set("SADjd")


@once
def test_a_user_without_rights_is_told_so(disk: Path) -> None:
    spool = Spool(disk)
    spool.fill(3)
    done = subprocess.run(
        ["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "/usr/bin/env", "PYTHONDONTWRITEBYTECODE=1",
         *command("purged", python="/usr/bin/python3", config_directory=str(spool.etc))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "run as root" in done.stdout, done.stderr
    assert len(spool.names()) == 3


# --- by way of Ansible ---


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    base = tmp_path / "spool"
    return Spool(base)


def play(root: Login, spool: Spool, arguments: t.Sequence[str] = (), **options: t.Any) -> t.Any:
    task = {MODULE: {"config_directory": str(spool.etc), **options}}
    return root.play(task, live=True, arguments=arguments).only


def test_the_module_by_way_of_ansible(root: Login, spool: Spool) -> None:
    spool.fill(30)
    spool.write("A240970", user="nobody")
    options = {"state": "purged", "archive": str(spool.archives), "swap": True}
    foreseen = play(root, spool, ["--check", "--diff"], **options)
    assert (foreseen.status, foreseen.data["removed"], len(spool.names())) == ("ok", 30, 31)
    done = play(root, spool, ["--diff"], **options)
    assert (done.status, done.data["changed"], spool.names()) == ("ok", True, ["A240970"])
    assert foreseen.data.keys() == done.data.keys()
    back = {"state": "present", "from_archive": done.data["archive"]["path"]}
    tasks = [{MODULE: {"config_directory": str(spool.etc), **one}} for one in (options, back)]
    again, restored = root.play({"block": tasks}, live=True).results
    assert (again.status, again.data["changed"]) == ("ok", False)
    assert (restored.data["restored"], len(spool.names())) == (30, 31)


@once
def test_what_is_wrong_is_refused_before_anything_is_touched(root: Login, spool: Spool) -> None:
    wrong: list[tuple[dict[str, t.Any], str]] = [
        ({"state": "purged", "from_archive": "/x"}, "from_archive is for state=present"),
        ({"state": "present", "swap": True}, "swap is for state=purged"),
        ({"state": "purged", "older_than": "soon"}, "older_than: 'soon' is not a duration"),
        ({"state": "purged", "max_files": -1}, "is no number of files"),
        ({"state": "purged", "submitter": ["hostcare-nobody"]}, "'hostcare-nobody' does not exist"),
        ({"state": "purged", "max_files": 2}, "more than max_files=2 files"),
        ({"state": "purged", "archive": "relative"}, "not the absolute path"),
        ({"state": "purged", "queue_directory": "relative"}, "not the absolute path"),
        ({"state": "purged", "instance": "other"}, "knows of no instance"),
    ]
    spool.fill(3)
    tasks = [{MODULE: {"config_directory": str(spool.etc), **options}} for options, _message in wrong]
    answers = root.play({"block": tasks, "ignore_errors": True}, live=True).results
    for (options, message), answer in zip(wrong, answers, strict=True):
        assert answer.status == "failed", options
        assert message in answer.data["msg"]
        assert "Traceback" not in str(answer.data)
    assert len(spool.names()) == 3


@once
def test_a_purge_makes_no_fork_and_no_file_but_what_it_is_asked_for(root: Login, spool: Spool, tmp_path: Path) -> None:
    spool.fill(400)
    log = tmp_path / "calls"
    python = f"strace -f -qq --seccomp-bpf -e trace=%process,openat,mkdir,mkdirat,mknodat -o {log} /usr/bin/python3"
    task = {MODULE: {"config_directory": str(spool.etc), "state": "purged"}}
    answer = root.play(task, live=True, host_vars={"ansible_python_interpreter": python}).only
    assert (answer.status, answer.data["removed"]) == ("ok", 400), answer.data
    lines = [line for line in log.read_text().splitlines() if '"/proc/self/' not in line]
    assert lines
    assert [line for line in lines if CLONES.search(line) or "O_CREAT" in line or "mkdir" in line] == []


@once
def test_a_large_purge_starts_one_thread_at_the_most(root: Login, spool: Spool, tmp_path: Path) -> None:
    spool.fill(8000)
    log = tmp_path / "calls"
    python = f"strace -f -qq --seccomp-bpf -e trace=%process -o {log} /usr/bin/python3"
    task = {MODULE: {"config_directory": str(spool.etc), "state": "purged"}}
    answer = root.play(task, live=True, host_vars={"ansible_python_interpreter": python}).only
    assert (answer.status, answer.data["removed"]) == ("ok", 8000), answer.data
    clones = [line for line in log.read_text().splitlines() if CLONES.search(line)]
    assert len(clones) <= 1
    assert all("CLONE_THREAD" in line for line in clones)
