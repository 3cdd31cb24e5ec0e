# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import renaming, swapping


@pytest.fixture(params=["renameat2", "without"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSYS, "no such call")

    if request.param == "without":
        monkeypatch.setattr(renaming, "_renameat2", refuse)
    return str(request.param)


@pytest.fixture
def source(tmp_path: Path) -> t.Iterator[int]:
    yield from _open(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> t.Iterator[int]:
    yield from _open(tmp_path / "target")


def _open(path: Path) -> t.Iterator[int]:
    path.mkdir()
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def write(directory: int, name: str, text: str) -> None:
    with open(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=directory), "w", encoding="ascii") as file:
        file.write(text)


def content(directory: int) -> dict[str, str]:
    found = {}
    for name in os.listdir(directory):
        with open(os.open(name, os.O_RDONLY, dir_fd=directory), encoding="ascii") as file:
            found[name] = file.read()
    return found


@pytest.mark.usefixtures("way")
def test_a_move_overwrites_nothing(source: int, target: int) -> None:
    write(source, "a", "mine")
    write(target, "a", "theirs")
    with pytest.raises(FileExistsError):
        renaming.move(source, "a", target, "a")
    assert (content(source), content(target)) == ({"a": "mine"}, {"a": "theirs"})
    renaming.move(source, "a", target, "b")
    assert (content(source), content(target)) == ({}, {"a": "theirs", "b": "mine"})


@pytest.mark.usefixtures("way")
def test_a_move_of_what_is_gone(source: int, target: int) -> None:
    with pytest.raises(FileNotFoundError):
        renaming.move(source, "a", target, "a")


@pytest.mark.usefixtures("way")
def test_a_move_of_a_link_and_a_directory(source: int, target: int) -> None:
    os.symlink("/nowhere", "link", dir_fd=source)
    os.mkdir("directory", dir_fd=source)
    for name in ("link", "directory"):
        renaming.move(source, name, target, name)
    assert sorted(os.listdir(target)) == ["directory", "link"]
    assert os.readlink("link", dir_fd=target) == "/nowhere"


def test_a_move_that_was_interrupted_between_link_and_unlink(
    source: int, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.EINVAL, "flags")

    monkeypatch.setattr(renaming, "_renameat2", refuse)
    write(source, "a", "mine")
    os.link("a", "a", src_dir_fd=source, dst_dir_fd=target)
    renaming.move(source, "a", target, "a")
    assert (content(source), content(target)) == ({}, {"a": "mine"})


@pytest.mark.usefixtures("target")
def test_exchange(way: str, source: int, tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    write(source, "a", "old")
    assert renaming.exchange(directory, "source", "target") is (way == "renameat2")
    os.close(directory)
    assert (tmp_path / ("target" if way == "renameat2" else "source") / "a").read_text() == "old"


@pytest.mark.usefixtures("way")
def test_what_is_brought_back_takes_another_name_where_its_own_is_taken(source: int, target: int) -> None:
    write(source, "4F1A", "old")
    write(source, "other", "old too")
    write(target, "4F1A", "new")
    write(target, "4F1A0", "newer")
    assert swapping.bring_back(source, target, ["4F1A", "other", "gone"]) == 0
    assert content(target) == {"4F1A": "new", "4F1A0": "newer", "4F1A00": "old", "other": "old too"}
    assert content(source) == {}


@pytest.mark.usefixtures("way")
def test_a_name_that_cannot_grow_stays(source: int, target: int) -> None:
    name = "n" * 255
    write(source, name, "old")
    write(target, name, "new")
    assert swapping.bring_back(source, target, [name]) == 1
    assert (content(source), content(target)) == ({name: "old"}, {name: "new"})
