# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor tables of real processes, and kcmp(2)."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import psutil
import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import descriptors
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import (
    DescriptorTables,
    Holding,
    Kcmp,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.tests.unit.support.children import (
    NOBODY,
    in_child,
    sleeping,
    state_of,
    wait_for,
)

root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")


@contextlib.contextmanager
def opened(count: int) -> t.Iterator[list[int]]:
    fds = [os.open("/dev/null", os.O_RDONLY) for _one in range(count)]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def all_links(tables: DescriptorTables, holding: Holding, most: int = 1 << 20) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for numbers, links in tables.links(holding, most):
        found.update(zip(map(int, numbers), links))
    return found


@pytest.fixture(params=[True, False], ids=["sizes", "before 6.2"])
def tables(request: pytest.FixtureRequest) -> DescriptorTables:
    """The kernel of these tests may be older than sizes are."""
    if request.param and not DescriptorTables().has_sizes:
        pytest.skip("this kernel does not tell the size of a descriptor table (before Linux 6.2)")
    return DescriptorTables(has_sizes=request.param)


def test_a_process_has_as_many_as_psutil_counts(tables: DescriptorTables) -> None:
    with opened(37), sleeping() as child:
        wait_for(lambda: state_of(child.pid) == "S", "it has closed what told of its start")
        holding = tables.holding(child.pid)
        assert holding is not None
        assert holding.descriptors == psutil.Process(child.pid).num_fds()
        assert (holding.pid, holding.owner, holding.path) == (child.pid, os.geteuid(), f"{child.pid}/fd")


def test_a_kernel_thread_and_a_number_of_nobody_hold_nothing(tables: DescriptorTables) -> None:
    assert tables.holding(1 << 22) is None
    kernel = next((one.pid for one in psutil.process_iter() if one.ppid() == 2), None)
    if kernel is not None:
        assert tables.holding(kernel) is None
    assert tables.denied == 0 or os.geteuid()


def test_a_first_thread_that_has_ended_leaves_the_table_to_the_others(tables: DescriptorTables) -> None:
    code = (
        "import ctypes, os, threading, time\n"
        "held = [open('/dev/null') for _ in range(23)]\n"
        "threading.Thread(target=time.sleep, args=(300,)).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)\n"  # exit(2) of one thread
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        holding = tables.holding(process.pid)
        assert holding is not None
        assert "/task/" in holding.path
        links = all_links(tables, holding)
        assert len(links) == holding.descriptors
        assert list(links.values()).count(b"/dev/null") >= 23
    finally:
        process.kill()
        process.communicate()


def test_links_are_what_readlink_says() -> None:
    tables = DescriptorTables()
    with opened(5), sleeping() as child:
        holding = tables.holding(child.pid)
        assert holding is not None
        expected = {
            int(number): os.readlink(f"/proc/{child.pid}/fd/{number}".encode())
            for number in os.listdir(f"/proc/{child.pid}/fd")
        }
        assert all_links(tables, holding) == expected


def test_links_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_CHUNK", 7)
    with opened(20), sleeping() as child:
        tables = DescriptorTables()
        holding = tables.holding(child.pid)
        assert holding is not None
        parts = [len(numbers) for numbers, _links in tables.links(holding, 1 << 20)]
        assert sum(parts) == holding.descriptors
        assert max(parts) == 7


def test_of_too_many_every_nth_is_read_up_to_the_end() -> None:
    with opened(200), sleeping() as child:
        tables = DescriptorTables()
        holding = tables.holding(child.pid)
        assert holding is not None
        found = all_links(tables, holding, 50)
        assert 20 <= len(found) <= 50
        assert max(found) > 190


def test_one_that_closes_between_listing_and_reading_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = DescriptorTables()
    holding = tables.holding(os.getpid())
    assert holding is not None
    fds = [os.open("/dev/null", os.O_RDONLY) for _one in range(10)]
    listdir = os.listdir

    def listed_then_closed(path: t.Any) -> t.Any:
        names = listdir(path)
        for fd in fds:
            os.close(fd)
        return names

    monkeypatch.setattr(os, "listdir", listed_then_closed)
    found = all_links(tables, holding)
    assert not set(fds) & set(found)
    assert 0 in found


def test_a_process_that_goes_before_its_links_are_read() -> None:
    with sleeping() as child:
        tables = DescriptorTables()
        holding = tables.holding(child.pid)
        assert holding is not None
    assert all_links(tables, holding) == {}
    assert tables.info(holding, 0) is None
    assert tables.namespace(child.pid, "net") is None
    assert tables.denied == 0


@root
def test_without_rights_counts_are_seen_since_6_2_and_links_are_not() -> None:
    with sleeping() as child:

        def look() -> tuple[t.Any, ...]:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            tables = DescriptorTables()
            holding = tables.holding(child.pid)
            links = {} if holding is None else all_links(tables, holding)
            return tables.has_sizes, holding, links, tables.denied

        has_sizes, holding, links, denied = in_child(look)
        assert links == {}
        assert denied == 1
        assert (holding is not None) == has_sizes


def test_want_of_descriptors_is_refused_with_the_next_step() -> None:
    def look() -> str:
        tables = DescriptorTables()
        holding = tables.holding(os.getpid())
        assert holding is not None
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        kept = []
        with contextlib.suppress(OSError):
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        try:
            all_links(tables, holding)
        except Refused as refusal:
            return str(refusal)
        return ""

    assert "raise fs.file-max or the limit of the login" in in_child(look)


def test_a_file_with_numbers() -> None:
    tables = DescriptorTables()
    assert len(tables.numbers("sys/fs/file-nr")) == 3
    assert tables.numbers("sys/fs/no-such-file") == []
    assert tables.numbers("version") == []


def test_a_table_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "unix").write_bytes(b"heading\n" + b"x\n" * 100000)
    tables = DescriptorTables(str(tmp_path), has_sizes=True)
    assert sum(1 for _line in tables.lines("net/unix")) == 100001
    assert list(tables.lines("net/tcp")) == []


class TestKcmp:
    @pytest.fixture
    def kcmp(self) -> Kcmp:
        kcmp = Kcmp()
        if not kcmp.works:
            pytest.skip("this kernel has no kcmp(2), or a filter takes it away")
        return kcmp

    def test_a_duplicate_is_the_same_and_another_opening_is_not(self, kcmp: Kcmp) -> None:
        own = os.getpid()
        with opened(2) as (one, other):
            copy = os.dup(one)
            assert kcmp.order((own, one), (own, copy)) == 0
            there, back = kcmp.order((own, one), (own, other)), kcmp.order((own, other), (own, one))
            assert {there, back} == {1, 2}
            os.close(copy)

    def test_a_child_inherits_the_same(self, kcmp: Kcmp) -> None:
        with opened(1) as (one,), sleeping() as child:
            assert kcmp.order((os.getpid(), one), (child.pid, one)) == 0

    def test_what_was_sent_is_the_same(self, kcmp: Kcmp) -> None:
        if not hasattr(socket, "send_fds"):
            pytest.skip("this Python sends no descriptors (before 3.9)")
        left, right = socket.socketpair()
        with left, right, opened(1) as (one,):
            socket.send_fds(left, [b"x"], [one])
            _data, (received,), _flags, _address = socket.recv_fds(right, 1, 1)
            assert kcmp.order((os.getpid(), one), (os.getpid(), received)) == 0
            os.close(received)

    def test_what_has_gone_cannot_be_compared(self, kcmp: Kcmp) -> None:
        with sleeping() as child:
            pass
        assert kcmp.order((os.getpid(), 0), (child.pid, 0)) is None

    def test_without_ctypes_it_does_not_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ctypes", None)
        assert not Kcmp().works

    def test_on_an_unknown_machine_it_does_not_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(descriptors, "_SYS_KCMP", {})
        assert not Kcmp().works
