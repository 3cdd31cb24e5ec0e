# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import clip, columns, safe, table, wrapped

HOSTILE = [
    ("a b", "a b"),
    ("x) R 1 1", "x) R 1 1"),
    ("a\nb\tc\x1b[31m", "a\\nb\\tc\\x1b[31m"),
    ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
    ("\u202esdhs", "\\u202esdhs"),  # right-to-left override
    ("\u200b\ufeff", "\\u200b\\ufeff"),  # no width
    ("a\u0301", "a\\u0301"),  # combining mark
    ("\udcff", "\\udcff"),  # a byte that is no UTF-8
    ("\u2028", "\\u2028"),  # line separator
    ("größe", "größe"),
    ("", ""),
    (7, "7"),
]


@pytest.mark.parametrize("value, shown", HOSTILE)
def test_safe(value: object, shown: str) -> None:
    assert safe(value) == shown


@given(st.text())
def test_safe_is_one_printable_line(value: str) -> None:
    assert safe(value).isprintable()


@given(st.text(), st.integers(4, 200))
def test_clip_keeps_within_the_width(value: str, width: int) -> None:
    text = safe(value)
    clipped = clip(text, width)
    assert columns(clipped) <= width
    assert clipped == text or clipped.endswith("...")


def test_wide_characters_take_two_columns() -> None:
    assert columns("日本") == 4
    assert clip("日本日本", 7) == "日本..."


@given(st.text(), st.integers(40, 120))
def test_wrapped_loses_nothing_that_fits(value: str, width: int) -> None:
    lines = wrapped(value, width, "  ")
    assert all(columns(line) <= width for line in lines)
    if all(columns(word) <= width - 2 for word in safe(value).split(" ")):
        assert " ".join(line[2:] for line in lines).split() == safe(value).split()


CELLS = st.none() | st.text(max_size=80) | st.integers()


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(40, 120))
def test_table_is_bounded_and_printable(rows: list[tuple[object, ...]], width: int) -> None:
    lines = table(["name", "user", "count"], rows, width)
    assert len(lines) == len(rows) + 1
    assert all(columns(line) <= width and line.isprintable() for line in lines)


def test_table_aligns_numbers_right_and_text_left() -> None:
    assert table(["name", "n"], [["bomb", 1900], ["sshd", 3]], 40) == [
        "  name     n",
        "  bomb  1900",
        "  sshd     3",
    ]


def test_a_table_that_is_too_wide_cuts_its_widest_text_and_no_number() -> None:
    lines = table(["unit", "tasks"], [["x" * 90, 123456]], 40)
    assert lines[1].endswith("...  123456")
    assert columns(lines[1]) == 40
