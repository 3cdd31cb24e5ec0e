# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Defaults, argument specification and README of a role say the same."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())

pytestmark = pytest.mark.once


@pytest.mark.parametrize("role", ROLES)
def test_interface(role: str) -> None:
    home = ROOT / "roles" / role
    defaults = yaml.safe_load((home / "defaults" / "main.yml").read_text())
    entry_points = yaml.safe_load((home / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    about = yaml.safe_load((home / "meta" / "main.yml").read_text())["galaxy_info"]
    assert about["description"] == entry_points["main"]["short_description"]
    described = re.findall(r"^\| `(\w+)` \|", (home / "README.md").read_text(), re.MULTILINE)
    assert described == list(defaults)
    for entry_point, specification in entry_points.items():
        assert (home / "tasks" / f"{entry_point}.yml").is_file()
        assert {name: option["default"] for name, option in specification["options"].items()} == defaults
    assert all(name.startswith(f"{role}_") for name in defaults)


def test_every_remedy_is_a_role_with_a_playbook_of_its_name() -> None:
    """What `remediate` runs by name is there, and nothing that could be run is forgotten."""
    table = yaml.safe_load((ROOT / "roles" / "triage" / "vars" / "main.yml").read_text())["triage_incidents"]
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(table) == playbooks & set(ROLES) - {"triage", "harden"}
    for incident in table:
        assert {path.stem for path in (ROOT / "roles" / incident / "tasks").glob("*.yml")} >= {"main", "assess"}
