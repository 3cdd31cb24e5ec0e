# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each daemon makes of a MAILTO line. The table was seen to hold with the daemons themselves, see the integration
tests, but for ISC cron and FreeBSD's, which were read."""

from __future__ import annotations

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.document import ASSIGNMENT, BAD, JOB, UNSEEN

JOB_LINES = {
    "anacron": b"1 0 one /bin/one\n",
    "busybox": b"* * * * * /bin/one\n",
}
OWNER = "(owner)"
IGNORED = "the line is not taken for an assignment"

# line -> what it means to cronie, vixie, debian, freebsd, anacron, busybox, systemd_cron: "" is no mail
TABLE: list[tuple[bytes, tuple[str, str, str, str, str, str, str]]] = [
    (b'MAILTO=""', ("", "", "", "", '""', '""', "")),
    (b"MAILTO=", ("", IGNORED, IGNORED, IGNORED, "", "", "")),
    (b"MAILTO=''", ("", "", "", "", "''", "''", "")),
    (b'MAILTO = ""', ("", "", "", "", ' ""', IGNORED, "")),
    (b"MAILTO = ", ("", IGNORED, IGNORED, IGNORED, " ", IGNORED, "")),
    (b'  MAILTO=""', ("", "", "", "", '""', '""', "")),
    (b'MAILTO="" # why', (IGNORED, IGNORED, IGNORED, "", '"" # why', '""', " # why")),
    (b"MAILTO= # why", ("", "", "", IGNORED, " # why", "", "# why")),
    (b'MAILTO=" "', ("", "", "", " ", '" "', '"', " ")),
    (b'MAILTO=""\r', ("", "", "", "", '""\r', '""\r', "")),
    (b"MAILTO=\r", ("", IGNORED, IGNORED, IGNORED, "\r", "\r", "")),
    (b'\xef\xbb\xbfMAILTO=""', (OWNER, OWNER, OWNER, OWNER, OWNER, IGNORED, IGNORED)),
    (b'export MAILTO=""', (IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, IGNORED)),
    (b'MAILTO="";', (IGNORED, IGNORED, IGNORED, '"";', '"";', '"";', ";")),
    (b'mailto=""', (OWNER, OWNER, OWNER, OWNER, OWNER, IGNORED, OWNER)),
    (b'"MAILTO"="root"', ("root", "root", "root", OWNER, OWNER, IGNORED, IGNORED)),
    (b"MAILTO=root", ("root",) * 7),
    (b"MAILTO=a,b", ("a,b",) * 7),
    (b"MAILTO=a, b", ("", "", "", "a, b", "a, b", "a,", "a, b")),
    (b"MAILTO=|/bin/true", ("", "", "", "|/bin/true", "|/bin/true", "|/bin/true", "|/bin/true")),
    (b"MAILTO=root # why", ("", "", "", "root", "root # why", "root", "root # why")),
    (b"MAILTO=\"'root'\"", ("", "", "root", "'root'", "\"'root'\"", "\"'root'\"", "'root'")),
    (b'MAILTO="root', (IGNORED, IGNORED, IGNORED, '"root', '"root', '"root', "root")),
    (b'#MAILTO=""', (OWNER,) * 7),
    (b'* * * * * MAILTO=""', (OWNER,) * 7),
]
NAMES = ("cronie", "vixie", "debian", "freebsd", "anacron", "busybox", "systemd_cron")


@pytest.mark.parametrize(
    "line,name,meaning",
    [(line, name, meaning) for line, meanings in TABLE for name, meaning in zip(NAMES, meanings)],
)
def test_what_a_line_means(line: bytes, name: str, meaning: str) -> None:
    dialect = DIALECTS[name]
    lines = dialect.read(line + b"\n" + JOB_LINES.get(name, b"* * * * * root /bin/one\n"))
    by_default = None if dialect.silent_by_default else b"(owner)"
    expected = {OWNER: by_default, IGNORED: by_default, "": None}.get(meaning, meaning.encode("latin-1"))
    assert dialect.recipients(lines)[-1] == expected
    if meaning == IGNORED and name != "busybox":
        assert lines[0].kind in (BAD, JOB)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wanted", [b"", b"root", b"a@example.org,b"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_what_is_written_is_read_as_it_is_meant(name: str, wanted: bytes, end: bytes) -> None:
    dialect = DIALECTS[name]
    written = dialect.form(wanted, end)
    job = JOB_LINES.get(name, b"* * * * * root /bin/one\n")
    lines = dialect.read(written + (b"" if written.endswith(b"\n") else b"\n") + job)
    assert (lines[0].kind, lines[0].name) == (ASSIGNMENT, b"MAILTO")
    assert dialect.says(lines[0], wanted)
    assert dialect.recipients(lines) == [wanted or None]


def test_what_only_newer_versions_take_does_not_say_so_for_certain() -> None:
    cronie, debian = DIALECTS["cronie"], DIALECTS["debian"]
    (bare,) = cronie.read(b"MAILTO=\n")
    assert bare.sets_mailto
    assert not cronie.says(bare, b"")
    assert debian.read(b"MAILTO=\n")[0].kind == BAD
    newer = debian._replace(takes_bare=True, reads_bare=True)
    assert newer.says(newer.read(b"MAILTO=\n")[0], b"")


def test_the_original_anacron_has_no_form_for_nobody() -> None:
    anacron = DIALECTS["anacron"]._replace(knows_nobody=False)
    lines = anacron.read(b"MAILTO=\n1 0 one /bin/one\n")
    assert anacron.recipients(lines) == [b""]
    assert not anacron.says(lines[0], b"")


def test_a_variable_may_be_an_address_to_who_expands_it() -> None:
    raw = b"MAILTO=$WHO\n* * * * * root /bin/one\n"
    assert {name: DIALECTS[name].recipients(DIALECTS[name].read(raw)) for name in ("cronie", "debian", "vixie")} == {
        "cronie": [b"$WHO"], "debian": [None], "vixie": [None],
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_line_without_an_end_is_seen_by_some(name: str) -> None:
    (line,) = DIALECTS[name].read(b"MAILTO=root")
    assert line.kind == (UNSEEN if name in ("cronie", "vixie", "debian", "freebsd") else ASSIGNMENT)


@pytest.mark.parametrize(
    "name,raw,kinds",
    [
        ("cronie", b"# a\\\n* * * * * root x\n", ["blank", "job"]),
        ("anacron", b"# a\\\n1 0 one x\n1 0 two x\n", ["blank", "job"]),
        ("busybox", b"# a\\\n* * * * * x\n* * * * * y\n", ["blank", "job"]),
        ("systemd_cron", b"# a\\\n* * * * * root x\n", ["blank", "job"]),
        ("cronie", b"@reboot root x\n@never root x\n", ["job", "bad"]),
        ("cronie", b"-* * * * * root x\n", ["job"]),
        ("busybox", b"@reboot x\n@never x\n* * * *\n", ["job", "bad", "bad"]),
        ("anacron", b"@monthly 0 one x\n@monthly 0 one\nSTART_HOURS_RANGE=3-22\n", ["job", "bad", "assignment"]),
        ("systemd_cron", b"@daily root x\nx\n", ["job", "bad"]),
        ("freebsd", b"@every_minute root x\n*/5 * * * * root x\nx\n", ["bad", "job", "bad"]),
    ],
)
def test_lines_are_what_the_daemon_takes_them_for(name: str, raw: bytes, kinds: list[str]) -> None:
    assert [line.kind for line in DIALECTS[name].read(raw)] == kinds


@pytest.mark.parametrize(
    "value,who",
    [
        (b"root", {"vixie", "cronie", "debian"}),
        (b"ops+cron@example.org", {"cronie", "debian"}),
        (b"-root", set()),
        (b"a b", set()),
        (b"", set()),
        (b"x!y%z:1.2,3-4@5", {"vixie", "cronie", "debian"}),
    ],
)
def test_who_mails_to_which_address(value: bytes, who: set[str]) -> None:
    assert {name for name in ("vixie", "cronie", "debian") if DIALECTS[name].is_address(value)} == who
