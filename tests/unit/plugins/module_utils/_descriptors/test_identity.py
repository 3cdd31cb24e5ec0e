# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many descriptions stand behind the descriptors of real processes."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.contents import Contents, Gatherer
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.identity import Identities, Order
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.members import Distinct, Member
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import DescriptorTables, Kcmp
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping


class WithoutKcmp(Kcmp):
    works = False  # type: ignore[assignment]


def needs_kcmp() -> Kcmp:
    kcmp = Kcmp()
    if not kcmp.works:
        pytest.skip("this kernel has no kcmp(2), or a filter takes it away")
    return kcmp


def distinct(processes: t.Sequence[Process], kcmp: Kcmp, groups: t.Sequence[str] = ()) -> Distinct:
    tables = DescriptorTables()
    members, contents = {}, []
    for number, process in enumerate(processes):
        holding = tables.holding(process.pid)
        assert holding is not None
        found = Contents(process.pid, holding.descriptors)
        Gatherer().gather(found, tables.links(holding, 1 << 20))
        contents.append(found)
        group = groups[number] if groups else "all"
        members[process.pid] = Member(
            process.pid, process.start, process.ppid, process.name, "", "", group, found.seen, 1, None, None
        )
    identities = Identities(kcmp, members)
    for one in sorted(contents, key=lambda each: (members[each.pid].started, each.pid)):
        identities.add(one)
    return identities.count(contents)


def own() -> Process:
    process = ProcessTable().read(os.getpid())
    assert process is not None
    return process


@contextlib.contextmanager
def held() -> t.Iterator[int]:
    """Of each kind some; yields how many descriptors."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open("/etc/passwd", "rb")) for _one in range(5)]
        polls = [stack.enter_context(contextlib.closing(select.epoll())) for _one in range(5)]
        pairs = [stack.enter_context(one) for one in socket.socketpair()]
        pipes = os.pipe()
        stack.callback(os.close, pipes[0])
        stack.callback(os.close, pipes[1])
        yield len(files) + len(polls) + len(pairs) + len(pipes)


def test_what_children_inherit_counts_once() -> None:
    """The parent is looked at as well; each child has some of its own: two pipe ends of `sleeping`, at the most."""
    kcmp = needs_kcmp()
    with held() as count, contextlib.ExitStack() as stack:
        children = [stack.enter_context(sleeping()) for _child in range(5)]
        alone = distinct([own()], kcmp).total
        assert alone >= count
        assert alone <= distinct([own(), *children], kcmp).total <= alone + 10
        assert distinct(children, kcmp).total <= alone + 10  # known by their siblings


def test_what_two_opened_counts_twice() -> None:
    kcmp = needs_kcmp()

    def life() -> None:
        with held():
            __import__("signal").pause()

    with sleeping(life=life) as one, sleeping(life=life) as other:
        while len(os.listdir(f"/proc/{other.pid}/fd")) < len(os.listdir(f"/proc/{one.pid}/fd")):
            pass
        both, first, second = (distinct(some, kcmp).total for some in ([one, other], [one], [other]))
        inherited = distinct([own(), one, other], kcmp).total - 28
        assert both >= first + 14
        assert both <= first + second
        assert inherited <= distinct([own()], kcmp).total + 10


def test_a_group_counts_what_it_shares_with_another_group_too() -> None:
    kcmp = needs_kcmp()
    with held(), sleeping() as one, sleeping() as other:
        found = distinct([one, other], kcmp, ["a", "b"])
        assert found.method == "kcmp"
        assert found.total < found.groups["a"] + found.groups["b"]
        assert found.groups["a"] == distinct([one], kcmp).total


def test_standard_streams_are_often_one() -> None:
    kcmp = needs_kcmp()

    def life() -> None:
        null = os.open("/dev/null", os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os.closerange(3, 1000)
        __import__("signal").pause()

    with sleeping(life=life) as child:
        while len(os.listdir(f"/proc/{child.pid}/fd")) > 3:
            pass
        assert distinct([child], kcmp) == Distinct(1, {"all": 1}, "kcmp")


def test_a_socket_is_told_by_its_inode_whatever_its_number() -> None:
    left, right = socket.socketpair()
    with left, right:
        copies = [os.dup(left.fileno()) for _copy in range(7)]
        before = distinct([own()], WithoutKcmp()).total
        for copy in copies:
            os.close(copy)
        assert distinct([own()], WithoutKcmp()).total == before


def test_without_kcmp_relatives_are_compared_by_link_and_it_is_said() -> None:
    with held(), sleeping() as one, sleeping() as other:
        found = distinct([own(), one, other], WithoutKcmp())
        assert found.method == "inode"
        assert found.total <= distinct([own()], WithoutKcmp()).total + 4


def test_an_order_knows_each_once() -> None:
    order = Order(needs_kcmp())
    fds = [os.open("/dev/null", os.O_RDONLY) for _one in range(50)]
    copies = [os.dup(fd) for fd in fds]
    try:
        assert all(order.is_new((os.getpid(), fd)) for fd in fds)
        assert not any(order.is_new((os.getpid(), fd)) for fd in [*copies, *fds])
    finally:
        for fd in [*fds, *copies]:
            os.close(fd)


def test_what_has_gone_from_an_order_does_not_stand_in_the_way() -> None:
    order = Order(needs_kcmp())
    me = os.getpid()
    fds = [os.open("/dev/null", os.O_RDONLY) for _one in range(20)]
    for fd in fds:
        order.is_new((me, fd))
    for fd in fds[::2]:
        os.close(fd)
    try:
        assert not any(order.is_new((me, fd)) for fd in fds[1::2])
        assert order.is_new((me, fds[0]))  # it has gone: nobody knows
    finally:
        for fd in fds[1::2]:
            os.close(fd)


class Counting(Kcmp):
    """Says the same of those numbers that it was told."""

    works = True  # type: ignore[assignment]

    def __init__(self, same: t.Collection[int]) -> None:
        super().__init__()
        self.same = same

    def order(self, one: tuple[int, int], other: tuple[int, int]) -> int | None:
        self.calls += 1
        return 0 if one[1] == other[1] and one[1] in self.same else 1


def related(same: t.Collection[int], count: int) -> tuple[int, int]:
    """Of a child with as many descriptors like its parent's: how many count anew, and after how many calls."""
    kcmp = Counting(same)
    members = {
        pid: Member(pid, pid, pid - 1, "app", "", "", "all", count, 1, None, None) for pid in (100, 101)
    }  # fmt: skip
    identities = Identities(kcmp, members)
    for pid in members:
        contents = Contents(pid, count)
        numbers = [b"%d" % number for number in range(10, 10 + count)]
        Gatherer().gather(contents, [(numbers, [b"anon_inode:[eventfd]"] * count)])
        identities.add(contents)
    return identities.count([]).total - count, kcmp.calls


@pytest.mark.parametrize("count", [1, 2, 3, 10, 16, 17, 100, 1000])
def test_those_that_fork_handed_on_lie_together(count: int) -> None:
    for shared in sorted({0, 1, min(2, count), count // 3, count // 2, count - 1, count}):
        for same in (range(10, 10 + shared), range(10 + count - shared, 10 + count)):
            own, calls = related(same, count)
            assert own == count - len(same), (count, same)
            assert calls <= 3 + max(16, count // 16 + 10)


def test_of_a_few_each_is_compared() -> None:
    assert related(range(10, 26, 2), 16)[0] == 8
