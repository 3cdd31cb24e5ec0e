# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How many free process slots the collection's modules need, against a stock module and `raw`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, RAW, Login, measure, table


@pytest.mark.parametrize("module", LEAN)
def test_one_slot_over_a_live_root_connection(root: Login, module: str) -> None:
    assert root.succeeds(LEAN[module], live=True, free=1)


def test_over_a_fresh_root_connection_no_more_than_raw(root: Login) -> None:
    raw = root.needs(RAW, live=False)
    assert raw in (2, 3), "OpenSSH starts one process for a connection, from some version between 9.2 and 10.0 on two"
    for module, task in LEAN.items():
        assert root.succeeds(task, live=False, free=raw), module


@pytest.mark.parametrize("live", [True, False], ids=["live", "fresh"])
def test_with_sudo_no_more_than_raw(sudoer: Login, live: bool) -> None:
    raw = sudoer.needs(RAW, live)
    for module, task in LEAN.items():
        assert sudoer.succeeds(task, live, free=raw), module


@pytest.mark.once
def test_the_table(show: Callable[[str], None]) -> None:
    rows = measure()
    show(table(rows))
    by_task = {row.task: row for row in rows}
    raw, pipelined = by_task["raw, a shell builtin"], by_task["ping, pipelined"]
    assert raw.live == 1
    for module in LEAN:
        row = by_task[module]
        assert (row.live, row.fresh) == (raw.live, raw.fresh), module
        assert row.sudo_live <= raw.sudo_live, module
        assert row.sudo_fresh <= raw.sudo_fresh, module
        assert all(lean < stock for lean, stock in zip(row[1:], pipelined[1:], strict=True)), module
