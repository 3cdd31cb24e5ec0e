# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import openers
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.openers import Openers
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

HOLD = "import sys; held = open(sys.argv[1], sys.argv[2]); print(flush=True); sys.stdin.readline()"


@pytest.fixture
def directory(tmp_path: Path) -> t.Iterator[int]:
    for name in ("free", "held", "with newline\nand (deleted)"):
        (tmp_path / name).write_text("x")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


class Holder:
    """Another process that has a file open."""

    def __init__(self, path: Path, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def __enter__(self) -> Holder:  # noqa: PYI034
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.communicate(b"\n")


def names(directory: int) -> list[str]:
    return [name for name in os.listdir(directory) if name != "proc"]


# --- leases ---


@pytest.mark.parametrize("mode", ["r", "a", "r+"])
def test_only_what_a_process_has_open_is_in_use(tmp_path: Path, directory: int, mode: str) -> None:
    asked = Openers()
    assert asked.among(directory, names(directory)) == set()
    with Holder(tmp_path / "held", mode):
        assert asked.among(directory, names(directory)) == {"held"}
    assert asked.among(directory, names(directory)) == set()
    assert asked.blind == ""


def test_the_name_may_be_any(tmp_path: Path, directory: int) -> None:
    name = "with newline\nand (deleted)"
    with Holder(tmp_path / name, "a"):
        assert Openers().among(directory, names(directory)) == {name}


def test_what_is_gone_is_not_in_use(directory: int) -> None:
    assert Openers().among(directory, ["gone"]) == set()


# --- links ---


def has_open(tree: ProcTree, pid: int, *targets: str) -> None:
    tree.add(process(pid))
    (tree.root / str(pid) / "fd").mkdir()
    for number, target in enumerate(targets):
        (tree.root / str(pid) / "fd" / str(number)).symlink_to(target)


def refuse(*_arguments: object) -> t.NoReturn:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_where_leases_are_denied_the_links_tell(
    tree: ProcTree, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openers.fcntl, "fcntl", refuse)
    has_open(tree, 100, "socket:[1]", "/var/spool/postfix/maildrop/held", "/dev/null")
    has_open(tree, 101, "/another/root/with newline\nand (deleted)")
    has_open(tree, 102)
    tree.add(process(103))  # it has ended: there is no fd
    asked = Openers(str(tree.root))
    assert asked.among(directory, names(directory)) == {"held", "with newline\nand (deleted)"}
    assert asked.blind == ""


def test_a_link_is_not_followed(tmp_path: Path, tree: ProcTree, directory: int) -> None:
    """One in the directory is not opened, and one of a process is but read: the names are compared."""
    (tmp_path / "link").symlink_to(tmp_path / "held")
    has_open(tree, 100, str(tmp_path / "held"), "/nowhere/that/hangs")
    with Holder(tmp_path / "held", "a"):
        assert Openers(str(tree.root)).among(directory, ["link"]) == set()


def test_where_others_are_hidden_all_may_be_in_use(tmp_path: Path, directory: int) -> None:
    asked = Openers(str(ProcTree(tmp_path / "proc", init=False).root), leases=False)
    assert asked.among(directory, ["free", "held"]) == {"free", "held"}
    assert "hidepid" in asked.blind


def test_where_links_are_denied_all_may_be_in_use(
    tree: ProcTree, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: str) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    has_open(tree, 100, "/somewhere")
    monkeypatch.setattr(openers.os, "readlink", deny)
    asked = Openers(str(tree.root), leases=False)
    assert asked.among(directory, ["free"]) == {"free"}
    assert "CAP_SYS_PTRACE" in asked.blind


# --- both ---


def test_who_opens_the_file_during_the_lease_does_not_end_us(directory: int) -> None:
    """The kernel would send SIGIO, whose default is death; afterwards all is as it was."""
    before = signal.getsignal(signal.SIGIO)
    seen = []
    asked = Openers()

    def watch(fd: int, command: int, argument: int) -> int:
        if command == fcntl.F_SETLEASE and argument == fcntl.F_UNLCK:
            seen.append(signal.getsignal(signal.SIGIO))
        return fcntl.fcntl(fd, command, argument)

    original = openers.fcntl
    try:
        openers.fcntl = type("Fcntl", (), {**vars(fcntl), "fcntl": staticmethod(watch)})  # type: ignore[assignment]
        asked.among(directory, ["free"])
    finally:
        openers.fcntl = original
    assert seen == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGIO) == before
