# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A controller that dies of SIGKILL in the middle of a remedy, and the run after it; and two runs at once.

Commands of the controller enter the host by the shell they are given to: so those that are no module go there, too.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import threading
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.cron import root as cron_root
from ansible_collections.hostcare.remediation.tests.support.mail import PostfixHost
from ansible_collections.hostcare.remediation.tests.support.storm.arena import (
    TOOLS,
    Arena,
    pid_max_is_private,
    wait_until,
)
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = pytest.mark.once

SLOTS = 400
HOST = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "hostcare_session_timeout": 0}
SELECTOR = {"name": ["rogue"], "user": ["games"]}


class Host:
    """One host, and any number of controllers that know the way to it."""

    def __init__(self, home: Path, way: str) -> None:
        self.home, self._count, self._lock = home, 0, threading.Lock()
        self.shell = home / "shell"
        # Ansible names it once more within the command.
        enter = '[ -z "$INSIDE" ] || exec /bin/sh "$@"'
        self.shell.write_text(f'#!/bin/sh\n{enter}\nexec {way} env INSIDE=1 /bin/sh "$@"\n')
        self.shell.chmod(0o755)

    def play(self, playbook: str, dies_at: str = "", **variables: t.Any) -> Run:
        with self._lock:
            self._count += 1
            home = self.home / f"controller-{self._count}"
        home.mkdir()
        environment = {"ANSIBLE_EXECUTABLE": str(self.shell), "ANSIBLE_PIPELINING": "true"}
        if dies_at:
            environment |= {"ANSIBLE_CALLBACKS_ENABLED": "hostcare_dies", "HOSTCARE_DIES_AT": dies_at}
        run = Controller(home).run_playbook(
            f"hostcare.remediation.{playbook}", {"web1": HOST}, "-e", json.dumps(variables), environment=environment
        )
        assert not dies_at or run.code == -signal.SIGKILL, run.output
        return run

    def signal_controllers(self, number: int) -> None:
        """With all their workers, which work in the directory of theirs."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if Path(os.readlink(entry / "cwd")).is_relative_to(self.home):
                    os.kill(int(entry.name), number)


def report(run: Run) -> str:
    (lines,) = [result.data["msg"] for result in run.results if result.task.endswith(" : Report")]
    return "\n".join(lines)


# --- a storm of processes ---


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(slots=SLOTS) as arena:
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        yield arena


@pytest.fixture
def stormed(arena: Arena, tmp_path: Path) -> Host:
    arena.spare(25)
    arena.bomb("nap")
    arena.wait_full(spare=25)
    cgroups = " ".join(f"--cgroup {directory}" for directory in arena.grounds.make(TOOLS))
    return Host(tmp_path, f"{program('enter')} {arena.init} {cgroups} --")


def pid_max(arena: Arena) -> int:
    """As it is inside: from outside the same file tells of the machine."""
    return int(arena.run(["cat", "/proc/sys/kernel/pid_max"]).stdout)


def test_a_lock_that_is_left_behind_is_told_of_and_what_is_left_is_done(arena: Arena, stormed: Host) -> None:
    twin = arena.innocent(name="rogue")
    rogues, before = len(arena.living()), pid_max(arena)
    wish: dict[str, t.Any] = {"process_storm_selector": SELECTOR}
    if pid_max_is_private():  # else that of the whole machine
        wish["process_storm_pid_max"] = 3000
    stormed.play("process_storm", dies_at="then end them", **wish)
    assert len(arena.living()) == rogues
    assert (pid_max(arena) == 3000) == pid_max_is_private()

    told = stormed.play("process_storm", process_storm_stale_after="1s", **wish)
    assert told.succeeded, told.output
    assert "That run was cut off; this one does what is left." in report(told)
    assert arena.living() == []
    twin.assert_unharmed()
    assert pid_max(arena) == before
    assert arena.run(["test", "-e", "/run/hostcare/lock"]).returncode == 1


def test_rogues_that_were_frozen_when_the_module_died_with_its_controller_are_ended(
    arena: Arena, stormed: Host
) -> None:
    twin = arena.innocent(name="rogue")
    before = len(arena.living())

    def frozen() -> bool:
        return sum(task.state == "T" for task in arena.living()) > before // 2

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # Without a group to stop it stops them one by one, and that far comes whoever kills, too.
        wish = {"process_storm_state": "frozen", "process_storm_method": "scan"}
        cut_off = pool.submit(stormed.play, "process_storm", process_storm_selector=SELECTOR, **wish)
        wait_until(frozen, 60, "the rogues are stopped")
        stormed.signal_controllers(signal.SIGKILL)
        arena.kill(TOOLS)
        assert cut_off.result().code == -signal.SIGKILL
    again = stormed.play("process_storm", process_storm_selector=SELECTOR, process_storm_stale_after="1s")
    assert again.succeeded, again.output
    assert "That run was cut off" in report(again)
    assert arena.living() == []
    twin.assert_unharmed()


def test_of_two_runs_at_once_the_second_leaves_the_host_alone_and_says_who_is_at_work(
    arena: Arena, stormed: Host
) -> None:
    twin = arena.innocent(name="rogue")
    lock = Path(f"/proc/{arena.init}/root/run/hostcare/lock")
    wish = {"process_storm_selector": SELECTOR}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(stormed.play, "process_storm", process_storm_owner="the first", **wish)
        wait_until(lock.exists, 60, "the first run holds the lock")
        stormed.signal_controllers(signal.SIGSTOP)
        second = stormed.play("process_storm", process_storm_owner="the second", **wish)
        stormed.signal_controllers(signal.SIGCONT)
        assert first.result().succeeded, first.result().output
    assert "another run is at work on this host: held by the first for process_storm since" in report(second)
    assert "If it is dead, run this again with -e process_storm_stale_after=1s" in report(second)
    assert not any(result.data.get("changed") for result in second.results)
    assert arena.living() == []
    twin.assert_unharmed()


# --- a storm of cron mail ---


@pytest.fixture
def mailing(tmp_path: Path) -> Iterator[tuple[Host, PostfixHost]]:
    """Postfix does not run; what root's jobs have mailed waits, and so does a letter of alice, who has no jobs."""
    with PostfixHost(tmp_path / "postfix") as postfix:
        shutil.copy2(cron_root("bookworm") / "usr/sbin/cron", postfix.path("/usr/sbin/cron"))
        jobs = postfix.path("/etc/cron.d")
        jobs.mkdir(exist_ok=True)
        (jobs / "chatty").write_text("* * * * * root echo hello\n")
        postfix.submit(*(f"cron {number}" for number in range(12)))
        postfix.submit("a letter", user="alice", to="root")
        home = tmp_path / "controllers"
        home.mkdir()
        host = Host(home, " ".join(postfix.inside))
        postfix.path(str(home)).mkdir(parents=True, exist_ok=True)
        shutil.copy2(host.shell, postfix.path(str(host.shell)))
        yield host, postfix


def kill_modules(postfix: PostfixHost) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            inside = os.path.samestat((entry / "root").stat(), postfix.path("/").stat())
            if inside and (entry / "comm").read_text().startswith("python"):
                os.kill(int(entry.name), signal.SIGKILL)


def test_jobs_that_were_silenced_by_a_run_that_was_cut_off_are_known_to_the_next_one(
    mailing: tuple[Host, PostfixHost],
) -> None:
    host, postfix = mailing
    jobs = postfix.path("/etc/cron.d/chatty")
    # Between the silence and the purge it has to be waited for: it ignores SIGTERM, as whoever started it did.
    postfix.run("sh", "-c", "{ trap '' TERM; sleep 600 | postdrop -r; } >/dev/null 2>&1 &")
    wish = {
        "cron_mail_storm_min_age": "1s", "cron_mail_storm_min_mails": 10, "cron_mail_storm_service": "",
        "cron_mail_storm_test_recipient": "", "cron_mail_storm_init": "sh",
    }  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        cut_off = pool.submit(host.play, "cron_mail_storm", cron_mail_storm_grace_period="60s", **wish)
        wait_until(lambda: 'MAILTO=""' in jobs.read_text(), 60, "the jobs are silent")
        host.signal_controllers(signal.SIGKILL)
        kill_modules(postfix)
        assert cut_off.result().code == -signal.SIGKILL
    assert sorted(postfix.queue().values()) == ["alice"] + 13 * ["root"], "and what is unfinished"
    again = host.play(
        "cron_mail_storm", cron_mail_storm_grace_period="1s", cron_mail_storm_stale_after="1s", **wish
    )  # fmt: skip
    assert again.succeeded, again.output
    assert "an earlier run was cut off, and may have stopped half-way" in report(again)
    assert sorted(postfix.queue().values()) == ["alice"], "her letter waits on"
