# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real children, watched: who is seen, of whom, where, and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn import survey
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.evidence import Birth
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.survey import Request, parse
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.watch import Seen, Watch, _whole_unit
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping

GIVEN: dict[str, t.Any] = {
    "unit": None, "duration": "5s", "at_once": "2s", "min_rate": 60, "min_growth": 50, "top": 10,
}  # fmt: skip


def spawn(code: int, pause: float = 0.01) -> t.Callable[[], None]:
    """One child after the other, each of which ends at once."""

    def life() -> None:
        pid = os.fork()
        if pid == 0:
            time.sleep(0.02)
            os._exit(code)
        os.waitpid(pid, 0)
        time.sleep(pause)

    return life


def watch(seconds: float = 1.0, directory: str = "/nonexistent") -> Seen:
    return Watch(ProcessTable(), directory).run(seconds)


def of(seen: Seen, parent: int) -> list[Birth]:
    return [birth for birth in seen.births if birth.parent == parent]


@pytest.mark.parametrize("code", [0, 3])
def test_children_that_live_for_a_moment(code: int) -> None:
    with sleeping(b"hc-spawner", life=spawn(code)) as spawner, sleeping(b"hc-still") as still:
        seen = watch()
    mine = of(seen, spawner.pid)
    assert len(mine) >= 3, "as on a machine that has no time"
    assert all(birth.ended is not None for birth in mine[:-1])
    assert {birth.status for birth in mine} - {None} == {code << 8}
    assert {birth.parent_name for birth in mine} == {"hc-spawner"}
    assert of(seen, still.pid) == []
    assert seen.numbers >= len(seen.births)
    assert len({(birth.pid, birth.born) for birth in mine}) == len(mine), "each is counted once"


def test_children_that_live_on_and_have_children() -> None:
    def life() -> None:
        if os.fork() == 0:
            if os.fork() == 0:
                signal.pause()
            signal.pause()
        time.sleep(0.1)

    with sleeping(b"hc-spawner", life=life) as spawner:
        try:
            seen = watch()
        finally:
            os.killpg(spawner.pid, signal.SIGKILL)
    mine = of(seen, spawner.pid)
    assert 2 <= len(mine) <= 12
    assert {birth.ended for birth in mine} == {None}
    assert {birth.late for birth in mine} == {False}
    grandchildren = [birth for birth in seen.births if birth.parent in {child.pid for child in mine}]
    assert len(grandchildren) >= len(mine) - 1
    assert {birth.late for birth in grandchildren} == {True}
    place = seen.places[mine[0].place]
    assert place.after >= 2 * len(mine) - 1


def test_threads_are_no_births() -> None:
    import threading

    def life() -> None:
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()

    with sleeping(b"hc-threads", life=life) as threads:
        seen = watch()
    assert seen.numbers >= 5
    assert of(seen, threads.pid) == []
    assert threads.ppid not in {birth.parent for birth in seen.births}


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with sleeping(b"hc-spawner", life=spawn(1, 0.0)):
        watch(0.5)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("descriptors", [0, 2])
def test_a_handful_of_descriptors(monkeypatch: pytest.MonkeyPatch, descriptors: int) -> None:
    """Nobody is held on to then, or few; all else is seen."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (16 + 2 * descriptors, 4096))
    with sleeping(b"hc-spawner", life=spawn(1)) as spawner:
        seen = watch()
    assert len(of(seen, spawner.pid)) >= 3
    assert seen.numbers >= len(seen.births)


def test_each_start_of_a_unit_has_an_id(tmp_path: Path) -> None:
    def life() -> None:
        number = str(time.monotonic())
        os.symlink(number, tmp_path / "next")
        os.rename(tmp_path / "next", tmp_path / "invocation:app.service")
        time.sleep(0.05)

    os.symlink("1", tmp_path / "invocation:still.service")
    os.symlink("1", tmp_path / "invocation:user.slice")
    os.symlink("1", tmp_path / "log-level-max:app.service")
    with sleeping(b"hc-manager", life=life):
        seen = watch(1.0, str(tmp_path))
    assert 3 <= seen.places["app.service"].starts <= 25
    assert seen.places["still.service"].starts == 0
    assert "user.slice" not in seen.places


@pytest.mark.parametrize("code, wanted", [(1, "crash_loop"), (0, "busy")])
def test_the_verdict_on_them(code: int, wanted: str) -> None:
    with sleeping(b"hc-spawner", life=spawn(code)) as spawner:
        for _try in range(9):
            seen = watch()
            alone = seen._replace(births=of(seen, spawner.pid))
            if len(alone.births) > 10:
                break
    # whoever was refused a process meanwhile, such as another test's throttled spawner, has a place as well
    ((evidence, verdict),) = [one for one in survey.verdicts(alone, Request(), None) if one[0].births]
    assert (verdict.verdict, evidence.spawners[0].name) == (wanted, "hc-spawner"), verdict


def test_a_whole_run() -> None:
    with sleeping(b"hc-spawner", life=spawn(1)):
        found = survey.run(Request(duration=1.0, top=1), invocations="/nonexistent")
    assert len(found["groups"]) == 1 <= found["groups_total"]
    assert found["births"] <= found["numbers"]
    assert survey.run(Request(frozenset(["nowhere.service"]), duration=0.2))["groups"] == []


@pytest.mark.parametrize(
    "path, unit",
    [
        ("/system.slice/app.service", "/system.slice/app.service"),
        ("/system.slice/app.service/inner", "/system.slice/app.service"),
        ("/system.slice/app.service/libpod/x", "/system.slice/app.service"),
        ("/user.slice/user-1.slice/session-3.scope", "/user.slice/user-1.slice/session-3.scope"),
        ("/", "/"),
        ("/plain/cgroup", "/plain/cgroup"),
    ],
)
def test_a_unit_is_one_place(path: str, unit: str) -> None:
    assert _whole_unit(path) == unit


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"duration": "0"}, "duration: 0 s is out of range"),
        ({"duration": "11m"}, "out of range"),
        ({"duration": "soon"}, "is not a duration"),
        ({"at_once": "0"}, "at_once: 0 s is out of range"),
        ({"min_rate": 0}, "min_rate: 0 is less than 1"),
        ({"min_growth": -5}, "min_growth: -5 is less than 1"),
        ({"top": -1}, "top: -1 is negative"),
    ],
)
def test_senseless_requests(wrong: dict[str, t.Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        parse({**GIVEN, **wrong})
    assert parse(GIVEN).duration == 5.0
