# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import (
    headroom_lines,
    rogue_lines,
    suspect_lines,
    suspect_option,
)

HEADROOM: dict[str, t.Any] = {
    "partial": False,
    "partial_reasons": [],
    "resources": [
        {
            "limit_name": "kernel.pid_max", "scope": "host", "used": 2000, "limit": 2048, "free": 48, "share": 0.977,
            "binding": True, "stops_root": True,
        },
        {
            "limit_name": "pids.max", "scope": "cgroup /user.slice", "used": 1980, "limit": None, "free": None,
            "share": None, "binding": False, "stops_root": True,
        },
    ],
    "process_table": {
        "processes": 1990, "threads": 2000, "kernel_threads": 90, "zombies": 2, "stopped": 1, "uninterruptible": 0,
        "by_name": [{"key": "bomb", "processes": 1900, "threads": 1900, "zombies": 0, "young": 1900}],
        "by_user": [{"key": "bob", "processes": 1900, "threads": 1900, "zombies": 0, "young": 1900}],
        "by_unit": [{"key": None, "processes": 80, "threads": 80, "zombies": 0, "young": 0}],
        "by_parent": [{"key": "bash", "pid": 77, "processes": 1900, "threads": 1900, "zombies": 0, "young": 1900}],
        "zombie_parents": [{"pid": 5, "name": "lazy", "user": "bob", "unit": "lazy.service", "zombies": 2}],
    },
}  # fmt: skip
ROGUE: dict[str, t.Any] = {
    "state": "killed", "method": "user", "method_reason": "all of bob's processes match", "rounds": 2,
    "converged": True, "proof": "two quiet passes", "matched": 1900, "killed": 1899, "frozen": 1900,
    "groups": [{"name": "bomb", "user": "bob", "unit": None, "count": 1900, "reason": "name is bomb"}],
    "protected": [{"name": "sshd", "user": "root", "unit": "ssh.service", "count": 1, "reason": "our own session"}],
    "survivors": [{"pid": 9, "name": "bomb", "user": "bob", "state": "D", "reason": "waits for a disk"}],
    "survivors_total": 1,
    "zombies": {"total": 3, "parents": [{"pid": 5, "name": "lazy", "user": "bob", "zombies": 3, "told": False}]},
    "partial": False, "partial_reasons": [], "elapsed_ms": 120,
    "evidence": [{"pid": 7, "name": "bomb", "cmdline": "./bomb --fast", "cwd": "/tmp", "parents": ["5 sh", "1 init"]}],
}  # fmt: skip


def test_headroom_shows_the_limit_that_is_hit() -> None:
    lines = headroom_lines(HEADROOM)
    (hit,) = [line for line in lines if "hit first" in line]
    assert hit.split()[:6] == ["kernel.pid_max", "host", "2000", "2048", "48", "98"]
    (unlimited,) = [line for line in lines if "unlimited" in line]
    assert "cgroup /user.slice" in unlimited


def test_headroom_shows_the_nearest_limits_and_counts_the_rest() -> None:
    lines = headroom_lines({"resources": HEADROOM["resources"][:1] * 9}, top=0)
    assert sum("kernel.pid_max" in line for line in lines) == 3
    assert "  ... and 6 more limits, none of them nearer" in lines


def test_headroom_shows_the_reserve() -> None:
    reserve = {"limit": 2048, "limit_name": "kernel.pid_max", "slots": 40, "pools": []}
    lines = headroom_lines({**HEADROOM, "reserve": reserve})
    (said,) = [line for line in lines if line.startswith("RESERVE")]
    assert said.startswith("RESERVE  40 process slots (kernel.pid_max 2,048) are left")
    assert not [line for line in headroom_lines(HEADROOM) if "RESERVE" in line]


def test_headroom_shows_every_grouping() -> None:
    text = "\n".join(headroom_lines(HEADROOM))
    for words in ("name    bomb", "user    bob", "unit    none", "bash (pid 77)", "lazy.service", "2 zombies"):
        assert words in text


def test_what_could_not_be_read_is_said() -> None:
    lines = headroom_lines({**HEADROOM, "partial": True, "partial_reasons": ["hidepid is set"]})
    assert lines[-1].strip() == "- hidepid is set"


def test_an_empty_result_is_no_error() -> None:
    assert headroom_lines({})
    assert rogue_lines({}) == ["REMEDY  nothing matches the selection: nothing to do."]
    assert "none" in suspect_lines([])[0]


def test_rogue_says_what_was_done_and_what_would_be() -> None:
    done = "\n".join(rogue_lines(ROGUE))
    assert "1899 killed, 1900 frozen" in done
    assert "end: proven: two quiet passes (rounds: 2, 120 ms)" in done
    dry = "\n".join(rogue_lines(ROGUE, dry=True))
    assert "1900 processes would be killed" in dry
    assert "end:" not in dry
    for words in (
        "our own session",
        "waits for a disk",
        "name is bomb",
        "3 zombies",
        "method: user",
        "pid 7, in /tmp, ./bomb --fast",
    ):
        assert words in done
        assert words in dry


def test_a_refusal_is_shown_with_its_reason() -> None:
    assert rogue_lines({"failed": True, "msg": "1900 are more than max_victims"}) == [
        "REMEDY  refused or failed: 1900 are more than max_victims"
    ]
    assert rogue_lines({**ROGUE, "failed": True, "msg": "not proven"})[:2] == [
        "REMEDY  refused or failed: not proven",
        "REMEDY  1900 processes matched: 1899 killed, 1900 frozen",
    ]


def test_an_end_without_proof_is_loud() -> None:
    assert any("NOT PROVEN" in line for line in rogue_lines({**ROGUE, "converged": False}))


def test_suspects_are_numbered_and_the_rest_counted() -> None:
    suspect = {
        "selector": {"name": ["bomb"], "user": ["bob"]}, "processes": 1900, "share": 0.9, "young": 1900,
        "reasons": ["90 % of all processes"],
    }  # fmt: skip
    lines = suspect_lines([suspect] * 5)
    assert lines[1].strip() == "1. name bomb, user bob: 1900 processes (90 % of all), 1900 of them young"
    assert lines[-1].strip() == "... and 2 more suspects"


@given(st.dictionaries(st.sampled_from(["name", "user", "unit"]), st.lists(st.text(max_size=20)), min_size=1))
def test_a_shell_reads_the_pasted_option_as_it_was_meant(selector: dict[str, list[str]]) -> None:
    text = suspect_option({"selector": selector, "processes": 3})
    flag, value = shlex.split(text)
    assert flag == "-e"
    hostile = any(mark in item for items in selector.values() for item in items for mark in ("{{", "{%", "{#"))
    assert json.loads(value) == ({"process_storm_auto": True} if hostile else {"process_storm_selector": selector})
    assert text.isprintable()
    assert text.isascii()


@pytest.mark.parametrize("name", ["{{ lookup('pipe', 'id') }}", "{% raw %}", "a{#b", "'; reboot #{{"])
def test_a_name_with_template_marks_is_never_offered_for_pasting(name: str) -> None:
    text = suspect_option({"selector": {"user": ["bob"], "name": [name]}, "processes": 3})
    assert json.loads(shlex.split(text)[1]) == {"process_storm_auto": True}


def test_a_storm_over_the_brake_raises_it_in_the_option() -> None:
    suspect = {"selector": {"user": ["bob"]}, "processes": 1900}
    assert json.loads(shlex.split(suspect_option(suspect))[1])["process_storm_max_victims"] == 3800
    assert "max_victims" not in suspect_option(suspect, max_victims=5000)


TEXT = st.text(max_size=60)
GROUPS = st.lists(
    st.fixed_dictionaries({"key": st.none() | TEXT, "name": TEXT, "user": TEXT, "unit": TEXT, "reason": TEXT,
                           "count": st.integers(0), "processes": st.integers(0), "pid": st.integers(1)}),
    max_size=4,
)  # fmt: skip


@given(GROUPS, TEXT, st.integers(0, 200))
def test_no_name_breaks_out_of_its_line(groups: list[dict[str, t.Any]], text: str, width: int) -> None:
    table = dict.fromkeys(("by_name", "by_user", "by_unit", "by_parent", "zombie_parents"), groups)
    suspects = [{"selector": {"name": [text]}, "reasons": [text], "processes": 1, "share": None, "young": 0}]
    rogue = {**ROGUE, "groups": groups, "protected": groups, "survivors": groups, "proof": text, "method_reason": text}
    lines = [
        *headroom_lines({**HEADROOM, "process_table": table, "partial": True, "partial_reasons": [text]}, width),
        *suspect_lines(suspects, width),
        *rogue_lines(rogue, width=width),
        *rogue_lines(rogue, dry=True, width=width),
    ]
    assert all(columns(line) <= max(40, width) and (line.isprintable() or not line) for line in lines)
