# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The benchmark of the purge: every contender takes its turn on both file systems and leaves nothing."""

from __future__ import annotations

import pytest

from ansible_collections.hostcare.remediation.tests.benchmark import purge

pytestmark = pytest.mark.once


def test_every_contender_empties_the_maildrop() -> None:
    found = purge.measure([300], 1)
    assert {(row["kind"], row["contender"]) for row in found} == {
        (kind, contender) for kind in purge.KINDS for contender in purge.CONTENDERS
    }
    assert all(row["seconds"] > 0 for row in found), found
    assert purge.is_bounded(found)
    assert not purge.is_bounded([{**row, "memory_kb": 16 * 1024} for row in found])
    assert all(row["x_c"] == 1.0 for row in found if row["contender"] == purge.LIMIT)
    lines = purge.table(found).splitlines()
    assert len(lines) == len(found) + 2 * len(purge.KINDS)
