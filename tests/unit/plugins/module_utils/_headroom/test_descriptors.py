# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files and inotify against their limits: of real children, and of a /proc made of files."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import descriptors, resources
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.survey import Limit, Survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.children import (
    NOBODY,
    in_child,
    sleeping,
    state_of,
    wait_for,
)
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

UNUSED = 700_000 + os.getpid() % 100_000  # a user whom nobody else is at the same time
root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")


def surveyed(proc_root: str = "/proc", budget: float = 20.0) -> Survey:
    table = ProcessTable(proc_root)
    return Survey.take(table, time.monotonic() + budget)


def limit_of(limits: t.Iterable[Limit], scope: str) -> Limit:
    (found,) = [one for one in limits if one.scope == scope]
    return found


def test_a_process_near_its_limit_is_the_scarcest() -> None:
    name = f"h{uuid.uuid4().hex[:8]}"
    held = [os.open("/dev/null", os.O_RDONLY) for _one in range(60)]
    with sleeping(name.encode()) as child:
        wait_for(lambda: state_of(child.pid) == "S", "it sleeps")
        count = len(os.listdir(f"/proc/{child.pid}/fd"))
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (count, count))
        limits = descriptors.limits(surveyed(), 5)
        own = limit_of(limits, f"process {child.pid} {name}")
        assert (own.used, own.limit, own.left, own.share) == (count, count, 0, 1.0)
        assert own.stops_root
        assert (own.holders[0].name, own.holders[0].pid, own.holders[0].used) == (name, child.pid, count)
        assert len([one for one in limits if one.limit_name == "RLIMIT_NOFILE"]) == 5
    for fd in held:
        os.close(fd)


def test_a_process_that_caged_itself_is_no_scarcity() -> None:
    """As sshd's does before a login: one descriptor is all it may have, and it never opens any more."""
    with sleeping() as child:
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (1, 1))
        scopes = {one.scope.split()[1] for one in descriptors.limits(surveyed(), 100000) if one.scope != "host"}
        assert str(child.pid) not in scopes
        assert str(os.getpid()) in scopes


def test_the_host_is_what_file_nr_says() -> None:
    host = limit_of(descriptors.limits(surveyed(), 0), "host")
    used, _free, most = map(int, Path("/proc/sys/fs/file-nr").read_text().split())
    assert abs(host.used - used) < max(500, used // 2)
    assert host.limit == (most if most < 1 << 53 else None)
    assert not host.stops_root
    assert host.holders[0].used >= host.holders[-1].used


@pytest.mark.parametrize(
    "numbers, expected", [("100\t0\t1000\n", (100, 1000, 0.1)), (f"7\t0\t{2**63 - 1}\n", (7, None, None))]
)
def test_the_limit_of_the_host_may_be_off(tmp_path: Path, numbers: str, expected: tuple[t.Any, ...]) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.write("sys/fs/file-nr", numbers)
    host = limit_of(descriptors.limits(surveyed(str(tree.root)), 5), "host")
    assert (host.used, host.limit, host.share) == expected


def test_the_unit_of_the_holder_is_what_the_remedy_takes(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.add(process(70), cgroup="0::/system.slice/app.service\n")
    tree.write("70/limits", "Max open files            100                  100                  files\n")
    for number in range(90):
        tree.write(f"70/fd/{number}", b"")
    (own,) = [one for one in descriptors.limits(surveyed(str(tree.root)), 5) if one.used == 90]
    assert (own.share, own.options) == (0.9, {"fd_leak_units": ["app.service"]})
    report = resources.report(5, 20.0, str(tree.root), only=["descriptors"])
    (entry,) = [one for one in report["resources"] if one["used"] == 90]
    assert entry["incident"] == "fd_leak"
    assert "fd_leak_units" in entry["remedy"]


@root
def test_inotify_of_a_user_is_counted_once_and_told_by_holder() -> None:
    libc = ctypes.CDLL(None)
    ready, tell = os.pipe()

    def life() -> None:
        for _instance in range(4):
            fd = libc.inotify_init1(0)
            for path in (b"/", b"/etc"):
                libc.inotify_add_watch(fd, path, 0x100)
        if os.fork() == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # whatever becomes of the test
            os.setsid()
        os.write(tell, b"x")
        signal.pause()

    with sleeping(uid=UNUSED, life=life):
        for _process in range(2):
            os.read(ready, 1)
        limits = descriptors.inotify_limits(surveyed(), 100)
        user = f"user {UNUSED}"
        by_name = {one.limit_name: one for one in limits if one.scope == user}
        instances, watches = by_name["fs.inotify.max_user_instances"], by_name["fs.inotify.max_user_watches"]
        assert (instances.used, watches.used) == (4, 8)
        most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
        assert instances.limit == most
        assert instances.options == {"fd_leak_sysctl": {"fs.inotify.max_user_instances": 2 * most}}
    os.close(ready)
    os.close(tell)


@root
def test_what_may_not_be_looked_at_is_said() -> None:
    def try_it() -> list[str]:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        survey = surveyed()
        descriptors.inotify_limits(survey, 5)
        return survey.gaps

    assert any("may not be looked at: run as root" in gap for gap in in_child(try_it))


def test_past_its_time_it_says_what_is_missing() -> None:
    survey = surveyed()._replace(deadline=0.0)
    limits = descriptors.limits(survey, 5)
    assert {one.scope for one in limits} == {"host"}
    assert any("time budget" in gap for gap in survey.gaps)


def test_very_many_links_are_not_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_MOST_LINKS", 1)
    survey = surveyed()
    descriptors.inotify_limits(survey, 5)
    assert any("not all descriptors were looked at" in gap for gap in survey.gaps)
