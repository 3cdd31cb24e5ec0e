# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The modules as a playbook runs them, in an IPC namespace with real orphans and real holders."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Result
from ansible_collections.hostcare.remediation.tests.support.ipc import APP, SERVICE
from ansible_collections.hostcare.remediation.tests.support.ipc.bench import program

IPC, INFO = "hostcare.remediation.sysv_ipc", "hostcare.remediation.sysv_ipc_info"
ASKED: dict[str, t.Any] = {"owner": [str(APP)], "service": {"name": [SERVICE]}, "min_age": "0s", "observe": "0s"}


class Field:
    """An IPC namespace, entered by whatever starts with `enter`."""

    def __init__(self, controller: Controller, directory: Path) -> None:
        self.controller, self.directory = controller, directory
        self.keeper = subprocess.Popen(["unshare", "--ipc", "sleep", "600"])
        mine = os.stat("/proc/self/ns/ipc").st_ino
        while os.stat(f"/proc/{self.keeper.pid}/ns/ipc").st_ino == mine:
            time.sleep(0.01)
        self.enter = ["nsenter", f"--ipc=/proc/{self.keeper.pid}/ns/ipc"]
        (directory / SERVICE).symlink_to(program("holder"))
        self.started: list[subprocess.Popen[str]] = [self.keeper]  # type: ignore[list-item]

    def hold(self, life: str) -> tuple[subprocess.Popen[str], int]:
        holder = subprocess.Popen(
            [*self.enter, str(self.directory / SERVICE), life, str(APP)],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.started.append(holder)
        assert holder.stdout is not None
        return holder, int(holder.stdout.readline())

    def leave(self, life: str) -> int:
        holder, array = self.hold(life)
        holder.kill()
        holder.wait()
        return array

    def play(self, module: str, arguments: t.Sequence[str] = (), **options: t.Any) -> Result:
        (answer,) = self.play_all([{module: options}], arguments)
        return answer

    def play_all(self, tasks: list[dict[str, t.Any]], arguments: t.Sequence[str] = ()) -> list[Result]:
        python = " ".join([*self.enter, "/usr/bin/python3"])
        host_vars = {"ansible_connection": "local", "ansible_python_interpreter": python}
        return self.controller.play(host_vars, *tasks, arguments=arguments).results

    def close(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def field(controller: Controller, tmp_path: Path) -> Iterator[Field]:
    field = Field(controller, tmp_path)
    yield field
    field.close()


@pytest.mark.once
def test_a_whole_remedy(field: Field) -> None:
    orphans = sorted(field.leave(life) for life in ("set", "used", "untouched"))
    time.sleep(2.2)
    _holder, live = field.hold("idle")
    told = field.play(INFO, kind=["semaphores"], owner=[str(APP)], service={"name": [SERVICE]}).data
    assert told["totals"] == [{"kind": "semaphores", "objects": 4, "orphaned": 3, "unknown": 1, "in_use": 0}]
    would = field.play(IPC, ["--check", "--diff"], state="absent", **ASKED).data
    did = field.play(IPC, ["--diff"], state="absent", **ASKED).data
    again = field.play(IPC, ["--diff"], state="absent", **ASKED).data
    for result in (would, did):
        assert result["changed"]
        assert [entry["id"] for entry in result["removed"]] == orphans
        assert [entry["id"] for entry in result["kept"]] == [live]
        assert [(group["count"], group["kind"]) for group in result["removed_groups"]] == [(3, "semaphores")]
        shown = f"3 semaphores of {result['removed'][0]['owner']}: {result['removed'][0]['reason']}\n"
        headers = {"before_header": "present", "after_header": "present"}
        assert result["diff"] == {"before": shown, "after": "", **headers}
    assert "diff" not in again
    assert would.keys() == did.keys()
    assert (did["converged"], did["limits"][0]["used"]) == (True, 1)
    assert (again["changed"], again["kept_total"]) == (False, 1)


BAD: list[tuple[dict[str, t.Any], str]] = [
    ({}, "no owner, id or key was given"),
    ({"owner": ["no-such-user"]}, "does not exist on this host"),
    ({"key": ["0"]}, "0 is no key"),
    ({"key": ["x"]}, "is no number"),
    ({"id": [-5]}, "is no identifier"),
    ({"owner": ["0"], "service": {"name": []}}, "service is empty"),
    ({"owner": ["0"], "min_age": "soon"}, "is not a duration"),
    ({"owner": ["0"], "observe": "2h"}, "out of range"),
    ({"owner": ["0"], "max_removals": -1}, "less than none"),
]


def test_bad_input_is_refused_in_plain_words(field: Field) -> None:
    answers = field.play_all([{IPC: {"state": "absent", **options}, "ignore_errors": True} for options, _says in BAD])
    for answer, (options, says) in zip(answers, BAD, strict=True):
        assert answer.status == "failed", options
        assert says in answer.data["msg"]
        assert not re.search('Traceback|File "', str(answer.data))


def test_the_brake_touches_nothing(field: Field) -> None:
    for _one in range(3):
        field.leave("set")
    refused = field.play(IPC, state="absent", **ASKED, max_removals=2)
    assert "3 objects would be removed, more than max_removals=2" in refused.data["msg"]
    assert field.play(INFO, kind=["semaphores"]).data["matched"] == 3
