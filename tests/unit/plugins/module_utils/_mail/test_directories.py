# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail.directories import (
    Found,
    Wanted,
    decide,
    wanted,
)

MAILDROP = Wanted("maildrop", "directory", 101, 102, 0o1730)
PUBLIC = Wanted("public", "directory", 101, 102, 0o2710)
FIFO = Wanted("public/pickup", "fifo", 101, None, 0o622)
SOCKET = FIFO._replace(kind="socket")
UNKNOWN = FIFO._replace(kind="")


@pytest.mark.parametrize(
    "want, kind, uid, gid, mode, expected",
    [
        (MAILDROP, "directory", 101, 102, 0o1730, "right"),
        (MAILDROP, "directory", 101, 102, 0o730, "right"),  # without Debian's sticky bit
        (MAILDROP, "directory", 101, 102, 0o2730, "mended"),
        (MAILDROP, "directory", 101, 102, 0o1777, "mended"),
        (MAILDROP, "directory", 101, 102, 0o700, "mended"),
        (MAILDROP, "directory", 101, 0, 0o1730, "mended"),
        (MAILDROP, "directory", 0, 102, 0o1730, "mended"),
        (PUBLIC, "directory", 101, 102, 0o2710, "right"),
        (PUBLIC, "directory", 101, 102, 0o710, "right"),
        (PUBLIC, "directory", 101, 102, 0o755, "mended"),
        (FIFO, "fifo", 101, 7, 0o622, "right"),
        (FIFO, "fifo", 0, 7, 0o622, "mended"),
        (FIFO, "fifo", 101, 7, 0o600, "mended"),
        (FIFO, "socket", 101, 7, 0o666, "left"),
        (FIFO, "other", 101, 7, 0o622, "left"),
        (SOCKET, "socket", 101, 7, 0o666, "right"),
        (SOCKET, "fifo", 101, 7, 0o622, "left"),
        (UNKNOWN, "socket", 101, 7, 0o666, "left"),
    ],
)
def test_decide(want: Wanted, kind: str, uid: int, gid: int, mode: int, expected: str) -> None:
    assert decide(Found(want.name, kind, uid, gid, mode), want) == expected


@pytest.mark.parametrize(
    "want, expected", [(MAILDROP, "made"), (PUBLIC, "made"), (FIFO, "made"), (SOCKET, "left"), (UNKNOWN, "left")]
)
def test_decide_on_what_is_missing(want: Wanted, expected: str) -> None:
    assert decide(Found(want.name, "missing"), want) == expected


@pytest.mark.parametrize("pickup, kind", [("fifo", "fifo"), ("unix", "socket"), ("", ""), ("inet", "")])
def test_wanted(pickup: str, kind: str) -> None:
    assert wanted(101, 102, pickup) == [MAILDROP, PUBLIC, FIFO._replace(kind=kind)]
