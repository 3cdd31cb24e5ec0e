# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How steps are written as a script, and how what the host printed becomes one result."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _batch
from ansible_collections.hostcare.remediation.plugins.plugin_utils._batch import Step, answers, combined, steps

WISH: dict[str, t.Any] = {
    "name": "one", "module": "m", "args": {"a": 1}, "when": True, "each": None, "check_mode": False,
    "ignore_errors": False, "always": False,
}  # fmt: skip


def wish(**options: t.Any) -> dict[str, t.Any]:
    return {**WISH, **options}


def done(**options: t.Any) -> Step:
    return Step(**{"name": "one", "module": "m", "args": {}, "check_mode": False, "ignore_errors": False,
                   "always": False, **options})  # fmt: skip


@pytest.mark.parametrize(
    "given, arguments",
    [
        (wish(), [{"a": 1}]),
        (wish(when=False), []),
        (wish(args=None), [{}]),
        (wish(each=[]), []),
        (wish(each=[{"b": 2}, {"a": 3}]), [{"a": 1, "b": 2}, {"a": 3}]),
        (wish(each=[{"b": 2}], when=False), []),
    ],
)
def test_a_step_for_each_item_whose_condition_is_true(given: dict[str, t.Any], arguments: list[t.Any]) -> None:
    assert [step.args for step in steps([given])] == arguments


def line(number: int, out: str = '{"changed": false}') -> str:
    return json.dumps([number, 0, out, ""]) + "\n"


END = "[]\n"
SKIPPED = {"changed": False, "skipped": True, "skip_reason": _batch.STOPPED}


def said(text: str, rc: int = 0, count: int = 3) -> list[t.Any]:
    """For each step what ansible-core will parse, or the exit status where there is nothing to parse."""
    found = answers(count, rc, text, "oh")
    return [json.loads(one["stdout"]) if one["stdout"] else (one["rc"], one["stderr"]) for one in found]


@pytest.mark.parametrize(
    "text, rc, expected",
    [
        (line(0, '"a"') + line(1, '"b"') + line(2, '"c"') + END, 0, ["a", "b", "c"]),
        (line(0, '"a"') + line(2, '"c"') + END, 0, ["a", SKIPPED, "c"]),
        ("a banner\n" + line(0, '"a"') + END + "and more\n", 0, ["a", SKIPPED, SKIPPED]),
        (line(0, '"a"'), 137, ["a", (137, "oh"), SKIPPED]),
        (line(0, '"a"'), 0, ["a", (-9, "oh"), SKIPPED]),
        ("", 1, [(1, "oh"), SKIPPED, SKIPPED]),
        (line(0, '"a"') + '[1, 0, "cut', 0, ["a", (-9, "oh"), SKIPPED]),
    ],
)
def test_what_the_host_printed_is_given_back_to_each_step(text: str, rc: int, expected: list[t.Any]) -> None:
    assert said(text, rc) == expected


@pytest.mark.parametrize(
    "given, results, expected",
    [
        ([], [], {"changed": False, "steps": {}}),
        (
            [wish(), wish(name="two")],
            [(done(), {"changed": True}), (done(name="two"), {"changed": False})],
            {"changed": True, "steps": {"one": {"changed": True}, "two": {"changed": False}}},
        ),
        (
            [wish(when=False)],
            [],
            {"changed": False, "steps": {"one": {**SKIPPED, "skip_reason": _batch.LEFT_OUT}}},
        ),
        (
            [wish(each=[])],
            [],
            {"changed": False, "steps": {"one": {"changed": False, "results": [], "skipped": True}}},
        ),
        (
            [wish(ignore_errors=True)],
            [(done(ignore_errors=True), {"failed": True, "msg": "no"})],
            {"changed": False, "steps": {"one": {"failed": True, "msg": "no"}}},
        ),
        (  # the process was killed in it
            [wish(ignore_errors=True), wish(name="two")],
            [(done(ignore_errors=True), {"failed": True}), (done(name="two"), _batch.skipped(_batch.STOPPED))],
            {"changed": False, "steps": {"one": {"failed": True}, "two": _batch.skipped(_batch.STOPPED)},
             "failed": True, "failed_step": "one", "msg": "one: it failed"},
        ),
        (
            [wish()],
            [(done(), {"failed": True})],
            {"changed": False, "steps": {"one": {"failed": True}}, "failed": True, "failed_step": "one",
             "msg": "one: it failed"},
        ),
    ],
)  # fmt: skip
def test_one_result_of_all(
    given: list[dict[str, t.Any]], results: list[tuple[Step, dict[str, t.Any]]], expected: dict[str, t.Any]
) -> None:
    assert combined(given, results) == expected


def test_what_the_task_shows_is_taken_out_of_the_steps() -> None:
    items = [{"n": 1}, {"n": 2}]
    results: list[tuple[Step, dict[str, t.Any]]] = [
        (done(item=items[0]), {"changed": True, "diff": {"before": "a"}, "warnings": ["w"]}),
        (done(item=items[1]), {"failed": True, "msg": "no", "diff": [{"before": "b"}], "deprecations": ["d"]}),
    ]
    assert combined([wish(each=items)], results) == {
        "changed": True,
        "diff": [{"before": "a"}, {"before": "b"}],
        "warnings": ["w"],
        "deprecations": ["d"],
        "steps": {
            "one": {
                "changed": True,
                "failed": True,
                "msg": "no",
                "results": [{"changed": True, "item": {"n": 1}}, {"failed": True, "msg": "no", "item": {"n": 2}}],
            }
        },
        "failed": True,
        "failed_step": "one",
        "msg": "one: no",
    }
