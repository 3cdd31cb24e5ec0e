# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cgroups are capped, and why none is: v1, v2, both, none, threaded, read-only, nested."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_EXITING, Process
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Selector
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.scopes import Found, Pids, look, survey
from ansible_collections.hostcare.remediation.tests.unit.support.pids_tree import PidsTree
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import process


class Host(PidsTree):
    def survey(self, victims: t.Sequence[Process], harmless: t.Sequence[int] = (), **selector: t.Any) -> Found:
        wanted = Selector(**selector) if selector else Selector(names=frozenset([b"worker"]))
        return survey(Pids(self.tree.table), wanted, victims, lambda pid: pid in harmless)


@pytest.fixture(params=[1, 2, 3], ids=["v1", "v2", "hybrid"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def test_the_own_cgroup_of_the_processes(host: Host) -> None:
    one, two = host.add(10, "a/app"), host.add(11, "b")
    directories = [host.cgroup("a/app", members=[one]), host.cgroup("b", members=[two])]
    assert host.survey([one, two]) == Found(directories, "")


def test_one_below_another_is_capped_with_it(host: Host) -> None:
    one, two = host.add(10, "a"), host.add(11, "a/below")
    host.cgroup("a/below", members=[two])
    assert host.survey([one, two]).directories == [host.cgroup("a", members=[one])]


def test_a_cgroup_without_a_limit_of_its_own_has_that_of_the_one_above(host: Host) -> None:
    one = host.add(10, "a/leaf")
    above = host.cgroup("a")
    (host.top / "a" / "leaf").mkdir()
    (host.top / "a" / "leaf" / "cgroup.procs").write_text("10\n")
    assert host.survey([one]) == Found([above], "")


@pytest.mark.parametrize("selector", [{"units": frozenset(["app.service"])}, {"cgroups": ("/s/app.service",)}])
def test_a_name_means_the_whole_cgroup_even_when_it_is_empty(host: Host, selector: dict[str, t.Any]) -> None:
    directory = host.cgroup("s/app.service")
    host.cgroup("s/app.service/worker")
    assert host.survey([], **selector) == Found([directory], "")
    one = host.add(10, "s/app.service/worker")
    host.cgroup("s/app.service/worker", members=[one])
    assert host.survey([one], **selector) == Found([directory], "")
    narrower = {**selector, "names": frozenset([b"worker"])}
    assert host.survey([one], **narrower) == Found([directory + "/worker"], "")


@pytest.mark.parametrize("where", ["a", "a/below"])
def test_a_stranger(host: Host, where: str) -> None:
    one = host.add(10, "a")
    host.cgroup("a", members=[one])
    host.cgroup(where, members=[one, process(66)])
    found = host.survey([one])
    assert found.directories == []
    assert "also holds 1 others" in found.obstacle
    assert host.survey([one], harmless=[66]).directories == [str(host.top / "a")]


def test_a_process_of_another_namespace_is_a_stranger(host: Host) -> None:
    one = host.add(10, "a")
    host.cgroup("a", members=[one, process(0)])
    assert "also holds 1 others" in host.survey([one]).obstacle


def test_who_is_counted_and_not_listed_is_a_stranger(host: Host) -> None:
    """As cgroup v1 has it with who is in another PID namespace."""
    directory = host.cgroup("s/app.service")
    with open(directory + "/pids.current", "w", encoding="ascii") as file:
        file.write("1\n")
    assert "holds 1 that are not seen" in host.survey([], units=frozenset(["app.service"])).obstacle


def test_a_threaded_cgroup_lists_no_processes(host: Host) -> None:
    one = host.add(10, "a")
    directory = Path(host.cgroup("a", members=[one]))
    (directory / "cgroup.procs").unlink()
    os.symlink("cgroup.procs", directory / "cgroup.procs")  # it fails with another error than "gone", like EOPNOTSUPP
    assert "threaded cgroup" in host.survey([one]).obstacle


def test_no_cgroup_of_its_own(host: Host) -> None:
    assert "in no cgroup of its own that the pids controller limits" in host.survey([host.add(10, "")]).obstacle


def test_who_has_ended_is_in_the_root_cgroup_and_no_obstacle(host: Host) -> None:
    one, ended = host.add(10, "a"), host.add(11, "", flags=PF_EXITING)
    directory = host.cgroup("a", members=[one])
    assert host.survey([one, ended]) == Found([directory], "")


def test_a_cgroup_that_the_mount_does_not_show(host: Host) -> None:
    assert "in no cgroup of its own" in host.survey([host.add(10, "../other")]).obstacle


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    host = Host(tmp_path, 0)
    assert host.survey([host.add(10, "a")]).obstacle == "no cgroups are mounted here"


def test_all_have_ended_meanwhile(host: Host) -> None:
    assert host.survey([process(4000000)]) == Found([], "")


def test_too_many_cgroups(host: Host) -> None:
    victims = [host.add(1000 + n, f"c{n}") for n in range(65)]
    for victim in victims:
        host.cgroup(f"c{victim.pid - 1000}", members=[victim])
    assert host.survey(victims).obstacle == "the processes are in 65 cgroups"


@pytest.mark.parametrize(
    "own, above, top, ceiling, where",
    [("max", "max", "max", None, ""), ("5", "9", "3", 3, "t"), ("5", "3", "9", 3, "t/m"), ("1", "3", "3", 3, "t/m")],
)
def test_the_ceiling_is_the_least_above(
    host: Host, own: str, above: str, top: str, ceiling: int | None, where: str
) -> None:
    host.cgroup("t", top)
    host.cgroup("t/m", above)
    directory = host.cgroup("t/m/app", own)
    found = look(Pids(host.tree.table), directory)
    assert found is not None
    assert (found.value, found.ceiling) == (None if own == "max" else int(own), ceiling)
    assert found.ceiling_at == (str(host.top / where) if where else "")


@pytest.mark.parametrize("events, refused", [("max 17\n", 17), ("", None), ("max x\n", None), ("other 1\nmax 2\n", 2)])
def test_refused_forks(host: Host, events: str, refused: int | None) -> None:
    directory = host.cgroup("a")
    Path(directory, "pids.events").write_text(events)
    found = look(Pids(host.tree.table), directory)
    assert found is not None
    assert found.refused_forks == refused


def test_a_cgroup_that_has_gone(host: Host) -> None:
    assert look(Pids(host.tree.table), str(host.top / "gone")) is None
