# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Defaults, argument specification and README of a role say the same, and what it cannot read it refuses at once."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT, Controller

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
HERE = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}

pytestmark = pytest.mark.once


def defaults_of(role: str) -> dict[str, t.Any]:
    defaults: dict[str, t.Any] = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text())
    return defaults


def incidents() -> dict[str, t.Any]:
    variables = yaml.safe_load((ROOT / "roles" / "triage" / "vars" / "main.yml").read_text())
    table: dict[str, t.Any] = variables["triage_incidents"]
    return table


@pytest.mark.parametrize("role", ROLES)
def test_interface(role: str) -> None:
    home = ROOT / "roles" / role
    defaults = defaults_of(role)
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
    table = incidents()
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(table) == playbooks & set(ROLES) - {"triage", "harden"}
    for incident in table:
        assert {path.stem for path in (ROOT / "roles" / incident / "tasks").glob("*.yml")} >= {"main", "assess"}


def test_a_duration_that_only_the_last_step_would_read_is_refused_before_the_first(controller: Controller) -> None:
    wishes = [
        (role, option)
        for role in incidents()
        for option, default in defaults_of(role).items()
        if re.fullmatch(r"\d+[smhdw]", str(default))
    ]
    assert len(wishes) > 20
    tasks = [
        {
            "name": option,
            "block": [
                {
                    "name": "Ask",
                    "ansible.builtin.include_role": {"name": f"hostcare.remediation.{role}"},
                    "vars": {option: "soon"},
                },
                {"name": "Go on", "ansible.builtin.fail": {"msg": "it was not refused"}},
            ],
            "rescue": [
                {
                    "name": f"said: {option}",
                    "ansible.builtin.debug": {"msg": "{{ ansible_failed_task.name }}: {{ ansible_failed_result.msg }}"},
                }
            ],
        }
        for role, option in wishes
    ]
    run = controller.play(HERE, *tasks)
    said = {
        result.task.removeprefix("said: "): str(result.data["msg"]).strip()
        for result in run.results
        if result.task.startswith("said: ")
    }
    assert said == {
        option: f'Preflight | Check the durations: {option} is "soon", and that is no duration. '
        "Give a number with s, m, h, d or w, such as 30s."
        for _role, option in wishes
    }
