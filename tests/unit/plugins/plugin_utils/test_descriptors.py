# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._descriptors import descriptor_lines, rlimit_lines
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns

WORST = {"pid": 70, "name": "app", "descriptors": 900, "soft_limit": 1024, "hard_limit": 4096, "share": 0.8789}
FORGOTTEN = {
    "protocol": "tcp", "family": "inet", "state": "CLOSE_WAIT", "direction": "in", "port": 8080, "peer": "10.0.0.9",
    "count": 1700,
}  # fmt: skip
PEOPLE = {**FORGOTTEN, "state": "ESTABLISHED", "port": 80, "count": 99}
LEAK: dict[str, t.Any] = {
    "key": "app.service", "processes": 4, "descriptors": 2000, "distinct": 1800, "worst": WORST, "members": [70],
    "kinds": [{"kind": "CLOSE_WAIT", "count": 1700, "growth": 40}, {"kind": "pipe", "count": 20, "growth": 0}],
    "sockets": [PEOPLE, FORGOTTEN, {**FORGOTTEN, "direction": "out", "port": 5432, "peer": "10.0.0.5", "count": 3}],
    "files": [], "deleted": {"descriptors": 0, "files": 0, "bytes": 0, "unknown": 0, "largest": []},
    "growth": 40, "growth_per_minute": 240.0, "seconds_left": 31, "verdict": "leak", "leaking": "CLOSE_WAIT",
    "reasons": ["40 more of CLOSE_WAIT in 10 s, 0 closed"],
}  # fmt: skip
BUSY = {**LEAK, "key": "web.service", "verdict": "load", "leaking": None, "reasons": ["they come and go"]}
NEAR = {**LEAK, "key": "db.service", "verdict": "near_limit", "leaking": None, "reasons": ["88% are used"]}
INFO: dict[str, t.Any] = {
    "host": {
        "descriptions": 5000, "descriptions_limit": None, "descriptors": 9000, "processes": 120, "looked_at": 8000,
        "distinct": 4000, "verdict": "fine", "reasons": ["nothing grows, and no limit is near"],
    },
    "groups": [LEAK, NEAR, BUSY],
    "users": [{"user": "bob", "verdict": "near_limit", "reasons": ["95% of fs.inotify.max_user_instances are used"]}],
    "partial": False, "partial_reasons": [],
}  # fmt: skip
PROCESS = {
    "pid": 70, "name": "app", "user": "app", "unit": "app.service", "soft": "1024", "hard": "4096", "new_soft": "8192",
    "new_hard": "8192", "used": 900, "outcome": "changed", "reason": "raised",
}  # fmt: skip
RAISED: dict[str, t.Any] = {
    "resource": "nofile", "matched": 3, "changed_processes": 2, "unchanged": 1, "refused": 0, "protected": 0, "gone": 0,
    "processes": [PROCESS, {**PROCESS, "pid": 71}, {**PROCESS, "pid": 72, "outcome": "unchanged"}], "converged": True,
    "partial": False, "partial_reasons": [],
}  # fmt: skip


def test_every_group_stands_in_the_table_with_its_verdict() -> None:
    rows = {line.split()[0]: line.split() for line in descriptor_lines(INFO, 120) if " 2000 " in line}
    assert rows["app.service"][1:6] == ["leak", "CLOSE_WAIT", "2000", "1800", "4"]
    assert rows["web.service"][1:3] == ["load", "-"]
    assert rows["db.service"][1:3] == ["near", "limit"]
    assert rows["app.service"][6:] == ["900", "1024", "88", "%", "240"]


def test_one_look_says_of_nobody_that_he_is_fine() -> None:
    fine = {**BUSY, "verdict": "fine"}
    for growth, shown in ((None, "-"), (0, "fine")):
        (row,) = [line for line in descriptor_lines({"groups": [{**fine, "growth": growth}]}) if "web.service" in line]
        assert row.split()[1] == shown


def test_only_a_leak_and_a_near_limit_are_explained() -> None:
    text = "\n".join(descriptor_lines(INFO))
    assert "app.service leaks CLOSE_WAIT, full in 31 s" in text
    assert "- 40 more of CLOSE_WAIT in 10 s, 0 closed" in text
    assert "db.service is near its limit" in text
    assert "they come and go" not in text
    assert "user bob: 95% of fs.inotify.max_user_instances are used" in text


def test_the_other_ends_of_what_leaks_are_named_and_no_other() -> None:
    (sockets,) = [line for line in descriptor_lines(INFO) if "sockets:" in line]
    assert sockets.strip() == "sockets: 1700 tcp to port 8080 from 10.0.0.9; 3 tcp to 10.0.0.5 port 5432"
    pipes = {**LEAK, "leaking": "pipe"}
    assert not any("sockets:" in line for line in descriptor_lines({**INFO, "groups": [pipes]}))


def test_deleted_files_are_shown_with_the_room_they_take() -> None:
    gone = {"descriptors": 2, "files": 2, "bytes": 3_500_000, "unknown": 0, "largest": [{"path": "/a.log", "bytes": 9}]}
    lines = descriptor_lines({**INFO, "groups": [{**LEAK, "leaking": "deleted", "deleted": gone}]})
    assert any(line.strip() == "deleted files take 3.5 MB, such as /a.log" for line in lines)


def test_the_host_is_explained_only_when_it_is_near_its_limit() -> None:
    text = " ".join(" ".join(descriptor_lines(INFO)).split())
    assert text.startswith(
        "FILE DESCRIPTORS 9000 in 120 processes; 8000 of them stand for 4000 open files; the host has"
    )
    assert "the host has 5000 open, without a limit" in text
    assert "nothing grows" not in text
    full = {**INFO["host"], "descriptions_limit": 5100, "verdict": "near_limit", "reasons": ["98% are used"]}
    lines = descriptor_lines({**INFO, "host": full})
    assert "    - 98% are used" in lines
    assert "5000 open of 5100" in " ".join(lines[0:2])


def test_what_is_left_out_is_counted() -> None:
    assert any("... and 2 more of them" in line for line in descriptor_lines(INFO, top=1))
    assert not any("db.service is near" in line for line in descriptor_lines(INFO, top=1))
    assert descriptor_lines({}) == []


def test_first_aid_says_who_got_what() -> None:
    lines = rlimit_lines(RAISED)
    assert lines[0] == "FIRST AID  2 processes got other limits on nofile, 1 had enough"
    assert [line.split()[:7] for line in lines[2:]] == [
        [pid, "app", "app", "app.service", "900", "1024", "8192"] for pid in ("70", "71")
    ]
    assert rlimit_lines(RAISED, dry=True)[0].startswith("FIRST AID  2 processes would get")
    assert rlimit_lines({**RAISED, "changed_processes": 0, "unchanged": 3})[0].startswith("FIRST AID  no processes got")


def test_who_may_not_have_it_is_named_with_the_reason() -> None:
    refused = {**PROCESS, "outcome": "refused", "reason": "CAP_SYS_RESOURCE is missing"}
    lines = rlimit_lines({**RAISED, "refused": 1, "processes": [refused, PROCESS], "converged": False}, width=140)
    assert any("CAP_SYS_RESOURCE is missing" in line for line in lines)
    assert any("NOT ALL" in line for line in lines)
    none = {**RAISED, "changed_processes": 0, "msg": "not allowed"}
    assert rlimit_lines(none) == ["FIRST AID  refused or failed: not allowed"]
    assert rlimit_lines({}) == ["FIRST AID  nothing matches the selection: nothing to do."]


@given(st.text(max_size=40), st.integers(0, 150), st.booleans())
def test_no_name_breaks_out_of_a_line(name: str, width: int, dry: bool) -> None:
    group = {
        **LEAK, "key": name, "reasons": [name], "kinds": [{"kind": name, "count": 1, "growth": None}],
        "sockets": [{**FORGOTTEN, "peer": name}],
        "deleted": {"bytes": 1, "largest": [{"path": name, "bytes": 1}]},
    }  # fmt: skip
    info = {**INFO, "groups": [group], "users": [{"user": name, "verdict": "near_limit", "reasons": [name]}]}
    raised = {**RAISED, "msg": name, "processes": [{**PROCESS, "name": name, "unit": name, "user": name}]}
    for lines in (descriptor_lines(info, width), rlimit_lines(raised, dry, width)):
        assert all(line.isprintable() and columns(line) <= max(40, width) for line in lines)
