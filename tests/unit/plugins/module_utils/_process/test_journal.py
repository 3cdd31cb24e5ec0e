# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was stopped is remembered to the letter or not trusted at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.journal import Journal, Memory, parse
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

BOOT = "b007"
NAMESPACE = 4026531836
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and give files away")

IDENTITIES = st.frozensets(st.tuples(st.integers(1, 4194304), st.integers(0, 2**63)), max_size=4)
NUMBERS = st.frozensets(st.integers(0, 2**32 - 1), max_size=3)
# What a cgroup may be called: any bytes but NUL and line feed.
PATHS = st.binary(max_size=30).map(
    lambda raw: "/" + raw.replace(b"\0", b"\x0b").replace(b"\n", b"\xe2\x80\xa8").decode("utf-8", "surrogateescape")
)
MEMORIES = st.builds(
    Memory,
    processes=IDENTITIES,
    stopped=IDENTITIES,
    users=NUMBERS,
    groups=NUMBERS,
    cgroups=st.lists(PATHS, max_size=3, unique=True).map(tuple),
    limits=st.lists(st.tuples(PATHS, st.sampled_from(["max", "0", "512"])), max_size=3, unique=True).map(tuple),
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "hostcare"), NAMESPACE, BOOT)


def write(journal: Journal, content: bytes) -> None:
    os.makedirs(os.path.dirname(journal.path), mode=0o700, exist_ok=True)
    with open(journal.path, "wb") as file:
        file.write(content)
    os.chmod(journal.path, 0o600)


@settings(max_examples=40)
@given(memory=MEMORIES)
def test_what_is_replaced_is_read_back(tmp_path_factory: pytest.TempPathFactory, memory: Memory) -> None:
    journal = Journal(str(tmp_path_factory.mktemp("journal")), NAMESPACE, BOOT)
    journal.replace(memory)
    assert journal.problem is None
    assert journal.load() == (Memory() if memory.is_empty else memory)
    assert os.path.exists(journal.path) is not memory.is_empty


@settings(max_examples=40)
@given(memory=MEMORIES)
def test_what_is_noted_is_read_back(tmp_path_factory: pytest.TempPathFactory, memory: Memory) -> None:
    directory = str(tmp_path_factory.mktemp("journal"))
    journal = Journal(directory, NAMESPACE, BOOT)
    journal.open()
    for pid, start in memory.processes:
        journal.note("process", pid, start)
    for pid, start in memory.stopped:
        journal.note("stopped", pid, start)
    for uid in memory.users:
        journal.note("user", uid)
    for pgid in memory.groups:
        journal.note("group", pgid)
    for path in memory.cgroups:
        journal.note("cgroup", path)
    for path, old in memory.limits:
        journal.note("limit", path, old)
    journal.close()
    assert Journal(directory, NAMESPACE, BOOT).load() == memory


def test_a_cgroup_name_cannot_forge_a_line() -> None:
    content = f"boot {BOOT}\ncgroup /x\x0blimit /sys/fs/cgroup/system.slice max\ncgroup /x\u2028process 1 2\n"
    found = parse(content, BOOT)
    assert (found.limits, found.processes, len(found.cgroups)) == ((), frozenset(), 2)


def test_nothing_is_remembered_at_first(journal: Journal) -> None:
    assert journal.load() == Memory()
    assert not os.path.exists(os.path.dirname(journal.path))


def test_files_are_private(journal: Journal) -> None:
    journal.open()
    assert os.stat(journal.path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(journal.path)).st_mode & 0o777 == 0o700
    journal.replace(Memory(processes=frozenset([(7, 8)])))
    assert os.stat(journal.path).st_mode & 0o777 == 0o600


def test_another_boot_counts_for_nothing_and_is_written_over(journal: Journal) -> None:
    write(journal, b"boot earlier\nprocess 7 8\nuser 1000\n")
    assert journal.load() == Memory()
    journal.open()
    journal.note("process", 9, 10)
    journal.close()
    assert journal.load() == Memory(processes=frozenset([(9, 10)]))


LINES = f"boot {BOOT}\nprocess 70 80\nuser 1000\nlimit /cg/a 512\ncgroup /cg/abc\n"


@pytest.mark.parametrize("cut", range(len(LINES)))
def test_a_crash_at_any_byte_loses_the_last_line_and_no_more(journal: Journal, cut: int) -> None:
    """A line cut short is void: the rest of it, given a new end, would mean another user, limit or cgroup."""
    left = LINES[:cut]
    write(journal, left.encode())
    whole = parse(left[: left.rfind("\n") + 1], BOOT)
    assert journal.load() == whole
    journal.open()
    journal.note("process", 9, 10)
    journal.close()
    assert journal.load() == whole._replace(processes=whole.processes | {(9, 10)})


def test_it_is_only_appended_to(journal: Journal) -> None:
    journal.open()
    journal.note("process", 7, 8)
    journal.close()
    again = Journal(os.path.dirname(journal.path), NAMESPACE, BOOT)
    again.open()
    again.note("process", 9, 10)
    again.close()
    assert journal.load().processes == {(7, 8), (9, 10)}


@pytest.mark.parametrize("line", [b"process x 8", b"process 7 \xff", b"user me", b"group 1.5", b"stopped 1 -"])
def test_damage_is_refused_with_the_next_step(journal: Journal, line: bytes) -> None:
    write(journal, b"boot " + BOOT.encode() + b"\nprocess 7 8\n" + line + b"\n")
    with pytest.raises(Refused, match=r"is damaged: wake what is stopped by hand \(ps .*then remove it"):
        journal.load()


def test_lines_of_a_later_version_are_passed_over(journal: Journal) -> None:
    write(journal, b"boot " + BOOT.encode() + b"\nmystery 1 2 3\nprocess 7 8\n\n")
    assert journal.load() == Memory(processes=frozenset([(7, 8)]))


@settings(max_examples=40)
@given(raw=st.binary(max_size=200))
def test_garbage_is_nothing_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    journal = Journal(str(tmp_path_factory.mktemp("journal")), NAMESPACE, BOOT)
    write(journal, raw)
    with contextlib.suppress(Refused):
        assert journal.load().is_empty


class TestTrust:
    def test_a_symbolic_link(self, journal: Journal, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_text("precious")
        os.mkdir(os.path.dirname(journal.path))
        os.symlink(target, journal.path)
        with pytest.raises(Refused, match="cannot be read"):
            journal.load()
        journal.open()
        assert journal.problem
        assert target.read_text() == "precious"

    def test_a_symbolic_link_for_the_directory(self, journal: Journal, tmp_path: Path) -> None:
        target = tmp_path / "elsewhere"
        target.mkdir()
        os.symlink(target, os.path.dirname(journal.path))
        with pytest.raises(Refused, match="not a private directory"):
            journal.open()
        assert os.listdir(target) == []

    @pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
    def test_a_file_that_others_may_write(self, journal: Journal, mode: int) -> None:
        write(journal, b"boot " + BOOT.encode() + b"\nprocess 7 8\n")
        os.chmod(journal.path, mode)
        with pytest.raises(Refused, match="not a private file of this user: it is not trusted; remove it"):
            journal.load()

    @pytest.mark.parametrize("mode", [0o777, 0o730])
    def test_a_directory_that_others_may_write(self, journal: Journal, mode: int) -> None:
        directory = os.path.dirname(journal.path)
        os.mkdir(directory)
        os.chmod(directory, mode)
        with pytest.raises(Refused, match="not a private directory of this user: it is not trusted; remove it"):
            journal.open()

    @needs_root
    def test_what_belongs_to_somebody_else(self, journal: Journal) -> None:
        write(journal, b"boot " + BOOT.encode() + b"\nprocess 7 8\n")
        os.chown(journal.path, 12345, 0)
        with pytest.raises(Refused, match="not a private file"):
            journal.load()
        os.chown(os.path.dirname(journal.path), 12345, 0)
        with pytest.raises(Refused, match="not a private directory"):
            journal.open()

    def test_a_fifo_is_refused_and_does_not_hang(self, journal: Journal) -> None:
        os.mkdir(os.path.dirname(journal.path), 0o700)
        os.mkfifo(journal.path, 0o600)

        def load() -> str:
            signal.alarm(2)  # ends the child
            try:
                journal.load()
            except Refused as refusal:
                return str(refusal)
            return ""

        assert "not a private file" in in_child(load, seconds=5)

    def test_a_directory_in_its_place(self, journal: Journal) -> None:
        os.makedirs(journal.path)
        with pytest.raises(Refused):
            journal.load()
        journal.open()
        assert journal.problem


class TestNoRoom:
    @staticmethod
    def limit_files(size: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_a_file_may_not_be_made(self, journal: Journal) -> None:
        Path(os.path.dirname(journal.path)).write_text("in the way")
        journal.open()
        assert "cannot be written" in (journal.problem or "")
        journal.note("process", 7, 8)
        journal.replace(Memory(processes=frozenset([(7, 8)])))
        assert "cannot be" in (journal.problem or "")

    def test_a_write_cut_short_is_a_problem_and_damages_nothing(self, journal: Journal) -> None:
        """RLIMIT_FSIZE, and a full tmpfs at the edge of a page, take a part of the line."""

        def run() -> tuple[str | None, list[int]]:
            journal.open()
            journal.note("process", 1, 1)
            self.limit_files(os.stat(journal.path).st_size + 10)
            journal.note("process", 1000000, 1000000)
            problem = journal.problem
            self.limit_files(resource.RLIM_INFINITY)
            journal.note("process", 3, 3)
            journal.close()
            return problem, sorted(pid for pid, _start in journal.load().processes)

        problem, remembered = in_child(run)
        assert "cannot be written" in (problem or "")
        assert 1 in remembered
        assert 1000000 not in remembered

    def test_a_limit_on_files_does_not_kill(self, journal: Journal) -> None:
        def run() -> str | None:
            self.limit_files(0)
            journal.open()
            journal.replace(Memory(processes=frozenset([(7, 8)])))
            return journal.problem

        assert os.strerror(errno.EFBIG) in (in_child(run) or "")

    @needs_root
    @pytest.mark.parametrize("options", ["nr_inodes=1", "ro", "made,ro"])
    def test_a_tmpfs_without_room_or_read_only(self, tmp_path: Path, options: str) -> None:
        def run() -> tuple[str | None, str | None]:
            mount(str(tmp_path), options)
            journal = Journal(str(tmp_path / "hostcare"), NAMESPACE, BOOT)
            journal.load()
            journal.open()
            opened = journal.problem
            journal.note("process", 7, 8)
            journal.replace(Memory())
            journal.replace(Memory(processes=frozenset([(7, 8)])))
            return opened, journal.problem

        for problem in in_child(run):
            assert "cannot be" in (problem or "")

    @needs_root
    def test_a_tmpfs_that_fills_up(self, tmp_path: Path) -> None:
        def run() -> tuple[str | None, str | None, int, str | None]:
            mount(str(tmp_path), f"size={2 * resource.getpagesize()}")
            journal = Journal(str(tmp_path / "hostcare"), NAMESPACE, BOOT)
            journal.open()
            filler = tmp_path / "filler"
            fill(filler)
            at_first = journal.problem
            for number in range(1, 1000):
                journal.note("process", number, number)
            filler.unlink()
            journal.note("process", 5000, 5000)
            found = journal.load()
            written = journal.problem
            journal.replace(Memory())
            return at_first, written, len(found.processes), journal.problem

        at_first, written, remembered, _end = in_child(run)
        assert at_first is None
        assert "No space" in (written or "")
        assert remembered > 0


def fill(path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        _write_for_ever(path)


def _write_for_ever(path: Path) -> t.NoReturn:
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def mount(point: str, options: str) -> None:
    """A tmpfs that only this process sees; ``made`` has the directory of the journal, ``ro`` is read-only then."""
    libc = ctypes.CDLL(None, use_errno=True)
    ms_rdonly, ms_remount, ms_rec, ms_private, clone_newns = 1, 32, 1 << 14, 1 << 18, 0x00020000
    words = options.split(",")
    data = ",".join(word for word in words if word not in ("made", "ro")).encode()

    def call(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call(libc.unshare(clone_newns))
    call(libc.mount(b"none", b"/", None, ctypes.c_ulong(ms_rec | ms_private), None))
    call(libc.mount(b"none", point.encode(), b"tmpfs", ctypes.c_ulong(0), data))
    if "made" in words:
        os.mkdir(point + "/hostcare", 0o700)
    if "ro" in words:
        call(libc.mount(b"none", point.encode(), None, ctypes.c_ulong(ms_remount | ms_rdonly), None))


def test_the_file_of_the_host(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    made = Journal.of_host(str(tree.root))
    base = "/run" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}"
    number = os.stat(tree.root / "self" / "ns" / "pid").st_ino
    assert made.path == f"{base}/hostcare/frozen-{number}"
    assert made.boot == "b007/1", "the boot and the start of PID 1"


def test_one_run_at_a_time(tmp_path: Path) -> None:
    root = str(ProcTree(tmp_path / "proc").root)
    first = Journal.lock(root)
    with pytest.raises(Refused, match=r"another run is at work .* wait for it"):
        Journal.lock(root)
    os.close(first)
    os.close(Journal.lock(root))


def test_no_descriptor_is_left_open(journal: Journal) -> None:
    before = os.listdir("/proc/self/fd")
    journal.open()
    journal.note("process", 7, 8)
    journal.load()
    journal.replace(Memory(processes=frozenset([(7, 8)])))
    journal.load()
    journal.close()
    assert os.listdir("/proc/self/fd") == before
