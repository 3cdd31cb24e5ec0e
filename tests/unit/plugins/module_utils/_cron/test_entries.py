# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Debian's cron ignores a crontab; the integration tests ask its own crontab(1) the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import entries

USERS = {b"root", b"alice"}


@pytest.mark.parametrize(
    "line,reason",
    [
        (b"* * * * * /bin/one", None),
        (b"\t */5,7 0-23/2 1,15 jan-mar mon,WED /bin/one", None),
        (b"0 0 * * 7 /bin/one", None),
        (b"@reboot /bin/one", None),
        (b"@midnight /bin/one", None),
        (b"* * * * *", None),
        (b"5~10 * * * * /bin/one", None),
        (b"60 * * * * /bin/one", "bad minute"),
        (b"1/5 * * * * /bin/one", "bad minute"),
        (b"*/0 * * * * /bin/one", "bad minute"),
        (b"- * * * * /bin/one", "bad minute"),
        (b"1- * * * * /bin/one", "bad minute"),
        (b"* 24 * * * /bin/one", "bad hour"),
        (b"* * 0 * * /bin/one", "bad day-of-month"),
        (b"* * * foo * /bin/one", "bad month"),
        (b"* * * * 8 /bin/one", "bad day-of-week"),
        (b"* * * *", "bad day-of-week"),
        (b"@never /bin/one", "bad time specifier"),
        (b"MAILTO=", "bad minute"),
        (b'MAILTO="" # why', "bad minute"),
        (b"* * * * * *", "bad command"),
        (b"@daily * x", "bad command"),
        (b"* * * * * " + b"x" * 999, "command too long"),
        (b"99999999999999999999 * * * * x", "bad minute"),
        (b"4294967297 * * * * x", None),  # as an int it is 1
        (b"", "bad minute"),
    ],
)
def test_an_entry_of_a_user(line: bytes, reason: str | None) -> None:
    assert entries.problem(line, has_user=False, is_user=USERS.__contains__) == reason


@pytest.mark.parametrize(
    "line,reason",
    [
        (b"* * * * * root /bin/one", None),
        (b"@reboot root /bin/one", None),
        (b"* * * * * root\t", None),
        (b"* * * * * mallory /bin/one", "bad username"),
        (b"* * * * * root", "bad command"),
        (b"* * * * *", "bad command"),
        (b"@reboot", "bad command"),
    ],
)
def test_an_entry_of_the_system(line: bytes, reason: str | None) -> None:
    assert entries.problem(line, has_user=True, is_user=USERS.__contains__) == reason


@given(st.binary(max_size=40).filter(lambda line: b"\n" not in line), st.booleans())
def test_any_line_gets_an_answer(line: bytes, has_user: bool) -> None:
    reason = entries.problem(line, has_user, USERS.__contains__)
    assert reason is None or reason.startswith(("bad ", "command "))
    assert entries.after_the_times(line) in line + b"\n"
