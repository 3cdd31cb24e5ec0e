# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is used of each limit, which one is hit first, and settings that cannot be meant."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.limits import Limit, binding, limits
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.oddities import oddities, sources
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    KINDS,
    MESSAGE_QUEUES,
    SEMAPHORES,
    SHARED_MEMORY,
    Facts,
    Object,
)

PAGE = 4096
NO_LIMIT = (1 << 64) - 1 - (1 << 24)
KERNEL = {
    "SEMMSL": 32000, "SEMMNS": 1024000000, "SEMOPM": 500, "SEMMNI": 32000, "SHMMNI": 4096, "SHMALL": NO_LIMIT,
    "SHMMAX": NO_LIMIT, "MSGMNI": 32000, "MSGMNB": 16384, "MSGMAX": 8192,
}  # fmt: skip


def made(kind: str, count: int, uid: int = 33, **sizes: int) -> list[Object]:
    return [Object(number, 0, Facts(kind, 0o600, uid, 0, 0, 0, b"", **sizes)) for number in range(count)]


def by_name(tables: t.Mapping[str, list[Object]], **changes: int) -> dict[str, Limit]:
    return {limit.name: limit for limit in limits(tables, {**KERNEL, **changes}, PAGE, KINDS)}


def test_the_incident_arrays_used_up() -> None:
    found = by_name({SEMAPHORES: made(SEMAPHORES, 127, nsems=1) + made(SEMAPHORES, 1, uid=0, nsems=1)}, SEMMNI=128)
    assert (found["SEMMNI"].used, found["SEMMNI"].free, found["SEMMNI"].share) == (128, 0, 1.0)
    assert found["SEMMNI"].largest == [(33, 127), (0, 1)]
    assert binding(list(found.values()), SEMAPHORES) is found["SEMMNI"]


def test_the_incident_semaphores_used_up() -> None:
    """31 of 32 are used, and the next array wants two."""
    tables = {SEMAPHORES: made(SEMAPHORES, 31, nsems=1)}
    found = by_name(tables, SEMMSL=25032000, SEMMNS=32, SEMOPM=512, SEMMNI=512)
    assert (found["SEMMNS"].used, found["SEMMNS"].free) == (31, 1)
    assert binding(list(found.values()), SEMAPHORES) is found["SEMMNS"]


def test_memory_is_counted_in_pages() -> None:
    found = by_name({SHARED_MEMORY: made(SHARED_MEMORY, 3, bytes=4097)}, SHMALL=100)
    assert (found["SHMALL"].used, found["SHMALL"].free) == (6, 94)
    assert (found["SHMMAX"].used, found["SHMMAX"].free, found["SHMMAX"].share) == (4097, None, None)
    assert binding(list(found.values()), SHARED_MEMORY) is found["SHMALL"]


def test_the_kernels_own_value_is_no_limit() -> None:
    found = by_name({SHARED_MEMORY: made(SHARED_MEMORY, 3, bytes=4097)})
    assert (found["SHMALL"].used, found["SHMALL"].limit, found["SHMALL"].free) == (6, None, None)
    assert binding(list(found.values()), SHARED_MEMORY) is found["SHMMNI"]


def test_nothing_is_used() -> None:
    found = by_name({})
    assert {name for name, limit in found.items() if limit.used is None} == {"SEMOPM", "MSGMAX"}
    assert all(limit.used == 0 for limit in found.values() if limit.used is not None)
    assert {limit.kind for limit in found.values()} == set(KINDS)


def test_a_limit_of_none_and_one_that_was_lowered() -> None:
    found = by_name({MESSAGE_QUEUES: made(MESSAGE_QUEUES, 3, bytes=9)}, MSGMNI=0)
    assert (found["MSGMNI"].free, found["MSGMNI"].share) == (0, 3.0)
    assert by_name({}, MSGMNI=0)["MSGMNI"].share == 1.0
    found = by_name({SEMAPHORES: made(SEMAPHORES, 3, nsems=1)}, SEMMNI=2)
    assert (found["SEMMNI"].free, found["SEMMNI"].share) == (0, 1.5)


def test_a_kernel_that_lacks_a_limit_has_none() -> None:
    found = limits({}, {"SEMMNI": 5, "SEMMNS": 5, "SEMMSL": 5, "SEMOPM": 5}, PAGE, KINDS)
    assert {limit.kind for limit in found} == {SEMAPHORES}
    assert binding(found, MESSAGE_QUEUES) is None


def sem(semmsl: int, semmns: int, semopm: int, semmni: int) -> dict[str, int]:
    return {"SEMMSL": semmsl, "SEMMNS": semmns, "SEMOPM": semopm, "SEMMNI": semmni}


@pytest.mark.parametrize(
    "settings,proposal",
    [
        (sem(25032000, 32, 512, 512), "250 32000 32 512"),  # a blank was lost; the kernel left the fourth alone
        (sem(25032000, 32, 128, 32000), "250 32000 32 128"),
        (sem(320001024000000, 500, 32000, 128), "32000 1024000000 500 32000"),
        (sem(250, 32, 32, 128), "250 32000 32 128"),
        (sem(32000, 100, 500, 128), "32000 4096000 500 128"),
        (sem(99999999, 32, 32, 128), None),
        (sem(250, 260, 32, 512), "250 128000 32 512"),
    ],
)
def test_fewer_semaphores_than_one_array_may_hold(settings: dict[str, int], proposal: str | None) -> None:
    (found,) = oddities(settings, PAGE)
    assert found.parameter == "kernel.sem"
    assert found.value == " ".join(map(str, settings.values()))
    assert str(settings["SEMMNS"]) in found.problem
    assert found.proposal == proposal


@pytest.mark.parametrize(
    "settings,parameter",
    [
        (KERNEL, None),
        (sem(250, 32000, 32, 128), None),
        (sem(250, 32000, 100, 128), None),
        ({"SHMMAX": NO_LIMIT, "SHMALL": 2097152}, None),  # the usual SHMALL of old beside a kernel's SHMMAX
        ({"SHMMAX": 68719476736, "SHMALL": 4294967296}, None),
        ({"SHMMAX": 33554432, "SHMALL": 2097152}, None),
        ({"SHMMAX": 68719476736, "SHMALL": 65536}, "kernel.shmall"),
        ({"SHMMAX": 64, "SHMALL": 65536}, "kernel.shmmax"),
        ({"MSGMAX": 65536, "MSGMNB": 16384}, "kernel.msgmnb"),
        ({"MSGMAX": 16384, "MSGMNB": 16384}, None),
        ({}, None),
    ],
)
def test_other_settings(settings: dict[str, int], parameter: str | None) -> None:
    assert [found.parameter for found in oddities(settings, PAGE)] == ([parameter] if parameter else [])


class TestSources:
    @staticmethod
    def write(root: Path, name: str, content: str) -> None:
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def found(self, root: Path) -> list[tuple[str, int, str]]:
        return [(one.path[len(str(root)) :], one.line, one.value) for one in sources("kernel.sem", str(root))]

    def test_in_the_order_in_which_they_are_applied(self, tmp_path: Path) -> None:
        self.write(tmp_path, "/etc/sysctl.conf", "kernel.sem=5 5 5 5")
        self.write(tmp_path, "/etc/sysctl.d/99-oracle.conf", "# none\n\nkernel.sem = 25032000 32 512\n")
        self.write(tmp_path, "/usr/lib/sysctl.d/50-default.conf", "-kernel/sem = 250 32000 32 128\nkernel.semx=1\n")
        self.write(tmp_path, "/run/sysctl.d/60-x.conf", "kernel.sem 1 1 1 1\nkernel.shmmax=3\n")
        assert self.found(tmp_path) == [
            ("/usr/lib/sysctl.d/50-default.conf", 1, "250 32000 32 128"),
            ("/etc/sysctl.d/99-oracle.conf", 3, "25032000 32 512"),
            ("/etc/sysctl.conf", 1, "5 5 5 5"),
        ]

    def test_a_file_hides_those_of_its_name_below(self, tmp_path: Path) -> None:
        self.write(tmp_path, "/etc/sysctl.d/50-x.conf", "")
        self.write(tmp_path, "/usr/lib/sysctl.d/50-x.conf", "kernel.sem=1 1 1 1")
        assert self.found(tmp_path) == []

    def test_a_link_to_a_later_file_is_counted_once(self, tmp_path: Path) -> None:
        self.write(tmp_path, "/etc/sysctl.conf", "kernel.sem=5 5 5 5")
        (tmp_path / "etc/sysctl.d").mkdir()
        (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
        assert self.found(tmp_path) == [("/etc/sysctl.conf", 1, "5 5 5 5")]

    def test_whatever_lies_there(self, tmp_path: Path) -> None:
        self.write(tmp_path, "/etc/sysctl.d/a.conf", "=\n==\nkernel.sem\n\0\x1b=\n")
        (tmp_path / "etc/sysctl.d/b.conf").mkdir()
        (tmp_path / "etc/sysctl.d/c.conf").symlink_to("nowhere")
        (tmp_path / "etc/sysctl.d/d.conf").write_bytes(b"kernel.sem=\xff\xfe\n")
        assert [value for _path, _line, value in self.found(tmp_path)] == ["\\xff\\xfe"]
