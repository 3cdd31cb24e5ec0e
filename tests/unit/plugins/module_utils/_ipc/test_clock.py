# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wall clock that was set forward is found out by what it stamped before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.clock import TOLERANCE, Anchor, judge

OFFSET = 1_700_000_000.0
NOW = OFFSET + 5000


@pytest.mark.parametrize(
    "anchors,step",
    [
        ([], 0.0),
        ([Anchor(OFFSET + 100, 100.0)], 0.0),
        ([Anchor(OFFSET + 4000, 100.0)], 0.0),  # long after its earliest moment
        ([Anchor(OFFSET + 99, 100.0)], 0.0),  # within what clocks are read to
        ([Anchor(OFFSET + 100 - 7200, 100.0)], 7200.0),
        ([Anchor(OFFSET + 100 - 5, 100.0), Anchor(OFFSET + 200 - 60, 200.0), Anchor(OFFSET + 300, 300.0)], 60.0),
        ([Anchor(0.0, 1.0)], OFFSET + 1),  # a machine without a clock that runs while it is off
    ],
)
def test_step(anchors: list[Anchor], step: float) -> None:
    clock = judge(OFFSET, NOW, anchors)
    assert clock.step == pytest.approx(step)
    assert clock.wall(100.0) == OFFSET + 100
    assert clock.now == NOW


@given(
    events=st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000)), max_size=20),
    step=st.floats(-5000, 5000),
    at=st.floats(0, 2000),
)
def test_no_step_is_made_up_and_none_is_made_larger(events: list[tuple[float, float]], step: float, at: float) -> None:
    """Events come ``late`` seconds after the moment that they cannot have come before."""
    anchors = []
    for boot, late in events:
        before = boot + late < at
        anchors.append(Anchor(boot + late + OFFSET - (step if before else 0), boot))
    found = judge(OFFSET, NOW, anchors).step
    assert found <= max(0.0, step) + TOLERANCE
    if step <= 0:
        assert found == 0.0


@given(step=st.floats(2, 1e9), at=st.floats(10, 1000))
def test_a_step_is_found_out_by_an_event_whose_moment_is_known(step: float, at: float) -> None:
    assert judge(OFFSET, NOW, [Anchor(at - 1 + OFFSET - step, at - 1)]).step == pytest.approx(step)
