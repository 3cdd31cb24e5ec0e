# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole survey, of real children of this test."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import time
import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import survey
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.proc_source import ProcSource
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.request import Request
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse as parse_selector
from ansible_collections.hostcare.remediation.tests.unit.support.children import (
    NOBODY,
    in_child,
    sleeping,
    state_of,
    wait_for,
)

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def look(*pids: int, **options: t.Any) -> dict[str, t.Any]:
    if pids:
        options["selector"] = parse_selector({"pid": list(pids)})
    found = survey.run(Request(**options))
    json.dumps(found)
    return found


def kinds(entry: dict[str, t.Any]) -> dict[str, int]:
    return {one["kind"]: one["count"] for one in entry["kinds"]}


def settled(pid: int) -> None:
    wait_for(lambda: state_of(pid) == "S", "it sleeps")


def test_a_child_and_what_it_holds(tmp_path: Path) -> None:
    with open(tmp_path / "a.log", "wb") as log, sleeping() as child:
        log.write(b"x" * 4096)
        log.flush()
        os.unlink(log.name)
        settled(child.pid)
        found = look(child.pid)
        (process,) = found["processes"]
        assert process["descriptors"] == len(os.listdir(f"/proc/{child.pid}/fd")) == sum(kinds(process).values())
        assert (process["pid"], process["started"]) == (child.pid, child.start)
        assert process["share"] == round(process["descriptors"] / process["soft_limit"], 4)
        assert {"path": log.name, "bytes": 4096} in process["deleted"]["largest"]
        assert found["groups"][0]["members"] == [child.pid]
        assert found["groups"][0]["worst"]["pid"] == child.pid
        assert found["host"]["unattributed"] is None, "only one process was asked for"


@pytest.mark.parametrize("group_by", ["unit", "exe", "user"])
def test_processes_are_grouped(group_by: str) -> None:
    with sleeping() as one, sleeping() as other:
        settled(other.pid)
        (group,) = look(one.pid, other.pid, group_by=group_by)["groups"]
        assert group["processes"] == 2
        assert sorted(group["members"]) == sorted([one.pid, other.pid])
        if group_by != "unit":
            assert group["key"] == {"exe": os.path.realpath("/proc/self/exe"), "user": "root"}.get(group_by, "root")


def test_a_limit_that_is_near_is_named() -> None:
    held = [os.open("/dev/null", os.O_RDONLY) for _one in range(60)]
    with sleeping() as child:
        settled(child.pid)
        count = len(os.listdir(f"/proc/{child.pid}/fd"))
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (count + 5, count + 5))
        found = look(child.pid)
        assert found["verdict"] == "near_limit"
        assert f"{count / (count + 5):.0%} of RLIMIT_NOFILE are used" in found["groups"][0]["reasons"]
        assert look(child.pid, near_limit=0.999)["verdict"] == "fine"
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (1, 1))
        assert look(child.pid)["verdict"] == "fine", "so small a limit is a cage of its own making"
    for fd in held:
        os.close(fd)


def test_growth_time_left_and_the_leak() -> None:
    def life() -> None:
        kept: list[t.Any] = []
        signal.signal(signal.SIGALRM, lambda *_: kept.append(os.pipe()))
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        while True:
            signal.pause()

    with sleeping(life=life) as child, sleeping() as innocent:
        settled(innocent.pid)
        found = look(child.pid, innocent.pid, samples=2, interval=1.5)
        one, other = (next(p for p in found["processes"] if p["pid"] == pid) for pid in (child.pid, innocent.pid))
        assert (one["verdict"], one["leaking"]) == ("leak", "pipe"), one["reasons"]
        assert 40 <= one["growth"] <= 160
        assert one["growth_per_minute"] == pytest.approx(one["growth"] / found["seconds"] * 60, rel=0.05)
        left = one["soft_limit"] - one["descriptors"]
        assert left / 200 < one["seconds_left"] < left / 10
        assert next(kind for kind in one["kinds"] if kind["kind"] == "pipe")["growth"] >= 40
        assert (other["verdict"], other["growth"]) == ("fine", 0)
        assert found["verdict"] == "leak"
        assert found["groups"][0]["worst"]["pid"] == child.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="inotify of a user of its own")
def test_inotify_is_counted_for_its_user_once() -> None:
    libc = ctypes.CDLL(None)

    def life() -> None:
        for _instance in range(3):
            fd = libc.inotify_init1(0)
            for path in (b"/", b"/etc", b"/tmp"):
                libc.inotify_add_watch(fd, path, 0x100)
        if os.fork() == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # whatever becomes of the test
            os.setsid()
        signal.pause()

    with sleeping(uid=NOBODY, life=life) as child:
        wait_for(lambda: len(family(child.pid)) == 2, "it has a child")
        pids = family(child.pid)
        for pid in pids:
            settled(pid)
        (user,) = look(*pids)["users"]
        assert (user["inotify_instances"], user["inotify_watches"]) == (3, 9)
        limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
        assert user["inotify_instances_limit"] == limit
        assert look(*pids, near_limit=3 / limit)["users"][0]["verdict"] == "near_limit"


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())]


def test_more_links_than_may_be_read_are_said() -> None:
    held = [os.open("/dev/null", os.O_RDONLY) for _one in range(100)]
    with sleeping() as one, sleeping() as other:
        settled(other.pid)
        found = look(one.pid, other.pid, max_links=120)
        assert found["partial"]
        assert any("every n-th descriptor" in reason for reason in found["partial_reasons"])
        for process in found["processes"]:
            assert process["descriptors"] > 100
            if process["kinds"]:  # estimated from a part
                assert sum(kinds(process).values()) == pytest.approx(process["descriptors"], rel=0.2)
        none = look(one.pid, max_links=0)
        assert none["processes"][0]["kinds"] == []
        assert not none["partial"]
    for fd in held:
        os.close(fd)


def test_past_its_time_it_says_so() -> None:
    found = look(time_budget=0.000001)
    assert found["partial"]
    assert "time budget ended after 0 of" in found["partial_reasons"][0]
    assert found["groups"] == []


def test_one_that_goes_between_two_looks() -> None:
    with sleeping() as staying, sleeping() as child:
        settled(child.pid)

        class Killing(ProcSource):
            def recount(self, members: t.Any) -> t.Any:
                if state_of(child.pid) not in "gone Z":
                    os.kill(child.pid, 9)
                return super().recount(members)

        wanted = Request(selector=parse_selector({"pid": [staying.pid, child.pid]}), samples=2, interval=0.3)
        found = survey.run(wanted, Killing(wanted))
        assert [process["pid"] for process in found["processes"]] == [staying.pid]
        assert found["processes"][0]["growth"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_without_rights_the_view_is_partial() -> None:
    def try_it() -> dict[str, t.Any]:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return look(top=5)

    found = in_child(try_it)
    assert found["partial"]
    assert any("may not be seen: run as root" in reason for reason in found["partial_reasons"])


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a cgroup or names a file as it likes")
def test_hostile_names(tmp_path: Path) -> None:
    names = ["a -> b", "new\nline", "x (deleted)", "socket:[1]", "tab\tESC\x1b[2J", b"\xff\xfe"]
    for name in names:
        path = os.path.join(os.fsencode(tmp_path), name if isinstance(name, bytes) else name.encode())
        os.mkdir(path)
        descriptor = os.open(os.path.join(path, b"file"), os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"x" * 4096)
        if name == "a -> b":
            os.unlink(os.path.join(path, b"file"))
    comm = b"x) R\n\xff"
    with sleeping(comm) as child:
        settled(child.pid)
        (process,) = look(child.pid)["processes"]
        assert process["name"] == "x) R\n\\xff"
        assert [one for one in process["deleted"]["largest"] if one["path"].endswith("/a -> b/file")]
        assert "x (deleted)" not in str(process["deleted"])
        assert sum(kinds(process).values()) == process["descriptors"]


def test_a_host_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="mount -t proc"):
        ProcSource(Request(), str(tmp_path))


def test_without_descriptors_it_is_refused() -> None:
    def try_it() -> str:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        kept = [os.open("/dev/null", os.O_RDONLY)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (kept[0] + 1, hard))
        try:
            survey.run(Request())
        except Refused as refusal:
            return str(refusal)
        return ""

    said = in_child(try_it)
    assert "descriptor" in said


def test_a_busy_child_is_load_and_no_leak() -> None:
    """Connections that come and go, each with a pipe."""

    def life() -> None:
        while True:
            pairs = [(socket.socketpair(), os.pipe()) for _one in range(1 + int(time.monotonic() * 50) % 40)]
            time.sleep(0.01)
            for sockets, ends in pairs:
                for one in sockets:
                    one.close()
                for end in ends:
                    os.close(end)

    with sleeping(f"b{uuid.uuid4().hex[:8]}".encode(), life=life) as child:
        (process,) = look(child.pid, samples=2, interval=1.0)["processes"]
        assert process["verdict"] == "load", process["reasons"]
