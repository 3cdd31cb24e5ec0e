# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every limit on process slots, which one is hit first, who holds it and who is suspect."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import typing as t
from pathlib import Path

import psutil
import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import cgroups
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_KTHREAD, ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Matcher, parse
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.own_cgroup import move, own_cgroup
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import HOSTILE_COMMS, ProcTree, process

USER = 54321  # nobody's name
YOUNG = 2**45  # a start that is never long ago


class Host:
    """A /proc of files, and a v2 tree of directories."""

    def __init__(self, directory: Path) -> None:
        self.tree = ProcTree(directory / "proc")
        self.cgroups = directory / "cgroup"
        self.cgroups.mkdir()
        self.tree.write("self/mountinfo", f"1 1 0:1 / {self.cgroups} rw - cgroup2 none rw\n")
        self.pids = (number for number in itertools.count(100) if number != os.getpid())

    def cgroup(self, path: str, used: int, limit: str) -> None:
        directory = self.cgroups / path
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "pids.current").write_text(f"{used}\n")
        (directory / "pids.max").write_text(f"{limit}\n")

    def add(self, count: int = 1, comm: bytes = b"worker", uid: int = USER, **details: t.Any) -> None:
        changes = {
            name: details.pop(name) for name in ("threads", "state", "ppid", "start", "flags") if name in details
        }
        sid = next(self.pids)
        for _number in range(count):
            pid = next(self.pids)
            self.tree.add(process(pid, comm, pgid=sid, sid=sid, **changes), uid=uid, **details)

    def report(self, top: int = 10, budget: float = 20.0) -> dict[str, t.Any]:
        return resources.report(top, budget, str(self.tree.root), only=["process_slots"])

    def limit(self, scope: str, name: str) -> dict[str, t.Any]:
        return next(one for one in self.report()["resources"] if (one["scope"], one["limit_name"]) == (scope, name))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def numbers(limit: dict[str, t.Any]) -> tuple[t.Any, ...]:
    return tuple(limit[key] for key in ("used", "limit", "free", "share", "stops_root"))


def test_the_limits_of_the_host(host: Host) -> None:
    host.add(3, threads=10)
    host.add(2, comm=b"kworker/0:1", flags=PF_KTHREAD)
    assert numbers(host.limit("host", "kernel.pid_max")) == (34, 32768, 32734, 0.001, True)
    assert numbers(host.limit("host", "kernel.threads-max")) == (100, 60000, 59900, 0.0017, True)


@pytest.mark.parametrize(
    "limit, expected", [("40", (30, 40, 10, 0.75, False)), ("unlimited", (30, None, None, None, False))]
)
def test_the_limit_of_a_user_counts_threads(host: Host, limit: str, expected: tuple[t.Any, ...]) -> None:
    host.add(3, threads=10, limit=limit)
    assert numbers(host.limit(f"user {USER}", "RLIMIT_NPROC")) == expected


@pytest.mark.parametrize(
    "used, limit, expected",
    [
        (7, "10", (7, 10, 3, 0.7, True)),
        (12, "10", (12, 10, 0, 1.2, True)),  # moving a process in is never refused
    ],
)
def test_the_limit_of_a_cgroup(host: Host, used: int, limit: str, expected: tuple[t.Any, ...]) -> None:
    host.cgroup("app.service", used, limit)
    host.add(3, cgroup="0::/app.service\n")
    assert numbers(host.limit("cgroup /app.service", "pids.max")) == expected


def test_every_cgroup_on_the_way_up_counts(host: Host) -> None:
    host.cgroup("a", 7, "1000")
    host.cgroup("a/b", 7, "max")
    host.cgroup("a/b/c", 7, "10")
    host.add(3, cgroup="0::/a/b/c\n")
    scopes = [one["scope"] for one in host.report()["resources"] if one["limit_name"] == "pids.max"]
    assert scopes == ["cgroup /a/b/c", "cgroup /a"]


def test_no_controller_no_limit(host: Host) -> None:
    host.add(3, cgroup="0::/a\n")
    assert all(one["limit_name"] != "pids.max" for one in host.report()["resources"])


@pytest.mark.parametrize(
    "used, limit, user_limit, binding",
    [
        (7, "10", "unlimited", "cgroup /a"),
        (7, "max", "4", f"user {USER}"),
        (7, "max", "unlimited", "host"),
        (3, "0", "unlimited", "cgroup /a"),  # throttled: nothing can be started in it
        (12, "10", "3", "cgroup /a"),
    ],
)
def test_the_scarcest_is_binding(host: Host, used: int, limit: str, user_limit: str, binding: str) -> None:
    host.cgroup("a", used, limit)
    host.add(3, cgroup="0::/a\n", limit=user_limit)
    found = host.report()["resources"]
    assert [one["scope"] for one in found if one["binding"]] == [binding]
    assert found[0]["binding"]


def test_holders(host: Host) -> None:
    host.add(2, b"big", threads=50)
    host.add(60, b"many")
    host.add(1, b"small")
    holders = host.limit("host", "kernel.pid_max")["holders"]
    assert [(one["name"], one["user"], one["unit"], one["used"]) for one in holders[:2]] == [
        ("big", str(USER), "app.service", 100),
        ("many", str(USER), "app.service", 60),
    ]
    assert len(holders) == 3


def test_the_process_table(host: Host) -> None:
    host.add(2, b"undead", state="Z", ppid=os.getpid())
    host.add(1, b"paused", state="T")
    host.add(1, b"stuck", state="D")
    host.add(1, b"headless", state="Z", threads=4)
    host.add(3, b"kworker/0:1", flags=PF_KTHREAD)
    table = host.report()["process_table"]
    counts = {name: value for name, value in table.items() if isinstance(value, int)}
    assert counts == {
        "processes": 7, "threads": 10, "kernel_threads": 3, "zombies": 2, "stopped": 1, "uninterruptible": 1,
    }  # fmt: skip
    (parent,) = table["zombie_parents"]
    assert (parent["pid"], parent["name"], parent["zombies"]) == (os.getpid(), "python3", 2)


def test_groups_are_the_largest_first_and_no_more_than_asked_for(host: Host) -> None:
    for index, count in enumerate((3, 1, 5, 2)):
        host.add(count, f"group-{index}".encode(), ppid=os.getpid(), start=YOUNG)
    table = host.report(top=2)["process_table"]
    assert [(one["key"], one["processes"], one["young"]) for one in table["by_name"]] == [
        ("group-2", 5, 5),
        ("group-0", 3, 3),
    ]
    assert (table["by_parent"][0]["pid"], table["by_parent"][0]["key"]) == (os.getpid(), "python3")
    assert all(len(table[name]) <= 2 for name in ("by_user", "by_unit", "by_parent", "zombie_parents"))


@pytest.mark.parametrize("top", [0, -1, -5])
def test_none_asked_for_none_given(host: Host, top: int) -> None:
    host.add(60)
    report = host.report(top=top)
    assert report["suspects"] == report["process_table"]["by_name"] == []
    assert all(one["scope"] == "host" for one in report["resources"])


@pytest.mark.parametrize(
    "count, others, young, suspected",
    [(60, 10, False, True), (49, 0, True, False), (60, 400, False, False), (150, 400, True, True)],
)
def test_who_is_suspect(host: Host, count: int, others: int, young: bool, suspected: bool) -> None:
    host.add(count, b"bomb", start=YOUNG if young else 1000)
    for number in range(others):
        host.add(1, f"other-{number}".encode())
    suspects = host.report()["suspects"]
    assert bool(suspects) is suspected
    if suspected:
        assert suspects[0]["selector"] == {"name": ["bomb"], "user": [str(USER)], "unit": ["app.service"]}
        assert suspects[0]["processes"] == count


@pytest.mark.parametrize("comm", HOSTILE_COMMS)
def test_the_selector_of_a_suspect_selects_it_whatever_it_calls_itself(host: Host, comm: bytes) -> None:
    """Else a bomb escapes the proposal by its name."""
    host.add(60, comm, uid=os.geteuid())
    (suspect,) = host.report()["suspects"]
    table = host.tree.table
    matcher = Matcher(parse(suspect["selector"]), table)
    meant = [found for found in table.scan() if matcher.matches(found)]
    assert len(meant) == 60
    assert {found.comm for found in meant} == {comm}


@pytest.mark.parametrize(
    "cgroup", [b"0::/user.slice/d\xff\xfe.service\n", b"0::/plain\xff\n", b"0::/a b\x1b[2J.scope\n"]
)
def test_the_result_is_valid_text(host: Host, cgroup: bytes) -> None:
    host.add(60, b"\xff\x1b[2J", cgroup=cgroup, uid=0)
    json.dumps(host.report(), ensure_ascii=False).encode("utf-8")


def test_the_order_of_proc_decides_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(12):
        host.add(
            8, f"name-{index % 5}".encode(), uid=USER + index % 3, threads=1 + index % 2, cgroup=f"0::/c{index % 4}\n"
        )
    reports = []
    for seed in range(5):
        pids = ProcessTable.pids(host.tree.table)
        random.Random(seed).shuffle(pids)
        monkeypatch.setattr(ProcessTable, "pids", lambda _self, pids=pids: pids)
        report = host.report()
        reports.append({**report, "elapsed_ms": 0, "coverage": []})
    assert reports[1:] == reports[:-1]


def test_past_its_time_it_says_what_is_missing(host: Host) -> None:
    host.add(20)
    report = host.report(budget=0.0)
    assert report["partial"]
    assert "time budget ended after 1 processes: raise time_budget" in report["partial_reasons"][0]


def test_a_proc_that_hides_others_is_a_partial_view(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc", init=False)
    report = resources.report(10, 20.0, str(tree.root), only=["process_slots"])
    assert report["partial"]
    assert "hidepid" in report["partial_reasons"][0]


@pytest.mark.parametrize("missing", ["loadavg", "sys/kernel/pid_max", "sys/kernel/threads-max", "stat"])
def test_a_proc_that_lacks_a_file_is_a_partial_view_or_refused(host: Host, missing: str) -> None:
    """mount -o subset=pid, sandboxes: no other exception than a refusal may leave here."""
    (host.tree.root / missing).unlink()
    with contextlib.suppress(Refused):
        assert host.report()["process_table"]["processes"] == 2


def test_no_proc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="mount -t proc"):
        resources.report(10, 20.0, str(tmp_path))


def test_a_number_that_is_gone_is_not_counted(host: Host) -> None:
    (host.tree.root / "77").mkdir()
    assert host.report()["process_table"]["processes"] == 2


class TestThisMachine:
    def test_as_psutil_counts(self) -> None:
        table = resources.report(10, 20.0)["process_table"]
        total = table["processes"] + table["kernel_threads"]
        assert abs(total - len(psutil.pids())) <= max(20, total // 5)

    def test_of_ten_thousand_it_takes_seconds(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.add(2000)
        assert host.report()["elapsed_ms"] < 5000

    def test_a_real_limit_of_a_cgroup(self) -> None:
        with sleeping() as child, own_cgroup("pids") as directory:
            assert cgroups.write(directory, "pids.max", "1")
            move(child.pid, directory)
            report = resources.report(100, 20.0, only=["process_slots"])
            mine = [one for one in report["resources"] if one["scope"].endswith(os.path.basename(directory))]
            (limit,) = mine
            assert numbers(limit) == (1, 1, 0, 1.0, True)
            assert report["resources"][0]["share"] >= 1


def test_the_remedy_is_a_command_line() -> None:
    limit = resources.report(1, 20.0, only=["process_slots"])["resources"][0]
    assert limit["incident"] == "process_storm"
    assert limit["remedy"].startswith("ansible-playbook hostcare.remediation.process_storm")
