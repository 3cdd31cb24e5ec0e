# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read of births and throttles, whatever anything is called."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns
from ansible_collections.hostcare.remediation.plugins.plugin_utils._spawn import (
    spawn_lines,
    spawn_steps,
    throttle_lines,
)


def group(unit: str = "app.service", verdict: str = "crash_loop", **more: t.Any) -> dict[str, t.Any]:
    return {
        "unit": unit, "verdict": verdict, "reasons": ["5 of 5 children of boss (pid 50) ended at once"],
        "per_minute": 1260.4, "births": 105, "at_once": 100, "starts": 0, "refused": 7, "processes": 3, **more,
    }  # fmt: skip


INFO: dict[str, t.Any] = {
    "births": 130, "seconds": 5.01, "storms": 1, "groups_total": 12,
    "groups": [group(), group("web.service", "busy", reasons=["25 were seen to be born in 5 s"], per_minute=300)],
    "partial": True, "partial_reasons": ["7 reads below /proc were denied: run as root"],
}  # fmt: skip
TARGET = {
    "unit": "app.service", "target": "/sys/fs/cgroup/system.slice/app.service", "outcome": "throttled",
    "reason": "3 run, at most 3 may", "release_in": 60,
}  # fmt: skip


def test_storms_are_told_with_their_reasons_and_work_without() -> None:
    said = "\n".join(spawn_lines(INFO))
    assert "SPAWNING  130 were seen to be born in 5.01 s; 1 storm" in said
    assert "app.service is a crash loop" in said
    assert "- 5 of 5 children of boss (pid 50) ended at once" in said
    assert "25 were seen" not in said
    assert "1260" in said
    assert "... and 10 more of them" in said
    assert "7 reads below /proc were denied" in said


def test_nothing_is_born() -> None:
    assert spawn_lines({"births": 0, "seconds": 5.0, "groups": []}) == [
        "SPAWNING  0 were seen to be born in 5.0 s; no storms"
    ]


def test_what_was_throttled_and_until_when() -> None:
    assert throttle_lines([{"targets": [TARGET]}]) == [
        "THROTTLE",
        "  app.service: throttled, 3 run, at most 3 may; released in 60 s",
    ]
    would = throttle_lines([{"targets": [TARGET, {**TARGET, "outcome": "unchanged"}]}], dry=True)
    assert "would be throttled" in would[1]
    assert ": unchanged" in would[2]


def test_what_is_gone_says_nothing_and_what_failed_does() -> None:
    assert throttle_lines([]) == throttle_lines([{}]) == []
    assert throttle_lines([{"targets": [{**TARGET, "outcome": "gone"}]}]) == []
    assert throttle_lines([{"failed": True, "msg": "no such user"}]) == [
        "THROTTLE",
        "  refused or failed: no such user",
    ]
    assert "left alone" in throttle_lines([{"targets": [{**TARGET, "outcome": "left_alone", "unit": ""}]}])[1]


JOB = {
    "verdict": "runaway", "selector": {"unit": ["cron.service"]}, "children_of": 7, "lasting": 3, "restarted": False,
    "spawner": {"pid": 8, "branch": 7},
}  # fmt: skip
SERVER = {
    "verdict": "crash_loop", "selector": {"cgroup": ["/a/b"]}, "children_of": 20, "lasting": 4, "restarted": False,
    "spawner": {"pid": 20, "branch": None},
}  # fmt: skip
RESTARTED = {
    "verdict": "crash_loop", "selector": {"unit": ["x.service"]}, "children_of": None, "lasting": 0, "restarted": True,
    "spawner": None,
}  # fmt: skip


def test_a_job_ends_as_a_whole_and_its_service_is_let_go() -> None:
    unit = {"unit": ["cron.service"]}
    assert spawn_steps([JOB, RESTARTED]) == {
        "freeze": [{**unit, "tree": [7]}],
        "throttle": [
            {**unit, "method": "auto", "limit": "none_new"},
            {"unit": ["x.service"], "method": "restart", "limit": "none_new"},
        ],
        "end": [{**unit, "tree": [7]}],
        "release": [unit],
    }


def test_of_a_service_that_spawns_itself_the_children_end_and_it_stays_throttled() -> None:
    steps = spawn_steps([SERVER, RESTARTED], end="always", limit="lasting")
    assert steps["end"] == [{"cgroup": ["/a/b"], "descends_from": [20]}]
    assert [one["limit"] for one in steps["throttle"]] == ["4", "none_new"]
    assert steps["freeze"] == steps["release"] == []


@pytest.mark.parametrize("end, ended", [("never", 0), ("runaway", 1), ("always", 2)])
def test_whose_children_end(end: str, ended: int) -> None:
    steps = spawn_steps([JOB, SERVER, RESTARTED], end)
    assert len(steps["end"]) == ended
    assert len(steps["throttle"]) == 3
    assert len(steps["freeze"]) == len(steps["release"]) == min(ended, 1)


def test_nobody_storms() -> None:
    assert spawn_steps([]) == {"freeze": [], "throttle": [], "end": [], "release": []}


@given(st.text(max_size=200), st.integers(0, 200), st.integers(-3, 20))
def test_whatever_the_name(name: str, width: int, top: int) -> None:
    info = {**INFO, "groups": [group(name, reasons=[name])] * 3}
    lines = spawn_lines(info, width, top)
    lines += throttle_lines([{"targets": [{**TARGET, "unit": name, "reason": name}] * 3}], False, width, top)
    assert all(columns(line) <= max(40, width) for line in lines)
    assert all(line.isprintable() for line in lines)
