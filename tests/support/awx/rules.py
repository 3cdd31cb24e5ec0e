# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What AWX refuses of a survey, of answers to it, and of the graph of a workflow.

The rules are those of AWX 24.6.1: JobTemplateSurveySpec in awx/api/views/__init__.py, SurveyJobTemplateMixin in
awx/main/models/mixins.py, and the checks of the relations in awx/api/views and awx/main/utils/common.py.
"""

from __future__ import annotations

import typing as t

TEXTS = ("text", "textarea", "password")
CHOICES = ("multiplechoice", "multiselect")
DEFAULTS: dict[str, type] = {**dict.fromkeys((*TEXTS, *CHOICES), str), "integer": int, "float": float}


class Refused(Exception):
    """What AWX answers with 400, and why."""


def check_survey(survey: dict[str, t.Any]) -> None:
    for field, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(survey.get(field), kind):
            raise Refused(f"{field} of the survey has to be a {kind.__name__}")
    if not survey["spec"]:
        raise Refused("the survey has no question")
    seen = set()
    for question in survey["spec"]:
        _check_question(question)
        if question["variable"] in seen:
            raise Refused(f"{question['variable']} is asked for twice")
        seen.add(question["variable"])


def _check_question(question: dict[str, t.Any]) -> None:
    for field, kind in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
        if not isinstance(question.get(field), kind):
            raise Refused(f"{field} of a question has to be a {kind.__name__}: {question}")
    if question["type"] not in DEFAULTS:
        raise Refused(f"no such type of question: {question['type']}")
    default = question.get("default", "")
    if default != "" and not _is(default, DEFAULTS[question["type"]]):
        raise Refused(f"the default of {question['variable']} has to be a {DEFAULTS[question['type']].__name__}")
    for limit in ("min", "max"):
        # Even those of a fraction.
        if question.get(limit) is not None and not _is(question[limit], int):
            raise Refused(f"{limit} of {question['variable']} has to be an integer")
    if question["type"] in CHOICES:
        choices = choices_of(question)
        chosen = default.splitlines()
        if question["type"] == "multiplechoice" and len(chosen) > 1:
            raise Refused(f"{question['variable']} can have but one default")
        if not choices or not set(chosen) <= set(choices):
            raise Refused(f"the default of {question['variable']} is none of its choices")


def _is(value: t.Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def choices_of(question: dict[str, t.Any]) -> list[str]:
    choices = question.get("choices", "")
    return [one for one in choices.splitlines() if one.strip()] if isinstance(choices, str) else list(choices)


def accepted(template: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a launch may set; the rest is left out without a word. An answer that does not fit is refused."""
    questions = template["survey_spec"].get("spec", []) if template.get("survey_enabled") else []
    for question in questions:
        _check_answer(question, variables)
    if template.get("ask_variables_on_launch"):
        return dict(variables)
    asked = {question["variable"] for question in questions}
    return {name: value for name, value in variables.items() if name in asked}


def _check_answer(question: dict[str, t.Any], variables: dict[str, t.Any]) -> None:
    name, kind = question["variable"], question["type"]
    if name not in variables:
        if question["required"] and "default" not in question:
            raise Refused(f"'{name}' value missing")
        return
    value = variables[name]
    if kind in CHOICES:
        for one in value if kind == "multiselect" else [value]:
            if one not in choices_of(question):
                raise Refused(f"{one!r} for '{name}' is none of {choices_of(question)}")
        return
    if not (_is(value, DEFAULTS[kind]) or (kind == "float" and _is(value, int))):
        raise Refused(f"{value!r} for '{name}' expected to be {kind}")
    size = len(value) if kind in TEXTS else value
    if question.get("min") is not None and size < question["min"]:
        raise Refused(f"'{name}' is too small, at least {question['min']}")
    if question.get("max") is not None and size > question["max"]:
        raise Refused(f"'{name}' is too large, at most {question['max']}")


def check_link(links: dict[str, dict[int, set[int]]], kind: str, parent: int, child: int) -> None:
    """Whether a node may follow another one, when it does so already in other ways."""
    if any(child in of_kind.get(parent, ()) for other, of_kind in links.items() if other != kind):
        raise Refused("Relationship not allowed.")
    reached, begun = set(), [child]
    while begun:
        node = begun.pop()
        reached.add(node)
        begun += [after for of_kind in links.values() for after in of_kind.get(node, ()) if after not in reached]
    if parent in reached:
        raise Refused("Cycle detected.")
