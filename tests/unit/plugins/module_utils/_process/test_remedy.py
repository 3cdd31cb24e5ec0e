# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs against sleeping children, each in a session of its own; the kernel is the real one."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import cgroups
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process, ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._process import evidence, remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._process.journal import Journal, Memory
from ansible_collections.hostcare.remediation.plugins.module_utils._process.remedy import Options, Outcome
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Selector, parse
from ansible_collections.hostcare.remediation.tests.unit.support.children import (
    NOBODY,
    in_child,
    sleeping,
    state_of,
    wait_for,
)
from ansible_collections.hostcare.remediation.tests.unit.support.own_cgroup import move, own_cgroup
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import HOSTILE_COMMS, ProcTree, process

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


class Host:
    """This machine, with a memory and a lock of its own: neither what others froze on it nor their runs are met."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory / "hostcare")
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.boot = file.read().strip()

    @property
    def journal(self) -> Journal:
        return Journal(self.directory, 1, self.boot)

    def remember(self, memory: Memory) -> None:
        journal = self.journal
        journal.open()
        journal.replace(memory)
        assert not journal.problem

    def inhabit(self) -> None:
        """To be called in a child."""
        Journal.of_host = lambda _proc_root="/proc": self.journal  # type: ignore[method-assign, assignment]
        Journal.lock = lambda _self, _proc_root="/proc": os.open("/", os.O_RDONLY)  # type: ignore[method-assign, assignment]

    def run(
        self,
        state: str,
        selector: Selector | None,
        before: t.Callable[[], object] = lambda: None,
        **options: t.Any,
    ) -> Outcome:
        """In a child, as a module is. ``before`` is called there first. A refusal is an outcome with its message."""

        def work() -> Outcome:
            self.inhabit()
            before()
            try:
                return remedy.run(Options(state, selector, evidence=options.pop("evidence", 1), **options))
            except Refused as refusal:
                return Outcome({}, f"refused: {refusal}", [])

        return in_child(work)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def these(*processes: Process) -> Selector:
    return parse({"pid": [process.pid for process in processes]})


def states(*processes: Process) -> str:
    return "".join(state_of(process.pid)[0] for process in processes)


PRECIOUS = functools.partial(os.execv, "/bin/sleep", ["precious", "1000"])
COUNTS = ("matched", "frozen", "thawed", "terminated", "killed", "already_stopped")


def counts(outcome: Outcome) -> dict[str, int]:
    assert not outcome.problem
    return {name: outcome.result[name] for name in COUNTS if outcome.result[name]}


@pytest.mark.parametrize("method", ["auto", "group", "scan"])
def test_freeze_again_and_thaw_again(host: Host, method: str) -> None:
    with sleeping() as one, sleeping() as two, sleeping() as innocent:
        first = host.run("frozen", these(one, two), method=method)
        assert counts(first) == {"matched": 2, "frozen": 2}
        assert first.result["changed"]
        assert first.result["converged"]
        assert states(one, two) == "TT"
        assert states(innocent) in "RS"
        again = host.run("frozen", these(one, two), method=method)
        assert counts(again) == {"matched": 2, "frozen": 2}
        assert not again.result["changed"]
        assert states(one, two) == "TT"
        thawed = host.run("thawed", None)
        assert counts(thawed) == {"matched": 2, "thawed": 2}
        assert thawed.result["changed"]
        wait_for(lambda: states(one, two) == "SS", "both run")
        assert not os.path.exists(host.journal.path)
        assert not host.run("thawed", None).result["changed"]


def test_what_somebody_else_had_stopped_stays_stopped(host: Host) -> None:
    with sleeping() as ours, sleeping() as theirs:
        os.kill(theirs.pid, signal.SIGSTOP)
        wait_for(lambda: states(theirs) == "T", "it stops")
        frozen = host.run("frozen", these(ours, theirs))
        assert counts(frozen) == {"matched": 2, "frozen": 1, "already_stopped": 1}
        assert counts(host.run("thawed", None)) == {"matched": 1, "thawed": 1}
        wait_for(lambda: states(ours) == "S", "ours runs")
        assert states(theirs) == "T"


def test_thaw_a_part_and_then_the_rest(host: Host) -> None:
    with sleeping() as one, sleeping() as two:
        host.run("frozen", these(one, two))
        assert counts(host.run("thawed", these(one))) == {"matched": 1, "thawed": 1}
        wait_for(lambda: states(one) == "S", "the first runs")
        assert states(two) == "T"
        assert counts(host.run("thawed", None)) == {"matched": 1, "thawed": 1}
        wait_for(lambda: states(two) == "S", "the second runs")


def test_killed(host: Host) -> None:
    with sleeping() as one, sleeping() as two, sleeping() as innocent:
        outcome = host.run("killed", these(one, two))
        assert counts(outcome) == {"matched": 2, "killed": 2}
        assert states(one, two) == "ZZ"
        assert states(innocent) in "RS"
        assert outcome.result["zombies"]["total"] == 2, "this test does not reap them"
        again = host.run("killed", these(one, two))
        assert (counts(again), again.result["changed"]) == ({}, False)


def _ignore_term() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()


def _leave_no_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.pause()


@pytest.mark.parametrize(
    "life, ended", [(signal.pause, "terminated"), (_ignore_term, "killed"), (_leave_no_sigterm, "killed")]
)
def test_terminated(host: Host, life: t.Callable[[], None], ended: str) -> None:
    with sleeping(life=life) as child:
        wait_for(lambda: states(child) == "S", "it sleeps")
        outcome = host.run("terminated", these(child), grace_period=0.2)
        assert counts(outcome) == {"matched": 1, ended: 1}
        assert states(child) == "Z"


def test_what_ends_on_sigterm_had_its_time(host: Host, tmp_path: Path) -> None:
    def say_goodbye() -> None:
        def leave(*_arguments: object) -> None:
            (tmp_path / "goodbye").touch()
            os.kill(os.getpid(), signal.SIGKILL)

        signal.signal(signal.SIGTERM, leave)
        (tmp_path / "ready").touch()
        signal.pause()

    with sleeping(life=say_goodbye) as child:
        wait_for((tmp_path / "ready").exists, "it can take SIGTERM")
        assert counts(host.run("terminated", these(child))) == {"matched": 1, "terminated": 1}
        assert (tmp_path / "goodbye").exists()


def test_who_is_deaf_to_one_signal_may_clean_up_on_the_next(host: Host, tmp_path: Path) -> None:
    """As Postfix's postdrop does with SIGTERM and SIGINT where its caller ignored SIGTERM."""
    unfinished = tmp_path / "unfinished"

    def deaf() -> None:
        def leave(*_arguments: object) -> None:
            unfinished.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, leave)
        unfinished.touch()
        signal.pause()

    ladder = (signal.SIGTERM, signal.SIGINT)
    with sleeping(life=deaf) as child, sleeping() as other, sleeping(life=_ignore_term) as innocent:
        wait_for(unfinished.exists, "it can take SIGINT")
        outcome = host.run("terminated", these(child, other), grace_period=0.2, signals=ladder)
        assert counts(outcome) == {"matched": 2, "terminated": 2}
        assert outcome.result["actions"][1:] == ["1 ended on SIGTERM", "1 ended on SIGINT"]
        assert not unfinished.exists()
        assert states(innocent) in "RS"


@pytest.mark.parametrize("state", ["frozen", "terminated", "killed"])
def test_check_mode_says_the_same_and_does_nothing(host: Host, state: str) -> None:
    with sleeping() as one, sleeping() as two:
        foreseen = host.run(state, these(one, two), check_mode=True)
        assert states(one, two) in ("SS", "RS", "SR", "RR")
        assert not os.path.exists(host.directory)
        done = host.run(state, these(one, two))
        assert counts(foreseen) == counts(done)
        assert foreseen.result.keys() == done.result.keys()
        for key in ("changed", "method", "method_reason", "groups", "matched"):
            assert foreseen.result[key] == done.result[key], key


def test_check_mode_of_thawed(host: Host) -> None:
    with sleeping() as child:
        host.run("frozen", these(child))
        foreseen = host.run("thawed", None, check_mode=True)
        assert foreseen.result["changed"]
        assert states(child) == "T"
        done = host.run("thawed", None)
        assert counts(foreseen) == counts(done)
        assert foreseen.result.keys() == done.result.keys()


def test_every_state_returns_the_same_keys(host: Host) -> None:
    with sleeping() as child:
        keys = [set(host.run(state, these(child)).result) for state in ("frozen", "thawed", "terminated", "killed")]
    assert keys[1:] == keys[:-1]


@pytest.mark.parametrize(
    "options, fragment",
    [
        ({"pid": [1]}, "PID 1"),
        ({"name_regex": ".*"}, "PID 1"),
        ({"user": ["0"], "name_regex": "."}, "PID 1"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_selector_of_everything_is_refused(
    host: Host, options: dict[str, t.Any], fragment: str, check_mode: bool
) -> None:
    with sleeping() as child:
        outcome = host.run("killed", parse(options), check_mode=check_mode)
        assert outcome.problem.startswith("refused: ")
        assert fragment in outcome.problem
        assert states(child) in "RS"


def test_the_module_itself_is_refused(host: Host) -> None:
    def run() -> str:
        host.inhabit()
        with pytest.raises(Refused) as refusal:
            remedy.run(Options("killed", parse({"pid": [os.getpid()]})))
        return str(refusal.value)

    assert "this module itself" in in_child(run)


def test_a_kernel_thread_a_thread_and_a_number_of_nobody_match_nothing(host: Host) -> None:
    with sleeping(life=lambda: (threading.Thread(target=signal.pause).start(), signal.pause())) as child:
        task = f"/proc/{child.pid}/task"
        wait_for(lambda: len(os.listdir(task)) == 2, "the thread starts")
        thread = max(map(int, os.listdir(task)))
        for pid in (2, thread, 4194304):
            outcome = host.run("killed", parse({"pid": [pid]}))
            assert (counts(outcome), outcome.result["changed"]) == ({}, False)
        assert states(child) in "RS"


def test_the_brake_touches_nothing(host: Host) -> None:
    with sleeping() as one, sleeping() as two:
        outcome = host.run("killed", these(one, two), max_victims=1)
        assert "refused: 2 processes match, more than max_victims 1" in outcome.problem
        assert "T" not in states(one, two)
        assert not os.path.exists(host.directory)


def test_protected_ones_are_spared_and_named(host: Host) -> None:
    with sleeping(b"bomb") as victim, sleeping(b"letter") as spared:
        outcome = host.run("killed", these(victim, spared), protect=(parse({"name": ["letter"]}),))
        assert counts(outcome) == {"matched": 1, "killed": 1}
        assert states(spared) in "RS"
        (protected,) = outcome.result["protected"]
        assert (protected["name"], protected["count"], protected["reason"]) == ("letter", 1, "it matches protect")
        assert any("letter" in warning for warning in outcome.warnings)


@pytest.mark.parametrize("option", ["cmdline_regex", "protect"])
def test_what_only_its_command_line_tells_apart_is_woken(host: Host, option: str) -> None:
    def become(*arguments: str) -> t.Callable[[], None]:
        return lambda: os.execv("/bin/sleep", ["hostcare-sleep", *arguments])

    with sleeping(life=become("1000")) as victim, sleeping(life=become("2000")) as spared:
        wait_for(lambda: b"2000" in (ProcessTable().cmdline(spared.pid) or []), "it is sleep by now")
        wait_for(lambda: b"1000" in (ProcessTable().cmdline(victim.pid) or []), "it is sleep by now")
        pids = {"pid": [victim.pid, spared.pid]}
        if option == "protect":
            wish = parse({"cmdline_regex": "2000$"}, "protect")
            outcome = host.run("frozen", parse(pids), protect=(wish,))
        else:
            outcome = host.run("frozen", parse({**pids, "cmdline_regex": "1000$"}))
        assert counts(outcome)["frozen"] == 1
        assert states(victim) == "T"
        wait_for(lambda: states(spared) == "S", "it runs")
        (protected,) = outcome.result["protected"]
        assert protected["count"] == 1
        host.run("thawed", None)


@pytest.mark.parametrize("comm", [comm for comm in HOSTILE_COMMS if comm])
def test_a_hostile_name_is_found_by_itself_and_reported_in_valid_text(host: Host, comm: bytes) -> None:
    with sleeping(comm) as child:
        selector = these(child)._replace(names=frozenset([child.comm]))
        outcome = host.run("killed", selector)
        assert counts(outcome) == {"matched": 1, "killed": 1}
        json.dumps(outcome.result, ensure_ascii=False).encode("utf-8")
        (group,) = outcome.result["groups"]
        assert group["name"] == child.name


def test_file_names_and_arguments_that_are_no_text_are_reported_in_valid_text(host: Host, tmp_path: Path) -> None:
    program = os.fsencode(tmp_path) + b"/sl\xff\x1bep"
    shutil.copy("/bin/sleep", program)
    directory = os.fsencode(tmp_path) + b"/d\xff"
    os.mkdir(directory)

    def become() -> None:
        os.chdir(directory)
        os.execv(program, [b"\xff\xfe", b"1000"])

    with sleeping(life=become) as child:
        wait_for(lambda: ProcessTable().cmdline(child.pid) == [b"\xff\xfe", b"1000"], "it is sleep by now")
        outcome = host.run("killed", these(child), evidence=5)
        (found,) = outcome.result["evidence"]
        assert found["exe"].startswith(str(tmp_path))
        json.dumps(outcome.result, ensure_ascii=False).encode("utf-8")


def test_evidence_describes_the_stopped(host: Host) -> None:
    with sleeping(b"witness") as child:
        outcome = host.run("frozen", these(child), evidence=5)
        (found,) = outcome.result["evidence"]
        assert (found["pid"], found["name"]) == (child.pid, "witness")
        assert found["parents"][0] == f"{os.getpid()} {(ProcessTable().read(os.getpid()) or child).name}"
        assert found["cwd"] == os.getcwd()
        assert found["cmdline"]
        assert found["descriptors"] >= 1
        host.run("thawed", None)


@pytest.mark.parametrize("asked, described", [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3), (-1, 0)])
def test_as_much_evidence_as_was_asked_for(host: Host, asked: int, described: int) -> None:
    with sleeping() as one, sleeping() as two, sleeping() as three:
        outcome = host.run("killed", these(one, two, three), evidence=asked)
        assert len(outcome.result["evidence"]) == described


def test_without_psutil_there_is_less_evidence_and_a_warning(host: Host) -> None:
    def forget() -> None:
        sys.modules["psutil"] = None  # type: ignore[assignment]
        importlib.reload(evidence)
        importlib.reload(remedy)

    with sleeping() as child:
        outcome = host.run("killed", these(child), before=forget)
        assert counts(outcome) == {"matched": 1, "killed": 1}
        (found,) = outcome.result["evidence"]
        assert (found["cmdline"], found["cwd"], found["descriptors"]) == (None, None, None)
        assert any("psutil" in warning for warning in outcome.warnings)


def _keep_a_zombie() -> None:
    _fork_undead()
    while True:
        signal.pause()


@contextlib.contextmanager
def undead(life: t.Callable[[], None] = _keep_a_zombie) -> t.Iterator[tuple[Process, Selector]]:
    """A parent that does not reap, and a selector of its dead child."""
    table = ProcessTable()
    with sleeping(b"careless", life=life) as parent:
        wait_for(lambda: any(p.ppid == parent.pid and p.is_dead for p in table.scan()), "the child dies")
        (child,) = (p for p in table.scan() if p.ppid == parent.pid)
        yield parent, these(child)._replace(names=frozenset([b"undead"]))


def test_a_zombie_is_reported_with_the_parent_to_blame(host: Host) -> None:
    with undead() as (parent, dead):
        outcome = host.run("killed", dead)
        assert (counts(outcome), outcome.result["changed"]) == ({}, False)
        (blamed,) = outcome.result["zombies"]["parents"]
        assert (blamed["pid"], blamed["name"], blamed["zombies"], blamed["told"]) == (parent.pid, "careless", 1, False)
        assert states(parent) == "S"


def test_the_parent_is_told_and_reaps(host: Host) -> None:
    def reap_when_told() -> None:
        got: list[int] = []
        os.waitid(os.P_PID, _fork_undead(), os.WEXITED | os.WNOWAIT)  # it is dead, and not reaped
        signal.signal(signal.SIGCHLD, lambda *_: got.append(1))
        signal.pause()
        if got:
            os.waitpid(-1, 0)
        while True:
            signal.pause()

    with undead(reap_when_told) as (parent, dead):
        wait_for(lambda: states(parent) == "S", "the parent waits for the signal")
        outcome = host.run("killed", dead, zombies="signal_parent")
        assert [one["told"] for one in outcome.result["zombies"]["parents"]] in ([True], [])
        table = ProcessTable()
        wait_for(lambda: not any(p.ppid == parent.pid for p in table.scan()), "the child is reaped")


def _fork_undead() -> int:
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/comm", "wb", buffering=0) as file:
            file.write(b"undead")
        os._exit(0)
    return pid


def test_the_parent_is_killed_when_asked_for(host: Host) -> None:
    with undead() as (parent, dead):
        outcome = host.run("killed", dead, zombies="kill_parent")
        assert counts(outcome) == {"matched": 1, "killed": 1}
        assert states(parent) == "Z"


class TestAfterACrash:
    """A run that was killed with SIGKILL leaves what it had noted: a sweep, and who was stopped before it."""

    @staticmethod
    @contextlib.contextmanager
    def swept(host: Host) -> t.Iterator[tuple[Process, Process, Process]]:
        """One of a group that a sweep stopped, one that was stopped by itself, one that was stopped before."""
        with contextlib.ExitStack() as stack:
            leader = stack.enter_context(sleeping())
            rest = []
            for _number in range(2):
                child = stack.enter_context(sleeping(session=False))
                rest.append(child)
            group = [leader, *rest]
            for child in group:
                os.kill(child.pid, signal.SIGSTOP)
            wait_for(lambda: states(*group) == "TTT", "they stop")
            journal = host.journal
            journal.open()
            journal.note("stopped", rest[1].pid, rest[1].start)
            journal.note("group", leader.pgid)
            journal.note("process", rest[0].pid, rest[0].start)  # in the group of the tests, which no sweep may take
            journal.close()
            yield leader, rest[0], rest[1]

    def test_everything_of_ours_is_woken_and_nothing_else(self, host: Host) -> None:
        with self.swept(host) as (leader, other, theirs):
            assert counts(host.run("thawed", None)) == {"matched": 2, "thawed": 2}
            wait_for(lambda: states(leader, other) == "SS", "ours run")
            assert states(theirs) == "T"

    def test_a_part_is_woken_and_the_rest_remembered(self, host: Host) -> None:
        with self.swept(host) as (leader, other, theirs):
            host.run("thawed", these(other))
            wait_for(lambda: states(other) == "S", "the chosen one runs")
            assert states(leader) == "T"
            host.run("thawed", None)
            wait_for(lambda: states(leader) == "S", "the rest runs")
            assert states(theirs) == "T"

    def test_another_freeze_does_not_forget_them(self, host: Host) -> None:
        with self.swept(host) as (leader, other, theirs), sleeping() as fresh:
            assert counts(host.run("frozen", these(fresh))) == {"matched": 1, "frozen": 1}
            host.run("thawed", None)
            wait_for(lambda: states(leader, other, fresh) == "SSS", "all of ours run")
            assert states(theirs) == "T"

    def test_they_count_as_frozen_by_us(self, host: Host) -> None:
        with self.swept(host) as (leader, _other, _theirs):
            outcome = host.run("frozen", these(leader))
            assert counts(outcome) == {"matched": 1, "frozen": 1}
            assert not outcome.result["changed"]

    def test_what_died_since_is_forgotten(self, host: Host) -> None:
        with sleeping() as child:
            host.run("frozen", these(child))
        assert not host.run("thawed", None).result["changed"]
        assert not os.path.exists(host.journal.path)

    def test_a_number_that_is_another_process_by_now_is_left_alone(self, host: Host) -> None:
        with sleeping() as other:
            os.kill(other.pid, signal.SIGSTOP)
            wait_for(lambda: states(other) == "T", "it stops")
            host.remember(Memory(processes=frozenset([(other.pid, other.start - 1)])))
            assert not host.run("thawed", None).result["changed"]
            assert states(other) == "T"


@contextlib.contextmanager
def contained() -> t.Iterator[Process]:
    """A sleeper in a PID namespace of its own."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"]
    with subprocess.Popen(command) as outside:
        try:
            wait_for(lambda: b"sleep" in [child.comm for child in _children(outside.pid)], "it sleeps")
            yield _children(outside.pid)[0]
        finally:
            outside.kill()


def _children(pid: int) -> list[Process]:
    return [process for process in ProcessTable().scan() if process.ppid == pid]


class TestCgroup:
    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_freeze_foresee_thaw(self, host: Host, controller: str) -> None:
        with sleeping() as one, sleeping() as two, sleeping() as outside, own_cgroup(controller) as directory:
            for child in (one, two):
                move(child.pid, directory)
            done = host.run("frozen", these(one, two), method="cgroup")
            assert counts(done) == {"matched": 2, "frozen": 2}
            assert cgroups.is_frozen(directory)
            assert states(outside) in "RS"
            for check_mode in (False, True):
                again = host.run("frozen", these(one, two), check_mode=check_mode)
                assert counts(again) == {"matched": 2, "frozen": 2}, f"check mode {check_mode}"
                assert not again.result["changed"], f"check mode {check_mode}"
            assert counts(host.run("thawed", None)) == {"matched": 2, "thawed": 2}
            assert not cgroups.is_frozen(directory)

    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_kill(self, host: Host, controller: str) -> None:
        with sleeping() as one, sleeping() as two, own_cgroup(controller) as directory:
            for child in (one, two):
                move(child.pid, directory)
            assert counts(host.run("killed", these(one, two), method="cgroup")) == {"matched": 2, "killed": 2}
            assert not cgroups.is_frozen(directory)

    @pytest.mark.parametrize("state", ["frozen", "killed"])
    @pytest.mark.parametrize("moment", ["sweep", "collect"])
    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_a_stranger_that_comes_in_late_lives_on(self, host: Host, controller: str, moment: str, state: str) -> None:
        """Between plan and freeze, or between proof and kill: there the freeze itself is all that may meet it."""
        with sleeping() as one, sleeping() as two, sleeping() as late, own_cgroup(controller) as directory:
            for child in (one, two):
                move(child.pid, directory)

            def intrude() -> None:
                owner, name = {"sweep": (remedy.Freezer, "sweep"), "collect": (remedy, "collect")}[moment]
                original = getattr(owner, name)

                def first_let_in(*arguments: t.Any) -> t.Any:
                    move(late.pid, directory)
                    return original(*arguments)

                setattr(owner, name, first_let_in)

            done = host.run(state, these(one, two), before=intrude, method="cgroup")
            assert counts(done) == {"matched": 2, state: 2}
            if state == "killed" or moment == "sweep":
                assert not cgroups.is_frozen(directory)
                assert states(late) in "RS"
            if state == "killed":
                wait_for(lambda: states(one, two) == "ZZ", "they are dead")
            else:
                host.run("thawed", None)
                wait_for(lambda: set(states(one, two, late)) <= set("RS"), "all run")

    @pytest.mark.parametrize("state", ["frozen", "killed"])
    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_one_protected_by_its_command_line_lives_on(self, host: Host, controller: str, state: str) -> None:
        with sleeping() as one, sleeping(life=PRECIOUS) as two, own_cgroup(controller) as directory:
            wait_for(lambda: b"precious" in (ProcessTable().cmdline(two.pid) or []), "it is what it will be")
            for child in (one, two):
                move(child.pid, directory)
            protect = (parse({"cmdline_regex": "precious"}, "protect"),)
            done = host.run(state, these(one, two), method="cgroup", protect=protect)
            assert counts(done) == {"matched": 2, state: 1}
            assert not cgroups.is_frozen(directory)
            wait_for(lambda: states(two) in "RS", "it runs")

    @needs_root
    @pytest.mark.parametrize("controller", ["", "freezer"])
    @pytest.mark.parametrize(
        "options, killed, said",
        [({}, 1, ""), ({"min_count": 2}, 0, ""), ({"method": "cgroup"}, 0, "method cgroup does not fit")],
    )
    def test_one_found_to_be_protected_while_all_stand_still_lives_on(
        self, host: Host, controller: str, options: dict[str, t.Any], killed: int, said: str
    ) -> None:
        with sleeping() as plain, contained() as inside, own_cgroup(controller) as directory:
            for child in (plain, inside):
                move(child.pid, directory)
            selector = these(plain, inside)._replace(min_count=options.get("min_count", 0))
            done = host.run("killed", selector, method=options.get("method", "auto"))
            assert said in done.problem
            assert bool(said) == bool(done.problem)
            if not said:
                assert done.result["killed"] == killed
                assert [group["count"] for group in done.result["protected"]] == [1]
            assert not cgroups.is_frozen(directory)
            assert states(inside) in "RS"
            assert states(plain) in ("Z" if killed else "RS")

    def test_users_are_looked_up_while_who_tells_their_names_can_answer(self, host: Host) -> None:
        with sleeping() as child, own_cgroup("") as directory:
            move(child.pid, directory)

            def ask_only_who_runs() -> None:
                original = evidence.pwd.getpwuid

                def answer(uid: int) -> t.Any:
                    with open(f"{directory}/cgroup.freeze", encoding="utf-8") as file:
                        assert file.read() == "0\n"
                    return original(uid)

                evidence.pwd.getpwuid = answer

            assert counts(host.run("killed", these(child), before=ask_only_who_runs)) == {"matched": 1, "killed": 1}

    def test_more_than_the_brake_allows_are_not_stopped_for_a_moment(self, host: Host) -> None:
        def sweep_no_more() -> None:
            remedy.Freezer.sweep = None  # type: ignore[method-assign, assignment]

        with sleeping() as one, sleeping() as two, own_cgroup("") as directory:
            for child in (one, two):
                move(child.pid, directory)
            outcome = host.run("killed", these(one, two), before=sweep_no_more, max_victims=1)
            assert "more than max_victims 1" in outcome.problem

    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_what_stood_still_when_the_module_died_is_thawed(self, host: Host, controller: str) -> None:
        def die_judging() -> None:
            remedy.Remedy._decide = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]

        with sleeping() as child, own_cgroup(controller) as directory:
            move(child.pid, directory)
            with contextlib.suppress(Exception):
                host.run("killed", these(child), before=die_judging)
            assert host.journal.load().cgroups == (directory,)
            wait_for(lambda: cgroups.is_frozen(directory), "it is frozen")
            host.run("thawed", None)
            assert not cgroups.is_frozen(directory)
            assert states(child) in "RS"

    @pytest.mark.parametrize("controller", ["", "freezer"])
    def test_what_somebody_else_froze_stays_frozen(self, host: Host, controller: str) -> None:
        with sleeping() as child, own_cgroup(controller) as directory:
            move(child.pid, directory)
            assert cgroups.set_frozen(directory, True)
            wait_for(lambda: cgroups.is_frozen(directory), "it is frozen")
            host.run("frozen", these(child), method="cgroup")
            host.run("thawed", None)
            assert cgroups.is_frozen(directory)

    def test_one_that_will_not_thaw_is_named_and_remembered(self, host: Host, tmp_path: Path) -> None:
        """A cgroup file system that became read-only; plain files stand for it."""
        with sleeping() as child:
            directory = tmp_path / "cgroup"
            directory.mkdir()
            (directory / "cgroup.procs").write_text(f"{child.pid}\n")
            (directory / "cgroup.freeze").mkdir()  # can be written by nobody
            host.remember(Memory(cgroups=(str(directory),)))
            outcome = host.run("thawed", None)
            assert str(directory) in outcome.problem
            assert not outcome.result["converged"]
            assert host.journal.load().cgroups == (str(directory),)


class TestNothingIsLeftFrozen:
    def test_without_descriptors(self, host: Host) -> None:
        def scarce() -> None:
            used = len(os.listdir("/proc/self/fd")) - 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (used, used))

        with sleeping() as child:
            outcome = host.run("frozen", these(child), before=scarce)
            assert outcome.problem.startswith("refused: ")
            assert states(child) in "RS"

    @needs_root
    def test_of_other_users_without_root(self, host: Host) -> None:
        def drop() -> None:
            os.setresuid(NOBODY, NOBODY, NOBODY)

        host.directory = "/nonexistent/hostcare"
        with sleeping() as child:
            outcome = host.run("frozen", these(child), before=drop)
            assert "run as root (become: true)" in outcome.problem
            assert states(child) in "RS"

    def test_without_room_to_remember(self, host: Host) -> None:
        Path(host.directory).write_text("in the way")
        with sleeping() as child:
            outcome = host.run("frozen", these(child))
            assert "cannot be" in outcome.problem
            assert states(child) in "RS"

    def test_when_the_room_to_remember_ends_on_the_way(self, host: Host) -> None:
        """What could not be written down is not left frozen: nobody would wake it."""

        def cramp() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = len(f"boot {host.boot}\n") + 5
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        with sleeping() as one, sleeping() as two:
            outcome = host.run("frozen", these(one, two), before=cramp, method="scan")
            assert outcome.problem
            wait_for(lambda: "T" not in states(one, two), "they run again")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_when_interrupted(self, host: Host, number: int) -> None:
        def interrupt_soon() -> None:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
            signal.setitimer(signal.ITIMER_REAL, 0.3)

        with sleeping(life=_ignore_term) as child:
            outcome = host.run("terminated", these(child), before=interrupt_soon, grace_period=20.0)
            assert f"interrupted by {signal.Signals(number).name}" in outcome.problem
            wait_for(lambda: states(child) == "S", "it runs again")


@pytest.mark.parametrize("missing", ["loadavg", "sys/kernel/random/boot_id"])
def test_a_proc_that_lacks_more_than_processes_is_refused(tmp_path: Path, missing: str) -> None:
    """mount -o subset=pid, gVisor."""
    victim = process(4000000)

    def run() -> str:
        tree = ProcTree(tmp_path / "proc")
        tree.add(victim)
        (tree.root / missing).unlink()
        with pytest.raises(Refused) as refusal:
            remedy.run(Options("killed", parse({"pid": [victim.pid]})), str(tree.root))
        return str(refusal.value)

    assert os.path.basename(missing) in in_child(run)


def test_no_selector_is_refused() -> None:
    def run() -> str:
        with pytest.raises(Refused) as refusal:
            remedy.run(Options("killed", None))
        return str(refusal.value)

    assert "no selector was given" in in_child(run)
