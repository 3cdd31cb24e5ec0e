# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""spawn_throttle on real spawners, each beside a twin that must go on spawning."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import json
import mmap
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Rlimits
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import CRITERIA
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.storm import ROGUES, Arena
from ansible_collections.hostcare.remediation.tests.support.throttle_tool import run as run_module
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child, sleeping, wait_for

pytestmark = pytest.mark.once

TOOL = str(Path(__file__).resolve().parents[1] / "support" / "throttle_tool.py")
RUN = t.Callable[..., dict[str, t.Any]]


class Spawner:
    """A process that starts one child after the other; it counts them, and how often it was refused."""

    def __init__(self) -> None:
        self._counts = mmap.mmap(-1, 16)
        self.pid = 0

    def spawn(self) -> None:
        births, refusals = self.counts
        try:
            child = os.fork()
        except OSError:
            self._counts[:] = struct.pack("QQ", births, refusals + 1)
            time.sleep(0.002)
            return
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        self._counts[:] = struct.pack("QQ", births + 1, refusals)

    @property
    def counts(self) -> tuple[int, int]:
        births, refusals = struct.unpack("QQ", self._counts[:])
        return births, refusals

    def assert_spawns(self) -> None:
        """Child after child, and none is refused; the refusal that was under way counts for nothing."""
        born = self.counts[0]
        wait_for(lambda: self.counts[0] > born, "a child is born")
        births, refusals = self.counts
        wait_for(lambda: self.counts[0] > births + 10, "more are born")
        assert self.counts[1] == refusals

    def assert_throttled(self) -> None:
        """Refused again and again, and none is born; the child that was under way counts for nothing."""
        refused = self.counts[1]
        wait_for(lambda: self.counts[1] > refused, "a child is refused")
        births, refusals = self.counts
        wait_for(lambda: self.counts[1] > refusals + 30, "more are refused")
        assert self.counts[0] == births


@contextlib.contextmanager
def spawner(cgroup: PidsCgroup | None = None, uid: int | None = None) -> Iterator[Spawner]:
    made = Spawner()
    with sleeping(b"hostcare-spawn", uid=uid, life=made.spawn) as process:
        made.pid = process.pid
        if cgroup is not None:
            cgroup.add(process.pid)
        wait_for(lambda: made.counts[0] > 3, "it spawns")
        yield made


@pytest.fixture
def run(tmp_path: Path) -> RUN:
    def call(state: str = "throttled", **options: t.Any) -> dict[str, t.Any]:
        return run_module(str(tmp_path / "run"), {"state": state, "jitter": 0, **options})

    return call


@pytest.fixture
def rogues() -> Iterator[PidsCgroup]:
    with PidsCgroup() as cgroup:
        yield cgroup


@pytest.fixture
def others() -> Iterator[PidsCgroup]:
    with PidsCgroup() as cgroup:
        yield cgroup


def path(cgroup: PidsCgroup) -> str:
    return f"/{cgroup.path.name}"


def only(found: dict[str, t.Any]) -> dict[str, t.Any]:
    assert found.get("targets_total") == 1, found
    target: dict[str, t.Any] = found["targets"][0]
    return target


def test_a_runaway_spawner_is_capped_and_its_twin_goes_on(run: RUN, rogues: PidsCgroup, others: PidsCgroup) -> None:
    with spawner(rogues) as rogue, spawner(others) as twin:
        foreseen = run(cgroup=[path(rogues)], check_mode=True)
        assert rogues.limit is None
        rogue.assert_spawns()
        found = run(cgroup=[path(rogues)])
        assert found["converged"], found
        for key in ("method", "diff", "state", "throttled", "in_force"):
            assert foreseen[key] == found[key]
        assert only(foreseen)["limit"] == only(found)["limit"] == only(found)["effective_limit"] == "0"
        rogue.assert_throttled()
        twin.assert_spawns()
        assert not run(cgroup=[path(rogues)])["changed"], "a second run changes nothing"
        assert only(run(cgroup=[path(rogues)]))["refused_forks"] > 0
        done = run("released", cgroup=[path(rogues)])
        assert only(done)["outcome"] == "released"
        assert rogues.limit is None
        rogue.assert_spawns()
        assert not run("released")["changed"]


def test_a_bomb_of_one_user_is_capped_where_it_stands() -> None:
    """By the cgroup its processes are in, found through the user; its population no longer grows."""
    with Arena(700) as arena:
        twin = arena.innocent(name="rogue")
        wanted = {"state": "throttled", "user": ["games"], "limit": "current", "max_processes": 5000}
        tool = arena.arm([sys.executable, TOOL, str(arena._scratch.name), json.dumps(wanted)], gate=False)
        arena.bomb("nap")
        arena.wait_population(50)
        tool.go()
        found = json.loads(tool.outcome().out)
        assert found["method"] == "cgroup", found
        limit = int(only(found)["limit"])
        assert (arena.grounds.pids(ROGUES) / "pids.max").read_text().strip() == str(limit)
        time.sleep(0.3)
        assert arena.population(ROGUES) <= limit
        twin.assert_unharmed()


def test_a_release_comes_in_time_with_the_next_run(run: RUN, rogues: PidsCgroup, others: PidsCgroup) -> None:
    wish = {"cgroup": [path(rogues)], "release_after": "2s", "max_repeats": 1, "limit": "1"}
    with spawner(rogues) as rogue, spawner(others) as other:
        assert only(run(**wish))["release_in"] == 2
        assert run("released", only_due=True)["released"] == 0
        assert not run(**wish)["changed"]
        time.sleep(2.1)
        beside = run(cgroup=[path(others)])
        assert {target["outcome"] for target in beside["targets"]} == {"throttled", "released"}
        assert rogues.limit is None
        rogue.assert_spawns()
        other.assert_throttled()

        second = only(run(**wish))
        assert (second["repeats"], second["release_in"]) == (1, 4), "it grows"
        rogue.assert_throttled()
        time.sleep(4.1)
        assert run("released", only_due=True)["released"] == 1
        third = only(run(**wish))
        assert third["exhausted"], third
        assert "stays throttled" in third["reason"]
        assert third["release_at"] is None
        assert run("released", only_due=True)["released"] == 0
        rogue.assert_throttled()
        assert run("released")["released"] == 2
        assert only(run(**wish))["repeats"] == 0, "a release by hand begins from zero"
        run("released")


def test_limits_of_others_nested_and_changed_meanwhile(run: RUN, rogues: PidsCgroup) -> None:
    inner = rogues.path / "inner"
    inner.mkdir()
    try:
        (inner / "pids.max").write_text("77")
        rogues.limit = 500
        with spawner(rogues) as rogue:
            (inner / "cgroup.procs").write_text(str(rogue.pid))
            assert only(run(cgroup=[path(rogues)], limit="40"))["limit_before"] == "500"
            nested = only(run(cgroup=[f"{path(rogues)}/inner"], limit="50"))
            assert nested["effective_limit"] == "40"
            assert nested["effective_at"] == str(rogues.path)
            assert only(run(cgroup=[f"{path(rogues)}/inner"], limit="60"))["limit"] == "60"
            assert only(run("released", cgroup=[f"{path(rogues)}/inner"]))["limit"] == "77"
            assert (rogues.limit, (inner / "pids.max").read_text().strip()) == (40, "77")
            rogues.limit = 333
            left = run("released")
            assert only(left)["outcome"] == "left_alone"
            assert "somebody else has set 333" in left["warnings"][0]
            assert rogues.limit == 333
            mended = run(cgroup=[path(rogues)], limit="40")
            rogues.limit = 222
            again = only(run(cgroup=[path(rogues)], limit="40"))
            assert again["outcome"] == "throttled"
            assert "somebody else had set 222" in again["reason"]
            assert mended["in_force"] == 1
            run("released")
            assert rogues.limit == 222, "theirs is what is put back"
            rogue.assert_spawns()
    finally:
        wait_for(lambda: not (inner / "cgroup.procs").read_text(), "it is empty")
        inner.rmdir()


def test_a_unit_of_the_same_name_in_another_container_is_left_alone(rogues: PidsCgroup, tmp_path: Path) -> None:
    """Its processes are in a PID namespace that is not seen from here, where the tree of cgroups is the machine's."""
    theirs = rogues.path / "unit.service"
    theirs.mkdir()
    apart = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", sys.executable, TOOL, tmp_path]
    wish = json.dumps({"state": "throttled", "unit": ["unit.service"], "limit": "9"})
    try:
        with sleeping() as other:
            (theirs / "cgroup.procs").write_text(str(other.pid))
            told = subprocess.run([*apart, wish], input="\n", capture_output=True, text=True, check=True)
            assert (theirs / "pids.max").read_text().strip() == "max", told.stdout
            assert "are not seen from here" in told.stdout or "holds 1 others" in told.stdout, told
    finally:
        wait_for(lambda: not (theirs / "cgroup.procs").read_text(), "it is empty")
        theirs.rmdir()


def test_what_has_gone_or_was_made_anew(run: RUN, rogues: PidsCgroup) -> None:
    inner = rogues.path / "unit.service"
    inner.mkdir()
    assert only(run(unit=["unit.service"], limit="9"))["limit"] == "9", "an empty one too"
    inner.rmdir()
    inner.mkdir()
    (inner / "pids.max").write_text("9")
    anew = only(run("released"))
    assert anew["outcome"] == "gone"
    assert (inner / "pids.max").read_text().strip() == "9", "it is another one's limit"
    assert only(run(unit=["unit.service"], limit="3"))["limit"] == "3"
    inner.rmdir()
    assert only(run("released"))["outcome"] == "gone"
    assert run("released")["targets_total"] == 0


@pytest.fixture
def run_as_user() -> Iterator[RUN]:
    """As the user whose processes they are: root of a container may lack the right to change their limits."""
    with tempfile.TemporaryDirectory(prefix="hc-", dir="/dev/shm") as place:
        os.chmod(place, 0o777)

        def call(state: str = "throttled", **options: t.Any) -> dict[str, t.Any]:
            def work() -> dict[str, t.Any]:
                codecs.lookup("ascii")  # the Python of the tests may be readable for root only
                os.setsid()
                os.setresuid(USER, USER, USER)
                return run_module(f"{place}/run", {"state": state, "jitter": 0, **options})

            return in_child(work)

        yield call


# of no other test that runs beside: RLIMIT_NPROC counts all of a user on the machine
USER = 1_000_000 + os.getpid()
OTHER = USER + 10_000_000


def soft_of(pid: int) -> int | None:
    limits = Rlimits().get(pid, "nproc")
    assert limits is not None
    return limits.soft


def test_a_user_among_others_by_rlimit(run_as_user: RUN, rogues: PidsCgroup) -> None:
    """The cgroup is shared, so each process of the user is capped."""
    run = run_as_user
    with spawner(rogues, uid=USER) as rogue, spawner(rogues, uid=OTHER) as twin, sleeping(uid=USER) as child:
        rogues.add(child.pid)
        before = [soft_of(rogue.pid), soft_of(child.pid)]
        wish = {"user": [str(USER)], "limit": "none_new"}
        refused = run(**wish, method="cgroup")
        assert "also holds" in refused["refused"], refused
        foreseen, found = run(**wish, check_mode=True), run(**wish)
        assert (found.get("method"), found.get("converged")) == ("rlimit", True), str(found)
        assert only(foreseen)["limit"] == only(found)["limit"] == "0"
        rogue.assert_throttled()
        twin.assert_spawns()
        assert not run(**wish)["changed"]
        assert run(**{**wish, "limit": "5"})["changed"]
        assert soft_of(rogue.pid) == 5
        rogue.assert_spawns()
        assert only(run("released"))["outcome"] == "released"
        assert [soft_of(rogue.pid), soft_of(child.pid)] == before
        rogue.assert_spawns()
        assert not run("released")["changed"]


def test_who_was_born_under_the_throttle_is_released_with_its_parent(run_as_user: RUN, rogues: PidsCgroup) -> None:
    script = "ulimit -u 600; sleep 0.5; sleep 30 & sleep 30 & wait"
    run = run_as_user
    with sleeping(uid=OTHER) as twin:
        shell = subprocess.Popen(["bash", "-c", script], user=USER, start_new_session=True)
        try:
            for pid in (twin.pid, shell.pid):
                rogues.add(pid)
            wait_for(lambda: soft_of(shell.pid) == 600, "it has a limit of its own")
            found = run(user=[str(USER)], limit="20")
            assert found.get("method") == "rlimit", found
            wait_for(lambda: len(rogues.processes()) == 4, "it has two children")
            family = [pid for pid in rogues.processes() if pid != twin.pid]
            assert {soft_of(pid) for pid in family} == {20}
            run("released")
            assert {soft_of(pid) for pid in family} == {600}
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def test_root_is_not_bound_by_an_rlimit(run: RUN, rogues: PidsCgroup) -> None:
    with spawner(rogues) as rogue, spawner(rogues) as twin:
        refused = run(pid=[rogue.pid])
        assert "is root's" in refused["refused"], refused
        assert re.search(r"also holds [12] others", refused["refused"])
        twin.assert_spawns()
        rogue.assert_spawns()


@contextlib.contextmanager
def sleeper(cgroup: PidsCgroup, seconds: int) -> Iterator[int]:
    process = subprocess.Popen(["sleep", str(seconds)], start_new_session=True)
    try:
        cgroup.add(process.pid)
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "wish",
    [
        {"name": ["sleep"], "cmdline_regex": "^sleep 3001"},
        {"name": ["sleep"], "protect": [{**dict.fromkeys(CRITERIA), "min_age": None, "cmdline_regex": "sleep 3002"}]},
    ],
    ids=["not meant", "protected"],
)
def test_an_innocent_of_another_command_line(run: RUN, rogues: PidsCgroup, wish: dict[str, t.Any]) -> None:
    with sleeper(rogues, 3001) as rogue, sleeper(rogues, 3002):
        refused = run(cgroup=[path(rogues)], **wish)
        assert "also holds 1 others" in refused["refused"], refused
        assert rogues.limit is None
        rogues.path.parent.joinpath("cgroup.procs").write_text(str(rogue))  # each in a cgroup of its own, by now
        with PidsCgroup() as alone:
            alone.add(rogue)
            assert only(run(cgroup=[path(alone)], **wish))["limit"] == "0"
            run("released")


@pytest.mark.parametrize("wish", [{"cgroup": ["/nowhere"]}, {"unit": ["nowhere.service"]}, {"name": ["hc-nobody"]}])
def test_nothing_matches(run: RUN, wish: dict[str, t.Any]) -> None:
    found = run(**wish)
    assert (found["changed"], found["method"], found["converged"]) == (False, "none", True)


def test_what_is_never_throttled(run: RUN) -> None:
    assert "matches PID 1" in run(user=["root"], max_processes=100000)["refused"]
    assert "names no single cgroup" in run(cgroup=["/"])["refused"]
    mine = run(pid=[os.getpid()])
    assert (mine["changed"], mine["method"]) == (False, "none")
    assert mine["protected"][0]["reason"] == "it is this module itself"


def test_the_own_session_in_the_cgroup_keeps_it_free(run: RUN, rogues: PidsCgroup) -> None:
    with sleeping(session=False) as mine, spawner(rogues) as rogue:
        rogues.add(mine.pid)
        refused = run(cgroup=[path(rogues)])
        assert "also holds 1 others" in refused["refused"]
        rogue.assert_spawns()


def shielded(script: str, directory: Path, *options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The tool in a mount namespace of its own that the script has furnished."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}\nexec "$@"', "sh"]
    tool = [sys.executable, TOOL, str(directory / "run"), *(json.dumps({"jitter": 0, **one}) for one in options)]
    done = subprocess.run([*command, *tool], input="go\n" * len(options), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()[1:]]


def test_read_only_cgroups_are_said(tmp_path: Path, rogues: PidsCgroup) -> None:
    read_only = f"mount --bind {rogues.path.parent} {rogues.path.parent}; mount -o remount,ro,bind {rogues.path.parent}"
    with spawner(rogues) as rogue:
        (refused,) = shielded(read_only, tmp_path, {"state": "throttled", "cgroup": [path(rogues)]})
        assert "read-only" in refused["refused"], refused
        rogue.assert_spawns()
        assert not (tmp_path / "run").exists()


def test_a_release_that_fails_is_still_remembered(run: RUN, tmp_path: Path, rogues: PidsCgroup) -> None:
    read_only = f"mount --bind {rogues.path.parent} {rogues.path.parent}; mount -o remount,ro,bind {rogues.path.parent}"
    with spawner(rogues) as rogue:
        run(cgroup=[path(rogues)])
        (failed,) = shielded(read_only, tmp_path, {"state": "released"})
        assert "still remembered" in failed["problem"], failed
        rogue.assert_throttled()
        assert run("released")["released"] == 1
        rogue.assert_spawns()


def test_without_room_for_the_memory_nothing_is_touched(tmp_path: Path, rogues: PidsCgroup) -> None:
    full = (
        f"mount -t tmpfs -o nr_inodes=3,mode=0755 tmpfs {tmp_path}; mkdir {tmp_path}/run; touch {tmp_path}/filler; "
        f"! touch {tmp_path}/one-more 2>/dev/null"
    )
    wish = {"state": "throttled", "cgroup": [path(rogues)], "limit": "1"}
    with spawner(rogues) as rogue:
        (refused,) = shielded(full, tmp_path, {**wish, "release_after": "1m"})
        assert "nothing was throttled" in refused["refused"], refused
        assert rogues.limit is None
        rogue.assert_spawns()
        (found,) = shielded(full, tmp_path, wish)
        assert found["changed"], found
        assert "not remembered" in found["warnings"][0]
        assert only(found)["limit_before"] == "unlimited"
        rogue.assert_throttled()


# each that can change anything; a child killed at one of them has not made it
CALLS = ("mkdir", "write", "rename", "renameat", "unlink", "unlinkat")


def killed_at(call: str, number: int, work: t.Callable[[], object]) -> bool:
    """Whether a child that does the work was killed at its call of this number, and did not come to its end before."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
        finally:
            os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    inject = f"inject={call}:signal=KILL:when={number}"
    trace = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, "-p", str(child)]
    with subprocess.Popen(trace) as strace:
        tracer = f"TracerPid:\t{strace.pid}\n"
        wait_for(lambda: tracer in Path(f"/proc/{child}/status").read_text(), "it is traced")
        os.kill(child, signal.SIGCONT)
        _pid, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_a_module_killed_at_any_step_leaves_nothing_unsaid(run: RUN, rogues: PidsCgroup) -> None:
    """Whatever is in place is the old limit, or one that is remembered, and the next run takes it back."""
    wish = {"cgroup": [path(rogues)], "limit": "2", "release_after": "1h"}
    rogues.limit = 55
    met = []
    for call in CALLS:
        for number in itertools.count(1):
            if not killed_at(call, number, lambda: run(**wish)):
                assert rogues.limit == 2
                run("released")
                break
            met.append(call)
            assert rogues.limit == 55, "it is remembered before it is written"
            run("released")
            assert rogues.limit == 55
    assert {"write", "mkdir"} < set(met), met
    assert met.count("write") == 2, "of the memory, of the limit"
    met = []
    for call in CALLS:
        for number in itertools.count(1):
            run(**wish)
            if not killed_at(call, number, lambda: run("released")):
                break
            met.append((call, rogues.limit))
            assert run("released")["in_force"] == 0
            assert rogues.limit == 55
    assert rogues.limit == 55
    assert ("write", 2) in met, met
    assert ("unlinkat", 55) in met or ("unlink", 55) in met, "it is written before it is forgotten"


def test_the_release_command_undoes_this_throttle_and_no_other(run: RUN, rogues: PidsCgroup) -> None:
    """What a timer of systemd would run, once while the throttle is in force and once when it is another one."""
    wish = {"cgroup": [path(rogues)], "limit": "2", "release_after": "1h"}
    rogues.limit = 55
    scripts = []
    for _throttle in range(2):
        (command,) = run(**wish)["release_commands"]
        scripts.append(re.search(r"/bin/sh -c (.*)$", command).group(1))  # type: ignore[union-attr]
        assert command.startswith("systemd-run --collect --unit=hostcare-release-")
        if len(scripts) == 1:
            run("released")
    subprocess.run(f"sh -c {scripts[0]}", shell=True, check=True)
    assert rogues.limit == 2, "an old timer leaves the new throttle alone"
    subprocess.run(f"sh -c {scripts[1]}", shell=True, check=True)
    assert rogues.limit == 55
    assert only(run("released"))["reason"] == "its old limit had been put back already"
