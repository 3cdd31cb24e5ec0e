# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of method restart on a tree of files in the place of systemd's."""

from __future__ import annotations

import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import CRITERIA, parse
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import remedy, restarts
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.report import Outcome
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import (
    Delays,
    Request,
    parse_request,
)
from ansible_collections.hostcare.remediation.tests.unit.support.pids_tree import PidsTree

DELAYS = Delays(release_after=60, jitter=0, max_repeats=1)


class Host(PidsTree):
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(directory, 2)
        self.state = directory / "state"
        self.root = directory / "root"
        self.booted = self.root / "run/systemd/system"
        self.booted.mkdir(parents=True)
        self.units = self.root / "etc/systemd/system"
        self.units.mkdir(parents=True)
        for name in ("app.service", "worker@.service", "twin.service"):
            (self.units / name).write_text("")
        self.told: list[tuple[int, int]] = []
        monkeypatch.setattr(restarts.os, "kill", lambda pid, number: self.told.append((pid, number)))
        monkeypatch.setattr(restarts.ProcessTable, "exe", lambda _table, _pid: "/usr/lib/systemd/systemd")

    def run(self, state: str = "throttled", *units: str, **options: t.Any) -> Outcome:
        selector = parse({"unit": list(units)}) if units else None
        given = {"delays": DELAYS, "method": "restart", **options}
        return remedy.run(Request(state, selector, **given), str(self.tree.root), str(self.state), str(self.root))

    def drop_in(self, unit: str = "app.service") -> str | None:
        path = self.booted / f"{unit}.d" / restarts.DROP_IN
        return path.read_text() if path.exists() else None


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def only(outcome: Outcome) -> dict[str, t.Any]:
    (target,) = outcome.result["targets"]
    return dict(target)


def test_there_and_back(host: Host) -> None:
    foreseen = host.run("throttled", "app.service", check_mode=True)
    assert (host.drop_in(), host.told, host.state.exists()) == (None, [], False)
    done = host.run("throttled", "app.service")
    assert host.drop_in() == "[Service]\nRestartSec=60.000\n"
    assert host.told == [(1, signal.SIGHUP)]
    assert foreseen.diff == done.diff == {"before": "app.service: unlimited\n", "after": "app.service: 0\n"}
    assert (only(done)["kind"], only(done)["unit"], only(done)["release_in"]) == ("unit", "app.service", 60)
    assert (done.result["method"], done.result["converged"], done.result["release_commands"]) == ("restart", True, [])
    again = host.run("throttled", "app.service")
    assert (again.result["changed"], again.result["in_force"], len(host.told)) == (False, 1, 1)
    released = host.run("released", "app.service")
    assert (released.result["released"], released.result["in_force"], host.drop_in()) == (1, 0, None)
    assert len(host.told) == 2
    assert list(host.booted.iterdir()) == list(host.state.iterdir()) == []


def test_several_units_are_told_of_once_and_others_stay(host: Host) -> None:
    (host.booted / "twin.service.d").mkdir()
    (host.booted / "twin.service.d" / "own.conf").write_text("[Service]\n")
    host.run("throttled", "app.service", "worker@3.service")
    assert (host.drop_in("worker@3.service"), host.drop_in("worker@4.service")) == (host.drop_in(), None)
    assert len(host.told) == 1
    host.run("throttled", "twin.service")
    host.run("released")
    assert len(host.told) == 3
    assert [path.name for path in host.booted.iterdir()] == ["twin.service.d"]
    assert (host.booted / "twin.service.d" / "own.conf").exists()


def test_the_time_grows_and_has_an_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    start = remedy.clock.now()
    later = 0.0
    monkeypatch.setattr(remedy.clock, "now", lambda _file: start._replace(uptime=start.uptime + later))
    host.run("throttled", "app.service")
    later = 61
    released = host.run("released", only_due=True)
    assert (released.result["released"], host.drop_in()) == (1, None)
    again = host.run("throttled", "app.service")
    assert (only(again)["repeats"], only(again)["release_in"]) == (1, 120)
    assert host.drop_in() == "[Service]\nRestartSec=120.000\n"
    later = 200
    due = host.run("throttled", "app.service")
    assert (only(due)["exhausted"], only(due)["release_in"]) == (True, None)
    assert host.drop_in() == "[Service]\nRestartSec=infinity\n"
    assert host.run("released", only_due=True).result["released"] == 0
    assert host.run("released").result["released"] == 1


def test_what_others_did_meanwhile(host: Host) -> None:
    host.run("throttled", "app.service")
    (host.booted / "app.service.d" / restarts.DROP_IN).unlink()
    mended = host.run("throttled", "app.service")
    assert (only(mended)["outcome"], host.drop_in()) == ("throttled", "[Service]\nRestartSec=60.000\n")
    (host.booted / "app.service.d" / restarts.DROP_IN).unlink()
    assert only(host.run("released"))["reason"] == "its old limit had been put back already"


def test_a_drop_in_that_nobody_remembers_is_written_anew(host: Host) -> None:
    host.run("throttled", "app.service")
    next(host.state.glob("throttled-*")).unlink()
    assert host.run("throttled", "app.service").result["changed"]
    assert host.run("released").result["released"] == 1
    assert host.drop_in() is None


def test_a_unit_that_systemd_does_not_know(host: Host) -> None:
    found = host.run("throttled", "nowhere.service").result
    assert (found["changed"], found["method"], found["matched"]) == (False, "none", 0)


@pytest.mark.parametrize(
    "unit", ["app.timer", "../x.service", "a/b.service", "app.service\n", ".service", "a b.service"]
)
def test_what_is_no_service(host: Host, unit: str) -> None:
    with pytest.raises(Refused, match="is no service of systemd"):
        host.run("throttled", unit)
    assert list(host.booted.iterdir()) == []


def test_another_criterion_and_another_init(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = Request("throttled", parse({"unit": ["app.service"], "name": ["x"]}), method="restart")
    with pytest.raises(Refused, match="takes unit and no other criterion"):
        remedy.run(wish, str(host.tree.root), str(host.state), str(host.root))
    monkeypatch.setattr(restarts.ProcessTable, "exe", lambda _table, _pid: "/usr/bin/bash")
    with pytest.raises(Refused, match="takes systemd as PID 1"):
        host.run("throttled", "app.service")
    host.booted.rmdir()
    with pytest.raises(Refused, match="takes systemd as PID 1"):
        host.run("throttled", "app.service")
    assert host.told == []


@pytest.mark.parametrize("more", [{"limit": "current"}, {"limit": "5"}, {"protect": [{"name": ["x"]}]}])
def test_options_that_do_not_go_with_it(more: dict[str, t.Any]) -> None:
    given: dict[str, t.Any] = {
        **dict.fromkeys(CRITERIA), "min_age": None, "min_count": 0, "unit": ["app.service"], "state": "throttled",
        "method": "restart", "limit": "none_new", "protect": [], "release_after": "60s", "backoff": 2.0, "jitter": 0.1,
        "max_release_after": "1h", "max_repeats": 5, "forget_after": "1h", "only_due": False, "max_processes": 500,
        "include_containers": False,
    }  # fmt: skip
    assert parse_request(given, False).method == "restart"
    with pytest.raises(Refused, match="goes with neither limit nor protect"):
        parse_request({**given, **more}, False)


def test_what_cannot_be_written_is_said_and_not_remembered(host: Host) -> None:
    (host.booted / "app.service.d").write_text("a file in the place of the directory")
    failed = host.run("throttled", "app.service", "twin.service")
    assert "app.service: " in failed.problem
    assert "cannot be written" in failed.problem
    assert (failed.result["throttled"], failed.result["in_force"]) == (1, 1)
    assert host.drop_in("twin.service") is not None


def test_what_cannot_be_removed_is_still_remembered(host: Host) -> None:
    host.run("throttled", "app.service")
    path = host.booted / "app.service.d" / restarts.DROP_IN
    path.unlink()
    path.mkdir()
    failed = host.run("released")
    assert "still remembered" in failed.problem
    path.rmdir()
    assert host.run("released").result["in_force"] == 0


class Killed(BaseException):
    """As kill -9: nothing handles it."""


def dies(_pid: int, _number: int) -> None:
    raise Killed


@pytest.mark.parametrize("is_read", [True, False])
def test_who_died_before_systemd_was_told(host: Host, monkeypatch: pytest.MonkeyPatch, is_read: bool) -> None:
    read = host.root / restarts.READ.lstrip("/")
    read.touch()
    alive = restarts.os.kill
    for state in ("throttled", "released"):
        monkeypatch.setattr(restarts.os, "kill", dies)
        with pytest.raises(Killed):
            host.run(state, "app.service")
        if is_read:  # somebody else has had systemd read it since
            read.unlink()
            read.touch()
        monkeypatch.setattr(restarts.os, "kill", lambda *given: (alive(*given), read.unlink(), read.touch()))
        del host.told[:]
        next_run = host.run(state, "app.service").result
        assert next_run["in_force"] == (state == "throttled")
        assert len(host.told) == (not is_read or state == "released")
        assert (host.drop_in() is None) == (state == "released")
        assert host.run(state, "app.service").result["changed"] is False


@pytest.mark.parametrize("tells", [True, False], ids=["systemd tells when it has read", "an old one"])
def test_what_systemd_sets_anew_while_it_reads_is_capped_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    web, twin = (
        Path(host.cgroup(f"s/{unit}.service", limit, [host.add(pid, f"s/{unit}.service")]))
        for unit, limit, pid in (("web", "777", 10), ("twin", "100", 20))
    )
    host.run("throttled", "web.service", method="cgroup", limit="200")
    assert (web / "pids.max").read_text().strip() == "200"
    if tells:
        (host.root / restarts.READ.lstrip("/")).touch()

    def read(_pid: int, _number: int) -> None:
        (host.root / restarts.READ.lstrip("/")).unlink(missing_ok=True)
        (host.root / restarts.READ.lstrip("/")).write_text("") if tells else None
        (web / "pids.max").write_text("777\n")

    monkeypatch.setattr(restarts.os, "kill", read)
    for state in ("throttled", "released"):
        host.run(state, "app.service")
        assert ((web / "pids.max").read_text().strip(), (twin / "pids.max").read_text().strip()) == ("200", "100")
    host.run("released")
    assert (web / "pids.max").read_text().strip() == "777"
