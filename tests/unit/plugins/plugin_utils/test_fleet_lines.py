# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet on a terminal."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds, assemble
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_lines import fleet_lines
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent


def lines_of(results: t.Mapping[str, t.Any], **options: int) -> list[str]:
    fleet = assemble(results, Thresholds(), fleets.INCIDENTS, "2026-11-21T12:00:00Z")
    return fleet_lines(fleet, fleets.INCIDENTS, **options)


def is_to_paste(line: str) -> bool:
    return line.startswith("  ansible-playbook ")


def test_a_fleet() -> None:
    results = {f"fine{number}": result(limit(share=0.1)) for number in range(13)}
    results["web1"] = result(
        limit(share=0.99, growth={"per_minute": 60.0, "full_in_s": 90}),
        limit("semaphores", 0.9),
        suspects=[fleets.suspect()],
    )
    results["db1"] = silent("Connection timed out", unreachable=True)
    shown = "\n".join(lines_of(results, width=120))
    assert shown.startswith("TRIAGE  15 hosts: 1 critical, 1 unreachable, 13 fine\n")
    assert (
        "web1  critical, full in 1 min 30 s  process slots (kernel.pid_max)   990  1,000   99 %  worker of app: 495"
        in shown
    )
    assert "\n        warning " in shown, "the second limit of a host stands below its first"
    assert "fine: fine0, fine1, " in shown
    assert "and 3 more" in shown
    assert "UNREACHABLE  db1: Connection timed out" in shown
    assert "SUSPECTS  out of proportion" in shown
    assert '-e hostcare_hosts=web1 -e \'{"process_storm_max_victims": 1200, ' in shown


def test_of_few_hosts_everything_is_shown() -> None:
    answer = result(limit(share=0.1), limit("blocks", 0.2, 1 << 30), partial_reasons=["no rights"],
                    left_out=[{"what": "/srv", "reason": "nfs"}],
                    reserve={"limit": 9, "limit_name": "pids.max", "slots": 4, "pools": []})  # fmt: skip
    shown = "\n".join(lines_of({"a": answer}))
    assert "process slots" in shown
    assert "205 MiB  1.0 GiB" in shown
    assert "no rights" in shown
    assert "/srv: nfs" in shown
    assert "  reserve of a: 4 process slots (pids.max 9) are left when all others take what their limits allow" in shown


def test_nobody() -> None:
    assert lines_of({}) == ["TRIAGE  no hosts"]


@pytest.mark.parametrize("width", [0, 40, 80, 200])
@fleets.whatever_the_name
def test_names_neither_break_nor_widen_it(name: str, width: int) -> None:
    results = {"a": fleets.hostile(name), name: silent(name), "c": silent(name, unreachable=True)}
    for line in lines_of(results, width=width):
        assert all(char.isprintable() for char in line), line
        assert is_to_paste(line) or columns(line) <= max(40, width)


def test_no_more_hosts_than_asked_for() -> None:
    shown = lines_of({f"h{number}": result(limit(share=0.99)) for number in range(50)}, top=5)
    assert sum(line.strip().startswith("h") and "critical" in line for line in shown) == 5
    assert "... and 45 more hosts that are not fine" in "\n".join(shown)


def test_a_thousand_hosts_take_little_time_and_room() -> None:
    assert len(lines_of(fleets.fleet(1000))) < 120
