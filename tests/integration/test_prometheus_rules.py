# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The alerting rules: tried by promtool, and fit for the metrics and the rulebooks of the collection."""

from __future__ import annotations

import re
import subprocess
import typing as t

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

pytestmark = pytest.mark.once

HOME = ROOT / "extensions" / "prometheus"
RULES: list[dict[str, t.Any]] = yaml.safe_load((HOME / "hostcare.rules.yml").read_text())["groups"][0]["rules"]


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "hostcare.rules.yml"), ("test", "rules", "hostcare.test.yml")]
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=HOME, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tried() -> None:
    tests = yaml.safe_load((HOME / "hostcare.test.yml").read_text())["tests"]
    tried = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert tried == {rule["alert"] for rule in RULES}


def test_none_remedies_without_asking() -> None:
    assert {rule["labels"].get("hostcare", "triage") for rule in RULES} == {"triage"}


def test_the_metrics_of_triage_are_known() -> None:
    source = (ROOT / "plugins" / "plugin_utils" / "_fleet_metrics.py").read_text()
    used = {name for rule in RULES for name in re.findall(r"\bhostcare_\w+", rule["expr"])}
    assert used
    assert all(f'"{name}"' in source for name in used)
