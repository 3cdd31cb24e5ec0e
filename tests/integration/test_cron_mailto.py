# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""`cron_mailto` as a task: over ssh, in one process, with a diff, and with a failure that names the file."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.integration.test_lean_no_forks import FORKS, Traced
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import Result
from ansible_collections.hostcare.remediation.tests.support.slots import Login

MODULE = "hostcare.remediation.cron_mailto"
TAB = "/run/tabs/app"
OLD = "# of the app\nMAILTO=ops@example.org\n* * * * * root /bin/one\nMAILTO=dev\n* * * * * root /bin/two\n"
NEW = '# of the app\nMAILTO=""\n* * * * * root /bin/one\nMAILTO=""\n* * * * * root /bin/two\n'


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    log = tmp_path / "calls"
    return Traced(f"strace -f -qq --seccomp-bpf -e trace=%process -o {log} /usr/bin/python3", log)


class Host:
    """Crontabs on a tmpfs of the private sshd, which are nobody's."""

    def __init__(self, login: Login) -> None:
        self.login = login

    def furnish(self) -> None:
        escaped = OLD.replace("\n", "\\n")
        self.login.sshd.ssh(f"rm -rf /run/tabs /var/lib/hostcare; mkdir /run/tabs; printf '{escaped}' >{TAB}")

    def read(self, path: str = TAB) -> str:
        return self.login.sshd.ssh(f"cat {path}").stdout

    def task(self, **options: t.Any) -> dict[str, t.Any]:
        return {MODULE: {"mailto": "", "paths": [TAB], "dialect": "cronie", **options}}

    def run(self, arguments: t.Sequence[str] = (), host_vars: t.Any = None, **options: t.Any) -> Result:
        return self.login.play(self.task(**options), live=True, arguments=arguments, host_vars=host_vars or {}).only


@pytest.fixture
def host(root: Login) -> Host:
    host = Host(root)
    host.furnish()
    return host


def test_check_mode_foretells_what_is_done_and_undone(host: Host) -> None:
    foretold = host.run(["--check", "--diff"])
    assert (foretold.status, foretold.data["changed"], host.read()) == ("ok", True, OLD)
    done = host.run(["--diff"])
    assert (done.status, done.data["changed"], host.read()) == ("ok", True, NEW)
    assert foretold.data.keys() == done.data.keys()
    assert foretold.data["diff"] == done.data["diff"]
    assert done.data["diff"] == [{"before": OLD, "after": NEW, "before_header": TAB, "after_header": TAB}]
    (file,) = done.data["files"]
    assert (file["status"], file["rewritten"], file["recipients"]) == ("changed", [2, 4], ["ops@example.org", "dev"])
    assert not host.run().data["changed"]
    undone = host.run(state="restored", backup_file=done.data["backup_file"], mailto=None)
    assert (undone.data["changed"], host.read()) == (True, OLD)


@pytest.mark.once
def test_it_makes_no_fork(host: Host, traced: Traced) -> None:
    for state, content in (
        ("present", NEW),
        ("restored", OLD),
        ("absent", OLD.replace("MAILTO=ops@example.org\n", "")),
    ):
        host_vars = {"ansible_python_interpreter": traced.python}
        answer = host.run(state=state, mailto="ops@example.org" if state == "absent" else "", host_vars=host_vars)
        assert (answer.status, answer.data.get("changed")) == ("ok", True), answer.data
        assert traced.calls(FORKS) == []
        assert host.read() == content


def test_one_process_is_all_it_takes(host: Host) -> None:
    with PidsCgroup() as cell:
        cell.limit = 1
        python = f"/bin/sh -c 'echo $$ >{cell.path}/cgroup.procs; exec /usr/bin/python3'"
        answer = host.run(host_vars={"ansible_python_interpreter": python})
    assert (answer.status, host.read()) == ("ok", NEW), answer.data


def test_what_cannot_be_done_safely_fails_and_the_rest_is_done(host: Host) -> None:
    host.login.sshd.ssh(
        f"ln {TAB} /run/tabs/precious; mkdir /run/tabs/more; printf '* * * * * root x\\n' >/run/tabs/more/tab"
    )
    answer = host.run(paths=[TAB, "/run/tabs/more/tab"])
    assert answer.status == "failed"
    assert f"1 of 2 crontabs are left as they were. {TAB}: it has 2 names (hard links)" in answer.data["msg"]
    assert answer.data["totals"]["changed"] == answer.data["totals"]["refused"] == 1
    assert host.read() == OLD
    assert host.read("/run/tabs/more/tab").startswith('MAILTO=""\n')


def test_bad_input_is_refused_before_anything_is_touched(host: Host) -> None:
    wrong: list[tuple[dict[str, t.Any], str]] = [
        ({"mailto": "a b"}, "mailto: 'a b' is not an address that cron daemons mail to"),
        ({"mailto": None}, "mailto is null, which state=present cannot set"),
        ({"paths": ["etc/crontab"]}, "paths: etc/crontab is not an absolute path"),
        ({"scope": ["system"]}, "parameters are mutually exclusive: scope|paths"),
        ({"max_files": 0}, "1 crontabs would be rewritten, which is more than max_files (0)"),
        ({"state": "restored", "backup_file": "/nowhere"}, "/nowhere cannot be read (No such file or directory)"),
        ({"state": "restored", "backup_file": "/etc/passwd"}, "/etc/passwd is damaged, or is no backup of this module"),
    ]
    tasks = [host.task(**options) for options, _message in wrong]
    answers = host.login.play({"block": tasks, "ignore_errors": True}, live=True).results
    for (options, message), answer in zip(wrong, answers, strict=True):
        assert answer.status == "failed", options
        assert message in answer.data["msg"]
    assert host.read() == OLD
