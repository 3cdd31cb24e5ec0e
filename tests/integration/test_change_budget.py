# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The change budget of the playbooks: over it not even a connection is made."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT, Controller

pytestmark = pytest.mark.once

# All that change hosts; `remediate`, which counts otherwise, is tested with its fleet.
REMEDIES = sorted(
    path.stem
    for path in (ROOT / "playbooks").glob("*.yml")
    if any("serial" in play for play in yaml.safe_load(path.read_text())) and path.stem != "remediate"
)
# Whoever connects to them fails otherwise.
HOSTS: dict[str, dict[str, t.Any]] = {
    name: {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent", "hostcare_session_timeout": 0}
    for name in ("web1", "web2", "web3")
}


def test_there_are_remedies() -> None:
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    assert set(REMEDIES) == roles - {"triage"}


@pytest.mark.parametrize("playbook", REMEDIES)
def test_a_run_for_more_hosts_is_refused_before_the_first_one_is_touched(controller: Controller, playbook: str) -> None:
    run = controller.run_playbook(f"hostcare.remediation.{playbook}", HOSTS, "-e", "hostcare_max_hosts=2")
    assert not run.succeeded
    (refused,) = [result for result in run.results if result.status != "skipped"]
    assert refused.status == "failed"
    assert "This run is for 3 hosts, more than hostcare_max_hosts=2: nothing is touched." in refused.data["msg"]


def test_hosts_that_a_limit_leaves_out_do_not_count_and_an_assessment_is_free(controller: Controller) -> None:
    for arguments in (("--limit", "web1,web2"), ("--check",)):
        run = controller.run_playbook(
            "hostcare.remediation.process_storm", HOSTS, "-e", "hostcare_max_hosts=2", *arguments
        )
        assert not run.succeeded
        assert "/nonexistent" in run.output, "it came as far as to the first host"
