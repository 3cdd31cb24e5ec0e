# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs over real files below a root of their own: silenced, given back, and what is left alone."""

from __future__ import annotations

import errno
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import backup, remedy, watching
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import filesystems
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.plugins.module_utils._process.test_no_forks import forbid_forks
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")

JOB = b"* * * * * root /bin/one\n"
USER_JOB = b"* * * * * /bin/one\n"
# Reads files of any owner, so that these tests may be run by anybody.
FREEBSD = "freebsd"


class Host:
    """A root with crontabs and no daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = ProcTree(path / "proc").table
        self.write("/etc/passwd", b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
        self.write("/etc/crontab", JOB)
        self.write("/etc/cron.d/app", b"MAILTO=ops\n" + JOB + b"MAILTO=dev\n" + JOB)
        self.write("/etc/cron.d/quiet", b'MAILTO=""\n' + JOB)
        self.write("/var/cron/tabs/alice", USER_JOB, 0o600)
        self.write("/etc/anacrontab", b"MAILTO=root\n1 5 daily run-parts /etc/cron.daily\n")

    def write(self, path: str, content: bytes, mode: int = 0o644) -> Path:
        file = self.path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
        return file

    def read(self, path: str) -> bytes:
        return (self.path / path.lstrip("/")).read_bytes()

    def everything(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for directory in ("etc", "var/cron")
            for path in sorted((self.path / directory).rglob("*"))
            if path.is_file()
        }

    def run(self, **options: t.Any) -> dict[str, t.Any]:
        self.report = remedy.run(self.options(**options), str(self.path), self.table)
        return self.report.render()

    @staticmethod
    def options(**options: t.Any) -> Options:
        return Options(**{"state": "present", "value": b"", "dialect": FREEBSD, **options})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def by_path(result: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {file["path"]: file for file in result["files"]}


def test_a_host_is_silenced_and_given_its_voice_back(host: Host) -> None:
    before = host.everything()
    result = host.run()
    assert (result["changed"], result["converged"], result["partial"]) == (True, True, False)
    assert result["totals"] == {
        "changed": 3, "unchanged": 1, "ignored": 1, "refused": 0, "missing": 0,
        "jobs": 5, "mailing_before": 4, "mailing_after": 0,
    }  # fmt: skip
    assert host.read("/etc/crontab") == b'MAILTO=""\n' + JOB
    assert host.read("/etc/cron.d/app") == b'MAILTO=""\n' + JOB + b'MAILTO=""\n' + JOB
    assert host.read("/var/cron/tabs/alice") == b'MAILTO=""\n' + USER_JOB
    assert host.read("/etc/anacrontab") == before["etc/anacrontab"], "no anacron is installed"
    assert by_path(result)["/etc/cron.d/app"]["recipients"] == ["ops", "dev"]
    again = host.run()
    assert (again["changed"], again["converged"], again["backup_file"]) == (False, True, None)
    restored = host.run(state="restored", value=None, backup_file=result["backup_file"])
    assert (restored["changed"], restored["totals"]["changed"], restored["converged"]) == (True, 3, True)
    assert restored["totals"]["mailing_after"] == 4
    assert host.everything() == before
    assert not host.run(state="restored", value=None)["changed"], "the newest one is taken, and is restored already"


def test_check_mode_answers_the_same_and_does_nothing(host: Host) -> None:
    before = host.everything()
    foretold = host.run(check_mode=True)
    assert host.everything() == before
    assert not (host.path / "var/lib").exists()
    diff = host.report.diff()
    done = host.run()
    assert host.report.diff() == diff
    assert foretold.keys() == done.keys()
    differing = {key for key in done if foretold[key] != done[key]} - {"elapsed_ms"}
    assert differing == {"converged", "backup_file", "actions"}
    assert [line.split(" in a file")[0] for line in foretold["actions"]][1:] == done["actions"][1:]


def test_a_restore_in_check_mode(host: Host) -> None:
    result = host.run()
    silent = host.everything()
    foretold = host.run(state="restored", value=None, check_mode=True)
    assert (foretold["changed"], foretold["totals"]["changed"]) == (True, 3)
    assert foretold["backup_file"] == result["backup_file"]
    assert host.everything() == silent


def test_what_was_edited_since_is_not_restored(host: Host) -> None:
    host.run()
    host.write("/etc/crontab", b'MAILTO=""\n' + JOB + JOB)
    (host.path / "var/cron/tabs/alice").unlink()
    result = host.run(state="restored", value=None)
    assert {path: file["status"] for path, file in by_path(result).items()} == {
        "/etc/crontab": "refused", "/etc/cron.d/app": "changed", "/var/cron/tabs/alice": "missing",
    }  # fmt: skip
    assert "edited since" in host.report.problem
    assert not result["converged"]
    assert host.read("/etc/crontab") == b'MAILTO=""\n' + JOB + JOB


def test_what_was_written_in_place_is_restored_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.everything()

    def full(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as context:
        context.setattr(filesystems, "_replace", full)
        result = host.run(dialect="anacron", paths=("/etc/anacrontab",))
    assert by_path(result)["/etc/anacrontab"]["method"] == "in_place"
    assert host.read("/etc/anacrontab").startswith(b"MAILTO=\n\n\n\n\n1 5 daily")
    assert host.run(state="restored", value=None)["totals"]["changed"] == 1
    assert host.everything() == before


def test_without_a_copy_nothing_is_written_in_place(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.everything()

    def full(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filesystems, "_replace", full)
    result = host.run(backup=False)
    assert result["totals"]["refused"] == 3
    assert "with backup: true it could be written in place" in host.report.problem
    assert (result["changed"], result["totals"]["mailing_after"]) == (False, 4)
    assert host.everything() == before


def test_removing_what_was_set(host: Host) -> None:
    result = host.run(state="absent", value=b"")
    assert [file["path"] for file in result["files"] if file["status"] == "changed"] == ["/etc/cron.d/quiet"]
    assert host.read("/etc/cron.d/quiet") == JOB
    result = host.run(state="absent", value=None)
    assert by_path(result)["/etc/cron.d/app"]["removed"] == [1, 3]
    assert host.read("/etc/cron.d/app") == JOB + JOB


@pytest.mark.parametrize(
    "scope,paths",
    [
        (("system",), ["/etc/crontab", "/etc/cron.d/app", "/etc/cron.d/quiet"]),
        (("users",), ["/var/cron/tabs/alice"]),
        (("anacron",), ["/etc/anacrontab"]),
        ((), []),
    ],
)
def test_the_scope(host: Host, scope: tuple[str, ...], paths: list[str]) -> None:
    result = host.run(scope=scope, check_mode=True)
    assert sorted(by_path(result)) == sorted(paths)


def test_crontabs_by_name(host: Host) -> None:
    host.write("/srv/tab", JOB)
    result = host.run(paths=("/srv/tab", "/srv/none", "/srv/tab", "/var/cron/tabs/alice", "/etc/anacrontab"))
    assert {path: (file["place"], file["status"]) for path, file in by_path(result).items()} == {
        "/srv/tab": ("system", "changed"), "/srv/none": ("system", "missing"),
        "/var/cron/tabs/alice": ("users", "changed"), "/etc/anacrontab": ("anacron", "ignored"),
    }  # fmt: skip


def test_without_a_daemon_nothing_is_touched(host: Host) -> None:
    before = host.everything()
    result = host.run(dialect="auto")
    assert (result["changed"], result["converged"], result["daemons"]) == (False, True, [])
    assert result["totals"]["ignored"] == result["files_total"] == 4
    assert "no cron daemon was found" in result["files"][0]["reason"]
    assert host.everything() == before


@pytest.mark.parametrize(
    "programs,message",
    [
        ({"/usr/sbin/cron": b"this crontab file will be ignored", "/usr/sbin/crond": b"cronie"}, "more than one cron"),
        ({"/usr/sbin/fcron": b"fcrontab"}, "the cron daemon is fcron"),
    ],
)
def test_a_daemon_that_cannot_be_told_or_is_not_known(host: Host, programs: dict[str, bytes], message: str) -> None:
    for path, content in programs.items():
        host.write(path, content)
    with pytest.raises(Refused, match=message):
        host.run(dialect="auto")
    assert host.run(dialect="auto", scope=("anacron",))["files_total"] == 1


def test_the_brake(host: Host) -> None:
    before = host.everything()
    with pytest.raises(Refused, match=r"3 crontabs would be rewritten, which is more than max_files \(2\)"):
        host.run(max_files=2)
    assert host.everything() == before


def test_links_of_all_kinds(host: Host) -> None:
    directory = host.path / "etc/cron.d"
    host.write("/srv/app/tab", JOB)
    (directory / "link").symlink_to("/srv/app/tab")
    (directory / "dangling").symlink_to("/nowhere")
    (directory / "loop").symlink_to("loop")
    os.mkfifo(directory / "fifo")
    (directory / "directory").mkdir()
    os.link(host.write("/srv/app/precious", JOB), directory / "hard")
    result = host.run(scope=("system",))
    found = by_path(result)
    assert {name: found[f"/etc/cron.d/{name}"]["status"] for name in sorted(os.listdir(directory))} == {
        "app": "changed", "dangling": "missing", "directory": "ignored", "fifo": "refused", "hard": "refused",
        "link": "changed", "loop": "ignored", "quiet": "unchanged",
    }  # fmt: skip
    assert (directory / "link").is_symlink()
    assert host.read("/srv/app/tab") == b'MAILTO=""\n' + JOB
    assert host.read("/srv/app/precious") == JOB
    assert "2 names (hard links)" in host.report.problem
    assert "it is a FIFO" in host.report.problem


@needs_root
def test_what_belongs_to_somebody_else(host: Host) -> None:
    os.chown(host.write("/etc/cron.d/foreign", JOB), 1234, 0)
    os.chown(host.path / "var/cron/tabs/alice", 1000, 1000)
    os.chown(host.write("/var/cron/tabs/root", USER_JOB, 0o600), 1234, 0)
    found = by_path(host.run())
    assert found["/etc/cron.d/foreign"]["status"] == "refused"
    assert "belongs to uid 1234" in found["/etc/cron.d/foreign"]["reason"]
    assert found["/var/cron/tabs/alice"]["status"] == "changed"
    assert found["/var/cron/tabs/root"]["status"] == "refused"
    assert (host.path / "var/cron/tabs/alice").stat().st_uid == 1000


@needs_root
def test_what_debian_does_not_read_is_left(host: Host) -> None:
    host.write("/var/lib/dpkg/status", b"Package: cron\nVersion: 3.0pl1-162\n\n")
    for name, content, mode in (
        ("dotted.name", JOB, 0o644), ("writable", JOB, 0o664), ("bare", b"MAILTO=\n" + JOB, 0o644),
        ("broken", JOB + b"nonsense\n", 0o644), ("unended", JOB + JOB.rstrip(), 0o644), ("good", JOB, 0o644),
        ("nobody", b"* * * * * nobody-here x\n", 0o644),
    ):  # fmt: skip
        host.write(f"/etc/cron.d/{name}", content, mode)
    before = host.everything()
    found = by_path(host.run(dialect="debian", scope=("system",)))
    ignored = {os.path.basename(path) for path, file in found.items() if file["status"] == "ignored"}
    assert ignored == {"dotted.name", "writable", "bare", "broken", "unended", "nobody"}
    assert found["/etc/cron.d/bare"]["reason"] == "Debian's cron ignores the whole file: line 1: bad minute"
    assert found["/etc/cron.d/good"]["status"] == "changed"
    for path, content in host.everything().items():
        if found.get(f"/{path}", {}).get("status") == "ignored":
            assert content == before[path]


def test_bytes_that_daemons_read_in_different_ways(host: Host) -> None:
    host.write("/etc/cron.d/nul", JOB + b"\0")
    host.write("/etc/cron.d/huge", b"#" * (9 << 20))
    found = by_path(host.run(scope=("system",)))
    assert "NUL bytes" in found["/etc/cron.d/nul"]["reason"]
    assert "larger than 8388608 bytes" in found["/etc/cron.d/huge"]["reason"]


def test_a_draft_of_a_run_that_was_killed_is_cleared_away(host: Host) -> None:
    host.run()
    host.write(f"/etc/cron.d/{filesystems.DRAFT}", b"half a")
    foretold = host.run(check_mode=True)
    assert foretold["changed"]
    assert foretold["actions"] == ["remove the draft that a killed run left in /etc/cron.d"]
    assert host.run()["changed"]
    assert not (host.path / "etc/cron.d" / filesystems.DRAFT).exists()
    assert not host.run()["changed"]


def test_one_that_is_edited_while_this_runs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = filesystems.rewrite

    def edit_first(spot: filesystems.Spot, *arguments: t.Any) -> str:
        if spot.name == "app":
            host.write("/etc/cron.d/app", JOB + JOB)
        return rewrite(spot, *arguments)

    monkeypatch.setattr(filesystems, "rewrite", edit_first)
    result = host.run()
    assert by_path(result)["/etc/cron.d/app"]["status"] == "refused"
    assert "edited while this ran" in host.report.problem
    assert host.read("/etc/cron.d/app") == JOB + JOB
    assert host.read("/etc/crontab").startswith(b"MAILTO")


def test_one_that_goes_while_this_runs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    save = backup.save

    def remove_first(*arguments: t.Any) -> tuple[str, str | None]:
        (host.path / "etc/cron.d/app").unlink()
        return save(*arguments)

    monkeypatch.setattr(backup, "save", remove_first)
    result = host.run()
    assert by_path(result)["/etc/cron.d/app"]["status"] == "missing"
    assert (host.report.problem, result["converged"]) == ("", True)


def test_hostile_names_come_out_as_text(host: Host) -> None:
    for name in (b"\xff\xfe", b"new\nline", "na\u00efve".encode(), b"x" * 255):
        path = os.fsencode(host.path) + b"/etc/cron.d/" + name
        with open(path, "wb") as file:
            file.write(JOB)
    result = host.run(scope=("system",))
    assert result["totals"]["changed"] == 6
    assert all(file["path"].encode("utf-8") for file in result["files"])
    assert host.run(state="restored", value=None)["totals"]["changed"] == 6


def test_what_is_returned_is_bounded(host: Host) -> None:
    for number in range(300):
        host.write(f"/etc/cron.d/many{number}", JOB + b"* * * * * root x\nMAILTO=x%d\n" % number * 60)
    result = host.run(scope=("system",))
    assert (len(result["files"]), result["files_total"], len(result["actions"])) == (200, 303, 50)
    assert max(len(file["rewritten"]) for file in result["files"]) == 50
    assert max(len(file["recipients"]) for file in result["files"]) <= 10
    assert len(host.report.diff()) == 100


def test_a_long_crontab_has_a_short_diff(host: Host) -> None:
    host.write("/etc/cron.d/app", b"".join(b"* * * * * root /bin/job%d\n" % number for number in range(5000)))
    host.run(paths=("/etc/cron.d/app",))
    (diff,) = host.report.diff()
    assert diff["prepared"].splitlines()[3:5] == ['+MAILTO=""', " * * * * * root /bin/job0"]
    assert diff["prepared"].count("\n") < 20


class TestSystemdCron:
    """PID 1 with, and without, an inotify watch; the real one is in the integration tests."""

    @staticmethod
    def watched(host: Host) -> None:
        inode = (host.path / "etc/cron.d").stat().st_ino
        host.write("/proc/1/fdinfo/11", b"pos:\t0\ninotify wd:3 ino:%x sdev:82 mask:fcc ignored_mask:0\n" % inode)

    def test_without_a_watch_a_reload_is_called_for(self, host: Host) -> None:
        host.write("/proc/1/fdinfo/10", b"pos:\t0\nflags:\t02004000\n")
        for check_mode in (True, False):
            result = host.run(dialect="systemd_cron", scope=("system",), check_mode=check_mode)
            assert result["restart_needed"]
            assert "cron-update.path does not run" in result["restart_reasons"][0]

    def test_units_that_are_older_than_the_crontab_are_waited_for(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.watched(host)
        host.write("/run/systemd/generator/cron-app-root-0.service", b"")
        monkeypatch.setattr(watching, "_PATIENCE", 0.3)
        result = host.run(dialect="systemd_cron", scope=("system",))
        assert "systemd has not made its units anew; run systemctl daemon-reload" in result["restart_reasons"][0]

    def test_units_that_are_made_anew_prove_it(self, host: Host) -> None:
        self.watched(host)
        unit = host.write("/run/systemd/generator/cron-app-root-0.service", b"")
        soon = time.time() + 60
        os.utime(unit, (soon, soon))
        assert not host.run(dialect="systemd_cron", scope=("system",))["restart_needed"]

    def test_nothing_written_nothing_to_notice(self, host: Host) -> None:
        assert not host.run(dialect="systemd_cron", paths=("/etc/cron.d/quiet",))["restart_needed"]


@pytest.mark.parametrize(
    "given,value",
    [
        (None, None), ([], b""), ([""], b""), (["root"], b"root"), (["a@b.example", " c "], b"a@b.example,c"),
    ],
)  # fmt: skip
def test_what_mailto_may_be(given: list[str] | None, value: bytes | None) -> None:
    assert remedy.value_of(given) == value


@pytest.mark.parametrize(
    "given",
    [["a b"], ["-root"], ["root\n* * * * * root x"], ['"root"'], ["a#b"], ["$HOME"], ["\u00e4"], ["a" * 901], ["a;b"]],
)
def test_what_mailto_may_not_be(given: list[str]) -> None:
    with pytest.raises(Refused, match=r"^mailto: "):
        remedy.value_of(given)


@pytest.mark.parametrize("check_mode", [True, False])
def test_it_makes_no_fork(host: Host, check_mode: bool) -> None:
    def run() -> int:
        forbid_forks()
        host.run(check_mode=check_mode)
        host.run(state="absent", value=None, check_mode=check_mode)
        return int(host.run(check_mode=check_mode)["files_total"])

    assert in_child(run) == 5


def test_the_table_of_a_host_without_proc(host: Host) -> None:
    report = remedy.run(host.options(), str(host.path), ProcessTable(str(host.path / "nowhere")))
    assert report.render()["totals"]["changed"] == 3
