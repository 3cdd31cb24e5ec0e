# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Births a minute as a limit: told of storms, with whom to act on, and of nobody else."""

from __future__ import annotations

import itertools
import time
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources, spawning
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.survey import Survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.evidence import Birth, Place
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn.watch import Seen

SECONDS = 1.0


def bare(deadline: float = 60.0) -> Survey:
    return Survey(ProcessTable(), [], 0, [], time.monotonic() + deadline, {}, False)


def seen(path: str, status: int, count: int = 20) -> Seen:
    births = [
        Birth(100 + number, "child", 50, "boss", path, 10 + number / count, 10.001 + number / count, status)
        for number in range(count)
    ]
    return Seen(10.0, SECONDS, births, {path: Place(path, path.rpartition("/")[2] or path)}, {}, count, 50)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[Seen], None]:
    def be(what: Seen) -> None:
        monkeypatch.setattr(spawning, "_stirs", lambda _table: True)
        monkeypatch.setattr(spawning.Watch, "run", lambda _watch, _seconds: what)

    return be


def test_a_storm_is_a_limit_that_is_passed(host: t.Callable[[Seen], None]) -> None:
    host(seen("/system.slice/app.service", 256))
    (limit,) = spawning.limits(bare(), 10)
    assert (limit.scope, limit.limit_name, limit.used, limit.limit) == ("unit app.service", "crash loop", 1200, 60)
    assert limit.share is not None
    assert limit.share > 1
    assert limit.options == {"spawn_storm_units": ["app.service"]}
    assert [(holder.name, holder.pid, holder.used) for holder in limit.holders] == [("boss", 50, 20)]
    report = resources.report(10, 20.0, only=["spawning"])
    (entry,) = report["resources"]
    assert (entry["incident"], entry["binding"], entry["free"]) == ("spawn_storm", True, 0)
    assert "spawn_storm" in entry["remedy"]
    assert "app.service" in entry["remedy"]


@pytest.mark.parametrize(
    "starts, status, looks, storms", [(4, 256, 1, 1), (1, 256, 2, 1), (1, 0, 2, 0), (0, 256, 1, 0)]
)
def test_a_unit_that_was_started_anew_is_watched_for_longer(
    monkeypatch: pytest.MonkeyPatch, starts: int, status: int, looks: int, storms: int
) -> None:
    """So many starts a second, each of which ends so."""
    path, durations = "/system.slice/app.service", []

    def run(_watch: object, seconds: float) -> Seen:
        durations.append(seconds)
        count = round(starts * seconds)
        births = [Birth(100 + number, "app", 1, "systemd", path, 10.0, 10.01, status) for number in range(count)]
        return Seen(10.0, seconds, births, {path: Place(path, "app.service", starts=count)}, {}, count, 50)

    monkeypatch.setattr(spawning, "_stirs", lambda _table: True)
    monkeypatch.setattr(spawning.Watch, "run", run)
    assert len(spawning.limits(bare(), 10)) == storms
    assert len(durations) == looks
    assert durations == sorted(durations)


def test_what_has_no_cgroup_of_its_own_is_told_without_a_remedy(host: t.Callable[[Seen], None]) -> None:
    host(seen("/", 256))
    (entry,) = resources.report(10, 20.0, only=["spawning"])["resources"]
    assert (entry["incident"], entry["remedy"], entry["options"]) == ("", "", {})


def test_who_works_is_not_told(host: t.Callable[[Seen], None]) -> None:
    host(seen("/system.slice/app.service", 0))
    assert spawning.limits(bare(), 10) == []


def test_no_more_than_the_time_and_the_list_allow(host: t.Callable[[Seen], None]) -> None:
    host(seen("/system.slice/app.service", 256))
    assert spawning.limits(bare(), 0) == []
    assert spawning.limits(bare(-1.0), 10) == []


@pytest.mark.parametrize(
    "budget, looks, reason", [(0.5, [], "takes 2 s"), (3.0, [1.0], "for 3 s more"), (9.0, [1.0, 3.0], "")]
)
def test_what_there_is_no_time_for_is_said(
    monkeypatch: pytest.MonkeyPatch, budget: float, looks: list[float], reason: str
) -> None:
    durations: list[float] = []
    path = "/system.slice/app.service"

    def run(_watch: object, seconds: float) -> Seen:
        durations.append(seconds)
        return Seen(10.0, seconds, [], {path: Place(path, "app.service", starts=1)}, {}, 1, 50)

    monkeypatch.setattr(spawning, "_stirs", lambda _table: True)
    monkeypatch.setattr(spawning.Watch, "run", run)
    survey = bare(budget)
    assert spawning.limits(survey, 10) == []
    assert durations == looks
    assert reason in " ".join(survey.left_out.values())
    assert bool(survey.left_out) == bool(reason)


def test_a_host_with_very_many_processes_is_left_out(
    host: t.Callable[[Seen], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    host(seen("/system.slice/app.service", 256))
    monkeypatch.setattr(spawning.ProcessTable, "pids", lambda _table: ["1"] * 5001)
    survey = bare()
    assert spawning.limits(survey, 10) == []
    assert "too long to watch" in survey.left_out["births a minute"]


@pytest.mark.parametrize(
    "numbers, stirs", [((5,), False), ((5, 6), True), ((5, 5, 5, 5, 6), True), ((900, 900, 301), True)]
)
def test_what_is_worth_a_longer_look(monkeypatch: pytest.MonkeyPatch, numbers: t.Sequence[int], stirs: bool) -> None:
    given = itertools.chain(numbers, itertools.repeat(numbers[-1]))
    monkeypatch.setattr(spawning.ProcessTable, "load", lambda _table: (1, next(given)))
    monkeypatch.setattr(spawning, "_BETWEEN", 0.001)
    assert spawning._stirs(ProcessTable()) is stirs
