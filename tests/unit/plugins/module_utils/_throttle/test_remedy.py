# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs on a tree of files, v1 and v2: what is written, said, remembered and put back.

A file keeps what follows a shorter value, unlike a kernel: so all limits here have three characters, like "max".
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.report import Outcome
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import Delays, Request
from ansible_collections.hostcare.remediation.tests.unit.support.pids_tree import PidsTree

DELAYS = Delays(release_after=60, jitter=0)


class Host(PidsTree):
    def __init__(self, directory: Path, version: int) -> None:
        super().__init__(directory, version)
        self.state = directory / "run"
        self.app = Path(self.cgroup("s/web.service", members=[self.add(10, "s/web.service")]))
        self.twin = Path(self.cgroup("s/twin.service", members=[self.add(20, "s/twin.service")]))

    def run(self, state: str = "throttled", selector: dict[str, t.Any] | None = None, **options: t.Any) -> Outcome:
        if state == "throttled" and selector is None:
            selector = {"unit": ["web.service"]}
        options = {"limit": "100", "delays": DELAYS, **options}
        request = Request(state, parse(selector) if selector else None, **options)
        return remedy.run(request, str(self.tree.root), str(self.state))

    def limits(self) -> tuple[str, str]:
        return (self.app / "pids.max").read_text().strip(), (self.twin / "pids.max").read_text().strip()


@pytest.fixture(params=[1, 2, 3], ids=["v1", "v2", "hybrid"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def test_there_and_back(host: Host) -> None:
    foreseen = host.run(check_mode=True)
    assert (host.limits(), host.state.exists()) == (("max", "max"), False)
    done = host.run()
    assert host.limits() == ("100", "max")
    assert foreseen.diff == done.diff == {"before": f"{host.app}: unlimited\n", "after": f"{host.app}: 100\n"}
    assert foreseen.result.keys() == done.result.keys()
    assert (foreseen.result["converged"], done.result["converged"]) == (False, True)
    again = host.run()
    assert (again.result["changed"], again.result["in_force"], again.result["next_release_in"]) == (False, 1, 60)
    released = host.run("released")
    assert (released.result["released"], released.result["in_force"], host.limits()) == (1, 0, ("max", "max"))
    assert list(host.state.iterdir()) == []


@pytest.mark.parametrize(
    "selector, meant",
    [
        ({"unit": ["web.service"]}, True),
        ({"unit": ["twin.service"]}, False),
        ({"cgroup": ["/s"]}, True),
        ({"cgroup": ["/s/web"]}, False),
        ({"pid": [10]}, True),
        ({"pid": [20]}, False),
        ({"name": ["worker"]}, True),
        ({"name": ["other"]}, False),
    ],
)
def test_a_release_means_what_the_selector_says(host: Host, selector: dict[str, t.Any], meant: bool) -> None:
    host.run()
    assert host.run("released", selector).result["matched"] == int(meant)
    assert host.limits()[0] == ("max" if meant else "100")


def test_two_at_once(host: Host) -> None:
    done = host.run(selector={"name": ["worker"]})
    assert (done.result["throttled"], host.limits()) == (2, ("100", "100"))
    assert len(done.result["release_commands"]) == 2


def test_fewer_than_min_count(host: Host) -> None:
    done = host.run(selector={"name": ["worker"], "min_count": 3})
    assert (done.result["method"], host.limits()) == ("none", ("max", "max"))
    assert done.result["method_reason"] == "2 match, fewer than min_count 3"


def test_the_brake(host: Host) -> None:
    with pytest.raises(Refused, match="2 processes match, more than max_processes 1 allows: nothing was touched"):
        host.run(selector={"name": ["worker"]}, max_processes=1)
    assert host.limits() == ("max", "max")


def test_a_damaged_memory_stops_both(host: Host) -> None:
    host.run()
    (memory,) = host.state.iterdir()
    memory.write_text("garbage")
    for state in ("throttled", "released"):
        for check_mode in (True, False):
            with pytest.raises(Refused, match="is damaged"):
                host.run(state, check_mode=check_mode)
    assert (host.limits(), memory.read_text()) == (("100", "max"), "garbage")


def test_a_cgroup_that_goes_between_look_and_write(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    real = remedy.Memory.save

    def gone(self: remedy.Memory, records: t.Any, uptime: float) -> None:
        real(self, records, uptime)
        if host.app.exists():
            host.app.rename(host.app.with_name("gone"))

    monkeypatch.setattr(remedy.Memory, "save", gone)
    done = host.run()
    assert (done.problem, done.result["targets"][0]["outcome"]) == ("", "gone")
    assert done.result["in_force"] == 0
    assert list(host.state.iterdir()) == [], "nothing is remembered of it"


def test_of_a_limit_that_does_not_become_what_it_should_no_record_stays(host: Host) -> None:
    (host.app / "pids.max").write_text("77777\n")  # a file keeps the rest, so it reads back as another
    done = host.run()
    assert "pids.max did not become 100" in done.problem
    assert (done.result["converged"], done.result["in_force"]) == (False, 0)


def test_a_name_that_is_no_text_is_told_as_text(host: Host) -> None:
    path = "s/\udcff.service"
    host.cgroup(path, members=[])
    host.cgroup(path, members=[host.add(30, path)])
    done = host.run(selector={"pid": [30]})
    assert done.result["targets"][0]["target"].endswith("s/\\xff.service")
    assert done.result["release_commands"] == [], "a command with another name would do nothing"
    assert host.run("released").result["released"] == 1
