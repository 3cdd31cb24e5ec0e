# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What an incident costs a fleet: how often the playbook of a remedy asks something of each host."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, python_behind
from ansible_collections.hostcare.remediation.tests.support.cron import root as cron_root
from ansible_collections.hostcare.remediation.tests.support.ipc.bench import program
from ansible_collections.hostcare.remediation.tests.support.mail import PostfixHost
from ansible_collections.hostcare.remediation.tests.support.storm import TOOLS, Arena, programs

pytestmark = pytest.mark.once

INCIDENT = 5  # lock, look, cure, look again, unlock
LEAKED, SERVICE_USER = 20, "5"  # of the system, as those of services are
CHAINS = 12
# A process table, arrays, and directories for locks of its own.
OF_ITS_OWN = (
    "unshare", "--ipc", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
    "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && echo ready && exec sleep 600",
)  # fmt: skip


class Counted:
    def __init__(self, controller: Controller, home: Path, python: str) -> None:
        self._controller, self._counted = controller, home / "tasks.json"
        self._host = {"ansible_connection": "local", "ansible_python_interpreter": python}

    def play(self, playbook: str, **variables: t.Any) -> list[str]:
        """The names of the tasks that asked something of the host."""
        run = self._controller.run_playbook(
            f"hostcare.remediation.{playbook}", {"web1": self._host}, "-e", json.dumps(variables),
            environment={"ANSIBLE_CALLBACKS_ENABLED": "hostcare_tasks", "HOSTCARE_TASKS": str(self._counted)},
        )  # fmt: skip
        assert run.succeeded, run.output
        return list(json.loads(self._counted.read_text())["web1"]["host_tasks"])


@contextlib.contextmanager
def _namespaces() -> Iterator[list[str]]:
    """The command that enters them."""
    with subprocess.Popen(OF_ITS_OWN, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "ready\n"
        inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().strip()
        try:
            yield ["nsenter", f"--target={inner}", "--ipc", "--pid", "--mount"]
        finally:
            outer.kill()


def test_a_semaphore_leak(controller: Controller, tmp_path: Path) -> None:
    with _namespaces() as enter:
        subprocess.run([*enter, program("csem"), "make", str(LEAKED), SERVICE_USER], check=True)
        python = python_behind(enter, tmp_path)
        time.sleep(3)  # or they are too young to be told from those in use
        host = Counted(controller, tmp_path, str(python))
        wish = {"semaphore_leak_selector": {"owner": [SERVICE_USER]}, "semaphore_leak_min_age": "1s"}
        tasks = host.play("semaphore_leak", **wish)
        left = subprocess.run([*enter, "cat", "/proc/sysvipc/sem"], check=True, capture_output=True, text=True).stdout
        assert len(left.splitlines()) == 1
        assert len(tasks) == INCIDENT - 1, tasks  # without a unit to start
        assert len(host.play("semaphore_leak", **wish)) < len(tasks)


def test_a_process_storm(controller: Controller, tmp_path: Path) -> None:
    with Arena(320, full_by="pids.max") as arena:
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        twin = arena.innocent(name="rogue")
        arena.spare(15)
        arena.bomb("nap")
        arena.wait_full(spare=15)
        cgroups = " ".join(f"--cgroup {directory}" for directory in arena.grounds.make(TOOLS))
        python = f"{programs.program('enter')} {arena.init} {cgroups} -- /usr/bin/python3"
        host = Counted(controller, tmp_path, python)
        wish = {"process_storm_selector": {"name": ["rogue"], "user": ["games"]}}
        tasks = host.play("process_storm", **wish)
        assert not arena.living()
        twin.assert_unharmed()
        assert len(tasks) == INCIDENT, tasks
        assert len(host.play("process_storm", **wish)) < INCIDENT


def _stick(postfix: PostfixHost) -> None:
    """Jobs of bob and a letter of alice: postdrop may not write to the queue, and waits until it may."""
    postfix.run("useradd", "--create-home", "--uid", "2002", "bob")
    postfix.start()
    postfix.run("chgrp", "root", "/var/spool/postfix/maildrop")
    postfix.run("sh", "-c", "echo 'Subject: a letter' | setsid sendmail alice >/dev/null 2>&1 &", user="alice")
    shutil.copy2(cron_root("bookworm") / "usr/sbin/cron", postfix.path("/usr/sbin/cron"))
    jobs = postfix.path("/etc/cron.d")
    jobs.mkdir(exist_ok=True)
    (jobs / "chatty").write_text(CHAINS * "@reboot bob echo hello\n")
    postfix.run("groupadd", "--system", "crontab")
    postfix.run("cron")
    postfix.wait_for(lambda: postfix.log().count("Permission denied") > CHAINS, "the jobs are stuck", timeout=20)


def test_a_storm_of_cron_mail(controller: Controller, tmp_path: Path) -> None:
    with PostfixHost(tmp_path / "postfix") as postfix:
        _stick(postfix)
        python = python_behind(postfix.inside, tmp_path)
        time.sleep(1)  # or the chains are too young
        host = Counted(controller, tmp_path, str(python))
        # There is no systemd that could start Postfix anew. It takes no task of its own.
        wish = {"cron_mail_storm_min_age": "1s", "cron_mail_storm_service": ""}
        tasks = host.play("cron_mail_storm", **wish)
        assert 'MAILTO=""' in postfix.path("/etc/cron.d/chatty").read_text()
        assert postfix.delivered("root") == ["mail works again on web1"]
        postfix.wait_for(lambda: postfix.delivered("alice") == ["a letter"], "hers is delivered")
        assert len(set(tasks)) == INCIDENT, tasks
        assert len(host.play("cron_mail_storm", **wish)) < INCIDENT
