# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as metrics, read back by Prometheus' own parser."""

from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds, assemble
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_metrics import fleet_metrics
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent

Samples = t.Dict[str, t.List[t.Tuple[t.Dict[str, str], float]]]


def samples_of(results: t.Mapping[str, t.Any]) -> Samples:
    fleet = assemble(results, Thresholds(), fleets.INCIDENTS, "2026-11-21T12:00:00Z")
    content = fleet_metrics(fleet, 1795262400.0)
    content.encode("utf-8")
    families = list(text_string_to_metric_families(content))
    assert all(family.type == "gauge" and family.documentation for family in families)
    return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in families}


def test_a_fleet() -> None:
    found = samples_of(
        {
            "web1": result(limit(share=0.99), limit(share=0.5, scope="user app"), limit("blocks", None)),
            "db1": silent("x", unreachable=True),
        }
    )
    labels = {"host": "web1", "resource": "process_slots", "scope": "host", "limit": "kernel.pid_max"}
    assert found["hostcare_resource_used_ratio"] == [(labels, 0.99)], (
        "the scarcest of each resource, where it has a limit"
    )
    assert found["hostcare_resource_limit"] == [(labels, 1000)]
    assert (labels, 990) in found["hostcare_resource_used"]
    assert len(found["hostcare_resource_used"]) == 2
    assert found["hostcare_host_measured"] == [({"host": "web1"}, 1), ({"host": "db1"}, 0)]
    assert ({"state": "critical"}, 1) in found["hostcare_hosts"]
    assert found["hostcare_triage_timestamp_seconds"] == [({}, 1795262400.0)]


@fleets.whatever_the_name
def test_no_name_forges_a_sample(name: str) -> None:
    plain = {key: len(found) for key, found in samples_of({"a": fleets.hostile("x"), "b": silent("x")}).items()}
    assert {
        key: len(found) for key, found in samples_of({"a": fleets.hostile(name), name: silent("x")}).items()
    } == plain


@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_a_host_keeps_its_name(name: str) -> None:
    assert samples_of({name: silent("x")})["hostcare_host_measured"] == [({"host": name}, 0)]


def test_nobody() -> None:
    assert "hostcare_host_measured" not in samples_of({})


def test_a_thousand_hosts() -> None:
    assert len(samples_of(fleets.fleet(1000))["hostcare_host_measured"]) == 1000
