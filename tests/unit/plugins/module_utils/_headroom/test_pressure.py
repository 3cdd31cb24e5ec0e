# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, load and pressure stall information beside the counted resources."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.pressure import (
    context,
    parse_memory,
    parse_pressure,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable

MEMINFO = """MemTotal:       24684092 kB
MemFree:        22015704 kB
MemAvailable:   24125868 kB
SwapTotal:             0 kB
SwapFree:              0 kB
CommitLimit:    12342044 kB
Committed_AS:    1116448 kB
HugePages_Total:       0
"""
PRESSURE = """some avg10=0.49 avg60=8.54 avg300=16.52 total=1234
full avg10=0.00 avg60=0.01 avg300=2.20 total=99
"""


def test_memory_is_in_bytes() -> None:
    assert parse_memory(MEMINFO) == {
        "total": 24684092 * 1024,
        "available": 24125868 * 1024,
        "swap_total": 0,
        "swap_free": 0,
        "committed": 1116448 * 1024,
        "commit_limit": 12342044 * 1024,
    }


@pytest.mark.parametrize(
    "content, expected",
    [
        (PRESSURE, (0.49, 8.54, 16.52, 0.0, 0.01, 2.2)),
        (PRESSURE.splitlines()[0], (0.49, 8.54, 16.52, None, None, None)),  # cpu before Linux 5.13 has no full
    ],
)
def test_pressure(content: str, expected: tuple[t.Any, ...]) -> None:
    found = parse_pressure(content)
    assert found is not None
    assert tuple(found.values()) == expected
    assert list(found)[:2] == ["some_avg10", "some_avg60"]


@given(st.text())
def test_no_text_breaks_it(content: str) -> None:
    parse_memory(content)
    parse_pressure(content)


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    found = context(ProcessTable(str(tmp_path)))
    assert set(found["memory"].values()) == {None}
    assert set(found["pressure"].values()) == {None}
    assert (found["load"], found["uptime_s"]) == ([], None)
    json.dumps(found)


def test_this_machine() -> None:
    found = context(ProcessTable())
    assert found["memory"]["total"] == psutil.virtual_memory().total
    assert found["memory"]["swap_total"] == psutil.swap_memory().total
    assert len(found["load"]) == 3
    assert found["uptime_s"] > 0
