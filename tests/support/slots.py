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
from ansible_collections.hostcare.remediation.tests.support.standby import Standby

MOST = 12

# Each module as a healthy host could see it: nothing matches, nothing changes.
MODULES: dict[str, dict[str, t.Any]] = {
    "batch": {
        "steps": [
            {"name": "room", "module": "hostcare.remediation.headroom_info"},
            {
                "name": "rogues",
                "module": "hostcare.remediation.rogue_process",
                "args": {"state": "killed"},
                "each": [{"name": ["hostcare-nobody"]}, {"user": ["nobody"], "name": ["hostcare-nobody"]}],
            },
        ]
    },
    "cron_mailto": {"mailto": "", "paths": ["/etc/hostcare-nowhere"]},
    "file_descriptor_info": {},
    "headroom_info": {},
    "postfix_maildrop": {"state": "purged", "config_directory": str(Path(__file__).with_name("mail") / "no_maildrop")},
    "process_rlimit": {"name": ["hostcare-nobody"], "soft": "hard"},
    "remedy_lock": {"state": "released", "remedy": "process_storm", "owner": "slots"},
    "reserve_info": {},
    "rogue_process": {"state": "killed", "name": ["hostcare-nobody"]},
    "spawn_info": {"duration": "0.5s"},
    "spawn_throttle": {"state": "throttled", "name": ["hostcare-nobody"]},
    "sysv_ipc": {"state": "absent", "id": [2147483647]},
    "sysv_ipc_info": {"id": [2147483647]},
}
LEAN = {name: {f"hostcare.remediation.{name}": options} for name, options in MODULES.items()}
RAW: dict[str, t.Any] = {"ansible.builtin.raw": "echo hostcare"}
PING: dict[str, t.Any] = {"ansible.builtin.ping": {}}
RAW_ROW, PING_ROW, STANDBY_ROW = "raw, a shell builtin", "ping, pipelined", "any, with a standby"


class Row(t.NamedTuple):
    """What one task needs; `live` is a connection opened before, `fresh` one that the task has to open."""

    task: str
    live: int
    fresh: int | None
    sudo_live: int | None
    sudo_fresh: int | None


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
        """At once as things are, unless the keywords give it more time."""
        host_vars = self.variables(live) | keywords.pop("host_vars", {})
        return self.controller.play(host_vars, task, **{"become": self.user != "root"} | keywords)

    def succeeding(
        self, tasks: dict[str, dict[str, t.Any]], live: bool, free: int, host_vars: dict[str, t.Any] | None = None
    ) -> list[str]:
        """Those that succeed, each alone: in one play, but not before what the one before it used is free again."""
        self.leave_free(free, live)
        used = f"read used <{self.cgroup.path}/pids.current && [ $used -eq {self.cgroup.used} ]"
        play = [
            {
                "name": name,
                "when": f"lookup('ansible.builtin.pipe', 'until {used}; do sleep 0.01; done') == ''",
                "ignore_errors": True,
                "ignore_unreachable": True,
                **task,
            }
            for name, task in tasks.items()
        ]
        run = self.controller.play(self.variables(live) | (host_vars or {}), *play, become=self.user != "root")
        return [result.task for result in run.results if result.status == "ok"]

    def need(self, tasks: dict[str, dict[str, t.Any]], live: bool, least: int = 1) -> dict[str, int]:
        """By task: the smallest number of free slots with which it succeeds; fewer than the ``least`` cannot do."""
        found: dict[str, int] = {}
        for free in range(least, MOST + 1):
            left = {name: task for name, task in tasks.items() if name not in found}
            found.update(dict.fromkeys(self.succeeding(left, live, free), free))
            if len(found) == len(tasks):
                return found
        raise AssertionError(f"{sorted(tasks.keys() - found)} do not succeed with {MOST} free slots")

    def variables(self, live: bool) -> dict[str, t.Any]:
        """At once as things are: one attempt for a session."""
        python = {"ansible_python_interpreter": "/usr/bin/python3"}
        return {**self.sshd.inventory(live, self.user), **python, "hostcare_session_timeout": 0}

    def _wait_for(self, tasks: int) -> None:
        deadline = time.monotonic() + 10
        while self.cgroup.used != tasks:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.cgroup.used} tasks around sshd where {tasks} were expected")
            time.sleep(0.01)


def measure(report: t.Callable[[str], None] = lambda _line: None) -> list[Row]:
    """Every module of the collection beside a stock module and `raw`; progress goes to `report`."""
    tasks = {
        "ping, as installed": {**PING, "vars": {"ansible_pipelining": False}},
        PING_ROW: {**PING, "vars": {"ansible_pipelining": True}},
        **LEAN,
    }
    with (
        tempfile.TemporaryDirectory(prefix="hc-", dir="/var/tmp") as home,
        PidsCgroup() as cgroup,
        Operator() as operator,
        PrivateSshd(cgroup.enter, empty("/root", "/run", "/var/lib")) as sshd,
    ):
        columns = []
        for user in ("root", operator.name):
            login = Login(Controller(Path(home)), cgroup, sshd, user)
            for live in (True, False):
                report(f"measuring as {user}, {'live' if live else 'fresh'} ...")
                raw = login.need({RAW_ROW: RAW}, live)  # a session and no more: nobody takes less
                columns.append(raw | login.need(tasks, live, least=raw[RAW_ROW]))
        report("measuring with a standby ...")
        with Standby(sshd):
            root = Login(Controller(Path(home)), cgroup, sshd, "root")
            served = root.succeeding(LEAN, live=True, free=0, host_vars={"hostcare_standby": True})
    rows = [Row(name, *(column[name] for column in columns)) for name in (RAW_ROW, *tasks)]
    # it answers root's logins over a connection that is open
    return rows + ([Row(STANDBY_ROW, 0, None, None, None)] if served == [*LEAN] else [])


def table(rows: t.Sequence[Row]) -> str:
    columns = ("root, live", "root, fresh", "sudo, live", "sudo, fresh")
    lines = [f"{'free slots needed by':<24}" + "".join(f"{column:>13}" for column in columns)]
    lines += [f"{row.task:<24}" + "".join(f"{'' if count is None else count:>13}" for count in row[1:]) for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure(lambda line: print(line, flush=True))))
