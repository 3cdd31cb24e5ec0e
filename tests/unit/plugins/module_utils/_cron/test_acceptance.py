# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files and lines a daemon does not read."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import acceptance
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.acceptance import (
    ANACRON,
    SYSTEM,
    USERS,
    Crontab,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS

DAEMONS = ("cronie", "debian", "systemd_cron", "busybox", "vixie", "freebsd")
JOB = b"* * * * * root /bin/one\n"


def facts(mode: int = 0o644, uid: int = 0, links: int = 1) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 1, 1, links, uid, 0, 100, 0, 0, 0))


@pytest.mark.parametrize(
    "name,readers",
    [
        ("app", "cronie debian systemd_cron busybox vixie freebsd"),
        ("0hourly", "cronie debian systemd_cron busybox vixie freebsd"),
        ("app_1-2", "cronie debian systemd_cron busybox vixie freebsd"),
        ("foo.conf", "cronie systemd_cron vixie freebsd"),
        ("0hourly.bak", "cronie systemd_cron vixie freebsd"),
        ("x~", "busybox vixie freebsd"),
        ("x.rpmnew", "systemd_cron vixie freebsd"),
        ("x.rpmsave", "systemd_cron vixie freebsd"),
        ("x.dpkg-old", "cronie vixie freebsd"),
        ("#x", "systemd_cron busybox vixie freebsd"),
        (".hidden", ""),
        (".hostcare-draft", ""),
    ],
)
def test_names_below_cron_d(name: str, readers: str) -> None:
    crontab = Crontab(f"/etc/cron.d/{name}", SYSTEM)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_name(daemon, crontab) is None] == [
        daemon for daemon in DAEMONS if daemon in readers.split()
    ]


@pytest.mark.parametrize(
    "name,reads", [("foo.example.org-job", True), ("app", True), ("App", False), ("a.dpkg-old", False)]
)
def test_names_of_the_linux_standard_base(name: str, reads: bool) -> None:
    crontab = Crontab(f"/etc/cron.d/{name}", SYSTEM)
    assert (acceptance.ignored_name("debian", crontab, {"-l"}) is None) is reads


def test_a_user_crontab_needs_its_user() -> None:
    orphan = Crontab("/var/spool/cron/crontabs/gone", USERS)
    assert all("no user gone" in str(acceptance.ignored_name(daemon, orphan)) for daemon in DAEMONS)
    assert acceptance.ignored_name("debian", orphan._replace(uid=1000)) is None
    dotted = Crontab("/var/spool/cron/crontabs/first.last", USERS, uid=1000)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_name(daemon, dotted)] == ["systemd_cron", "busybox"]


@pytest.mark.parametrize("path,place", [("/etc/crontab", SYSTEM), ("/etc/anacrontab", ANACRON)])
def test_the_fixed_names_are_read(path: str, place: str) -> None:
    assert all(acceptance.ignored_name(daemon, Crontab(path, place)) is None for daemon in DAEMONS)


@pytest.mark.parametrize(
    "found,readers",
    [
        (facts(0o600), "cronie debian systemd_cron busybox vixie freebsd"),
        (facts(0o644), "cronie debian systemd_cron busybox freebsd"),
        (facts(0o664), "systemd_cron busybox freebsd"),
        (facts(0o755), "debian systemd_cron busybox freebsd"),
        (facts(0o200), "debian systemd_cron busybox freebsd"),
        (facts(0o4600), "debian systemd_cron busybox freebsd"),
        (facts(0o600, uid=1000), "systemd_cron freebsd"),
        (facts(0o600, links=2), "cronie systemd_cron busybox freebsd"),
    ],
)
def test_modes_owners_and_links_of_system_crontabs(found: os.stat_result, readers: str) -> None:
    crontab = Crontab("/etc/cron.d/app", SYSTEM, found)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_facts(daemon, crontab) is None] == [
        daemon for daemon in DAEMONS if daemon in readers.split()
    ]


@pytest.mark.parametrize(
    "found,readers",
    [
        (facts(0o600, uid=1000), "cronie debian systemd_cron vixie freebsd"),
        (facts(0o600), "cronie debian systemd_cron busybox vixie freebsd"),
        (facts(0o644, uid=1000), "cronie systemd_cron freebsd"),
        (facts(0o600, uid=1001), "systemd_cron freebsd"),
        (facts(0o600, links=2), "systemd_cron busybox freebsd"),
    ],
)
def test_modes_owners_and_links_of_user_crontabs(found: os.stat_result, readers: str) -> None:
    crontab = Crontab("/var/spool/cron/crontabs/alice", USERS, found, uid=1000)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_facts(daemon, crontab) is None] == [
        daemon for daemon in DAEMONS if daemon in readers.split()
    ]


def test_a_cronie_that_is_told_to_reads_any_mode() -> None:
    crontab = Crontab("/etc/cron.d/app", SYSTEM, facts(0o666, uid=1000))
    assert acceptance.ignored_facts("cronie", crontab) is not None
    assert acceptance.ignored_facts("cronie", crontab, {"-p"}) is None


def test_who_follows_a_link() -> None:
    system = Crontab("/etc/cron.d/app", SYSTEM, facts(0o600), through_link=True)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_facts(daemon, system)] == ["vixie"]
    user = Crontab("/var/spool/cron/crontabs/alice", USERS, facts(0o600), 1000, through_link=True)
    assert [daemon for daemon in DAEMONS if acceptance.ignored_facts(daemon, user)] == ["debian", "vixie"]


def ignored(name: str, raw: bytes, place: str = SYSTEM) -> str | None:
    dialect = DIALECTS[name]
    users = {b"root"}.__contains__
    return acceptance.ignored_content(dialect, Crontab("/x/root", place), dialect.read(raw), users)


@pytest.mark.parametrize(
    "raw,reason",
    [
        (JOB, None),
        (b"", None),
        (b"# a comment without an end", None),
        (JOB + b"  ", None),
        (JOB + b"x", "line 2 has no newline at its end"),
        (JOB + b"\r", "line 2 has no newline at its end"),
        (b"MAILTO=\n" + JOB, "line 1: bad minute"),
        (JOB + b"\n\nbad\n", "line 4: bad minute"),
        (b"* * * * * nobody-here x\n", "line 1: bad username"),
        (JOB + b"#\n" * 10001 + JOB, None),
        (JOB + b"#\n" * 10002 + JOB, "it has more than 10000 lines"),
        (JOB + b"#\n" * 20000, None),
    ],
)
def test_what_makes_debian_ignore_a_crontab(raw: bytes, reason: str | None) -> None:
    assert ignored("debian", raw) == reason
    assert ignored("vixie", raw) is None


@pytest.mark.parametrize(
    "raw,reason",
    [
        (JOB, None),
        (b"x" + JOB, None),
        (b"#" * 32766 + b"\n" + JOB, None),
        (b"#" * 32767 + b"\n" + JOB, "more than 32768 bytes of comments come before line 2"),
        (b"A=b\n" * 1000, None),
        (b"A=b\n" * 1001, "it has more than 1000 assignments"),
        (JOB * 10001, "it has more than 10000 entries"),
    ],
)
def test_what_makes_cronie_ignore_a_crontab_of_a_user(raw: bytes, reason: str | None) -> None:
    assert ignored("cronie", raw, USERS) == reason
    assert ignored("cronie", raw, SYSTEM) is None


def test_a_version_that_cannot_be_told_leaves_a_doubt() -> None:
    unsure = DIALECTS["debian"]._replace(takes_bare=True, reads_bare=True, dies_of_bare=True)
    assert "line 2 has nothing after its equals sign" in str(
        acceptance.doubt(unsure, unsure.read(b"\nMAILTO=\n" + JOB))
    )
    assert acceptance.doubt(unsure, unsure.read(JOB)) is None
    sure = unsure._replace(dies_of_bare=False)
    assert acceptance.doubt(sure, sure.read(b"MAILTO=\n")) is None


def test_busybox_stops_after_so_many_lines() -> None:
    busybox = DIALECTS["busybox"]
    lines = busybox.read(b"# a comment\n" + b"* * * * * x\n" * 300)
    alice, root = (Crontab(f"/var/spool/cron/crontabs/{name}", USERS, uid=1) for name in ("alice", "root"))
    assert len(busybox.recipients(acceptance.seen(busybox, alice, lines))) == 254
    assert len(acceptance.seen(busybox, root, lines)) == 301
    assert "does not read on from line 256" in acceptance.warnings(busybox, alice, lines)[0]


@pytest.mark.parametrize(
    "name,raw,warning",
    [
        ("cronie", JOB + b"* * * * * root two", "line 2 has no newline at its end: cronie does not see the job in it"),
        ("cronie", JOB + b"MAILTO=a", "line 2 has no newline at its end: cronie does not see the MAILTO in it"),
        ("cronie", b'MAILTO="" # why\n', "line 1 looks like MAILTO, but cronie does not take it for that"),
        ("busybox", b'MAILTO = ""\n', "line 1 looks like MAILTO, but busybox crond does not take it for that"),
        ("systemd_cron", b'export MAILTO=""\n', "line 1 looks like MAILTO, but systemd-cron does not take it for that"),
        (
            "cronie",
            b"\xef\xbb\xbf" + JOB,
            "line 1 begins with a byte order mark: to cronie it is part of the first word",
        ),
    ],
)
def test_what_a_user_is_warned_of(name: str, raw: bytes, warning: str) -> None:
    dialect = DIALECTS[name]
    assert warning in acceptance.warnings(dialect, Crontab("/etc/cron.d/app", SYSTEM), dialect.read(raw))


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_plain_crontab_is_warned_of_by_none(name: str) -> None:
    dialect = DIALECTS[name]
    raw = b"# a comment\nSHELL=/bin/sh\n\n* * * * * root /bin/one\n1 0 one /bin/one\n"
    assert acceptance.warnings(dialect, Crontab("/etc/cron.d/app", SYSTEM), dialect.read(raw)) == []
