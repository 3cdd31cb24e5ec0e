# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without SELinux, as here, nothing happens; with it what libselinux says is set. No kernel with it is at hand."""

from __future__ import annotations

import os
import sys
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import labels

NAME = "ansible.module_utils.compat.selinux"


@pytest.fixture
def directory(tmp_path: Path) -> t.Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def policy(monkeypatch: pytest.MonkeyPatch, enabled: int, answer: tuple[int, str]) -> list[tuple[str, bytes]]:
    """A libselinux, and the labels that were set."""
    module = types.ModuleType(NAME)
    module.is_selinux_enabled = lambda: enabled  # type: ignore[attr-defined]
    module.matchpathcon = lambda _path, _mode: answer  # type: ignore[attr-defined]
    parents = ["ansible", "ansible.module_utils", "ansible.module_utils.compat"]
    for name in parents:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[parents[-1]].selinux = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAME, module)
    found: list[tuple[str, bytes]] = []
    monkeypatch.setattr(labels.os, "setxattr", lambda _fd, name, value: found.append((name, value)))
    return found


def test_without_libselinux_nothing_is_set(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ansible", None)
    labels.set_default("/var/spool/postfix/maildrop", directory)
    labels.copy(directory, directory)


@pytest.mark.parametrize(
    "enabled, answer, expected",
    [
        (1, (0, "system_u:object_r:postfix_spool_maildrop_t:s0"), b"system_u:object_r:postfix_spool_maildrop_t:s0\0"),
        (1, (-1, ""), None),
        (0, (0, "x"), None),
        (-1, (0, "x"), None),
    ],
)
def test_the_label_of_the_policy(
    directory: int, monkeypatch: pytest.MonkeyPatch, enabled: int, answer: tuple[int, str], expected: bytes | None
) -> None:
    found = policy(monkeypatch, enabled, answer)
    labels.set_default("/var/spool/postfix/maildrop", directory)
    assert found == ([] if expected is None else [("security.selinux", expected)])
