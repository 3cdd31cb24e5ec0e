# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Jinja test `duration` says yes to exactly what the modules can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds
from ansible_collections.hostcare.remediation.plugins.test.duration import duration


@pytest.mark.parametrize("value", ["30s", "30", 30, 0, 1.5, "1.5h", " 2 m ", "1w"])
def test_a_length_of_time(value: object) -> None:
    assert duration(value)


@pytest.mark.parametrize("value", ["soon", "", " ", "-5s", -5, "5min", "1h30m", "1.2.3s", None, True, ["30s"], {}])
def test_anything_else(value: object) -> None:
    assert not duration(value)


@given(st.text() | st.integers() | st.floats())
def test_what_it_lets_pass_can_be_read(value: object) -> None:
    if duration(value):
        assert seconds(value, "option") >= 0
