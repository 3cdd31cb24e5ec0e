# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a batch in a process of their own, as on a host; small programs stand where modules do."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._batch import runner
from ansible_collections.hostcare.remediation.plugins.module_utils._batch.runner import Answer, Step
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child

GOOD, BAD = 'print("{}")', "print('{\"failed\": true}'); raise SystemExit(1)"


def play(*steps: Step) -> tuple[list[t.Any], str]:
    """The lines that it says, and what it lets through to the standard error."""
    told = [tuple(step) for step in steps]
    text = f"{inspect.getsource(runner)}\nrun([Step(*step) for step in {told!r}])\n"
    run = subprocess.run([sys.executable], input=text.encode(), capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr.decode()


def step(program: str, name: str = "one", ignore_errors: bool = False, always: bool = False) -> Step:
    return Step(name, program.encode(), ignore_errors, always)


def answers(*steps: Step) -> list[Answer]:
    said, loose = play(*steps)
    assert said.pop() == [], "it did not come to its end"
    assert loose == ""
    return [Answer(*line) for line in said]


def test_what_it_prints_is_kept_apart() -> None:
    found = answers(step("import sys; print('{}'); print('oh', file=sys.stderr)"), step(GOOD, "two"))
    assert found == [Answer(0, 0, "{}\n", "oh\n"), Answer(1, 0, "{}\n", "")]


@pytest.mark.parametrize(
    "program, rc",
    [
        ("raise SystemExit", 0),
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('a reason')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 1),
        ("this is no Python", 1),
    ],
)
def test_whatever_a_step_does_the_next_one_is_judged_by_its_answer(program: str, rc: int) -> None:
    assert [(one.number, one.rc) for one in answers(step(program), step(GOOD, "two", always=True))] == [(0, rc), (1, 0)]


def test_a_traceback_is_kept() -> None:
    (only,) = answers(step("1 / 0"))
    assert "ZeroDivisionError" in only.err
    assert only.is_failure


@pytest.mark.parametrize(
    "out, is_failure",
    [
        ("{}", False),
        ('\n{"changed": true}\n', False),
        ('{"failed": false}', False),
        ('{"failed": true}', True),
        ("", True),
        ("[]", True),
        ("a word", True),
    ],
)
def test_a_failure_is_told_by_the_answer(out: str, is_failure: bool) -> None:
    assert Answer(0, 0, out, "").is_failure == is_failure


class Wish(t.NamedTuple):
    name: str
    fails: bool
    ignore_errors: bool
    always: bool


def wanted(wishes: list[Wish]) -> list[int]:
    """Which of them run: all up to the first whose failure counts, the others of its name, and what is always run."""
    failed = next((wish.name for wish in wishes if wish.fails and not wish.ignore_errors), None)
    first = next((n for n, wish in enumerate(wishes) if wish.fails and not wish.ignore_errors), len(wishes))
    return [n for n, wish in enumerate(wishes) if n <= first or wish.name == failed or wish.always]


def numbers(wishes: list[Wish]) -> list[int]:
    said: list[list[t.Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_say", said.append)
        runner.run([step(BAD if w.fails else GOOD, w.name, w.ignore_errors, w.always) for w in wishes])
    return [line[0] for line in said if line]


@given(st.lists(st.builds(Wish, st.sampled_from("abc"), st.booleans(), st.booleans(), st.booleans()), max_size=6))
def test_who_runs_after_a_failure(wishes: list[Wish]) -> None:
    """In a child: each step ends with the modules of the collection forgotten, and those are the tests', too."""
    assert in_child(lambda: numbers(wishes)) == wanted(wishes)


def test_each_step_finds_the_process_as_the_first_did() -> None:
    look = (
        "import gc, json, os, resource, sys\n"
        "print(json.dumps([os.getcwd(), sorted(os.environ.items()), sys.path, gc.isenabled(),\n"
        "                  resource.getrlimit(resource.RLIMIT_NOFILE), 'ansible' in sys.modules]))\n"
    )
    spoil = (
        "import gc, os, resource, sys, types\n"
        "gc.disable(); os.chdir('/'); sys.path.insert(0, '/x')\n"
        "os.environ['LC_ALL'] = 'de_DE'; del os.environ['PATH']\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); sys.modules['ansible'] = types.ModuleType('ansible')\n"
        "print('{}')\n"
    )
    before, _spoiled, after = answers(
        step(look, "before", ignore_errors=True), step(spoil, "spoil"), step(look, "after", ignore_errors=True)
    )
    assert json.loads(before.out) == json.loads(after.out)


def test_hostile_bytes_are_said_as_text() -> None:
    (only,) = answers(step("import sys; sys.stdout.buffer.write(b'{}\\xff\\xfe'); print('\\udc80')"))
    assert only.out == "{}\\xff\\xfe\\udc80\n"


def test_what_was_answered_before_the_process_is_killed_is_said() -> None:
    text = [step(GOOD), step("import os; os.kill(os.getpid(), 9)", "two"), step(GOOD, "three", always=True)]
    told = f"{inspect.getsource(runner)}\nrun([Step(*step) for step in {[tuple(one) for one in text]!r}])\n"
    run = subprocess.run([sys.executable], input=told.encode(), capture_output=True, check=False)
    assert run.returncode == -9
    assert run.stdout == b'[0, 0, "{}\\n", ""]\n'
