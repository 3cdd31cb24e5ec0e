# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever would take a process slot raises here, and the work is done all the same."""

from __future__ import annotations

import os
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._process import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._process.journal import Journal
from ansible_collections.hostcare.remediation.plugins.module_utils._process.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import remedy as throttle
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import Request
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child, sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.own_cgroup import move, own_cgroup

WAYS = (
    *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen")),
    *((os, name) for name in dir(os) if name.startswith(("exec", "spawn"))),
    (subprocess, "Popen"),
    (threading.Thread, "start"),
)


class ForkedError(Exception):
    """Somebody tried."""


def forbid_forks() -> None:
    """In a child, for good."""

    def refuse(*_arguments: object, **_options: object) -> t.NoReturn:
        raise ForkedError

    for place, name in WAYS:
        setattr(place, name, refuse)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: int(os.fork()),
        lambda: os.system("true"),
        lambda: os.popen("true"),
        lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
        lambda: subprocess.run(["true"], check=False),
        lambda: threading.Thread(target=print).start(),
    ],
)
def test_every_way_is_closed(attempt: t.Callable[[], object]) -> None:
    def run() -> bool:
        forbid_forks()
        with pytest.raises(ForkedError):
            attempt()
        return True

    assert in_child(run)


def test_headroom_needs_none() -> None:
    def run() -> int:
        forbid_forks()
        return int(resources.report(10, 20.0)["process_table"]["processes"])

    assert in_child(run) > 1


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("method", ["auto", "group", "scan"])
@pytest.mark.parametrize("state", ["frozen", "terminated", "killed"])
def test_a_remedy_needs_none(tmp_path: Path, state: str, method: str, check_mode: bool) -> None:
    with sleeping() as one, sleeping() as two:
        selector = parse({"pid": [one.pid, two.pid], "cmdline_regex": "."} if method == "scan" else {"pid": [one.pid]})

        def run() -> dict[str, t.Any]:
            Journal.of_host = lambda _proc_root="/proc": Journal(str(tmp_path / "hostcare"), 1, "b007")  # type: ignore[method-assign, assignment]
            Journal.lock = lambda _self, _proc_root="/proc": os.open("/", os.O_RDONLY)  # type: ignore[method-assign, assignment]
            forbid_forks()
            outcome = remedy.run(
                Options(state, selector, method=method, check_mode=check_mode, zombies="signal_parent", grace_period=1)
            )
            assert not outcome.problem
            return (
                remedy.run(Options("thawed", None, check_mode=check_mode)).result
                if state == "frozen"
                else outcome.result
            )

        assert in_child(run)["matched"] == (0 if check_mode and state == "frozen" else selector and len(selector.pids))


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_throttle_needs_none(tmp_path: Path, check_mode: bool) -> None:
    with sleeping() as child, own_cgroup("pids") as directory:
        move(child.pid, directory)

        def run() -> list[bool]:
            Journal.lock = lambda _self, _proc_root="/proc": os.open("/", os.O_RDONLY)  # type: ignore[method-assign, assignment]
            forbid_forks()
            requests = [Request(state, parse({"pid": [child.pid]})) for state in ("throttled", "released")]
            outcomes = [
                throttle.run(one._replace(check_mode=check_mode), directory=str(tmp_path / "run")) for one in requests
            ]
            return [outcome.result["changed"] for outcome in outcomes]

        assert in_child(run) == [True, not check_mode]
