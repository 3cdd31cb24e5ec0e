# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided of a crontab, and why."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._cron.acceptance import SYSTEM, USERS, Crontab
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS, Dialect
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.discovery import Item
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.planning import Decision, Wish, plan
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.filesystems import Found

JOB = b"* * * * * root x\n"
SILENCE = Wish("present", b"")
FACTS = os.stat_result((0o100644, 1, 1, 1, 0, 0, 0, 0, 0, 0))


def decided(raw: bytes, wish: Wish = SILENCE, dialect: str | Dialect = "cronie", **changes: object) -> Decision:
    known = DIALECTS[dialect] if isinstance(dialect, str) else dialect
    item = Item(Crontab("/etc/cron.d/app", SYSTEM), known, found=Found(raw, FACTS, {}))
    return plan(item._replace(**changes), wish, {b"root"}.__contains__)


@pytest.mark.parametrize(
    "raw,wish,status,reason",
    [
        (JOB, SILENCE, "changed", "MAILTO is inserted as line 1"),
        (b"\n#\nMAILTO=a\n" + JOB, SILENCE, "changed", "line 3 is rewritten"),
        (JOB + b"MAILTO=a\n" + JOB, SILENCE, "changed", "MAILTO is inserted as line 1; line 2 is rewritten"),
        (b'MAILTO=""\n' + JOB, SILENCE, "unchanged", "it says so already"),
        (b"MAILTO=a\n" + JOB, Wish("present", b"", False), "unchanged", "it sets MAILTO itself, and override is false"),
        (JOB, Wish("present", b"a", False), "changed", "MAILTO is inserted as line 1"),
        (JOB, Wish("absent", None), "unchanged", "no line sets MAILTO"),
        (b"MAILTO=a\n", Wish("absent", b"b"), "unchanged", "no line sets MAILTO to this"),
        (b"MAILTO=a\nMAILTO=b\n", Wish("absent", None), "changed", "lines 1, 2 are removed"),
        (
            b"MAILTO=a\n" * 12,
            Wish("absent", None),
            "changed",
            "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and more are removed",
        ),
    ],
)
def test_what_is_decided(raw: bytes, wish: Wish, status: str, reason: str) -> None:
    decision = decided(raw, wish)
    assert (decision.status, decision.reason) == (status, reason)
    assert (decision.new == raw) is (status == "unchanged")
    assert decision.method == ("replaced" if status == "changed" else "none")


def test_what_mailing_ends() -> None:
    decision = decided(JOB + b"MAILTO=a\n" + JOB + JOB + b'MAILTO=""\n' + JOB)
    assert (decision.jobs, decision.mailing_before, decision.mailing_after) == (4, 3, 0)
    assert decision.recipients == (b"(owner)", b"a")
    assert decided(JOB, Wish("present", b"a")).mailing_after == 1


def test_where_no_file_can_be_made_the_content_gets_no_shorter() -> None:
    raw = b"MAILTO=somebody@example.org\n" + JOB
    decision = decided(raw, has_room=False)
    assert decision.method == "in_place"
    assert len(decision.new) == len(raw)
    assert decision.new.startswith(b'MAILTO=""\n\n\n')


@pytest.mark.parametrize("status", ["ignored", "missing"])
def test_what_is_not_read_is_left(status: str) -> None:
    decision = decided(JOB, status=status, reason="because")
    assert (decision.status, decision.reason, decision.edit) == (status, "because", None)


def test_what_may_not_be_written_is_refused_only_where_it_would_have_to_be() -> None:
    assert decided(JOB, status="refused", reason="it is immutable").status == "refused"
    assert decided(b'MAILTO=""\n' + JOB, status="refused", reason="it is immutable").status == "unchanged"


@pytest.mark.parametrize(
    "raw,dialect,place,reason",
    [
        (
            b"A=b\n" * 1000 + JOB,
            "cronie",
            USERS,
            "cronie would ignore the whole file: it has more than 1000 assignments",
        ),
        (
            b"#\n" * 10002 + JOB,
            "debian",
            SYSTEM,
            "Debian's cron would ignore the whole file: it has more than 10000 lines",
        ),
        (
            b"* * * * * x\n" * 254 + b"* * * * * y\n",
            "busybox",
            USERS,
            "busybox crond would no longer read all of its lines: it is as long as it may be",
        ),
    ],
)
def test_what_the_daemon_would_not_take_is_refused(raw: bytes, dialect: str, place: str, reason: str) -> None:
    decision = decided(raw, Wish("present", b"root"), dialect, crontab=Crontab("/x/alice", place, uid=1))
    assert (decision.status, decision.reason) == ("refused", reason)


def test_an_anacron_that_is_never_silent() -> None:
    anacron = DIALECTS["anacron"]._replace(knows_nobody=False)
    for raw in (b"1 0 one x\n", b"MAILTO=\n1 0 one x\n"):
        decision = decided(raw, SILENCE, anacron)
        assert decision.status == "refused"
        assert "calls sendmail even where MAILTO is empty" in decision.reason
    assert decided(b"1 0 one x\n", Wish("present", b"a"), anacron).status == "changed"
    assert decided(b"MAILTO=a\n1 0 one x\n", Wish("present", b"", False), anacron).status == "unchanged"


def test_an_address_that_the_daemon_does_not_mail_to() -> None:
    decision = decided(JOB, Wish("present", b"a+b@example.org"), "vixie")
    assert decision.reason == "ISC cron mails to addresses of letters, digits and @!:%-., only"
    assert decided(JOB, Wish("present", b"a+b@example.org"), "cronie").status == "changed"


PIECES = [
    JOB,
    b"1 0 one x\n",
    b"MAILTO=a\n",
    b'MAILTO=""\n',
    b"MAILTO=\n",
    b"# c\\\n",
    b"bad\n",
    b"\xff\n",
    b"\n",
    b"x",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join),
    st.sampled_from(sorted(DIALECTS)),
    st.sampled_from([SILENCE, Wish("present", b"root"), Wish("present", b"a", False), Wish("absent", None)]),
    st.booleans(),
)
def test_a_second_look_finds_nothing_to_do(raw: bytes, dialect: str, wish: Wish, has_room: bool) -> None:
    first = decided(raw, wish, dialect, has_room=has_room)
    if first.status == "changed":
        second = decided(first.new, wish, dialect, has_room=has_room)
        assert second.status == "unchanged"
        assert (second.jobs, second.mailing_before) == (first.jobs, first.mailing_after)
