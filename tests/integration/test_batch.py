# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Several modules in one process of a host: each answers as it does alone, and nothing of one reaches the next."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Result, Run
from ansible_collections.hostcare.remediation.tests.support.slots import Login

BATCH, OURS = "hostcare.remediation.batch", "hostcare.remediation."
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}


def step(name: str, module: str, args: dict[str, t.Any] | None = None, **options: t.Any) -> dict[str, t.Any]:
    return {"name": name, "module": module, "args": args or {}, **options}


def command(name: str, *argv: str, **options: t.Any) -> dict[str, t.Any]:
    return step(name, "ansible.builtin.command", {"argv": list(argv)}, **options)


def task(*steps: dict[str, t.Any], **keywords: t.Any) -> dict[str, t.Any]:
    return {BATCH: {"steps": list(steps)}, **keywords}


def sessions(run: Run) -> int:
    return run.output.count("SSH: EXEC")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy("/bin/sleep", tmp_path / f"hcv{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def victims(program: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two of root, to be killed, and one of another user, innocent."""
    program.chmod(0o755)
    for directory in program.parents[:-2]:
        directory.chmod(0o755)
    processes = [
        subprocess.Popen([program, "300"], start_new_session=True, user=user) for user in ("root", "root", "nobody")
    ]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_each_step_acts_as_it_would_alone_and_the_innocent_lives(
    root: Login, program: Path, victims: list[subprocess.Popen[bytes]]
) -> None:
    rogues = {"name": [program.name], "user": ["root"]}
    play = task(
        step("look", OURS + "rogue_process", {"state": "killed", **rogues}, check_mode=True),
        step("room", OURS + "headroom_info", {"resources": ["process_slots"]}),
        step("stop", OURS + "rogue_process", {"state": "frozen", **rogues}),
        step("kill", OURS + "rogue_process", {"state": "killed", **rogues}),
        step("again", OURS + "rogue_process", {"state": "killed", **rogues}),
    )
    run = root.play(play, live=True, arguments=["-vvv"])
    answer = run.only
    assert answer.status == "ok", answer.data
    steps = answer.data["steps"]
    assert {name: (one["matched"], one["changed"]) for name, one in steps.items() if name != "room"} == {
        "look": (2, True), "stop": (2, True), "kill": (2, True), "again": (0, False),
    }  # fmt: skip
    assert steps["kill"]["killed"] == 2
    assert steps["room"]["resources"]
    assert answer.data["changed"] is True
    assert [process.wait(5) for process in victims[:2]] == [-9, -9]
    assert victims[2].poll() is None, "the innocent"
    assert sessions(run) == 1


@pytest.mark.parametrize("way", ["lean", "ordinary"])
def test_a_failure_stops_what_follows_but_what_is_always_run(root: Login, way: str) -> None:
    play = task(
        step("first", "ansible.builtin.stat", {"path": "/etc"}),
        command("forgiven", "false", ignore_errors=True),
        command("left out", "true", when=False),
        step("bad", "ansible.builtin.command", each=[{"argv": ["true"]}, {"argv": ["false"]}, {"argv": ["echo", "I"]}]),
        command("after", "true"),
        command("always", "echo", "the end", always=True),
    )
    barred = {"ansible_ssh_extra_args": "-o RequestTTY=yes"} if way == "ordinary" else {}
    answer = root.play(play, live=True, host_vars=barred).only
    assert answer.status == "failed", answer.data
    assert ("takes the ordinary way" in answer.warnings) == (way == "ordinary")
    steps = answer.data["steps"]
    assert answer.data["failed_step"] == "bad"
    assert answer.data["msg"].startswith("bad: ")
    assert steps["first"]["stat"]["isdir"] is True
    assert steps["forgiven"]["failed"] is True
    assert steps["left out"] == {"changed": False, "skipped": True, "skip_reason": "its condition is false"}
    assert [one.get("rc") for one in steps["bad"]["results"]] == [0, 1, 0]
    assert steps["bad"]["results"][2]["stdout"] == "I"
    assert steps["bad"]["results"][1]["item"] == {"argv": ["false"]}
    assert steps["bad"]["failed"] is True
    assert steps["after"]["skip_reason"] == "an earlier step failed"
    assert steps["always"]["stdout"] == "the end"


def test_in_check_mode_all_steps_are(controller: Controller, tmp_path: Path) -> None:
    made = [tmp_path / name for name in ("one", "two")]
    steps = [step(path.name, "ansible.builtin.file", {"path": str(path), "state": "directory"}) for path in made]
    foreseen = controller.play(LOCAL, task(*steps), arguments=["--check", "--diff"]).only
    assert (foreseen.status, foreseen.data["changed"]) == ("ok", True), foreseen.data
    assert len(foreseen.data["diff"]) == len(made)
    assert [path.exists() for path in made] == [False, False]
    steps[1]["check_mode"] = True
    done = controller.play(LOCAL, task(*steps)).only
    assert {name: one["changed"] for name, one in done.data["steps"].items()} == {"one": True, "two": True}
    assert [path.exists() for path in made] == [True, False]


@pytest.mark.once
def test_nothing_that_changed_is_no_change(controller: Controller) -> None:
    answer = controller.play(LOCAL, task(step("look", "ansible.builtin.stat", {"path": "/etc"}))).only
    assert (answer.status, answer.data["changed"]) == ("ok", False)
    assert controller.play(LOCAL, task()).only.data["steps"] == {}


@pytest.mark.once
def test_what_a_step_warns_of_is_warned_of(controller: Controller) -> None:
    user = step("user", "ansible.builtin.user", {"name": "hcnobody", "password": "plain"}, check_mode=True)
    answer = controller.play(LOCAL, task(user)).only
    assert "to have been hashed" in answer.warnings, answer.data
    assert "warnings" not in answer.data["steps"]["user"]


def test_where_the_process_is_killed_the_step_it_was_at_has_failed(controller: Controller) -> None:
    """And what was done before it is told."""
    play = task(
        command("first", "echo", "done"),
        command("killer", "sh", "-c", "kill -9 $PPID; sleep 9"),
        command("after", "true"),
    )
    answer = controller.play(LOCAL, play).only
    assert answer.status == "failed", answer.data
    steps = answer.data["steps"]
    assert steps["first"]["stdout"] == "done"
    assert steps["killer"]["failed"] is True
    assert steps["after"]["skipped"] is True
    assert answer.data["failed_step"] == "killer"


@pytest.mark.once
@pytest.mark.parametrize(
    "steps, reason",
    [
        ([command("one", "true"), command("one", "true")], "the name one is given twice"),
        ([step("one", "ansible.builtin.copy", {"content": "x", "dest": "/tmp/x"})], "works on the controller, too"),
        ([step("one", "ansible.builtin.service", {"name": "cron"})], "works on the controller, too"),
        ([step("one", OURS + "triage_report", {"hosts": []})], "works on the controller, too"),
        ([step("one", BATCH, {"steps": []})], "works on the controller, too"),
        ([step("one", "hostcare.remediation.nobody")], "hostcare.remediation.nobody"),
        ([{"name": "one"}], "module"),
        ([step("one", "ansible.builtin.stat", {"path": "/"}, never=True)], "never"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_done(
    controller: Controller, tmp_path: Path, steps: list[dict[str, t.Any]], reason: str
) -> None:
    mark = tmp_path / "mark"
    first = step("first", "ansible.builtin.file", {"path": str(mark), "state": "directory"})
    answer = controller.play(LOCAL, task(first, *steps)).only
    assert answer.status == "failed"
    assert reason in answer.data["msg"]
    assert not mark.exists()
    assert "Traceback" not in str(answer.data)


@pytest.mark.once
def test_a_wrong_argument_is_the_failure_of_its_step(controller: Controller) -> None:
    answer: Result = controller.play(
        LOCAL, task(step("one", OURS + "rogue_process", {"state": "killed"}), command("two", "true"))
    ).only
    assert answer.status == "failed"
    assert answer.data["msg"].startswith("one: ")
    assert answer.data["steps"]["two"]["skipped"] is True
