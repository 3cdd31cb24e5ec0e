# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are judged, ordered and made harmless before anything is shown."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import (
    Fleet,
    Thresholds,
    artifact,
    assemble,
    document,
    percent,
)
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent

NOW = "2026-11-21T12:00:00Z"


def of(results: t.Mapping[str, t.Any], **thresholds: float) -> Fleet:
    return assemble(results, Thresholds(**thresholds), fleets.INCIDENTS, NOW)


def state(*limits: dict[str, t.Any], **thresholds: float) -> str:
    return of({"a": result(*limits)}, **thresholds).hosts[0].state


@pytest.mark.parametrize(
    "share, growth, expected",
    [
        (0.5, None, "fine"),
        (0.79, None, "fine"),
        (0.8, None, "warning"),
        (0.949, None, "warning"),
        (0.95, None, "critical"),
        (1.0, None, "critical"),
        (12.0, None, "critical"),
        (None, None, "fine"),  # nothing limits it
        (0.1, {"per_minute": 9.0, "full_in_s": 3600}, "warning"),
        (0.1, {"per_minute": 9.0, "full_in_s": 3601}, "fine"),
        (0.1, {"per_minute": -9.0, "full_in_s": None}, "fine"),
        (0.99, {"per_minute": 9.0, "full_in_s": 9}, "critical"),
    ],
)
def test_the_level_of_a_limit(share: float | None, growth: t.Any, expected: str) -> None:
    assert state(limit(share=share, growth=growth)) == expected


@pytest.mark.parametrize(
    "resource, scope, used, total, expected",
    [
        ("semaphores", "host", 7, 8, "critical"),  # Apache needs two
        ("semaphores", "host", 6, 8, "fine"),
        ("semaphores", "host", 0, 1, "fine"),
        ("process_slots", "host", 785, 800, "critical"),
        ("process_slots", "user app", 8, 10, "warning"),
        ("process_slots", "cgroup /app.service", 1, 1, "fine"),  # TasksMax=1: all it was given
        ("process_slots", "cgroup /app.service", 15, 15, "fine"),
        ("process_slots", "cgroup /app.service", 16, 16, "critical"),
        ("process_slots", "cgroup /app.service", 3, 0, "critical"),  # throttled
        ("message_queues", "host", 0, 0, "fine"),  # switched off
    ],
)
def test_small_limits(resource: str, scope: str, used: int, total: int, expected: str) -> None:
    share = used / total if total else float(max(used, 1))
    assert state(limit(resource, share, scope=scope, used=used, limit=total, free=max(0, total - used))) == expected


def test_the_state_of_a_host_is_that_of_its_worst_limit() -> None:
    assert state(limit(share=0.1), limit("semaphores", 0.85), limit("inodes", 0.99)) == "critical"
    assert state(limit(share=0.1), limit("semaphores", 0.85)) == "warning"
    assert state() == "fine"


def test_thresholds_are_the_users() -> None:
    assert state(limit(share=0.6), warning=0.5, critical=0.6) == "critical"
    assert state(limit(share=0.55), warning=0.5, critical=0.6) == "warning"


@pytest.mark.parametrize("warning, critical", [(0.9, 0.8), (0, 0.5), (0.5, 1.5), (-1, 0.5), (float("nan"), 0.5)])
def test_thresholds_that_mean_nothing_are_refused(warning: float, critical: float) -> None:
    with pytest.raises(Refused, match=r"such as 0\.8 and 0\.95"):
        Thresholds(warning, critical).checked()


@pytest.mark.parametrize(
    "answer, expected, reason",
    [
        (None, "failed", "it gave no result"),
        ("nonsense", "failed", "it gave no result"),
        ({}, "failed", "it gave no result"),
        (silent("ssh: timed out", unreachable=True), "unreachable", "ssh: timed out"),
        ({"unreachable": True}, "unreachable", "no connection"),
        (silent("no /proc:\r\n  mount it"), "failed", "no /proc: mount it"),
        ({"failed": True, "msg": "  "}, "failed", "it gave no result"),
        ({"failed": True, "msg": ["a"]}, "failed", "it gave no result"),
        ({"resources": "many"}, "failed", "it gave no result"),
        ({"unreachable": "no", "resources": []}, "fine", ""),
    ],
)
def test_who_could_not_be_measured_says_why(answer: t.Any, expected: str, reason: str) -> None:
    (host,) = of({"a": answer}).hosts
    assert (host.state, host.reason) == (expected, reason)


def test_the_worst_come_first() -> None:
    hosts = of(
        {
            "fine2": result(limit(share=0.3)),
            "fine10": result(limit(share=0.3)),
            "busy": result(limit(share=0.7)),
            "warned": result(limit(share=0.9)),
            "failed": silent("x"),
            "gone": silent("x", unreachable=True),
            "full": result(limit(share=1.0)),
            "near": result(limit(share=0.96)),
        }
    ).hosts
    assert [host.name for host in hosts] == ["full", "near", "gone", "failed", "warned", "busy", "fine2", "fine10"]


def test_the_cell_of_a_resource_is_its_scarcest_limit() -> None:
    growing = limit(share=0.2, scope="user a", growth={"per_minute": 1.0, "full_in_s": 60})
    (host,) = of({"a": result(limit(share=0.3), growing, limit("semaphores", 0.1))}).hosts
    assert host.cells["process_slots"].scope == "user a", "it will be full first"
    assert list(host.cells) == ["process_slots", "semaphores"]


def test_an_incident_counts_where_its_limit_is_critical_and_it_has_a_role() -> None:
    fleet = of(
        {
            "both": result(limit("descriptors", 0.99), limit(share=0.97)),
            "near": result(limit(share=0.9)),
            "unknown": result(limit("inodes", 0.99, incident="of_tomorrow")),
            "other": result(limit("inodes", 0.99, incident="cron_mail_storm")),
        }
    )
    assert {host.name: host.incidents for host in fleet.hosts} == {
        "both": ("process_storm", "fd_leak"),  # in the order of the remedies
        "other": ("cron_mail_storm",),
        "unknown": (),
        "near": (),
    }
    assert fleet.plan(fleets.INCIDENTS) == {
        "process_storm": ["both"],
        "cron_mail_storm": ["other"],
        "fd_leak": ["both"],
    }


def test_columns_are_known_ones_first() -> None:
    columns = of({"a": result(limit("zebra"), limit("blocks")), "b": result(limit(), limit("ant"))}).resources
    assert columns == ("process_slots", "blocks", "ant", "zebra")


@pytest.mark.parametrize(
    "share, expected",
    [(None, None), (0.0, 0), (0.0001, 1), (0.5, 50), (0.994, 99), (0.9998, 99), (1.0, 100), (1.236, 123)],
)
def test_percent_is_never_all_while_something_is_left(share: float | None, expected: int | None) -> None:
    assert percent(share) == expected


def test_the_artifact_is_small_and_the_document_whole() -> None:
    fleet = of(fleets.fleet(1000))
    short = artifact(fleet, fleets.INCIDENTS, 30)
    assert len(json.dumps(short)) < 10_000
    assert short["hosts"] == 1000
    assert sum(short["counts"].values()) == 1000
    assert len(short["worst"]) == 30 < short["worst_total"]
    assert short["worst"][0]["state"] == "critical"
    whole = json.loads(json.dumps(document(fleet, fleets.INCIDENTS)))
    assert len(whole["hosts"]) == 1000
    assert whole["hosts"][0]["limits"][0]["holders"][0]["name"] == "worker"
    assert whole["schema_version"] == short["schema_version"] == 1


@fleets.whatever_the_name
def test_texts_are_printable_and_bounded(name: str) -> None:
    fleet = of({"a": fleets.hostile(name)})
    (host,) = fleet.hosts
    texts = [host.limits[0].scope, host.limits[0].name, host.limits[0].holders[0].name, *host.gaps, *host.left_out]
    for text in texts:
        assert text.isprintable()
        assert len(text) <= 700
    json.dumps(document(fleet, fleets.INCIDENTS)).encode("utf-8")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=12), inside, max_size=4),
    max_leaves=12,
)
KEYS = sorted({*limit(), *result()})


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), st.dictionaries(st.sampled_from(KEYS), ANYTHING))
@settings(max_examples=200)
def test_a_host_may_answer_anything(changes: dict[str, t.Any], of_a_limit: dict[str, t.Any]) -> None:
    answer = {**result({**limit(share=0.99), **of_a_limit}), **changes}
    fleet = of({"a": answer, "b": changes, "c": result(changes)})
    json.dumps(document(fleet, fleets.INCIDENTS), allow_nan=False)
    json.dumps(artifact(fleet, fleets.INCIDENTS, 10), allow_nan=False)
    assert len(fleet.hosts) == 3


@pytest.mark.parametrize("number", [True, 1 << 80, -(1 << 80), 1.5, "7", None, float("nan"), float("inf"), [1]])
def test_a_number_that_is_none(number: t.Any) -> None:
    (host,) = of({"a": result(limit(used=number))}).hosts
    assert host.limits == ()
    (host,) = of({"a": result({**limit(), "free": number, "growth": {"full_in_s": number}})}).hosts
    assert (host.limits[0].free, host.limits[0].full_in) == (None, None)


def test_ten_thousand_limits_are_cut() -> None:
    (host,) = of({"a": result(*[limit(share=0.5) for _number in range(10_000)], limit("semaphores", 0.99))}).hosts
    assert len(host.limits) == 40
    assert host.limits[0].resource == "semaphores"


def test_a_resource_that_nobody_uses_is_not_cut() -> None:
    (host,) = of({"a": result(*[limit(share=0.5) for _number in range(60)], limit("semaphores", 0.0))}).hosts
    assert len(host.limits) == 40
    assert host.limits[-1].resource == "semaphores"
    assert host.cells["semaphores"].share == 0.0
