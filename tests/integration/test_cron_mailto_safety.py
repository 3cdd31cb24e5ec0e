# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Nothing is lost: not when the module is killed, not on a disk without an inode, a block, or the right to write."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import backup, remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.filesystems import DRAFT
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.support.cron import rooms
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child

pytestmark = pytest.mark.once

KILLS = int(os.environ.get("HOSTCARE_KILLS", "200"))
JOB = b"* * * * * root /bin/job-with-a-name\n"
TABS = 12


def content(number: int) -> bytes:
    """Of all sizes, from one line to many pages; some with a MAILTO that gets shorter, some with none."""
    head = b"MAILTO=somebody-%d@example.org\n" % number if number % 3 else b""
    return head + JOB * (1, 3, 30, 100, 120, 250)[number % 6] + b"# the end of %d\n" % number


class Host:
    """Crontabs below a directory, read as cronie reads them."""

    def __init__(self, path: Path, tabs: int = TABS) -> None:
        self.path = path
        self.old = {f"tab{number}": content(number) for number in range(tabs)}
        self.table = ProcessTable(str(path / "proc"))

    def furnish(self) -> Host:
        directory = self.path / "etc" / "cron.d"
        directory.mkdir(parents=True, exist_ok=True)
        for name, raw in self.old.items():
            (directory / name).write_bytes(raw)
        return self

    def read(self) -> dict[str, bytes]:
        directory = self.path / "etc" / "cron.d"
        return {
            name: (directory / name).read_bytes() for name in sorted(os.listdir(directory)) if name.startswith("tab")
        }

    def run(self, **options: t.Any) -> remedy.Report:
        wish = Options(**{"state": "present", "value": b"", "scope": ("system",), "dialect": "cronie", **options})
        return remedy.run(wish, str(self.path), self.table)

    def silenced(self) -> dict[str, bytes]:
        """What the old content becomes, whole and in place."""
        return {
            decision.item.crontab.name: decision.new
            for decision in self.run(check_mode=True).decisions
            if decision.edit
        }


def start(work: t.Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def until_it_writes(host: Host, pid: int) -> bool:
    """Whether it is still at work then: what it writes is saved first."""
    before = saved(host)
    while os.waitpid(pid, os.WNOHANG)[0] != pid:
        if saved(host) != before:
            return True
    return False


def saved(host: Host) -> set[str]:
    found: set[str] = set()
    for directory in ("var/lib/hostcare/cron", "run/hostcare/cron"):
        with contextlib.suppress(FileNotFoundError):
            found |= {name for name in os.listdir(host.path / directory) if not name.startswith(".")}
    return found


def how_long(host: Host) -> tuple[float, float]:
    """How long it plans, and how long it writes."""
    for _try in range(20):
        host.furnish()
        started = time.monotonic()
        pid = start(host.run)
        if until_it_writes(host, pid):
            planned = time.monotonic()
            os.waitpid(pid, 0)
            return planned - started, time.monotonic() - planned
    raise AssertionError("it was never seen at work")


def kill_at_random(host: Host, times: int, seed: int) -> tuple[int, int]:
    """How many of the runs were cut short with some crontabs written and some not, and how many left a draft."""
    host.furnish()
    old, new = host.old, host.silenced()
    assert len(new) == len(old)
    plans, writes = how_long(host)
    chance = random.Random(seed)
    halves = drafts = 0
    for _round in range(times):
        host.furnish()
        pid = start(host.run)
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0, plans))
        elif until_it_writes(host, pid):
            time.sleep(chance.uniform(0, writes))
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        found = host.read()
        assert found.keys() == old.keys()
        for name, raw in found.items():
            assert raw in (old[name], new[name]), f"{name} is neither the old nor the new one"
        written = [name for name in found if found[name] != old[name]]
        if written:
            kept = {os.path.basename(one.path): one.raw for one in backup.load(newest(host), str(host.path))}
            assert all(kept[name] == old[name] for name in written), "what was written had been saved before"
        halves += 0 < len(written) < len(old)
        drafts += (host.path / "etc" / "cron.d" / DRAFT).exists()
    host.run()
    assert host.read() == new
    assert not (host.path / "etc" / "cron.d" / DRAFT).exists()
    return halves, drafts


def newest(host: Host) -> str:
    return backup.newest(["/var/lib/hostcare/cron", backup.FALLBACK], str(host.path))


def test_killed_at_any_moment_each_crontab_is_the_old_or_the_new_one(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    halves, drafts = kill_at_random(Host(tmp_path), KILLS, seed=4)
    show(f"{KILLS} runs killed: {halves} with some crontabs written and some not, {drafts} with a draft left")
    assert halves > KILLS // 20
    assert drafts > 0


def test_killed_while_it_writes_in_place(tmp_path: Path) -> None:
    """Without a free inode; crontabs of at most a page are written by one call that a signal does not divide."""

    def work() -> tuple[int, int]:
        rooms.leave_the_mounts_of_the_machine()
        rooms.tmpfs(tmp_path / "etc", "nr_inodes=200,size=8m")
        host = Host(tmp_path, tabs=60)
        host.old = {name: raw for name, raw in host.old.items() if len(raw) < 4000}
        host.furnish()
        rooms.take_every_inode(tmp_path / "etc")
        assert {decision.method for decision in host.run(check_mode=True).decisions} == {"in_place"}
        return kill_at_random(host, KILLS // 2, seed=5)

    halves, drafts = in_child(work, seconds=120)
    assert halves > 2
    assert drafts == 0


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_without_an_inode_it_is_written_in_place(tmp_path: Path, kind: str) -> None:
    def work() -> dict[str, t.Any]:
        rooms.leave_the_mounts_of_the_machine()
        if kind == "tmpfs":
            rooms.tmpfs(tmp_path / "etc", "nr_inodes=64,size=8m")
        else:
            rooms.ext4(tmp_path / "etc", inodes=64)
        host = Host(tmp_path, tabs=24).furnish()
        inodes = {name: (tmp_path / "etc/cron.d" / name).stat().st_ino for name in host.old}
        rooms.take_every_inode(tmp_path / "etc")
        assert not rooms.can_make_a_file(tmp_path / "etc")
        expected = host.silenced()
        report = host.run()
        assert host.read() == expected
        assert {name: (tmp_path / "etc/cron.d" / name).stat().st_ino for name in host.old} == inodes
        assert not host.run().changed
        result = report.render()
        restored = host.run(state="restored", value=None)
        assert host.read() == host.old
        assert {decision.method for decision in restored.decisions} == {"in_place"}
        return result

    try:
        result = in_child(work)
    except AssertionError as error:
        if kind == "ext4" and "loop" in str(error):
            pytest.skip("no loop device can be had for an ext4 file system")
        raise
    assert result["totals"]["changed"] == 24
    assert result["totals"]["mailing_after"] == 0
    assert {file["method"] for file in result["files"]} == {"in_place"}


def test_without_a_block_what_has_to_grow_beyond_its_own_is_left(tmp_path: Path) -> None:
    def work() -> dict[str, str]:
        rooms.leave_the_mounts_of_the_machine()
        rooms.tmpfs(tmp_path / "etc", "nr_inodes=1000,size=256k")
        host = Host(tmp_path)
        page = JOB * 300
        host.old = {
            "tab-short": JOB,
            "tab-shrinks": b"MAILTO=somebody@example.org\n" + JOB * 300,
            "tab-fits": page[: 4096 - 11] + b"\n",
            "tab-full": page[:4095] + b"\n",
            "tab-larger": page[: 2 * 4096 - 1] + b"\n",
        }
        host.furnish()
        rooms.take_every_block(tmp_path / "etc")
        report = host.run()
        found = host.read()
        left = [name for name in host.old if found[name] == host.old[name]]
        assert sorted(left) == ["tab-full", "tab-larger"]
        assert "cannot be written (No space left on device), and is left as it was" in report.problem
        assert all(b'MAILTO=""' in raw for name, raw in found.items() if name not in left)
        return {decision.item.crontab.name: decision.method for decision in report.decisions}

    assert in_child(work) == {
        "tab-short": "in_place", "tab-shrinks": "in_place", "tab-fits": "in_place", "tab-full": "none",
        "tab-larger": "none",
    }  # fmt: skip


def test_a_disk_that_fills_while_the_draft_is_written_leaves_the_old(tmp_path: Path) -> None:
    """There is room for a draft at first, and somebody else takes it."""

    def work() -> None:
        rooms.leave_the_mounts_of_the_machine()
        rooms.tmpfs(tmp_path / "etc", "nr_inodes=1000,size=256k")
        host = Host(tmp_path)
        host.old = {"tab": JOB * 1500}
        host.furnish()
        pid = os.fork()
        if pid == 0:
            while True:
                rooms.take_every_block(tmp_path / "etc")
        try:
            outcomes = set()
            for _round in range(40):
                (tmp_path / "etc" / "filler").unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    host.furnish()
                if host.read() != host.old:
                    continue
                report = host.run()
                found = host.read()["tab"]
                assert found in (host.old["tab"], b'MAILTO=""\n' + host.old["tab"])
                assert not (tmp_path / "etc/cron.d" / DRAFT).exists()
                assert bool(report.problem) is (found == host.old["tab"])
                outcomes.add(report.decisions[0].method)
            assert outcomes
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    in_child(work, seconds=60)


def test_where_the_copy_goes_when_the_disk_is_full(tmp_path: Path) -> None:
    def work() -> None:
        rooms.leave_the_mounts_of_the_machine()
        for name in ("etc", "var", "run"):
            rooms.tmpfs(tmp_path / name, "nr_inodes=64,size=1m")
        host = Host(tmp_path, tabs=6).furnish()
        for name in ("etc", "var"):
            rooms.take_every_inode(tmp_path / name)
        report = host.run()
        assert report.problem == ""
        assert str(report.backup_file).startswith("/run/hostcare/cron/")
        assert "gone after a boot" in report.warnings[0]
        assert host.run(state="restored", value=None).problem == ""
        assert host.read() == host.old

    in_child(work)


def test_where_there_is_room_nowhere_nothing_is_touched(tmp_path: Path) -> None:
    def work() -> str:
        rooms.leave_the_mounts_of_the_machine()
        for name in ("etc", "var", "run"):
            rooms.tmpfs(tmp_path / name, "nr_inodes=64,size=1m")
        host = Host(tmp_path, tabs=6).furnish()
        for name in ("etc", "var", "run"):
            rooms.take_every_inode(tmp_path / name)
        try:
            host.run()
        except Refused as refusal:
            assert host.read() == host.old
            return str(refusal)
        return ""

    refusal = in_child(work)
    assert (
        "can be saved neither in /var/lib/hostcare/cron (No space left on device) nor in /run/hostcare/cron" in refusal
    )


def test_a_crontab_that_is_a_mount_point_is_written_in_place(tmp_path: Path) -> None:
    """As in a container, where single files are mounted."""

    def work() -> None:
        rooms.leave_the_mounts_of_the_machine()
        host = Host(tmp_path, tabs=2).furnish()
        (tmp_path / "outside").write_bytes(host.old["tab1"])
        rooms.mount("--bind", tmp_path / "outside", tmp_path / "etc/cron.d/tab1")
        report = host.run()
        assert {decision.item.crontab.name: decision.method for decision in report.decisions} == {
            "tab0": "replaced", "tab1": "in_place",
        }  # fmt: skip
        assert (tmp_path / "outside").read_bytes() == host.read()["tab1"] != host.old["tab1"]
        assert not host.run().changed

    in_child(work)


def test_a_read_only_file_system_is_said_to_be_one(tmp_path: Path) -> None:
    def work() -> None:
        rooms.leave_the_mounts_of_the_machine()
        rooms.tmpfs(tmp_path / "etc", "size=1m")
        host = Host(tmp_path, tabs=2).furnish()
        rooms.mount("-o", "remount,ro", tmp_path / "etc")
        for check_mode in (True, False):
            report = host.run(check_mode=check_mode)
            assert "its file system is read-only" in report.problem
        assert host.read() == host.old

    in_child(work)
