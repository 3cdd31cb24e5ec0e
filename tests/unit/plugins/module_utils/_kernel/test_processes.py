# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What /proc tells, hostile names included, and what is made of a /proc that does not tell."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import time
import typing as t
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import processes
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import (
    ProcessTable,
    parse_cgroups,
    parse_stat,
    parse_status,
    text,
    unit_of,
    unit_path,
)
from ansible_collections.hostcare.remediation.tests.unit.support.children import NOBODY, in_child, sleeping, wait_for
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import (
    HOSTILE_COMMS,
    ProcTree,
    process,
    stat_line,
)

COMMS = st.binary(max_size=15).map(lambda raw: raw.replace(b"\0", b"\n"))


@given(
    pid=st.integers(1, 4194304),
    comm=COMMS | st.sampled_from(HOSTILE_COMMS),
    state=st.sampled_from("RSDTtZXxKWPI"),
    ppid=st.integers(0, 4194304),
    threads=st.integers(0, 99999),
    start=st.integers(0, 2**63),
    flags=st.integers(0, 2**32 - 1),
)
def test_any_stat_line_is_read_as_it_was_written(pid: int, comm: bytes, **fields: t.Any) -> None:
    made = process(pid, comm, **fields)
    assert parse_stat(stat_line(made), made.owner) == made


@pytest.mark.parametrize("comm", HOSTILE_COMMS)
def test_a_hostile_name_of_a_real_process_changes_no_other_field(comm: bytes) -> None:
    with sleeping(comm) as child:
        assert child.comm == comm
        assert (child.ppid, child.pgid, child.sid) == (os.getpid(), child.pid, child.pid)
        assert child.state in "RS"
        assert (child.threads, child.is_dead) == (1, False)
        status = ProcessTable().status(child.pid)
        assert status is not None
        assert status.real_uid == os.getuid()


def test_the_kernel_cuts_a_name_at_15_bytes_so_two_programs_can_share_it() -> None:
    with sleeping(b"same-beginning-one") as one, sleeping(b"same-beginning-two") as two:
        assert one.comm == two.comm == b"same-beginning-"


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"1", b"1 (x", b"1 (x)", b"1 (x) ", b"1 (x) S 1 1", b"(x) S" + b" 1" * 20, b"a (x) S" + b" 1" * 20],
)
def test_a_line_cut_short_is_no_process(raw: bytes) -> None:
    assert parse_stat(raw, 0) is None


@given(st.binary(max_size=300))
def test_garbage_never_raises(raw: bytes) -> None:
    parse_stat(raw, 0)
    parse_status(raw)
    parse_cgroups(raw)


@pytest.mark.parametrize(
    "state, threads, dead, stopped",
    [
        ("R", 1, False, False),
        ("D", 1, False, False),
        ("T", 1, False, True),
        ("t", 1, False, True),
        ("Z", 1, True, False),
        ("Z", 0, True, False),
        ("X", 1, True, False),
        ("Z", 2, False, False),  # the leader is dead, a thread lives
    ],
)
def test_states(state: str, threads: int, dead: bool, stopped: bool) -> None:
    made = process(5, state=state, threads=threads)
    assert (made.is_dead, made.is_stopped) == (dead, stopped)


def test_a_zombie_leader_with_a_live_thread_is_not_dead() -> None:
    def leave_a_thread() -> None:
        ending = threading.Event()
        threading.Thread(target=lambda: (ending.set(), signal.pause())).start()
        ending.wait()
        # exit(2) of the leader alone: the C library ends this thread only
        import ctypes

        ctypes.CDLL(None).pthread_exit(None)

    with sleeping(b"headless", life=leave_a_thread) as child:
        table = ProcessTable()
        wait_for(lambda: (table.read(child.pid) or child).state == "Z", "the leader ends")
        found = table.read(child.pid)
        assert found is not None
        assert (found.threads, found.is_dead) == (2, False)
        assert not table.threads_stopped(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        wait_for(lambda: table.threads_stopped(child.pid), "the thread stops")


def test_a_zombie_is_dead_and_still_has_its_number() -> None:
    with sleeping() as child:
        os.kill(child.pid, signal.SIGKILL)
        table = ProcessTable()
        wait_for(lambda: (table.read(child.pid) or child).is_dead, "it dies")
        assert (table.read(child.pid) or child).identity == child.identity


def test_kernel_threads_are_known_by_their_flag_and_not_by_their_name() -> None:
    assert process(2, b"kthreadd", flags=processes.PF_KTHREAD | 0x40).is_kernel_thread
    with sleeping(b"[kworker/0:1]") as child:
        assert not child.is_kernel_thread


@pytest.mark.parametrize(
    "comm, shown",
    [(b"plain", "plain"), ("é".encode(), "é"), (b"\xff\xfe", "\\xff\\xfe"), (b"", ""), (b"a\xc3", "a\\xc3")],
)
def test_a_name_is_shown_in_valid_text(comm: bytes, shown: str) -> None:
    assert text(comm) == shown


@given(COMMS)
def test_every_name_can_be_sent_as_utf_8(comm: bytes) -> None:
    text(comm).encode("utf-8")


STATUS = b"Name:\tx\nUmask:\t0022\nState:\tS\nUid:\t1\t2\t3\t4\nNSpid:\t70\t1\nSigPnd:\t%s\nShdPnd:\t%s\n"


@pytest.mark.parametrize(
    "own, shared, pending",
    [
        (b"0000000000000000", b"0000000000000000", False),
        (b"0000000000040000", b"0000000000000000", True),
        (b"0000000000000000", b"0000000000040000", True),
        (b"0000000000020000", b"0000000000000100", False),
    ],
)
def test_status(own: bytes, shared: bytes, pending: bool) -> None:
    found = parse_status(STATUS % (own, shared))
    assert found is not None
    assert (found.real_uid, found.effective_uid, found.saved_uid, found.nspids) == (1, 2, 3, 2)
    assert found.stop_pending is pending


def test_a_status_without_nspid_is_that_of_an_old_kernel() -> None:
    found = parse_status(b"Name:\tx\nUid:\t1\t1\t1\t1\n")
    assert found is not None
    assert (found.real_uid, found.nspids) == (1, 1)


@pytest.mark.parametrize("raw", [b"", b"Name:\tx\n", b"Name:\tx\nUid:\n", b"Uid:\t\n\n", b"Uid:\tx\ty\n"])
def test_a_status_without_users_is_none(raw: bytes) -> None:
    assert parse_status(raw) is None


@pytest.mark.parametrize("comm", [b"\nUid:\t0 0 0 0", b"a\nNSpid:\t1 1 1", b"\rUid:\t0", b"\\nUid:\t0 0 0 "])
def test_a_name_cannot_forge_a_line_of_status(comm: bytes) -> None:
    with sleeping(comm[:15]) as child:
        found = ProcessTable().status(child.pid)
        assert found is not None
        assert (found.real_uid, found.effective_uid, found.saved_uid) == (os.getuid(), os.geteuid(), os.geteuid())
        assert (found.nspids, found.stop_pending) == (_nesting(), False)


def test_cgroups_of_v1_v2_and_both() -> None:
    raw = b"12:cpu,cpuacct:/a\n5:name=systemd:/system.slice/app.service\n0::/b:c\n"
    assert parse_cgroups(raw) == {
        "cpu": "/a", "cpuacct": "/a", "name=systemd": "/system.slice/app.service", "": "/b:c",
    }  # fmt: skip
    assert parse_cgroups(b"") == {}


@pytest.mark.parametrize("mark", [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\r", b"\xc2\x85", b"\xe2\x80\xa8"])
def test_a_cgroup_name_cannot_forge_a_line(mark: bytes) -> None:
    """Whoever may make a cgroup (a user's own service manager) names it; only the line feed is refused to him."""
    forged = b"0::/user.slice/x" + mark + b"0::/init.scope\n"
    assert parse_cgroups(forged) == {"": forged[3:-1].decode()}


@pytest.mark.parametrize(
    "cgroups, path",
    [
        ({"name=systemd": "/a.service", "": "/b.service"}, "/a.service"),
        ({"name=systemd": "/", "": "/b.service"}, "/b.service"),
        ({"": "/b.service"}, "/b.service"),
        ({"pids": "/p"}, "/"),
        ({}, "/"),
    ],
)
def test_unit_path(cgroups: dict[str, str], path: str) -> None:
    assert unit_path(cgroups) == path


@pytest.mark.parametrize(
    "path, unit",
    [
        ("/system.slice/app.service", "app.service"),
        ("/system.slice/app.service/worker", "app.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "x.service"),
        ("/user.slice/user-1000.slice", "user-1000.slice"),
        ("/system.slice/a.socket", "a.socket"),
        ("/docker/0123", "/docker/0123"),
        ("/", "/"),
        ("/x.services", "/x.services"),
    ],
)
def test_unit_of(path: str, unit: str) -> None:
    assert unit_of(path) == unit


class TestTable:
    def test_this_process_as_psutil_sees_it(self) -> None:
        table = ProcessTable()
        with sleeping(b"oracle") as child:
            oracle = psutil.Process(child.pid)
            assert child.name == oracle.name()
            assert (child.ppid, child.threads) == (oracle.ppid(), oracle.num_threads())
            assert child.owner == oracle.uids().effective
            assert table.exe(child.pid) == oracle.exe()
            assert [part.decode() for part in table.cmdline(child.pid) or []] == oracle.cmdline()
            assert abs(time.time() - oracle.create_time() - table.age(child)) < 1.5
            assert table.cgroups(child.pid) == table.cgroups(os.getpid())

    def test_the_scan_sees_what_psutil_sees(self) -> None:
        with sleeping(b"first") as first, sleeping(b"second") as second:
            seen = {found.identity for found in ProcessTable().scan()}
            assert {first.identity, second.identity} <= seen
            assert first.pid in psutil.pids()

    def test_entries_that_are_no_processes(self, tmp_path: Path) -> None:
        tree = ProcTree(tmp_path / "proc")
        for name in ("acpi", "1x", "x1", "-1", "0", "007", "self2", "²", "१", "fs"):
            (tree.root / name).mkdir(exist_ok=True)
        huge = tree.add(process(4194303))
        beyond = tree.add(process(99999999))
        assert sorted(found.pid for found in tree.table.scan()) == sorted([1, os.getpid(), huge.pid, beyond.pid])

    def test_what_vanishes_is_not_an_error(self, tmp_path: Path) -> None:
        tree = ProcTree(tmp_path / "proc")
        for name in ("70", "71", "72"):
            (tree.root / name).mkdir()
        tree.write("71/stat", b"")  # read(2) of a reaped process gives nothing or ESRCH
        (tree.root / "72" / "stat").mkdir()  # the open succeeds and the read fails
        table = tree.table
        assert sorted(found.pid for found in table.scan()) == sorted([1, os.getpid()])
        assert (table.status(70), table.cgroups(70), table.exe(70), table.cmdline(70)) == (None, None, None, None)
        assert (table.oom_score_adj(70), table.nproc_limit(70), table.unit_path(70)) == (0, None, "/")
        assert table.denied == 0

    def test_a_descriptor_of_a_reaped_process_tells_that_it_is_gone(self) -> None:
        table = ProcessTable()
        with sleeping() as child:
            opened = table.open(child.pid)
            assert opened is not None
            assert (table.reread(opened[0]) or child).identity == child.identity
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            assert table.reread(opened[0]) is None
            os.close(opened[0])
            assert table.read(child.pid) is None

    def test_a_missing_proc_is_refused_with_the_next_step(self, tmp_path: Path) -> None:
        for root in (tmp_path, tmp_path / "nothing"):
            with pytest.raises(Refused, match=r"shows no processes .*: mount it with 'mount -t proc"):
                ProcessTable(str(root)).check()

    def test_the_proc_of_another_namespace_is_refused_with_the_next_step(self, tmp_path: Path) -> None:
        os.symlink(str(os.getpid() + 1), tmp_path / "self")
        with pytest.raises(Refused, match=r"another PID namespace .* mount a /proc of this namespace"):
            ProcessTable(str(tmp_path)).check()

    def test_the_true_proc_passes(self) -> None:
        ProcessTable().check()

    def test_a_proc_that_hides_pid_1(self, tmp_path: Path) -> None:
        assert ProcTree(tmp_path / "hidden", init=False).table.hides_others()
        assert not ProcTree(tmp_path / "seen").table.hides_others()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root is denied nothing below /proc; the next test drops root")
    def test_what_is_denied_is_counted(self) -> None:
        self._assert_denied()

    @pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
    def test_what_is_denied_to_somebody_else_is_counted(self) -> None:
        in_child(lambda: (os.setresuid(NOBODY, NOBODY, NOBODY), self._assert_denied())[1])

    @staticmethod
    def _assert_denied() -> None:
        table = ProcessTable()
        assert table.exe(1) is None
        assert table.denied == 1

    @pytest.mark.parametrize(
        "reader",
        [
            lambda table: table.read(os.getpid()),
            lambda table: table.status(os.getpid()),
            lambda table: table.cgroups(os.getpid()),
            lambda table: table.pids(),
            lambda table: table.threads_stopped(os.getpid()),
        ],
        ids=["read", "status", "cgroups", "pids", "threads_stopped"],
    )
    def test_without_a_free_descriptor_it_refuses_rather_than_overlook(
        self, reader: t.Callable[[ProcessTable], object]
    ) -> None:
        table = ProcessTable()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = os.open("/dev/null", os.O_RDONLY)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            with pytest.raises(Refused, match="descriptor"):
                reader(table)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @pytest.mark.parametrize("where", ["open", "read"])
    def test_without_memory_it_refuses_rather_than_overlook(self, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """A memory cgroup at its limit fails the buffer of /proc with ENOMEM; no test can provoke that safely."""
        table = ProcessTable()

        def fail(*_arguments: object, **_options: object) -> t.NoReturn:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        with monkeypatch.context() as patched:
            patched.setattr(os, where, fail)
            with pytest.raises((Refused, OSError), match="memory"):
                table.read(os.getpid())

    def test_stopped_means_every_thread(self) -> None:
        table = ProcessTable()
        with sleeping(life=lambda: (threading.Thread(target=signal.pause).start(), signal.pause())) as child:
            wait_for(lambda: (table.read(child.pid) or child).threads == 2, "the thread starts")
            assert not table.threads_stopped(child.pid)
            os.kill(child.pid, signal.SIGSTOP)
            wait_for(lambda: table.threads_stopped(child.pid), "both stop")
        assert table.threads_stopped(child.pid), "what is gone runs no thread"

    def test_arguments_that_were_emptied_or_rewritten(self, tmp_path: Path) -> None:
        tree = ProcTree(tmp_path / "proc")
        tree.add(process(70), cmdline=b"")
        tree.add(process(71), cmdline=b"worker: idle" + b"\0" * 40)
        tree.add(process(72), cmdline=b"\xff\0" * 200000)
        assert tree.table.cmdline(70) == [b""]
        assert tree.table.cmdline(71) == [b"worker: idle"]
        assert len(tree.table.cmdline(72) or []) == 200000

    def test_limits_and_scores(self, tmp_path: Path) -> None:
        tree = ProcTree(tmp_path / "proc")
        tree.add(process(70), limit="unlimited", oom=-1000)
        tree.add(process(71), limit="150")
        tree.write("71/oom_score_adj", "")
        assert [tree.table.nproc_limit(pid) for pid in (70, 71, 72)] == [None, 150, None]
        assert [tree.table.oom_score_adj(pid) for pid in (70, 71, 72)] == [-1000, 0, 0]
        assert ProcessTable().nproc_limit(os.getpid()) == _soft_nproc()

    def test_the_numbers_of_the_machine(self, tmp_path: Path) -> None:
        table = ProcTree(tmp_path / "proc").table
        assert (table.load(), table.forks(), table.pid_max()) == ((100, 99999), 5000, 32768)
        assert table.number("sys", "nothing") is None
        real = ProcessTable()
        before = real.forks()
        with sleeping():
            assert (real.forks() or 0) > (before or 0)

    def test_age_is_by_the_boot_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table = ProcessTable()
        with sleeping() as child:
            monkeypatch.setattr(time, "time", lambda: 0.0)  # the wall clock stepped back to 1970
            assert 0 <= table.age(child) < 5

    def test_age_below_the_uptime_of_the_machine(self) -> None:
        table = ProcessTable()
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert all(table.age(found) <= uptime + 0.1 for found in table.scan())

    def test_a_deleted_program_keeps_its_mark(self, tmp_path: Path) -> None:
        tree = ProcTree(tmp_path / "proc")
        tree.add(process(70), exe="/usr/bin/worker (deleted)")
        assert tree.table.exe(70) == "/usr/bin/worker (deleted)"

    def test_no_descriptor_is_left_open(self) -> None:
        before = os.listdir("/proc/self/fd")
        table = ProcessTable()
        for found in table.scan():
            table.status(found.pid)
            table.cgroups(found.pid)
            table.exe(found.pid)
        table.read(4194304)
        assert os.listdir("/proc/self/fd") == before


def _nesting() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(len(line.split()) - 1 for line in file if line.startswith("NSpid:"))


def _soft_nproc() -> int | None:
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def test_what_is_kept_is_read_again_as_it_is_by_then() -> None:
    name = b"hostcare-kept"
    with sleeping(name) as child, sleeping(name) as other:
        table = ProcessTable()
        try:
            found = {process.pid: process for process in table.keep(1 << 22)}
            assert table.kept == len(found)
            assert found[child.pid].identity == child.identity
            os.kill(child.pid, signal.SIGSTOP)
            wait_for(lambda: getattr(table.read(child.pid), "state", None) == "T", "it is stopped")
            os.kill(other.pid, signal.SIGKILL)
            wait_for(lambda: getattr(table.read(other.pid), "state", "Z") == "Z", "it is dead")
        finally:
            table.let_go()
        assert table.kept == 0
        assert table.read(child.pid) is not None


def test_no_more_are_kept_than_is_said() -> None:
    table = ProcessTable()
    try:
        everybody = {process.pid for process in table.keep(3)}
        assert table.kept <= 3
        assert {os.getpid(), os.getppid()} <= everybody
    finally:
        table.let_go()


def test_who_is_gone_when_its_file_is_read_is_not_there(tmp_path: Path) -> None:
    """The file of a process that has just been reaped reads as an error, here as nothing."""
    tree = ProcTree(tmp_path)
    tree.add(process(77))
    tree.write("78/stat", "")
    assert 78 not in {process.pid for process in tree.table.keep(10)}
    assert tree.table.read(78) is None
    tree.table.let_go()


def test_where_descriptors_are_short_none_is_kept() -> None:
    """And all are found all the same, one descriptor at a time."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with sleeping(), sleeping(), sleeping():
        table = ProcessTable()
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, before[1]))
        try:
            found = table.keep(1 << 22)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert table.kept == 0
        assert {os.getpid(), os.getppid()} <= {process.pid for process in found}


@pytest.mark.parametrize(
    "told, left", [("9000\t0\t9500\n", 500), ("9500 0 9500", 0), ("9600 0 9500", 0), ("", 0), ("1 2", 0), (None, 0)]
)
def test_how_many_files_the_host_may_still_open(tmp_path: Path, told: str | None, left: int) -> None:
    tree = ProcTree(tmp_path)
    if told is not None:
        tree.write("sys/fs/file-nr", told)
    assert tree.table.files_left() == left
