# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How many free process slots a task needs on its target: found by leaving ever more of them free.

The limit is that of a pids cgroup around a private sshd. Run it for a table: slots.py
"""

from __future__ import annotations

import sys
import tempfile
import time
import typing as t
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Run
from ansible_collections.hostcare.remediation.tests.support.mounts import empty
from ansible_collections.hostcare.remediation.tests.support.operators import Operator
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

MOST = 12

# Each module as a healthy host could see it: nothing matches, nothing changes.
MODULES: dict[str, dict[str, t.Any]] = {
    "cron_mailto": {"mailto": "", "paths": ["/etc/hostcare-nowhere"]},
    "file_descriptor_info": {},
    "headroom_info": {},
    "postfix_maildrop": {"state": "purged", "config_directory": str(Path(__file__).with_name("mail") / "no_maildrop")},
    "process_rlimit": {"name": ["hostcare-nobody"], "soft": "hard"},
    "remedy_lock": {"state": "released", "remedy": "process_storm", "owner": "slots"},
    "rogue_process": {"state": "killed", "name": ["hostcare-nobody"]},
    "spawn_throttle": {"state": "throttled", "name": ["hostcare-nobody"]},
    "sysv_ipc": {"state": "absent", "id": [2147483647]},
    "sysv_ipc_info": {"id": [2147483647]},
}
LEAN = {name: {f"hostcare.remediation.{name}": options} for name, options in MODULES.items()}
RAW: dict[str, t.Any] = {"ansible.builtin.raw": "echo hostcare"}
PING: dict[str, t.Any] = {"ansible.builtin.ping": {}}


class Row(t.NamedTuple):
    """What one task needs; `live` is a connection opened before, `fresh` one that the task has to open."""

    task: str
    live: int
    fresh: int
    sudo_live: int
    sudo_fresh: int


class Login:
    """One user's way to a private sshd whose cgroup limits it; a user other than root uses sudo."""

    def __init__(self, controller: Controller, cgroup: PidsCgroup, sshd: PrivateSshd, user: str) -> None:
        self.controller, self.cgroup, self.sshd, self.user = controller, cgroup, sshd, user

    def reset(self) -> None:
        """No limit, no connection, and nothing left of the last task, which would count as taken slots."""
        self.sshd.close_masters()
        self.cgroup.limit = None
        self._wait_for(1)

    def leave_free(self, slots: int, live: bool) -> None:
        self.reset()
        if live:
            self.sshd.open_master(self.user)
            # the listener, the connection's process, and for a login that is not root the one that runs as the user
            self._wait_for(2 if self.user == "root" else 3)
        self.cgroup.leave_free(slots)

    def play(self, task: dict[str, t.Any], live: bool, **keywords: t.Any) -> Run:
        """At once as things are: one attempt for a session, unless the keywords give it more time."""
        variables = {"ansible_python_interpreter": "/usr/bin/python3", "hostcare_session_timeout": 0}
        host_vars = self.sshd.inventory(live, self.user) | variables | keywords.pop("host_vars", {})
        return self.controller.play(host_vars, task, **{"become": self.user != "root"} | keywords)

    def succeeds(self, task: dict[str, t.Any], live: bool, free: int, **host_vars: t.Any) -> bool:
        self.leave_free(free, live)
        return self.play(task, live, host_vars=host_vars).only.status == "ok"

    def needs(self, task: dict[str, t.Any], live: bool, **host_vars: t.Any) -> int:
        """The smallest number of free slots with which the task succeeds."""
        for free in range(1, MOST + 1):
            if self.succeeds(task, live, free, **host_vars):
                return free
        raise AssertionError(f"{task} does not succeed with {MOST} free slots")

    def _wait_for(self, tasks: int) -> None:
        deadline = time.monotonic() + 10
        while self.cgroup.used != tasks:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.cgroup.used} tasks around sshd where {tasks} were expected")
            time.sleep(0.01)


def measure(report: t.Callable[[str], None] = lambda _line: None) -> list[Row]:
    """Every module of the collection beside a stock module and `raw`; progress goes to `report`."""
    subjects: list[tuple[str, dict[str, t.Any], dict[str, t.Any]]] = [
        ("raw, a shell builtin", RAW, {}),
        ("ping, as installed", PING, {"ansible_pipelining": False}),
        ("ping, pipelined", PING, {"ansible_pipelining": True}),
        *((name, task, {}) for name, task in LEAN.items()),
    ]
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="hc-", dir="/var/tmp") as home,
        PidsCgroup() as cgroup,
        Operator() as operator,
        PrivateSshd(cgroup.enter, empty("/root", "/run", "/var/lib")) as sshd,
    ):
        logins = [Login(Controller(Path(home)), cgroup, sshd, user) for user in ("root", operator.name)]
        for name, task, variables in subjects:
            counts = [login.needs(task, live, **variables) for login in logins for live in (True, False)]
            rows.append(Row(name, *counts))
            report(table(rows[-1:], heading=len(rows) == 1))
    return rows


def table(rows: t.Sequence[Row], heading: bool = True) -> str:
    columns = ("root, live", "root, fresh", "sudo, live", "sudo, fresh")
    lines = [f"{'free slots needed by':<24}" + "".join(f"{column:>13}" for column in columns)] if heading else []
    lines += [f"{row.task:<24}" + "".join(f"{count:>13}" for count in row[1:]) for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    measure(lambda line: print(line, flush=True))
