# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be stopped whole, and who else is in it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.cgroups import Hierarchies
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_KTHREAD, Process
from ansible_collections.hostcare.remediation.plugins.module_utils._process.plan import Scope
from ansible_collections.hostcare.remediation.plugins.module_utils._process.scopes import survey
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process, stat_line


class Host:
    """A /proc of files; a v2 tree of directories that can freeze."""

    def __init__(self, directory: Path) -> None:
        self.tree = ProcTree(directory / "proc")
        self.cgroups = directory / "cgroup"
        self.members: dict[str, list[int]] = {}
        self.tree.write("self/mountinfo", f"1 1 0:1 / {self.cgroups} rw - cgroup2 none rw\n")

    def add(self, pid: int, cgroup: str = "/", uid: int = 1000, saved: int | None = None, **changes: t.Any) -> Process:
        made = self.tree.add(process(pid, **changes), cgroup=f"0::{cgroup}\n", uid=uid, saved=saved)
        self.members.setdefault(cgroup, []).append(pid)
        return made

    def survey(
        self, victims: t.Sequence[Process], others: t.Sequence[Process] = (), kind: str = "cgroup"
    ) -> list[Scope]:
        for path, pids in self.members.items():
            directory = Path(f"{self.cgroups}{path}")
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        for directory in [self.cgroups, *(p for p in self.cgroups.rglob("*") if p.is_dir())]:
            (directory / "cgroup.procs").touch()
            (directory / "cgroup.freeze").touch()
        known = {victim.pid for victim in victims}
        table = self.tree.table
        return survey(
            [kind], table, Hierarchies(table.root), victims, others, lambda pid: pid in known or table.read(pid) is None
        )

    def at(self, path: str) -> str:
        return f"{self.cgroups}{path}"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_widest_cgroup_that_holds_nothing_else(host: Host) -> None:
    victims = [host.add(10, "/a/app/one"), host.add(11, "/a/app/two"), host.add(12, "/a/app")]
    host.add(20, "/a")
    assert host.survey(victims) == [Scope("cgroup", host.at("/a/app"), 3, 0)]


def test_two_cgroups(host: Host) -> None:
    victims = [host.add(10, "/a"), host.add(11, "/b")]
    host.add(20, "/c")
    found = host.survey(victims)
    assert found == [Scope("cgroup", host.at("/a"), 1, 0), Scope("cgroup", host.at("/b"), 1, 0)]


def test_a_stranger_in_the_cgroup_is_counted(host: Host) -> None:
    victims = [host.add(10, "/a"), host.add(11, "/a")]
    stranger = host.add(20, "/a")
    assert host.survey(victims, [stranger]) == [Scope("cgroup", host.at("/a"), 2, 1)]


def test_who_was_born_since_is_left_for_when_all_are_frozen(host: Host) -> None:
    victim = host.add(10, "/a")
    host.add(20, "/a")
    assert host.survey([victim]) == [Scope("cgroup", host.at("/a"), 2, 0)]


def test_the_top_is_never_taken(host: Host) -> None:
    assert host.survey([host.add(10, "/")]) == []


def test_a_process_of_another_namespace_is_a_stranger(host: Host) -> None:
    """cgroup.procs names it 0."""
    victim = host.add(10, "/a")
    host.members["/a"].append(0)
    host.tree.write("0/stat", stat_line(process(0)))  # so that it does not count as gone
    assert host.survey([victim]) == [Scope("cgroup", host.at("/a"), 1, 1)]


@pytest.mark.parametrize(
    "victims, others, expected",
    [
        ([(10, 1000)], [], [("1000", 1, 0)]),
        ([(10, 1000), (11, 1001)], [], [("1000", 1, 0), ("1001", 1, 0)]),
        ([(10, 1000)], [(20, 1000), (21, 1001)], [("1000", 1, 1)]),
        ([(10, 0)], [], []),  # root's are never taken whole
        ([(10, 1000), (11, 0)], [], []),
    ],
)
def test_users(
    host: Host,
    victims: list[tuple[int, int]],
    others: list[tuple[int, int]],
    expected: list[tuple[str, int, int]],
) -> None:
    """All files are root's, as those of what changed its user: the real user is asked."""
    meant = [host.add(pid, uid=uid, owner=0) for pid, uid in victims]
    rest = [host.add(pid, uid=uid, owner=0) for pid, uid in others]
    assert host.survey(meant, rest, "user") == [Scope("user", *scope) for scope in expected]


def test_who_has_it_as_saved_user_is_a_stranger_too(host: Host) -> None:
    victim = host.add(10, uid=1000, owner=0)
    other = host.add(20, uid=0, saved=1000, owner=0)
    assert host.survey([victim], [other], "user") == [Scope("user", "1000", 1, 1)]


def test_kernel_threads_are_no_strangers(host: Host) -> None:
    victim = host.add(10, uid=1000, owner=0)
    other = host.add(20, uid=1000, owner=0, flags=PF_KTHREAD)
    assert host.survey([victim], [other], "user") == [Scope("user", "1000", 1, 0)]


@pytest.mark.parametrize(
    "victims, others, expected",
    [
        ([(10, 10), (11, 10)], [], [("10", 2, 0)]),
        ([(11, 10)], [], [("10", 1, 0)]),  # the leader is dead
        ([(10, 10), (20, 20)], [(21, 20)], [("10", 1, 0), ("20", 1, 1)]),
        ([(10, 0)], [], []),  # of another namespace; kill(0) would be the own group
        ([(10, 1)], [], []),  # kill(-1) would be everybody
        ([(10, 10), (11, 1)], [], []),
    ],
)
def test_groups(
    host: Host,
    victims: list[tuple[int, int]],
    others: list[tuple[int, int]],
    expected: list[tuple[str, int, int]],
) -> None:
    meant = [host.add(pid, pgid=pgid) for pid, pgid in victims]
    rest = [host.add(pid, pgid=pgid) for pid, pgid in others]
    assert host.survey(meant, rest, "group") == [Scope("group", *scope) for scope in expected]


def test_no_victims_no_scopes(host: Host) -> None:
    table = host.tree.table
    everything = ["cgroup", "user", "group"]
    assert survey(everything, table, Hierarchies(table.root), [], [host.add(20)], lambda _pid: False) == []


def test_a_victim_that_went_meanwhile_spoils_nothing(host: Host) -> None:
    victims = [host.add(10, "/a"), process(99)]
    assert host.survey(victims) == [Scope("cgroup", host.at("/a"), 1, 0)]
    assert os.path.isdir(host.at("/a"))


def test_the_look_ends_with_the_first_kind_that_fits(host: Host) -> None:
    victim = host.add(10, "/a", uid=1000, owner=0, pgid=10)
    host.survey([victim])
    for strangers, kinds in (([], ["cgroup"]), ([20], ["cgroup", "user"])):
        others = [host.add(pid, "/a", uid=1001, owner=0) for pid in strangers]
        host.survey([victim])
        table, everything = host.tree.table, ["cgroup", "user", "group"]
        found = survey(everything, table, Hierarchies(table.root), [victim], others, lambda pid: pid == victim.pid)
        assert [scope.kind for scope in found] == kinds
