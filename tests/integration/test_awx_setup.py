# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What AWX is given: by the modules of awx.awx, against a server that keeps it and refuses what AWX refuses."""

from __future__ import annotations

import copy
import json
import typing as t
from collections.abc import Iterator

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.awx import rules
from ansible_collections.hostcare.remediation.tests.support.awx.objects import LINKS
from ansible_collections.hostcare.remediation.tests.support.awx.server import TOKEN, Awx
from ansible_collections.hostcare.remediation.tests.support.awx.shipped import DATA, TEMPLATES
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT, Controller, Run

pytestmark = pytest.mark.once

Data = dict[str, t.Any]


ROLES = {path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
         for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")}  # fmt: skip
OPTIONS: Data = {name: option for options in ROLES.values() for name, option in options.items()}
QUESTIONS = [(name, question) for name, template in TEMPLATES.items() for question in template["survey_spec"]["spec"]]
# How an answer to a survey reaches a role.
KINDS = {"bool": "multiplechoice", "int": "integer", "float": "float", "str": "text"}


def role_of(template: Data) -> str:
    return str(template["playbook"]).removeprefix("playbooks/").removesuffix(".yml")


# --- the data ---


@pytest.mark.parametrize("entry", [*TEMPLATES.values(), *DATA["controller_workflows"]], ids=lambda entry: entry["name"])
def test_awx_takes_the_survey(entry: Data) -> None:
    rules.check_survey(entry["survey_spec"])
    first = entry["survey_spec"]["spec"][0]
    assert (first["variable"], first["required"]) == ("hostcare_hosts", True)
    assert entry["survey_enabled"] is True
    assert entry["ask_variables_on_launch"] is False, "anything could be set, such as the interpreter"


@pytest.mark.parametrize("template, question", QUESTIONS, ids=lambda value: str(value.get("variable", ""))
                         if isinstance(value, dict) else value)  # fmt: skip
def test_a_question_asks_for_what_the_role_takes(template: str, question: Data) -> None:
    option = OPTIONS.get(question["variable"])
    if option is None:
        assert question["variable"].startswith("hostcare_")
        return
    assert question["variable"].startswith(role_of(TEMPLATES[template]) + "_")
    default = option["default"]
    if "choices" in option:
        assert question["type"] == "multiplechoice"
        assert question["choices"] == [str(choice) for choice in option["choices"]]
        assert question["default"] == str(default)
    elif option["type"] == "bool":
        assert (question["type"], question["choices"]) == ("multiplechoice", ["false", "true"])
        assert question["default"] == str(default).lower()
    else:
        assert question["type"] == KINDS[option["type"]]
        assert question["default"] == default
        rules.accepted({"survey_enabled": True, "survey_spec": {"spec": [question]}}, {question["variable"]: default})


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template["name"])
def test_what_a_template_sets_there_is(template: Data) -> None:
    """Variables of the template are those of its role or of the playbooks, and so are those that the survey fills."""
    asked = {question["variable"] for question in template["survey_spec"]["spec"]}
    for name, value in template["extra_vars"].items():
        assert name in OPTIONS or f"hostcare_awx_{name.removeprefix('hostcare_')}" in DATA
        if "{{" in str(value) and "hostcare_awx_" not in value:
            assert {word for word in value.split() if word.startswith("hostcare_")} <= asked
    given = (*template["extra_vars"].values(), "")
    assert all(any(name in str(value) for value in given) for name in asked - set(OPTIONS) - {"hostcare_hosts"})


def test_every_remedy_has_a_template() -> None:
    table = yaml.safe_load((ROOT / "roles" / "triage" / "vars" / "main.yml").read_text())["triage_incidents"]
    templates = {role_of(template) for template in TEMPLATES.values()}
    assert {*table, "triage", "remediate"} <= templates <= {path.stem for path in (ROOT / "playbooks").glob("*.yml")}


def test_the_workflow_leads_everybody_to_the_report() -> None:
    (workflow,) = DATA["controller_workflows"]
    nodes = {node["identifier"]: node for node in workflow["simplified_workflow_nodes"]}
    templates = {node["unified_job_template"] for node in nodes.values() if "unified_job_template" in node}
    assert templates <= set(TEMPLATES)
    after = {name: {kind: node.get(kind, []) for kind in LINKS} for name, node in nodes.items()}
    assert all(other in nodes for links in after.values() for ids in links.values() for other in ids)
    assert [name for name, node in nodes.items() if "approval_node" in node] == ["approval"]
    # Whatever becomes of a node, something follows it; only the report is the end.
    ends = [name for name, links in after.items()
            if not links["always_nodes"] and not (links["success_nodes"] and links["failure_nodes"])]  # fmt: skip
    assert ends == ["report"]
    # Nothing is remedied but by approval.
    before = [name for name, links in after.items() if any("remediate" in ids for ids in links.values())]
    assert before == ["approval"]
    assert after["approval"]["success_nodes"] == ["remediate"]


BAD = {
    "no name": {"name": None},
    "twice": {"spec": [{"variable": "x"}, {"variable": "x"}]},
    "no type": {"spec": [{"type": "boolean"}]},
    "fraction as limit": {"spec": [{"type": "float", "default": 0.5, "min": 0.1}]},
    "number as text": {"spec": [{"type": "text", "default": 1}]},
    "text as number": {"spec": [{"type": "integer", "default": "1"}]},
    "whole as fraction": {"spec": [{"type": "float", "default": 1}]},
    "another default": {"spec": [{"type": "multiplechoice", "choices": ["a", "b"], "default": "c"}]},
    "two defaults": {"spec": [{"type": "multiplechoice", "choices": ["a", "b"], "default": "a\nb"}]},
    "truth as text": {"spec": [{"required": "true"}]},
    "nothing": {"spec": []},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_the_rules_can_refuse(bad: Data) -> None:
    whole = {"type": "text", "question_name": "Q", "variable": "q", "required": True}
    survey = {"name": "N", "description": "D", **bad}
    survey["spec"] = [{**whole, **question} for question in survey.get("spec", [whole])]
    with pytest.raises(rules.Refused):
        rules.check_survey(survey)


def test_circles_and_double_links_are_refused() -> None:
    links = {"success_nodes": {1: {2}, 2: {3}}, "failure_nodes": {}, "always_nodes": {}}
    rules.check_link(links, "failure_nodes", 1, 3)
    for kind, parent, child in (("always_nodes", 3, 1), ("always_nodes", 1, 1), ("failure_nodes", 1, 2)):
        with pytest.raises(rules.Refused):
            rules.check_link(links, kind, parent, child)


# --- the playbook ---


@pytest.fixture
def awx() -> Iterator[Awx]:
    with Awx(ROOT) as awx:
        yield awx


class Setup:
    def __init__(self, controller: Controller, awx: Awx) -> None:
        self._controller, self._awx = controller, awx

    def run(self, **variables: t.Any) -> Run:
        environment = {
            "CONTROLLER_HOST": self._awx.url,
            "CONTROLLER_OAUTH_TOKEN": TOKEN,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        # That of the machine starts in two thirds of the time.
        arguments = ("-e", json.dumps({"ansible_python_interpreter": "/usr/bin/python3", **variables}))
        return self._controller.run_playbook("hostcare.remediation.awx_setup", {}, *arguments, environment=environment)

    def snapshot(self) -> Data:
        kept = {kind: items for kind, items in self._awx.controller.items.items() if kind != "project_updates"}
        return copy.deepcopy(
            {**kept, "surveys": self._awx.controller.surveys, "related": dict(self._awx.controller.related)}
        )


@pytest.fixture
def setup(controller: Controller, awx: Awx) -> Setup:
    return Setup(controller, awx)


def changed(run: Run) -> list[str]:
    """Tasks with items are told as a whole."""
    return [result.task for result in run.results if result.data.get("changed")]


def test_makes_all_of_it_once_and_removes_it(setup: Setup, awx: Awx) -> None:
    awx.controller.create("projects", {"name": "Ours", "organization": 1, "scm_type": "git", "scm_url": "x"})
    ours = setup.snapshot()
    site = {
        "hostcare_awx_inventory_project": "Ours",
        "hostcare_awx_inventory_path": "hosts.yml",
        "hostcare_awx_credentials": ["The key"],
        "hostcare_awx_become": True,
    }
    first = setup.run(**site)
    assert first.succeeded, first.output
    controller = awx.controller
    made = controller.named("job_templates")
    assert set(made) == set(TEMPLATES)
    for name, template in made.items():
        assert controller.surveys["job_templates", template["id"]] == TEMPLATES[name]["survey_spec"]
        assert str(json.loads(template["extra_vars"])["hostcare_become"]) == "True"
        labels = controller.related["job_templates", template["id"], "labels"]
        assert [controller.items["labels"][one]["name"] for one in labels] == ["hostcare"]
        credentials = controller.related["job_templates", template["id"], "credentials"]
        assert [controller.items["credentials"][one]["name"] for one in credentials] == ["The key"]
        assert template["ask_job_type_on_launch"] is (name != "Hostcare | Triage")
    storm = json.loads(made["Hostcare | Process storm"]["extra_vars"])
    assert storm["process_storm_selector"] == "{{ hostcare_selector | from_json }}"
    nodes = controller.named("workflow_job_template_nodes")
    followed = {(name, link): [one["identifier"] for one in nodes.values()
                               if one["id"] in controller.related["workflow_job_template_nodes", node["id"], link]]
                for name, node in nodes.items() for link in LINKS}  # fmt: skip
    (workflow,) = DATA["controller_workflows"]
    assert followed == {(node["identifier"], link): node.get(link, [])
                        for node in workflow["simplified_workflow_nodes"] for link in LINKS}  # fmt: skip
    (approval,) = controller.items["workflow_approval_templates"].values()
    assert approval["timeout"] == 3600

    after = setup.snapshot()
    second = setup.run(**site)
    assert second.succeeded, second.output
    assert changed(second) == []
    assert setup.snapshot() == after

    gone = setup.run(hostcare_awx_state="absent", **site)
    assert gone.succeeded, gone.output
    now = setup.snapshot()
    assert now == {**ours, "related": {key: [] for key in now["related"]}}


def test_takes_away_no_inventory_that_it_did_not_make(setup: Setup, awx: Awx) -> None:
    for name in ("Production", "Hostcare"):
        awx.controller.create("inventories", {"name": name, "organization": 1})
    gone = setup.run(hostcare_awx_inventory="Production", hostcare_awx_state="absent")
    assert gone.succeeded, gone.output
    assert changed(gone) == []
    assert list(awx.controller.named("inventories")) == ["Production", "Hostcare"]


@pytest.mark.parametrize(
    "variables, word",
    [
        ({}, "hostcare_awx_inventory"),
        ({"hostcare_awx_inventory": "A", "hostcare_awx_inventory_path": "b"}, "hostcare_awx_inventory"),
        ({"hostcare_awx_inventory": "A", "hostcare_awx_state": "../tasks/awx_absent"}, "hostcare_awx_state"),
    ],
    ids=["no hosts", "hosts twice", "no such state"],
)
def test_says_what_is_missing_before_anything_is_made(setup: Setup, variables: Data, word: str) -> None:
    before = setup.snapshot()
    run = setup.run(**variables)
    assert not run.succeeded
    assert word in run.results[-1].data["msg"]
    assert setup.snapshot() == before
