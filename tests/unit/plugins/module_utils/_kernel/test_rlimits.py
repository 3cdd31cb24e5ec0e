# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of real processes, by every way to read and set them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import rlimits
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Limits, Rlimits
from ansible_collections.hostcare.remediation.tests.unit.support.children import NOBODY, in_child, sleeping

ALL = sorted(rlimits.TITLES)


def by_prlimit(pid: int, name: str) -> Limits:
    """What prlimit(1) says."""
    line = subprocess.run(
        ["prlimit", "--pid", str(pid), f"--{name}", "--noheadings", "--raw", "--output", "SOFT,HARD"],
        stdout=subprocess.PIPE, check=True,
    ).stdout.split()  # fmt: skip
    return Limits(*(None if word == b"unlimited" else int(word) for word in line))


@pytest.mark.parametrize("name", ALL)
def test_every_way_says_what_prlimit_says(name: str) -> None:
    with sleeping() as child:
        expected = by_prlimit(child.pid, name)
        for way in ("prlimit", "libc", "psutil"):
            reader = Rlimits(ways=(way,))
            assert reader.way == way
            assert reader.get(child.pid, name) == expected, way
        assert Rlimits(ways=()).get(child.pid, name) == expected, "the file"


@pytest.mark.parametrize("way", ["prlimit", "libc", "psutil"])
def test_every_way_sets(way: str) -> None:
    with sleeping() as child:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        Rlimits(ways=(way,)).set(child.pid, "nofile", Limits(123, hard))
        assert by_prlimit(child.pid, "nofile") == Limits(123, hard)
        Rlimits(ways=(way,)).set(child.pid, "core", Limits(0, 0))
        assert by_prlimit(child.pid, "core") == Limits(0, 0)


@pytest.mark.parametrize("way", ["prlimit", "libc", "psutil"])
def test_what_has_gone_says_so(way: str) -> None:
    with sleeping() as child:
        pass
    limits = Rlimits(ways=(way,))
    assert limits.get(child.pid, "nofile") is None
    assert not limits.may_set(child.pid, "nofile")
    with pytest.raises(ProcessLookupError):
        limits.set(child.pid, "nofile", Limits(1, 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
@pytest.mark.parametrize("way", ["prlimit", "libc", "psutil"])
def test_others_are_read_from_the_file_and_not_set(way: str) -> None:
    with sleeping() as child:

        def try_it() -> tuple[bool, bool, str]:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            limits = Rlimits(ways=(way,))
            try:
                limits.set(child.pid, "nofile", Limits(1, 1))
                outcome = "set"
            except PermissionError:
                outcome = "denied"
            return limits.get(child.pid, "nofile") is not None, limits.may_set(child.pid, "nofile"), outcome

        assert in_child(try_it) == (True, False, "denied")


def test_without_any_way_nothing_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(resource, "prlimit")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    limits = Rlimits()
    assert (limits.way, limits.can_set) == ("proc", False)
    assert limits.get(os.getpid(), "nofile") is not None
    with pytest.raises(OSError, match="no way to set"):
        limits.set(os.getpid(), "nofile", Limits(1, 1))


def test_a_python_for_another_libc_uses_its_libc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(resource, "prlimit")
    assert Rlimits().way == "libc"


@pytest.mark.parametrize(
    "raw, limits",
    [
        (b"Max open files            1024                 4096                 files\n", Limits(1024, 4096)),
        (b"Max open files            unlimited            unlimited            files\n", Limits(None, None)),
        (b"Max open files            ?                    4096                 files\n", None),
        (b"Max open filesystems      1                    2                    files\n", None),
        (b"", None),
    ],
)
def test_the_file_is_read_as_it_is_written(raw: bytes, limits: Limits | None) -> None:
    assert rlimits.parse(raw, "nofile") == limits
