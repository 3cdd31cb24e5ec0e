# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of the reserve as people see it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.plan import plan
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.report import render_plan
from ansible_collections.hostcare.remediation.plugins.plugin_utils._reserve import reserve_lines
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import DEBIAN, asked, become


def shown(changes: dict[str, t.Any], hard: bool = False, width: int = 120, **host: t.Any) -> str:
    options = asked(**changes)
    on = DEBIAN._replace(**host)
    on = become(on, plan(options, on)) if hard else on
    return "\n".join(reserve_lines(render_plan(plan(options, on), options, on, "/x"), width))


def test_the_sum() -> None:
    lines = shown({}).splitlines()
    assert any(line.split()[:4] == ["users", "40", "%", "4168"] for line in lines)
    assert any(line.split()[:2] == ["kernel.pid_max", "32768"] and "<- binding" in line for line in lines)
    assert any("untrusted, sum" in line and "10420" in line for line in lines)
    assert "NOT PROVED" in lines


def test_a_hardened_host() -> None:
    text = shown({"waivers": {"rlimits": "the database sets them"}}, hard=True)
    assert "PROVED  all that is not trusted" in text
    assert "DIFFERS" not in text
    assert any(line.split() == ["rlimits", "waived", "the", "database", "sets", "them"] for line in text.splitlines())


@pytest.mark.parametrize(
    "changes, host, text",
    [
        ({}, {"pids": False}, "slots: systemd has no pids controller"),
        ({}, {"size": DEBIAN.size._replace(pid_max=900)}, "Raise kernel.pid_max"),
        ({}, {"systemd": False}, "not here"),
        ({}, {"unread": ("/etc/x cannot be read",)}, "not everything could be read"),
        ({"state": "reverted"}, {}, "the reserve is given up"),
    ],
)
def test_what_is_in_the_way(changes: dict[str, t.Any], host: dict[str, t.Any], text: str) -> None:
    assert text in " ".join(shown(changes, **host).split())


@pytest.mark.parametrize(
    "host, text",
    [
        ({}, "sshd and operators get 71 % of all processors at least: CPUWeight=1000"),
        ({"cpu": False}, "each task of sshd and operators gets 3 % of a processor at least: cgroups of this"),
        ({"cpu": False, "may_nice": False}, "take their turn with all others: cgroups of this host share out no proc"),
        ({"systemd": False}, "sshd and operators take their turn with all others: nothing is set for them"),
    ],
)
def test_who_gets_a_processor(host: dict[str, t.Any], text: str) -> None:
    assert text in " ".join(shown({}, hard=host.get("systemd", True), **host).split())
    assert "PROCESSORS" not in shown({"state": "reverted"}, **host)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_too_wide(width: int) -> None:
    assert max(map(len, shown({}, width=width, pids=False).splitlines())) <= width


def test_nothing_at_all() -> None:
    assert reserve_lines({}) == ["", "NOT PROVED"]
