# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns
from ansible_collections.hostcare.remediation.plugins.plugin_utils._mail import cron_lines, maildrop_lines

CRONTAB = {
    "path": "/etc/crontab", "place": "system", "dialect": "debian", "status": "changed", "method": "replaced",
    "reason": "MAILTO is inserted as line 7", "jobs": 4, "mailing_before": 4, "mailing_after": 0,
    "recipients": ["(owner)", "ops", "root", "bob"], "warnings": [],
}  # fmt: skip
TOTALS = {
    "changed": 1, "unchanged": 0, "ignored": 1, "refused": 1, "missing": 0, "jobs": 9, "mailing_before": 6,
    "mailing_after": 2,
}  # fmt: skip
CRON: dict[str, t.Any] = {
    "state": "present", "mailto": "", "totals": TOTALS, "files_total": 3, "converged": False,
    "daemons": [{"dialect": "debian", "program": "/usr/sbin/cron", "pid": 40, "reason": "runs"}],
    "files": [{**CRONTAB, "path": "/etc/cron.d/app", "status": "refused", "reason": "it has 2 hard links"}, CRONTAB,
              {**CRONTAB, "status": "ignored", "path": "/etc/cron.d/app.bak"}],
    "restart_needed": False, "restart_reasons": [], "backup_file": "/var/lib/hostcare/cron/1.tar", "actions": [],
    "partial": False, "partial_reasons": [], "elapsed_ms": 7,
}  # fmt: skip
SPOOL = {"inodes": 655360, "inodes_free": 0, "bytes": 10737418240, "bytes_free": 4096}
PURGED: dict[str, t.Any] = {
    "state": "purged", "queue_directory": "/var/spool/postfix", "matched": 90210, "removed": 90210, "kept_total": 3,
    "by_submitter": [{"submitter": "root", "uid": 0, "files": 90000, "bytes": 1}, {"submitter": "app", "files": 210}],
    "submitters_total": 2, "by_age": [{"age": "1h to 1d", "files": 90210, "bytes": 2}],
    "kept": [{"reason": "requeued", "files": 3, "detail": "of postfix: mail that Postfix itself put back"}],
    "remaining": 5, "arrived": 2, "converged": True, "partial": False, "partial_reasons": [], "elapsed_ms": 2304,
    "archive": {"path": "/srv/m.tar.gz", "files": 90210, "bytes": 9, "size": 77, "free": 1}, "spool": SPOOL,
    "objects": [],
}  # fmt: skip
MENDED: dict[str, t.Any] = {
    "state": "present", "spool": SPOOL, "partial": False,
    "objects": [
        {"path": "/var/spool/postfix/maildrop", "kind": "missing", "owner": None, "group": None, "mode": None,
         "verdict": "made"},
        {"path": "/var/spool/postfix/public", "kind": "directory", "owner": "postfix", "group": "root", "mode": "2710",
         "verdict": "mended"},
        {"path": "/var/spool/postfix/public/pickup", "kind": "socket", "owner": "postfix", "group": "postfix",
         "mode": "0666", "verdict": "right"},
    ],
}  # fmt: skip


def test_crontabs_that_need_attention_come_with_the_way_back() -> None:
    assert cron_lines(CRON) == [
        "CRON MAIL  6 of 9 jobs mail what they print, run by /usr/sbin/cron (debian)",
        "  crontab          is       jobs  mailed to               because",
        "  /etc/cron.d/app  refused     4  (owner), ops, root ...  it has 2 hard links",
        "  /etc/crontab     changed     4  (owner), ops, root ...  MAILTO is inserted as line 7",
        "  1 crontabs were rewritten, 2 jobs go on mailing",
        "  to undo it: cron_mailto with state=restored, backup_file=/var/lib/hostcare/cron/1.tar",
    ]


def test_a_preview_of_crontabs_promises_nothing() -> None:
    lines = cron_lines(CRON, dry=True, top=1)
    assert "  ... and 1 more crontabs" in lines
    assert "  1 crontabs would be rewritten, 2 jobs go on mailing" in lines
    assert not [line for line in lines if "undo" in line]


@pytest.mark.parametrize(
    "cron, said",
    [
        ({"totals": {**TOTALS, "changed": 0, "refused": 0}, "daemons": []}, "run by no daemon that is known"),
        ({"msg": "more than max_files"}, "CRON MAIL  more than max_files"),
        ({**CRON, "partial": True, "partial_reasons": ["/etc/x: denied"]}, "    - /etc/x: denied"),
        ({**CRON, "restart_reasons": ["systemd-cron: run systemctl daemon-reload"]}, "daemon-reload"),
    ],
)
def test_what_else_is_said_of_crontabs(cron: dict[str, t.Any], said: str) -> None:
    assert any(said in line for line in cron_lines(cron))


def test_a_purge() -> None:
    assert maildrop_lines(PURGED) == [
        "MAILDROP  /var/spool/postfix/maildrop: 90210 mails were removed, 3 kept, 5 are there now (2304 ms);",
        "2 came in meanwhile",
        "  mails  bytes  submitter",
        "  90000      1  root",
        "    210      -  app",
        "  age: 90210 1h to 1d",
        "  kept:",
        "  mails  because",
        "      3  requeued  of postfix: mail that Postfix itself put back",
        "  archive: /srv/m.tar.gz (90210 mails, 77 bytes); to put them back: postfix_maildrop with",
        "  state=present, from_archive",
        "  its file system has 0 of 655360 inodes and 4096 of 10737418240 bytes free",
    ]


def test_a_preview_of_a_purge() -> None:
    lines = maildrop_lines(PURGED, dry=True, top=1)
    assert lines[0] == "MAILDROP  /var/spool/postfix/maildrop: 90210 mails would be removed, 3 kept"
    assert "  ... and 1 more submitters" in lines
    assert "  they would be archived first, in at most 77 bytes" in lines


@pytest.mark.parametrize(
    "purged, said",
    [
        ({"msg": "maildrop is a link"}, "MAILDROP  refused or failed: maildrop is a link"),
        ({**PURGED, "converged": False}, "NOT ALL"),
        ({**PURGED, "spool": {**SPOOL, "inodes": 0}}, "  its file system has 4096 of 10737418240 bytes free"),
    ],
)
def test_what_else_is_said_of_a_purge(purged: dict[str, t.Any], said: str) -> None:
    assert any(said in line for line in maildrop_lines(purged))


def test_what_was_mended_is_shown_as_it_was() -> None:
    assert maildrop_lines(MENDED)[:4] == [
        "QUEUE",
        "  was        owner    group  mode              path",
        "  missing    -        -      -     was made    /var/spool/postfix/maildrop",
        "  directory  postfix  root   2710  was mended  /var/spool/postfix/public",
    ]
    assert maildrop_lines({"state": "present", "objects": [], "spool": {}}) == [
        "QUEUE  its directories are as Postfix wants them"
    ]


@given(st.text(), st.integers(0, 200), st.booleans())
def test_names_neither_break_a_line_nor_widen_it(name: str, width: int, dry: bool) -> None:
    cron = {**CRON, "files": [{**CRONTAB, "path": name, "recipients": [name], "reason": name}], "backup_file": name}
    purged = {**PURGED, "queue_directory": name, "by_submitter": [{"submitter": name, "files": 1, "bytes": 1}]}
    for line in [*cron_lines(cron, dry, width), *maildrop_lines(purged, dry, width)]:
        assert line.isprintable()
        assert columns(line) <= max(40, width)
