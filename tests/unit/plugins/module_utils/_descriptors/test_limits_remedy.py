# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of real children: set, read back, undone; what is refused is refused before anything is touched."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import typing as t
import uuid

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import limits_remedy, limits_request
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_remedy import Outcome
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_use import Use, descriptors_of
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.psutil_table import PsutilTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Limits, Rlimits
from ansible_collections.hostcare.remediation.tests.unit.support.children import NOBODY, in_child, sleeping, wait_for

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
GIVEN: dict[str, t.Any] = {
    "resource": "nofile", "soft": None, "hard": None, "change": "raise", "allow_below_use": False,
    "max_processes": 100, "include_containers": False, "restore": None, "protect": [],
}  # fmt: skip
root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")


def run(check: bool = False, rlimits: Rlimits | None = None, **given: t.Any) -> Outcome:
    return limits_remedy.run(limits_request.parse({**GIVEN, **given}, check), rlimits=rlimits)


def soft_of(process: Process) -> int:
    return resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]


@contextlib.contextmanager
def children(count: int, soft: int = 200) -> t.Iterator[tuple[bytes, list[Process]]]:
    """Of one name of their own, each with this soft limit."""
    name = f"hc{uuid.uuid4().hex[:8]}".encode()
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(sleeping(name)) for _child in range(count)]
        for child in found:
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (soft, HARD))
        yield name, found


def outcome_of(outcome: Outcome) -> tuple[int, ...]:
    keys = ("matched", "changed_processes", "unchanged", "refused", "protected", "gone")
    return tuple(outcome.result[key] for key in keys)


@pytest.mark.parametrize("way", ["prlimit", "libc", "psutil"])
def test_raised_read_back_and_undone(way: str) -> None:
    with children(3) as (name, found), sleeping() as innocent:
        before = soft_of(innocent)
        raised = run(name=[name.decode()], soft="300", rlimits=Rlimits(ways=(way,)))
        assert outcome_of(raised) == (3, 3, 0, 0, 0, 0)
        assert raised.result["converged"]
        assert [soft_of(child) for child in found] == [300, 300, 300]
        assert soft_of(innocent) == before
        assert raised.result["actions"] == [f"set nofile of 3 processes to soft 300, hard {HARD}"]
        again = run(name=[name.decode()], soft="300")
        assert (again.result["changed"], outcome_of(again)) == (False, (3, 0, 3, 0, 0, 0))
        undone = run(restore=json.loads(json.dumps(raised.result["undo"])))
        assert outcome_of(undone) == (3, 3, 0, 0, 0, 0)
        assert [soft_of(child) for child in found] == [200, 200, 200]
        twice = run(restore=raised.result["undo"])
        assert outcome_of(twice) == (3, 0, 3, 0, 0, 0)


def test_check_mode_says_the_same_and_does_nothing() -> None:
    with children(2) as (name, found):
        foreseen = run(check=True, name=[name.decode()], soft="hard")
        assert [soft_of(child) for child in found] == [200, 200]
        assert not foreseen.result["converged"]
        done = run(name=[name.decode()], soft="hard")
        assert [soft_of(child) for child in found] == [HARD, HARD]
        for key in done.result.keys() - {"converged", "actions", "elapsed_ms"}:
            assert foreseen.result[key] == done.result[key], key
        assert foreseen.diff == done.diff
        assert f"{found[0].pid} {name.decode()}: soft 200, hard {HARD}\n" in done.diff["before"]
        assert foreseen.result["actions"][0].startswith("would set nofile of 2 processes")


def test_raise_leaves_those_that_have_more() -> None:
    with children(1, soft=500) as (name, found):
        assert outcome_of(run(name=[name.decode()], soft="300")) == (1, 0, 1, 0, 0, 0)
        assert soft_of(found[0]) == 500
        assert outcome_of(run(name=[name.decode()], soft="300", change="set")) == (1, 1, 0, 0, 0, 0)
        assert soft_of(found[0]) == 300


def test_not_below_what_is_used_unless_told() -> None:
    with children(1) as (name, found):
        refused = run(name=[name.decode()], soft="1", change="set")
        assert outcome_of(refused) == (1, 0, 0, 1, 0, 0)
        assert "1 of 1 processes keep their limits" in refused.problem
        assert "set allow_below_use" in refused.problem
        assert soft_of(found[0]) == 200
        assert not refused.result["converged"]
        run(name=[name.decode()], soft="1", change="set", allow_below_use=True)
        assert soft_of(found[0]) == 1


def test_the_brake() -> None:
    with children(3) as (name, found):
        with pytest.raises(Refused, match="3 processes match, more than max_processes 2 allows"):
            run(name=[name.decode()], soft="300", max_processes=2)
        assert [soft_of(child) for child in found] == [200] * 3


def test_fewer_than_min_count_are_left_alone() -> None:
    with children(2) as (name, found):
        assert outcome_of(run(name=[name.decode()], soft="300", min_count=3)) == (0, 0, 0, 0, 0, 0)
        assert soft_of(found[0]) == 200


def test_nobody_matches() -> None:
    found = run(name=["hc-nobody"], soft="300")
    assert (found.problem, found.result["converged"], found.result["changed"]) == ("", True, False)


def test_more_than_the_kernel_allows_is_refused_with_the_sysctl() -> None:
    with children(1) as (name, found):
        refused = run(name=[name.decode()], soft=str(1 << 40))
        assert "over fs.nr_open" in refused.problem
        assert soft_of(found[0]) == 200


@root
def test_without_the_capability_a_hard_limit_is_not_raised() -> None:
    with children(1) as (name, found):
        resource.prlimit(found[0].pid, resource.RLIMIT_NOFILE, (200, 1000))

        def as_its_own_user() -> tuple[str, bool]:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            outcome = run(name=[name.decode()], soft="2000")
            return outcome.problem, outcome.result["changed"]

        problem, changed = in_child(as_its_own_user)
        assert "belongs to root" in problem
        assert not changed
    with sleeping(name, uid=NOBODY) as child:
        resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE)

        def as_the_same_user() -> tuple[str, bool]:
            os.setresgid(0, 0, 0)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)[1]
            refused = run(name=[name.decode()], soft=str(hard + 1), resource="nofile")
            allowed = run(name=[name.decode()], soft="hard", hard=None)
            return refused.problem, allowed.problem == ""

        problem, allowed = in_child(as_the_same_user)
        assert "takes CAP_SYS_RESOURCE" in problem
        assert allowed


def test_the_protected_are_not_lowered_but_raised() -> None:
    with children(2) as (name, found):
        spared = [{"pid": [found[0].pid]}]
        lowered = run(name=[name.decode()], soft="100", change="set", protect=spared)
        assert outcome_of(lowered) == (2, 1, 0, 0, 1, 0)
        assert [soft_of(child) for child in found] == [200, 100]
        assert lowered.problem == ""
        assert outcome_of(run(name=[name.decode()], soft="300", change="set", protect=spared)) == (2, 2, 0, 0, 0, 0)


def test_what_has_ended_or_was_changed_by_another_is_not_given_back() -> None:
    with children(3) as (name, found):
        undo = run(name=[name.decode()], soft="300").result["undo"]
        resource.prlimit(found[0].pid, resource.RLIMIT_NOFILE, (250, HARD))
        undo[1]["started"] += 1  # the number was given again
        restored = run(restore=undo)
        assert outcome_of(restored) == (3, 1, 0, 0, 1, 1)
        assert [soft_of(child) for child in found] == [250, 300, 200]
        (kept,) = [one for one in restored.result["processes"] if one["outcome"] == "protected"]
        assert "somebody else has changed its limits meanwhile, to soft 250" in kept["reason"]


def test_one_that_ends_while_it_is_being_changed() -> None:
    class Late(Rlimits):
        def set(self, pid: int, name: str, limits: Limits) -> None:
            os.kill(pid, 9)
            wait_for(lambda: ProcessTable().read(pid) is None or ProcessTable().read(pid).state == "Z", "its end")  # type: ignore[union-attr]
            os.waitpid(pid, 0)
            super().set(pid, name, limits)

    with children(1) as (name, _found):
        outcome = run(name=[name.decode()], soft="300", rlimits=Late())
        assert outcome_of(outcome) == (1, 0, 0, 0, 0, 1)
        assert not outcome.result["changed"]


def test_a_kernel_that_takes_less_is_found_out() -> None:
    class Clamping(Rlimits):
        def set(self, pid: int, name: str, limits: Limits) -> None:
            super().set(pid, name, Limits(250, limits.hard))

    with children(1) as (name, _found):
        outcome = run(name=[name.decode()], soft="300", rlimits=Clamping())
        assert outcome_of(outcome) == (1, 0, 0, 1, 0, 0)
        assert "read back as soft 250" in outcome.problem


def test_those_born_meanwhile_are_reached_too() -> None:
    """As if a worker was forked between the look and the change, with the limits its parent had then."""
    with contextlib.ExitStack() as stack:
        comm, born = stack.enter_context(children(1))

        class Breeding(Rlimits):
            def set(self, pid: int, name: str, limits: Limits) -> None:
                if len(born) < 3:
                    born.append(stack.enter_context(sleeping(comm)))
                    resource.prlimit(born[-1].pid, resource.RLIMIT_NOFILE, (200, HARD))
                super().set(pid, name, limits)

        outcome = run(name=[comm.decode()], soft="300", rlimits=Breeding())
        assert outcome_of(outcome) == (3, 3, 0, 0, 0, 0)
        assert outcome.result["converged"]
        assert [soft_of(child) for child in born] == [300] * 3


def test_those_born_for_ever_are_no_success() -> None:
    with contextlib.ExitStack() as stack:
        comm, _first = stack.enter_context(children(1))

        class Breeding(Rlimits):
            def set(self, pid: int, name: str, limits: Limits) -> None:
                one = stack.enter_context(sleeping(comm))
                resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (200, HARD))
                super().set(pid, name, limits)

        outcome = run(name=[comm.decode()], soft="300", rlimits=Breeding())
        assert not outcome.result["converged"]
        assert "born faster" in outcome.problem


def test_a_resource_that_this_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(resource, "RLIMIT_RTTIME")
    with pytest.raises(Refused, match="this system has no limit rttime"):
        run(name=["x"], soft="1", resource="rttime")


def test_a_python_that_can_set_none() -> None:
    with pytest.raises(Refused, match="install psutil"):
        run(name=["x"], soft="1", rlimits=Rlimits(ways=()))


def test_the_module_itself_is_never_meant() -> None:
    own = ProcessTable().read(os.getpid())
    assert own is not None
    assert outcome_of(run(pid=[own.pid], soft="hard")) == (0, 0, 0, 0, 0, 0)


# --- what is used ---


@pytest.mark.parametrize("name", ["as", "data", "stack", "memlock", "sigpending", "cpu", "nproc", "nofile"])
def test_what_a_process_uses_is_known(name: str) -> None:
    with sleeping() as child:
        table = ProcessTable()
        used = Use(name, table, descriptors_of(table)).of(child)
        assert used is not None
        assert used >= {"as": 1 << 20, "data": 1 << 10, "stack": 1 << 10, "nproc": 1, "nofile": 3}.get(name, 0)


@pytest.mark.parametrize("name", ["core", "fsize", "msgqueue", "nice", "rss", "rtprio", "rttime"])
def test_of_others_it_is_not_known(name: str) -> None:
    with sleeping() as child:
        table = ProcessTable()
        assert Use(name, table, descriptors_of(table)).of(child) is None


def test_of_one_that_has_gone_nothing_is_known() -> None:
    with sleeping() as child:
        pass
    table = ProcessTable()
    for name in ("as", "cpu", "sigpending", "nofile"):
        assert Use(name, table, descriptors_of(table)).of(child) is None


def test_without_proc_psutil_serves() -> None:
    """As on FreeBSD: table, count and limits by psutil alone."""
    with children(2) as (name, found):
        request = limits_request.parse({**GIVEN, "name": [name.decode()], "soft": "300"}, False)
        outcome = limits_remedy.run(request, PsutilTable(), Rlimits(ways=("psutil",)))
        assert outcome_of(outcome) == (2, 2, 0, 0, 0, 0)
        assert [soft_of(child) for child in found] == [300, 300]
        assert all(one["used"] > 0 for one in outcome.result["processes"])
        undone = limits_remedy.run(
            limits_request.parse({**GIVEN, "restore": outcome.result["undo"]}, False), PsutilTable()
        )
        assert outcome_of(undone) == (2, 2, 0, 0, 0, 0)
