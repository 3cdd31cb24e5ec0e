# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The reserve in words, whatever a host makes of it."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._slots import reserve_words


def pool(scope: str, at_most: int | None, breaks: str = "") -> dict[str, t.Any]:
    return {"scope": f"cgroup /{scope}", "used": 1, "at_most": at_most, "limited_by": "pids.max", "breaks": breaks}


@pytest.mark.parametrize(
    "slots, pools, words",
    [
        (6588, [pool("a", 9)], "6,588 process slots (kernel.pid_max 32,768) are left when all others take what their"),
        (0, [pool("a", 32000, "alone"), pool("b", 5)], "none: cgroup /a (up to 32,000 tasks) could take the last"),
        (None, [pool("a", None, "alone")], "none: cgroup /a (no limit) could take the last process slot (kernel.pid"),
        (
            None,
            [pool(name, None, "alone") for name in "abcde"],
            "none: cgroup /a (no limit), cgroup /b (no limit), cgroup /c (no limit) and 2 more, each alone, could take",
        ),
        (
            -7,
            [pool("a", 20, "together"), pool("b", 10, "together"), pool("c", 1)],
            "none: cgroup /a (up to 20 tasks), cgroup /b (up to 10 tasks) together could take the last process slot",
        ),
        (-7, [], "none: the limits of all others add up to the last process slot (kernel.pid_max 32,768)"),
    ],
)
def test_in_words(slots: int | None, pools: list[dict[str, t.Any]], words: str) -> None:
    found = {"scope": "host", "limit_name": "kernel.pid_max", "limit": 32768, "slots": slots, "pools": pools}
    assert reserve_words(found).startswith(words)


@pytest.mark.parametrize("found", [None, {}, [], "x", {"limit": None}, {"limit": True}, {"limit": "9"}])
def test_nothing_is_said_of_nothing(found: t.Any) -> None:
    assert reserve_words(found) == ""


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["limit", "limit_name", "slots", "pools", "scope", "breaks"]), inner)
    ),
)


@given(ANYTHING, st.lists(ANYTHING, max_size=4))
def test_whatever_a_host_answers(found: t.Any, pools: list[t.Any]) -> None:
    for one in (found, {"limit": 5, "slots": found, "limit_name": found, "pools": pools}):
        assert reserve_words(one).isprintable()
