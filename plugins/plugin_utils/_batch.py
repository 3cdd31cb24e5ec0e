# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# This file is private to the collection and may change at any time.

"""What a batch is made of on the controller: its steps, the script that runs them, and one result of all."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing as t
from collections.abc import Iterable, Sequence

from ansible_collections.hostcare.remediation.plugins.module_utils._batch import runner

Result = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.8 runs the unit tests

STOPPED = "an earlier step failed"
LEFT_OUT = "its condition is false"
# Of a module that left no word, as when the kernel ended its process for want of memory.
_LOST = -9
_FOR_THE_TASK = ("warnings", "deprecations", "diff")


@dataclasses.dataclass
class Step:
    """One module with its arguments; of a step with ``each`` there is one for each item."""

    name: str
    module: str
    args: dict[str, t.Any]
    check_mode: bool
    ignore_errors: bool
    always: bool
    item: dict[str, t.Any] | None = None


def steps(given: Iterable[dict[str, t.Any]]) -> list[Step]:
    """Those whose condition is true, in order."""
    return [
        Step(
            one["name"], one["module"], {**(one["args"] or {}), **(item or {})},
            one["check_mode"], one["ignore_errors"], one["always"], item,
        )
        for one in given if one["when"]
        for item in ([None] if one["each"] is None else one["each"])
    ]  # fmt: skip


def script(wanted: Sequence[Step], wrappers: Sequence[bytes]) -> bytes:
    """The program that runs the wrapped modules of the steps."""
    told = [
        (step.name, wrapper, step.ignore_errors, step.always) for step, wrapper in zip(wanted, wrappers, strict=True)
    ]
    return f"{inspect.getsource(runner)}\nrun([Step(*step) for step in {told!r}])\n".encode()


def answers(count: int, rc: int, out: str, err: str) -> list[Result]:
    """For each of the steps what its module printed, in the form in which ansible-core has it from a host."""
    said, is_whole = _read(out)
    found = []
    for number in range(count):
        if number in said:
            found.append(said[number])
        elif is_whole:
            found.append(_printed(skipped(STOPPED)))
        else:  # the first that is missing is the one in which the process ended
            found.append({"rc": rc or _LOST, "stdout": "", "stderr": err})
            is_whole = True
    return found


def _read(out: str) -> tuple[dict[int, Result], bool]:
    said: dict[int, Result] = {}
    for line in out.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if answer == []:
            return said, True
        number, rc, stdout, stderr = answer
        said[number] = {"rc": rc, "stdout": stdout, "stderr": stderr}
    return said, False


def _printed(result: Result) -> Result:
    return {"rc": 0, "stdout": json.dumps(result), "stderr": ""}


def skipped(reason: str) -> Result:
    return {"changed": False, "skipped": True, "skip_reason": reason}


def combined(given: Iterable[dict[str, t.Any]], done: Sequence[tuple[Step, Result]]) -> Result:
    """One result of all; ``done`` are the steps with theirs, in order."""
    answer: Result = {"changed": any(result.get("changed") for _step, result in done)}
    for key in _FOR_THE_TASK:
        if found := [one for _step, result in done for one in _listed(result.pop(key, None))]:
            answer[key] = found
    answer["steps"] = {one["name"]: _of_step(one, done) for one in given}
    if failures := _failures(done):
        step, result = failures[0]
        answer.update(failed=True, failed_step=step.name, msg=f"{step.name}: {_problem(result)}")
    return answer


def _failures(done: Sequence[tuple[Step, Result]]) -> list[tuple[Step, Result]]:
    """Those that are the task's: also an ignored one, where it took the process and so the other steps along."""
    ran = [(step, result) for step, result in done if result.get("skip_reason") != STOPPED]
    failures = [(step, result) for step, result in ran if result.get("failed") and not step.ignore_errors]
    return failures or (ran[-1:] if len(ran) < len(done) else [])


def _of_step(given: dict[str, t.Any], done: Sequence[tuple[Step, Result]]) -> Result:
    if not given["when"]:
        return skipped(LEFT_OUT)
    own = [(step, result) for step, result in done if step.name == given["name"]]
    return own[0][1] if given["each"] is None else _of_each(own)


def _problem(result: Result) -> str:
    return str(result.get("msg", "it failed"))


def _of_each(own: Sequence[tuple[Step, Result]]) -> Result:
    found: Result = {
        "changed": any(result.get("changed") for _step, result in own),
        "results": [{**result, "item": step.item} for step, result in own],
    }
    if problems := [_problem(result) for _step, result in own if result.get("failed")]:
        found.update(failed=True, msg="; ".join(problems))
    if all(result.get("skipped") for _step, result in own):
        found["skipped"] = True
    return found


def _listed(found: t.Any) -> list[t.Any]:
    if not found:
        return []
    return list(found) if isinstance(found, list) else [found]
