# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts, limits, holders and command lines in plain words."""

from __future__ import annotations

import json
import shlex
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _words as words
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import (
    Fleet,
    Host,
    Limit,
    Thresholds,
    assemble,
)
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent


def of(results: t.Mapping[str, t.Any]) -> Fleet:
    return assemble(results, Thresholds(), fleets.INCIDENTS, "2026-11-21T12:00:00Z")


def one(**changes: t.Any) -> Limit:
    return of({"a": result({**limit(), **changes})}).hosts[0].limits[0]


def host(*limits: dict[str, t.Any], **changes: t.Any) -> Host:
    return of({"web1": result(*limits, **changes)}).hosts[0]


@pytest.mark.parametrize(
    "value, measure, expected",
    [
        (0, "count", "0"),
        (32761, "count", "32,761"),
        (None, "count", "unlimited"),
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1536, "bytes", "1.5 KiB"),
        (42949672960, "bytes", "40.0 GiB"),
        (270553174016, "bytes", "252 GiB"),
        (1 << 62, "bytes", "4.0 EiB"),
    ],
)
def test_amounts(value: int | None, measure: str, expected: str) -> None:
    assert words.amount(value, measure) == expected


@pytest.mark.parametrize(
    "seconds, expected",
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (90, "1 min 30 s"), (7500, "2 h 5 min"), (90061, "1 d 1 h")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, "process slots (kernel.pid_max)"),
        ({"scope": "user app", "limit_name": "RLIMIT_NPROC"}, "process slots, user app (RLIMIT_NPROC)"),
        ({"resource": "inodes", "scope": "filesystem /var", "limit_name": "inodes"}, "inodes, filesystem /var"),
        ({"resource": "of_tomorrow", "limit_name": ""}, "of tomorrow"),
    ],
)
def test_a_limit(changes: dict[str, t.Any], expected: str) -> None:
    assert words.what(one(**changes)) == expected


@pytest.mark.parametrize(
    "growth, expected",
    [
        (None, ""),
        ({"per_minute": 0.0, "full_in_s": None}, ""),
        ({"per_minute": 5400.4, "full_in_s": 90}, "+5,400 a minute, full in 1 min 30 s"),
        ({"per_minute": -12.0, "full_in_s": None}, "-12 a minute"),
        ({"per_minute": 0.2, "full_in_s": 86400}, "+less than 1 a minute, full in 1 d"),
    ],
)
def test_growth(growth: t.Any, expected: str) -> None:
    assert words.growth(one(growth=growth)) == expected


@pytest.mark.parametrize(
    "holder, expected",
    [
        (fleets.holder("java", 3, pid=4711), "java [4711] of app in app.service: 3"),
        (fleets.holder("root", 3, user="root", unit=None), "root: 3"),
        (fleets.holder("", 3, user=None, unit="/"), "?: 3"),
    ],
)
def test_holders(holder: dict[str, t.Any], expected: str) -> None:
    assert words.held(one(holders=[holder])) == expected


def test_the_summary_and_the_headline() -> None:
    fleet = of({"a": result(limit(share=0.99)), "b": result(limit()), "c": silent("x"), "d": silent("x", True)})
    assert words.summary(fleet) == "4 hosts: 1 critical, 1 unreachable, 1 failed, 1 fine"
    assert words.headline(fleet) == "1 of 4 hosts is critical"
    assert (
        words.headline(of({"a": result(limit()), "c": silent("x")})) == "No host is critical, 1 could not be measured"
    )
    assert words.headline(of({"a": result(limit(share=0.9))})) == "No host is critical"
    assert words.summary(of({})) == "no hosts"


def test_the_context_of_a_host() -> None:
    assert words.context(host(limit())) == (
        "load 0.50 / 0.40 / 0.30 on 4 processors; 8.0 GiB of 16.0 GiB memory available; 1.0 GiB of 2.0 GiB swap used; "
        "waiting in the last minute: cpu 12 %, io 0 %; up 1 d 1 h"
    )
    assert words.context(host(limit(), context=None)) == ""


def option(line: str) -> t.Any:
    return json.loads(shlex.split(line)[-1])


def test_a_process_storm_is_told_whom_to_act_on() -> None:
    (line,) = words.remedies(host(limit(share=0.99), suspects=[fleets.suspect(processes=600)]))
    assert line.startswith("ansible-playbook hostcare.remediation.process_storm -e hostcare_hosts=web1 -e ")
    assert option(line)["process_storm_selector"] == {"name": ["worker"], "user": ["app"]}
    assert words.remedies(host(limit(share=0.99))) == [], "nobody is out of proportion"


def test_the_remedy_takes_its_selector_from_the_limit_and_nothing_else() -> None:
    options = {
        "semaphore_leak_selector": {"owner": ["apache"]},
        "semaphore_leak_kernel_sem": "1 1 1 1",
        "ansible_user": "x",
    }
    (line,) = words.remedies(host(limit("semaphores", 0.99, options=options)))
    assert option(line) == {"semaphore_leak_selector": {"owner": ["apache"]}}
    (line,) = words.remedies(host(limit("descriptors", 0.99, options={"fd_leak_units": ["app.service"]})))
    assert option(line) == {"fd_leak_units": ["app.service"]}


@fleets.whatever_the_name
def test_a_line_to_paste_is_one_command_whatever_the_names(name: str) -> None:
    fleet = of({"web1": fleets.hostile(name)})
    for line in words.remedies(fleet.hosts[0]):
        parts = shlex.split(line)
        assert parts[0] == "ansible-playbook"
        assert parts[2:4] == ["-e", "hostcare_hosts=web1"]
        assert len(parts) in (4, 6)
        assert not any(mark in line for mark in ("{{ 7", "{%", "{#"))


def test_host_names_are_quoted() -> None:
    assert shlex.split(words.remedy("triage", ["a b", "c;d"]))[-1] == "hostcare_hosts=a b,c;d"


def test_the_line_for_all() -> None:
    sick = result(limit("descriptors", 0.99))
    assert words.act(of({"a": result(limit())}), fleets.INCIDENTS) == ""
    assert (
        words.act(of({"a": sick}), fleets.INCIDENTS)
        == "ansible-playbook hostcare.remediation.fd_leak -e hostcare_hosts=a"
    )
    two = words.act(of({"a": sick, "b": sick}), fleets.INCIDENTS)
    assert two == "ansible-playbook hostcare.remediation.remediate -e hostcare_hosts=a,b"
    many = words.act(of({f"h{number}": sick for number in range(20)}), fleets.INCIDENTS)
    assert many == "ansible-playbook hostcare.remediation.remediate"
