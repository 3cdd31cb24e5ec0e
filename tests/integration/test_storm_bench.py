# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The storm bench itself: its bombs are real, its innocents notice every harm, and nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.storm import (
    ROGUE_USER,
    Arena,
    Harmed,
    hierarchies,
    pid_max_is_private,
    program,
    wait_until,
)

pytestmark = pytest.mark.once

SLOTS = 400
NO_PROCESS = 75


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(SLOTS) as arena:
        yield arena


def inside(arena: Arena) -> set[int]:
    return {task.inside for task in arena.living()}


def field(arena: Arena, pid: int, index: int) -> str:
    """A field of stat, counted as in proc(5)."""
    return (arena.proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[index - 3]


def identities(arena: Arena) -> set[tuple[int, str]]:
    """Numbers and start times: in a full table the next process is given the number of the last."""
    found = set()
    for pid in inside(arena):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.add((pid, field(arena, pid, 22)))
    return found


# --- bombs ---


@pytest.mark.parametrize("full_by", ["pid_max", "pids.max"])
@pytest.mark.parametrize("kind", ["nap", "spin", "setsid", "zombie"])
def test_nothing_can_be_started_beside_a_bomb(kind: str, full_by: str) -> None:
    if full_by == "pid_max" and not pid_max_is_private():
        pytest.skip("kernel.pid_max is the whole machine's before Linux 6.14")
    with Arena(SLOTS, full_by) as arena:
        shell = arena.arm(["/bin/sh", "-c", "ls /; echo rc=$?"])
        arena.bomb(kind)
        arena.wait_full(share=1.0)
        joined = arena.run(["/bin/ls", "/"])
        # The limit of a cgroup holds for forks within it, not for those who are moved there.
        assert full_by == "pids.max" or (joined.returncode, joined.stderr[:6]) == (NO_PROCESS, b"fork: ")
        shell.go()
        said = shell.outcome(20)
        assert b"fork" in said.err
        assert b"bin" not in said.out


@pytest.mark.parametrize("kind", ["nap", "spin", "setsid"])
def test_a_bomb_refills_what_was_killed(kind: str) -> None:
    # By kernel.pid_max the table would be full at 299 less: numbers below 300 are given out once.
    with Arena(SLOTS, "pids.max") as arena:
        arena.bomb(kind)
        arena.wait_full(share=1.0)
        before = identities(arena)
        for task in arena.tasks()[::2]:
            os.kill(task.pid, signal.SIGKILL)
        wait_until(lambda: len(before & identities(arena)) < SLOTS * 0.6, 20, "the end of every second one")
        arena.wait_full(share=1.0)


def test_a_bomb_takes_name_and_user(arena: Arena) -> None:
    arena.bomb("nap", "--count", "1", name="sshd", user=ROGUE_USER)
    arena.wait_full()
    assert {(task.name, task.uid) for task in arena.tasks()} == {("sshd", 5)}
    pid = arena.tasks()[0].pid
    assert Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0") == b"sshd"
    assert Path(f"/proc/{pid}/stat").stat().st_uid == 5


def test_each_child_of_setsid_has_a_session_of_its_own(arena: Arena) -> None:
    arena.bomb("setsid")
    arena.wait_full(share=1.0)
    pids = inside(arena)
    wait_until(lambda: {int(field(arena, pid, 5)) for pid in pids} == pids, 10, "a process group each")
    assert {int(field(arena, pid, 6)) for pid in pids} == pids


def test_hoppers_move_on_while_the_table_is_full() -> None:
    with Arena(900) as arena:
        arena.bomb("hopper")
        arena.wait_full()
        before = identities(arena)
        wait_until(lambda: len(before & identities(arena)) < len(before) / 2, 20, "half of the hoppers gone on")
        arena.wait_full()


@pytest.mark.parametrize("kind", ["comet", "hopper"])
def test_chains_leave_the_table_open(arena: Arena, kind: str) -> None:
    arena.bomb(kind, "--count", "20")
    arena.wait_population(15)
    before = inside(arena)
    wait_until(lambda: not before & inside(arena), 20, "every chain under a new number")
    assert arena.run(["/bin/ls", "/"]).returncode == 0
    assert 10 <= arena.population("rogues") <= 100


def test_zombies_hold_their_slots_until_the_parent_dies(arena: Arena) -> None:
    arena.bomb("zombie")
    arena.wait_full(share=1.0)
    wait_until(lambda: len(arena.living()) == 1, 10, "all children dead")
    (parent,) = arena.living()
    assert arena.population("rogues") > SLOTS - 10
    os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: arena.population("rogues") == 0, 5, "the end of the zombies")


def test_headless_processes_look_dead_and_are_not(arena: Arena) -> None:
    arena.bomb("headless", "--count", "5")
    wait_until(lambda: arena.population("rogues") == 10, 10, "five processes of two threads, and their parent gone")
    leaders = [
        path for path in arena.proc.iterdir() if path.name.isdigit() and (path / "comm").read_text() == "rogue\n"
    ]
    wait_until(lambda: [field(arena, int(path.name), 3) for path in leaders] == ["Z"] * 5, 5, "five dead leaders")
    assert {field(arena, int(path.name), 20) for path in leaders} == {"2"}


def test_vfork_parents_wait_uninterruptibly(arena: Arena) -> None:
    arena.bomb("vfork", "--count", "3")
    arena.wait_population(6)
    wait_until(lambda: [task.state for task in arena.tasks()].count("D") == 3, 5, "three parents in D")


def test_a_supervisor_starts_its_children_again(arena: Arena) -> None:
    arena.bomb("supervisor", "--count", "5", "--child-name", "worker")
    arena.wait_population(6)
    workers = [task for task in arena.living() if task.name == "worker"]
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not {worker.inside for worker in workers} & inside(arena), 5, "the end of the old workers")
    arena.wait_population(6)


def test_a_crowd_ignores_what_it_is_told_to(arena: Arena) -> None:
    arena.bomb("crowd", "--count", "5", "--ignore", str(int(signal.SIGTERM)))
    arena.wait_population(5)
    for task in arena.living():
        os.kill(task.pid, signal.SIGTERM)
    time.sleep(0.1)
    assert len(arena.living()) == 5


def test_a_bomb_within_the_limit_of_its_user_leaves_room_for_root(arena: Arena) -> None:
    arena.bomb("spin", "--limit", "50", user="61234")
    arena.wait_population(50)
    assert arena.population("rogues") == 50
    assert arena.run(["/bin/ls", "/"]).returncode == 0


def test_spare_slots_stay_free(arena: Arena) -> None:
    arena.spare(2)
    arena.bomb("spin")
    arena.wait_full(spare=2, share=1.0)
    assert arena.free() == 2
    assert arena.run(["/bin/ls", "/"]).returncode == 0


def test_a_bomb_expires(arena: Arena) -> None:
    arena.bomb("nap", "--for", "1")
    arena.wait_full(share=1.0)
    wait_until(lambda: arena.population("rogues") == 0, 10, "the end of the bomb")


def test_no_bomb_goes_off_outside_a_pid_namespace() -> None:
    bomb = subprocess.run([program("bomb"), "crowd", "--count", "1"], check=False, capture_output=True)
    assert (bomb.returncode, bomb.stderr) == (2, b"refused: not inside a PID namespace of its own\n")


# --- innocents ---


def send(arena: Arena, pid: int, *signals: signal.Signals) -> None:
    """To a process by its number inside."""
    (task,) = (task for task in arena.tasks("innocents") if task.inside == pid)
    for number in signals:
        os.kill(task.pid, number)
        time.sleep(0.05)


@pytest.mark.parametrize(
    "signals, harm",
    [
        ([signal.SIGKILL], "died"),
        ([signal.SIGSTOP], "was alive and is stopped"),
        ([signal.SIGSTOP, signal.SIGCONT], "received 1 signals, the last was 18"),
        ([signal.SIGTERM], "received 1 signals, the last was 15"),
        ([signal.SIGHUP, signal.SIGCONT], "received 2 signals"),
    ],
)
@pytest.mark.parametrize("generation", [0, 2])
def test_an_innocent_notices(arena: Arena, signals: list[signal.Signals], harm: str, generation: int) -> None:
    family = arena.innocent(generations=3)
    family.assert_unharmed()
    send(arena, family.pids[generation], *signals)
    with pytest.raises(Harmed, match=f"process {family.pids[generation]} {harm}"):
        family.assert_unharmed()


@pytest.mark.parametrize(
    "signals, harm",
    [
        ([signal.SIGKILL], "died"),
        ([signal.SIGCONT], "was stopped and is alive"),
        ([signal.SIGCONT, signal.SIGSTOP], "received 1 signals, the last was 18"),
    ],
)
def test_a_stopped_innocent_notices(arena: Arena, signals: list[signal.Signals], harm: str) -> None:
    job = arena.innocent(stopped=True)
    job.assert_unharmed()
    send(arena, job.pids[0], *signals)
    with pytest.raises(Harmed, match=harm):
        job.assert_unharmed()


def test_an_innocent_whose_heart_stands_still_is_harmed(arena: Arena) -> None:
    """Frozen by the v2 freezer it looks asleep: only the heartbeat tells."""
    victim = arena.innocent()
    directory = arena.grounds.unified("innocents")
    if directory is None:
        pytest.skip("no cgroup v2 tree is mounted on this machine")
    (directory / "cgroup.freeze").write_text("1")
    wait_until(lambda: "frozen 1" in (directory / "cgroup.events").read_text(), 5, "the freeze")
    assert "no heartbeat" in victim.harm(patience=0.5)
    (directory / "cgroup.freeze").write_text("0")
    victim.assert_unharmed()


def test_the_innocent_live_through_a_storm(arena: Arena) -> None:
    twin = arena.innocent(name="rogue")
    elsewhere = arena.innocent(name="rogue", user=ROGUE_USER, cgroup="system.slice/other.service")
    job = arena.innocent(user=ROGUE_USER, stopped=True)
    tree = arena.innocent(name="sh", generations=3)
    arena.bomb("spin")
    arena.wait_full(share=1.0)
    for innocent in (twin, elsewhere, job, tree):
        innocent.assert_unharmed()
    arena.kill()
    for innocent in (twin, elsewhere, job, tree):
        innocent.assert_unharmed()


# --- tools ---


def test_the_c_scan_ends_a_bomb_and_spares_the_twin(arena: Arena) -> None:
    twin = arena.innocent(name="rogue")
    scan = arena.arm([program("cscan"), "rogue", "5"])
    arena.bomb("spin")
    arena.wait_full(share=1.0)
    scan.go()
    assert scan.outcome(20).returncode == 0
    wait_until(lambda: arena.population("rogues") == 0, 5, "the end of the bomb")
    twin.assert_unharmed()


def test_the_c_list_names_those_of_the_user(arena: Arena) -> None:
    arena.innocent(name="rogue")
    arena.bomb("crowd", "--count", "30")
    arena.wait_population(30)
    listed = arena.run([program("clist"), "rogue", "5"]).stdout.split()
    assert {int(pid) for pid in listed} == inside(arena)
    assert len(listed) == 30


def test_a_tool_that_is_late_is_killed(arena: Arena) -> None:
    tool = arena.arm(["/bin/sleep", "60"])
    tool.go()
    assert tool.running()
    outcome = tool.outcome(timeout=0.2)
    assert outcome.returncode is None
    assert outcome.seconds < 10
    assert arena.population("tools") == 0


def test_a_tool_reports_its_end(arena: Arena) -> None:
    tool = arena.arm(["/bin/sh", "-c", "echo out; echo err >&2; kill -9 $$"])
    tool.go()
    outcome = tool.outcome()
    assert (outcome.returncode, outcome.out, outcome.err) == (128 + 9, b"out\n", b"err\n")


# --- what is left ---


def traces() -> list[str]:
    """Cgroups, mounts and scratch directories of any arena of this process."""
    mine = f"hostcare-storm-{os.getpid()}-"
    found = [str(path) for point in set(hierarchies().values()) for path in point.glob(mine + "*")]
    found += [str(path) for path in Path(tempfile.gettempdir()).glob(mine + "*")]
    return found + [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mine in line]


def leave(arena: Arena) -> None:
    arena.bomb("nap")
    arena.wait_full()


def leave_by_error(arena: Arena) -> None:
    leave(arena)
    raise ZeroDivisionError


def leave_frozen(arena: Arena) -> None:
    arena.bomb("crowd", "--count", "20")
    arena.wait_population(20)
    freezer = hierarchies().get("freezer")
    if freezer is None:
        pytest.skip("no v1 freezer is mounted on this machine")
    (freezer / arena.grounds.name / "rogues" / "freezer.state").write_text("FROZEN")


def leave_stopped(arena: Arena) -> None:
    leave(arena)
    for task in arena.tasks():
        os.kill(task.pid, signal.SIGSTOP)


@pytest.mark.parametrize("act", [leave, leave_by_error, leave_frozen, leave_stopped])
def test_an_arena_leaves_nothing_behind(act: Callable[[Arena], None]) -> None:
    pid_max = Path("/proc/sys/kernel/pid_max").read_text()
    namespace = ""
    try:
        with Arena(SLOTS, hierarchies=("unified", "freezer")) as arena:
            assert traces()
            arena.innocent(generations=2)
            namespace = os.readlink(f"/proc/{arena.init}/ns/pid")
            act(arena)
    except ZeroDivisionError:
        pass
    assert namespace
    assert traces() == []
    assert processes_of(namespace) == []
    assert Path("/proc/sys/kernel/pid_max").read_text() == pid_max


def processes_of(namespace: str) -> list[str]:
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and os.readlink(path / "ns" / "pid") == namespace:
                found.append(path.name)
        except OSError:
            continue
    return found


KILLED = """
import os, signal, sys
from ansible_collections.hostcare.remediation.tests.support.storm import Arena
with Arena(400) as arena:
    arena.innocent()
    arena.bomb("nap")
    arena.wait_full()
    print(arena.init, os.readlink(f"/proc/{arena.init}/ns/pid"), arena.grounds.pids(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_bench_takes_its_bomb_along() -> None:
    collections = re.sub(r"/ansible_collections/.*", "", sys.modules[Arena.__module__].__file__ or "")
    environment = dict(os.environ, PYTHONPATH=collections)
    run = subprocess.run([sys.executable, "-c", KILLED], check=False, env=environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    init, namespace, cgroup = run.stdout.split()
    wait_until(lambda: not os.path.exists(f"/proc/{init}"), 5, "the end of init")
    wait_until(lambda: processes_of(namespace) == [], 5, "the end of the bomb")
    with Arena(SLOTS):  # sweeps before it begins
        assert not os.path.exists(cgroup)
        assert not list(Path(tempfile.gettempdir()).glob(Path(cgroup).name + "*"))
