# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How somebody else's child ended, from the kernel for real and from the text it gives."""

from __future__ import annotations

import os
import signal
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import exits
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.exits import Watched, parse_exit
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.children import wait_for

HAS_EXIT_INFO = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 15)
ENDS = [(lambda: os._exit(0), 0), (lambda: os._exit(3), 3 << 8), (lambda: os.kill(os.getpid(), signal.SIGKILL), 9)]


def child(end: t.Callable[[], t.Any]) -> tuple[int, int]:
    """A child that waits for a line, and the end to write to."""
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(opener)
        os.read(gate, 1)
        end()
        os._exit(99)
    os.close(gate)
    return pid, opener


@pytest.mark.parametrize("end, status", ENDS, ids=["done", "code 3", "killed"])
def test_how_a_process_ended_is_told_before_and_after_it_was_collected(end: t.Any, status: int) -> None:
    pid, opener = child(end)
    table = ProcessTable()
    found = table.read(pid)
    assert found is not None
    watched = Watched(table, pid, found.start)
    try:
        assert watched.holds
        watched.look()
        assert watched.status() is None, "it lives"
        os.close(opener)
        wait_for(lambda: (table.read(pid) or found).is_dead, "it ends")
        watched.look()
        assert watched.status() == status
        assert os.waitpid(pid, 0)[1] == status
        assert watched.status() == status
    finally:
        watched.close()
        watched.close()


@pytest.mark.skipif(not HAS_EXIT_INFO, reason="the kernel tells it of a pidfd from Linux 6.15 on")
def test_a_zombie_that_nobody_saw_is_told_by_the_kernel() -> None:
    pid, opener = child(lambda: os._exit(7))
    table = ProcessTable()
    watched = Watched(table, pid, table.read(pid).start)  # type: ignore[union-attr]
    os.close(opener)
    os.waitpid(pid, 0)
    assert watched.status() == 7 << 8
    watched.close()


def test_a_kernel_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_GET_INFO", 0xC040FF7F)
    pid, opener = child(lambda: os._exit(7))
    table = ProcessTable()
    watched = Watched(table, pid, table.read(pid).start)  # type: ignore[union-attr]
    os.close(opener)
    os.waitpid(pid, 0)
    assert watched.status() is None
    watched.close()


def test_a_number_that_is_another_process_by_now_is_let_go() -> None:
    pid, opener = child(lambda: os._exit(0))
    watched = Watched(ProcessTable(), pid, 1)
    assert not watched.holds
    os.close(opener)
    os.waitpid(pid, 0)
    assert not Watched(ProcessTable(), pid, 1).holds, "nobody has it"


def test_without_a_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "no such call")

    monkeypatch.setattr(exits, "pidfd_open", refuse)
    pid, opener = child(lambda: os._exit(5))
    table = ProcessTable()
    found = table.read(pid)
    assert found is not None
    watched = Watched(table, pid, found.start)
    os.close(opener)
    wait_for(lambda: (table.read(pid) or found).is_dead, "it ends")
    watched.look()
    assert watched.status() == 5 << 8
    os.waitpid(pid, 0)
    watched.close()


ZOMBIE = b"12 (a) R) Z " + b" ".join(str(field).encode() for field in range(4, 52)) + b" 256\n"


@pytest.mark.parametrize(
    "raw, start, status",
    [
        (ZOMBIE, 22, 256),
        (ZOMBIE, 23, None),
        (ZOMBIE.replace(b") Z ", b") S "), 22, None),
        (ZOMBIE[:60], 22, None),
        (b"", 22, None),
        (b"12 (x) Z", 22, None),
    ],
)
def test_the_line_of_a_zombie(raw: bytes, start: int, status: int | None) -> None:
    assert parse_exit(raw, start) == status
