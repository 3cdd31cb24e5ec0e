# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How many free process slots the collection's modules need, against a stock module and `raw`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.hostcare.remediation.tests.support.slots import (
    LEAN,
    PING_ROW,
    RAW,
    RAW_ROW,
    STANDBY_ROW,
    Login,
    measure,
    table,
)

# Modules differ in what they do, not in how they reach the host. The table has them all; with the older cores two stand
# for all.
TWO = {module: LEAN[module] for module in ("headroom_info", "rogue_process")}


@pytest.mark.sample
def test_one_slot_over_a_live_root_connection(root: Login) -> None:
    assert root.succeeding(TWO, live=True, free=1) == [*TWO]


@pytest.mark.sample
def test_over_a_fresh_root_connection_no_more_than_raw(root: Login) -> None:
    raw = root.need({"raw": RAW}, live=False)["raw"]
    assert raw in (2, 3), "OpenSSH starts one process for a connection, from some version between 9.2 and 10.0 on two"
    assert root.succeeding(TWO, live=False, free=raw) == [*TWO]


@pytest.mark.sample
def test_with_sudo_no_more_than_raw(sudoer: Login) -> None:
    assert sudoer.succeeding(TWO, live=True, free=sudoer.need({"raw": RAW}, live=True)["raw"]) == [*TWO]


@pytest.mark.once
def test_the_table(show: Callable[[str], None]) -> None:
    rows = measure()
    show(table(rows))
    by_task = {row.task: row for row in rows}
    raw, pipelined = by_task[RAW_ROW], by_task[PING_ROW]
    assert raw.live == 1
    assert by_task[STANDBY_ROW].live == 0
    for module in LEAN:
        row = by_task[module]
        assert (row.live, row.fresh) == (raw.live, raw.fresh), module
        assert row.sudo_live <= raw.sudo_live, module
        assert row.sudo_fresh <= raw.sudo_fresh, module
        assert all(lean < stock for lean, stock in zip(row[1:], pipelined[1:], strict=True)), module
