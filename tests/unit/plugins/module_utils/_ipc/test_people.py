# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``/proc`` and systemd tell of those who could hold an object."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.clock import Clock
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.people import People, Wanted
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Matcher, parse
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

APP = 54321
SERVICE = "0::/system.slice/web.service\n"


class Host:
    """Plain files: a process table, and the links that systemd makes when it starts a unit."""

    def __init__(self, root: Path) -> None:
        self.tree = ProcTree(root / "proc")
        self.units = root / "units"
        self.units.mkdir()

    def start(self, unit: str, at: float) -> None:
        link = self.units / f"invocation:{unit}"
        link.symlink_to("0123456789abcdef")
        os.utime(link, (at, at), follow_symlinks=False)

    @property
    def people(self) -> People:
        return People(self.tree.table, str(self.units))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(
    "cgroup,unit",
    [
        (SERVICE, "web.service"),
        ("0::/system.slice/web.service/worker\n", "web.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n", "user@1000.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
        ("0::/system.slice\n", None),
        ("0::/\n", None),
        ("1:name=systemd:/system.slice/web.service\n0::/\n", "web.service"),
    ],
)
def test_the_unit_of_the_host_that_a_process_is_in(host: Host, cgroup: str, unit: str | None) -> None:
    for number, name in enumerate(["web.service", "user@1000.service", "session-3.scope"]):
        host.start(name, 1000.0 + number)
    host.tree.add(process(200), cgroup=cgroup)
    began = host.people._unit_began(200)
    assert began == (None if unit is None else os.lstat(host.units / f"invocation:{unit}").st_mtime)


def test_a_container_with_the_cgroups_of_its_host(tmp_path: Path) -> None:
    """PID 1 tells what is above the container's own."""
    tree = ProcTree(tmp_path / "proc", init=False)
    tree.add(process(1, b"systemd", ppid=0, sid=1), cgroup="0::/machine.slice/pod.scope/init.scope\n")
    tree.add(process(200), cgroup="0::/machine.slice/pod.scope/system.slice/web.service\n")
    tree.add(process(201), cgroup="0::/system.slice/web.service\n")
    (tmp_path / "invocation:web.service").symlink_to("x")
    people = People(tree.table, str(tmp_path))
    assert people._unit_began(200) is not None
    assert people._unit_began(201) is None


def test_without_systemd_no_unit_tells_anything(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc", init=False)
    tree.add(process(1, b"init", ppid=0, sid=1), cgroup="0::/\n")
    tree.add(process(200), cgroup=SERVICE)
    (tmp_path / "invocation:web.service").symlink_to("x")
    assert People(tree.table, str(tmp_path))._unit_began(200) is None


def test_who_matters(host: Host) -> None:
    """Of the service, of the object's user, named by an object; of root only where it is asked for."""
    for pid, comm, uid in ((200, b"web", 0), (201, b"x", APP), (202, b"y", 700), (203, b"cron", 0), (204, b"z", 701)):
        host.tree.add(process(pid, comm, sid=pid), uid=uid, saved=uid)
    people = host.people
    service = [Matcher(parse({"name": ["web"]}), people.table)]
    clock = Clock(0.0, 0.0)
    found = people.matter(Wanted(frozenset([APP]), {202: {5}}), clock, service, service)
    assert set(found) == {200, 201, 202}
    assert found[200].in_service
    assert not found[200].is_bystander, "who could hold it could, whatever else is said of it"
    assert (found[202].uses, found[201].uses) == (frozenset([5]), frozenset())
    everybody = people.matter(Wanted(frozenset(), {}, root=True), clock, [], service)
    assert {200, 203} <= set(everybody)
    assert everybody[200].is_bystander
    assert 204 not in everybody


def test_a_process_that_has_just_gone_is_followed_to_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone when it is read may have left a child, which only another listing shows."""
    with sleeping() as child:
        table = ProcessTable()
        listings = iter([["1", "999999999"], ["1", "999999999", str(child.pid)], ["1", str(child.pid)]])
        monkeypatch.setattr(table, "pids", lambda: next(listings))
        people = People(table)
        assert child.pid in people.processes
        assert people.gap == ""


def test_a_table_that_never_holds_still_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(900000000, 990000000))
    table = ProcessTable()
    monkeypatch.setattr(table, "pids", lambda: [str(next(numbers))])
    assert "faster than they can be seen" in People(table).gap


def test_memory_from_the_parent_and_memory_of_its_own() -> None:
    people = People(ProcessTable())
    with sleeping(uid=APP) as child:
        people = People(ProcessTable())
        assert people._shares_image(child.pid, os.getpid())
        assert not people._shares_image(child.pid, 1)
        clock = people.clock([int(time.time())])
        found = people.matter(Wanted(frozenset([APP]), {}), clock, [], [])
        assert os.getpid() not in found, "this process itself holds nothing"
        assert found[child.pid].line.since == pytest.approx(time.time(), abs=60)
