# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is never touched, on a host with an ssh login, a service, a container and impostors of each."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_KTHREAD, Process
from ansible_collections.hostcare.remediation.plugins.module_utils._process import guard as guarding
from ansible_collections.hostcare.remediation.plugins.module_utils._process.guard import Guard
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Matcher, parse
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

OWN = 4000
TTY = 34816
NESTED = "pid:[4026532999]"
ROOT_OWNED, ANOTHER_ROOT_OWNED = "/bin/sh", "/bin/cat"


class Host:
    """The listener 800, this login 810 to 812, another login 820 and 821, the module 4000."""

    def __init__(self, directory: Path) -> None:
        self.tree = ProcTree(directory / "proc")
        self.sshd = self.program(directory / "usr" / "sbin" / "sshd", ROOT_OWNED)
        self.session_program = self.program(directory / "usr" / "lib" / "sshd-session", ROOT_OWNED)
        self.impostor = self.program(directory / "home" / "sshd", ANOTHER_ROOT_OWNED)
        self.processes: list[Process] = [process(1, b"systemd", ppid=0, pgid=1, sid=1)]
        add = self.add
        add(process(2, b"kthreadd", ppid=0, pgid=0, sid=0, flags=PF_KTHREAD))
        add(process(800, b"sshd", pgid=800, sid=800), exe=self.sshd)
        add(process(810, b"sshd", ppid=800, pgid=810, sid=810), exe=self.sshd)
        add(process(811, b"sshd", ppid=810, pgid=810, sid=810), exe=self.sshd)
        add(process(812, b"bash", ppid=811, pgid=812, sid=812, tty=TTY), exe=ROOT_OWNED)
        add(process(OWN, b"python3", ppid=812, pgid=OWN, sid=812, tty=TTY))
        add(process(820, b"sshd", ppid=800, pgid=820, sid=820), exe=self.sshd)
        add(process(821, b"bash", ppid=820, pgid=821, sid=821, tty=TTY), exe=ROOT_OWNED)

    @staticmethod
    def program(path: Path, file: str) -> str:
        """A file of root's, which the tests need not be root to have."""
        path.parent.mkdir(parents=True)
        path.symlink_to(file)
        return str(path)

    def add(self, made: Process, **details: t.Any) -> Process:
        self.processes.append(self.tree.add(made, **details))
        return made

    def guard(self, protect: t.Sequence[dict[str, t.Any]] = (), **options: t.Any) -> Guard:
        matchers = [Matcher(parse(selector, "protect"), self.tree.table) for selector in protect]
        return Guard(self.tree.table, self.processes, matchers, own_pid=OWN, **options)

    def reason(self, pid: int, **options: t.Any) -> str | None:
        found = next(one for one in self.processes if one.pid == pid)
        return self.guard(**options).reason(found)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(guarding, "_SSHD_PROGRAMS", (made.sshd, made.session_program))
    return made


@pytest.mark.parametrize(
    "pid, reason",
    [
        (1, "PID 1"),
        (2, "kernel thread"),
        (OWN, "this module itself"),
        (812, "descends from it"),
        (811, "descends from it"),
        (810, "descends from it"),
        (800, "descends from it"),
        (820, "it runs the sshd of this host"),
        (821, "login shell of an ssh session"),
    ],
)
def test_the_host_and_the_login_are_protected(host: Host, pid: int, reason: str) -> None:
    assert reason in (host.reason(pid) or "")


def test_what_shares_the_session_of_the_module_is_protected(host: Host) -> None:
    host.add(process(900, ppid=1, pgid=900, sid=812))
    assert "session this module was started from" in (host.reason(900) or "")


def test_another_channel_of_the_same_connection_is_protected(host: Host) -> None:
    host.add(process(900, b"sh", ppid=811, pgid=900, sid=900))
    host.add(process(901, ppid=900, pgid=900, sid=900))
    assert host.reason(900)
    assert host.reason(901)


def test_a_login_of_root_has_one_sshd_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path)
    monkeypatch.setattr(guarding, "_SSHD_PROGRAMS", (host.sshd,))
    host.processes = [one for one in host.processes if one.pid != 811]
    host.processes = [one._replace(ppid=810) if one.pid == 812 else one for one in host.processes]
    host.add(process(900, ppid=810, pgid=900, sid=900))
    host.add(process(910, ppid=821, pgid=910, sid=821))
    assert host.reason(900), "another channel of this connection"
    assert host.reason(910) is None, "a job of another login"


def test_the_jobs_of_another_login_are_not_protected(host: Host) -> None:
    host.add(process(900, ppid=821, pgid=900, sid=821))
    assert host.reason(900) is None


@pytest.mark.parametrize("comm", [b"sshd", b"systemd", b"init", b"bash", b"python3", b"[kworker/0:1]", b"kthreadd"])
def test_a_name_protects_nobody(host: Host, comm: bytes) -> None:
    host.add(process(900, comm, ppid=1, pgid=900, sid=900), exe=host.impostor)
    assert host.reason(900) is None


def test_a_file_called_sshd_protects_nobody(host: Host) -> None:
    host.add(process(900, b"sshd", ppid=800, pgid=900, sid=900), exe=host.impostor)
    host.add(process(901, b"sshd", ppid=800, pgid=901, sid=901), exe=str(Path(host.impostor).parent / "gone"))
    assert host.reason(900) is None
    assert host.reason(901) is None


def test_an_unseen_program_is_sshd_only_below_one_that_is_seen(host: Host) -> None:
    """A container without CAP_SYS_PTRACE shows root no program of other users."""
    host.add(process(900, b"sshd", ppid=820, pgid=820, sid=820, owner=1234), exe=None)
    host.add(process(901, b"sshd", ppid=821, pgid=901, sid=901, owner=1234), exe=None)
    host.add(process(902, b"sshd", ppid=900, pgid=902, sid=902, owner=1234), exe=None)
    assert host.reason(900) == "it runs the sshd of this host"
    assert host.reason(901) is None, "the child of a shell"
    assert host.reason(902) is None, "below one that is not seen itself"


def test_a_terminal_below_an_impostor_is_no_login(host: Host) -> None:
    host.add(process(900, b"sshd", ppid=1, pgid=900, sid=900), exe=host.impostor)
    host.add(process(901, b"bash", ppid=900, pgid=901, sid=901, tty=TTY), exe=ROOT_OWNED)
    assert host.reason(901) is None


@pytest.mark.parametrize(
    "exe, protected",
    [("{sshd} (deleted)", True), ("{session_program} (deleted)", True), ("{impostor} (deleted)", False)],
)
def test_sshd_after_an_upgrade(host: Host, exe: str, protected: bool) -> None:
    host.add(process(900, b"sshd", ppid=1, pgid=900, sid=900), exe=exe.format(**vars(host)))
    assert bool(host.reason(900)) is protected


def test_the_deleted_sshd_of_a_container_is_not_that_of_the_host(host: Host) -> None:
    host.add(process(900, b"sshd", ppid=1, pgid=900, sid=900), exe=host.sshd + " (deleted)")
    link = host.tree.root / "900" / "ns" / "mnt"
    link.unlink()
    link.symlink_to("mnt:[2]")
    assert host.reason(900) is None


def test_a_login_shell_after_an_upgrade(host: Host) -> None:
    host.add(process(900, b"bash", ppid=820, pgid=900, sid=900, tty=TTY), exe=ROOT_OWNED + " (deleted)")
    assert "login shell" in (host.reason(900) or "")


@pytest.mark.parametrize(
    "changes, exe",
    [({"tty": 0}, ROOT_OWNED), ({"sid": 899}, ROOT_OWNED), ({"ppid": 1}, ROOT_OWNED), ({}, "/opt/worker"), ({}, None)],
    ids=["no terminal", "no session leader", "not below sshd", "no shell", "unknown program"],
)
def test_what_is_no_login_shell(host: Host, changes: dict[str, t.Any], exe: str | None) -> None:
    made = process(900, b"bash", ppid=820, pgid=900, sid=900, tty=TTY)._replace(**changes)
    host.add(made, exe=exe)
    assert host.reason(900) is None


@pytest.mark.parametrize(
    "cgroup, protected",
    [
        ("0::/init.scope\n", True),
        ("0::/system.slice/systemd-journald.service\n", True),
        ("0::/system.slice/systemd-udevd.service/udev\n", True),
        ("0::/system.slice/dbus.service\n", True),
        ("0::/system.slice/dbus-broker.service\n", True),
        ("5:name=systemd:/system.slice/systemd-logind.service\n0::/\n", True),
        ("0::/system.slice/dbus.service.d\n", False),
        ("0::/system.slice/app.service\n", False),
        ("0::/system.slice/app.service/systemd-x.service\n", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", False),
        ("0::/user.slice/systemd-journald.service\n", False),
        ("0::/\n", False),
        ("5:pids:/init.scope\n0::/app\n", False),
        ("", False),
        (b"0::/user.slice/x\x0b0::/init.scope\n", False),
        (b"0::/user.slice/x\xe2\x80\xa80::/system.slice/dbus.service\n", False),
    ],
)
def test_the_helpers_of_pid_1_are_known_by_their_cgroup(host: Host, cgroup: str | bytes, protected: bool) -> None:
    host.add(process(900, b"helper", ppid=1, pgid=900, sid=900), cgroup=cgroup)
    assert host.reason(900) == ("it is a helper of PID 1" if protected else None)


@pytest.mark.parametrize(
    "cgroup, protected",
    [
        ("0::/hostcare.slice/hostcare-standby.service\n", True),
        ("5:name=systemd:/hostcare.slice/hostcare-standby.service\n0::/\n", True),
        ("0::/hostcare.slice/ssh.service\n", False),
        ("0::/hostcare.slice/hostcare-standby.service.d\n", False),
        ("0::/system.slice/hostcare-standby.service\n", False),
        ("0::/user.slice/hostcare.slice/hostcare-standby.service\n", False),
    ],
)
def test_the_standby_is_known_by_its_cgroup(host: Host, cgroup: str, protected: bool) -> None:
    host.add(process(900, b"python3", ppid=1, pgid=900, sid=900), cgroup=cgroup)
    assert host.reason(900) == ("it is the standby of this host" if protected else None)


def test_the_helpers_in_a_container_that_sees_the_cgroups_of_its_host(tmp_path: Path) -> None:
    """cgroup v1 containers share the namespace of their host: all paths begin with that of the container."""
    tree = ProcTree(tmp_path / "proc")
    tree.write("1/cgroup", "5:name=systemd:/docker/0a1b/init.scope\n0::/\n")
    tree.add(process(900), cgroup="5:name=systemd:/docker/0a1b/system.slice/systemd-journald.service\n0::/\n")
    tree.add(process(901), cgroup="5:name=systemd:/docker/0a1b/system.slice/app.service\n0::/\n")
    guard = Guard(tree.table, list(tree.table.scan()))
    assert guard.reason(process(900)) == "it is a helper of PID 1"
    assert guard.reason(process(901, comm=b"app")) is None


@pytest.mark.parametrize("score, protected", [(-1000, True), (-999, False), (0, False), (1000, False)])
@pytest.mark.parametrize("owner", [0, 1234])
def test_oom_score_adj(host: Host, score: int, protected: bool, owner: int) -> None:
    host.add(process(900, ppid=1, pgid=900, sid=900, owner=owner), oom=score)
    assert host.reason(900) == ("its oom_score_adj is -1000; raise that first if it is meant" if protected else None)


def test_containers(host: Host) -> None:
    host.add(process(900, ppid=1, pgid=900, sid=900), namespace=NESTED)
    assert "set include_containers" in (host.reason(900) or "")
    assert host.reason(900, include_containers=True) is None


def test_protect(host: Host) -> None:
    host.add(process(900, b"letter", ppid=1, pgid=900, sid=900))
    host.add(process(901, b"letter", ppid=900, pgid=900, sid=900))
    host.add(process(902, b"bomb", ppid=1, pgid=902, sid=902))
    wishes = ({"name": ["letter"]}, {"descends_from": [900]}, {"ancestry": "letter < letter"})
    assert [host.reason(902, protect=[wish]) for wish in wishes] == [None, None, None]
    assert [host.reason(901, protect=[wish]) for wish in wishes] == ["it matches protect"] * 3
    assert host.reason(902, protect=[{"name": ["letter"]}, {"pid": [902]}]) == "it matches protect"


def test_protect_by_command_line_is_asked_once_it_is_stopped(host: Host) -> None:
    made = host.add(process(900, pgid=900, sid=900), cmdline=b"worker\0--letter\0")
    other = host.add(process(901, pgid=901, sid=901), cmdline=b"worker\0--bomb\0")
    guard = host.guard([{"name": ["worker"], "cmdline_regex": "--letter"}])
    assert guard.needs_cmdline
    assert (guard.reason(made), guard.reason(other)) == (None, None)
    assert (guard.reason_when_stopped(made), guard.reason_when_stopped(other)) == ("it matches protect", None)


def test_every_protect_with_a_command_line_is_asked(host: Host) -> None:
    made = host.add(process(900, pgid=900, sid=900), cmdline=b"worker\0--letter\0")
    guard = host.guard(
        [{"name": ["worker"], "cmdline_regex": "--bill"}, {"name": ["worker"], "cmdline_regex": "--let"}]
    )
    assert guard.reason_when_stopped(made) == "it matches protect"


@pytest.mark.parametrize("owner, protected", [(0, True), (1234, False)])
def test_the_mark_of_what_serves_the_root_file_system(host: Host, owner: int, protected: bool) -> None:
    made = host.add(process(900, pgid=900, sid=900, owner=owner), cmdline=b"@dmraid\0")
    assert bool(host.guard().reason_when_stopped(made)) is protected


class TestOrder:
    """The same verdicts whoever is asked about first."""

    @staticmethod
    def verdicts(host: Host, pids: t.Sequence[int]) -> dict[int, str | None]:
        guard = host.guard()
        by_pid = {one.pid: one for one in host.processes}
        return {pid: guard.reason(by_pid[pid]) for pid in pids}

    def test_a_child_that_root_made_immune_to_oom(self, host: Host) -> None:
        host.add(process(900, pgid=900, sid=900, owner=1234))
        host.add(process(901, ppid=900, pgid=900, sid=900, owner=1234), oom=-1000)
        assert self.verdicts(host, [900, 901]) == self.verdicts(host, [901, 900])

    def test_a_container_in_the_session_and_group_of_the_host(self, host: Host) -> None:
        """unshare --pid in a script; a browser and its sandboxes."""
        host.add(process(900, pgid=900, sid=900))
        host.add(process(901, ppid=900, pgid=900, sid=900), namespace=NESTED)
        assert self.verdicts(host, [900, 901]) == self.verdicts(host, [901, 900])


def test_the_real_host_protects_the_tests_and_not_a_child_in_a_session_of_its_own() -> None:
    from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable

    table = ProcessTable()
    with sleeping(b"sshd") as child:
        guard = Guard(table, list(table.scan()))
        own = table.read(os.getpid())
        init = table.read(1)
        assert own is not None
        assert guard.reason(own) == "it is this module itself"
        assert init is None or guard.reason(init) == "it is PID 1"
        assert guard.reason(child) is None
        for pid in guard.ancestors:
            found = table.read(pid)
            assert found is None or guard.reason(found)


def test_who_is_looked_at_again_costs_no_pass_over_the_table(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds are, where a cgroup holds others beside the victims; its own ancestors are all that is asked for."""
    host.add(process(900, b"cron", ppid=1, pgid=900, sid=900))
    host.add(process(901, b"sendmail", ppid=900, pgid=900, sid=900))
    host.add(process(902, b"postdrop", ppid=901, pgid=900, sid=900))
    guard = host.guard()
    monkeypatch.setattr(host.tree.table, "pids", lambda: pytest.fail("it looks at everybody"))
    chain = Matcher(parse({"ancestry": "postdrop < sendmail < cron"}), host.tree.table)
    below = Matcher(parse({"descends_from": [900]}), host.tree.table)
    whole = Matcher(parse({"tree": [901]}), host.tree.table)
    assert [guard.condemns(pid, chain) for pid in (900, 901, 902, 820)] == [False, False, True, False]
    assert [guard.condemns(pid, below) for pid in (900, 901, 902, 820)] == [False, True, True, False]
    assert [guard.condemns(pid, whole) for pid in (900, 901, 902, 820)] == [False, True, True, False]
