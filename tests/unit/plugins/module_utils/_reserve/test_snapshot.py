# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a host whose files and cgroups are plain files; and at this machine, which is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.host import Host, Pool
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.report import report
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.snapshot import take
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import asked
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

STORE = "/var/lib/hostcare/harden/originals.json"


class Tree:
    """A host below ``root``, with its cgroups in the tree of ``kind``."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root = root
        self.proc = ProcTree(root / "proc", init=False)
        self.cgroups = root / "cgroups"
        controllers = {"v1": "cgroup none rw,pids", "v2": "cgroup2 none rw", "no pids": "cgroup2 none rw"}[kind]
        self.proc.write("self/mountinfo", f"1 1 0:1 / {self.cgroups} rw - {controllers}\n")
        path = "3:pids:/init.scope\n1:name=systemd:/init.scope\n" if kind == "v1" else "0::/init.scope\n"
        self.proc.add(process(1, b"systemd", ppid=0, pgid=1, sid=1, start=1), cgroup=path)
        self.proc.write("1/status", "Name:\tsystemd\nCapBnd:\t00000000a82425fb\n")
        self.cgroup("", "cgroup.controllers", "cpu memory" if kind == "no pids" else "cpu pids")
        for name, tasks, limit in (
            ("user.slice", 3, "99"),
            ("system.slice/db.service", 7, "max"),
            ("system.slice", 9, "max"),
        ):
            self.cgroup(name, "pids.current", str(tasks))
            self.cgroup(name, "pids.max", limit)
        self.write("/run/systemd/system/x", "")
        self.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1:1::/:/bin/sh\n")
        self.write("/etc/ssh/sshd_config", "Port 22\nUsePAM yes\n")
        self.write("/usr/lib/systemd/system/ssh.service", "[Service]\n")
        self.write("/etc/pam.d/sshd", "@include common-session\n")
        self.write("/usr/lib/x86_64-linux-gnu/security/pam_systemd.so", "")

    def write(self, path: str, content: str | bytes) -> None:
        file = Path(f"{self.root}{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def cgroup(self, path: str, name: str, value: str) -> None:
        self.write(f"/cgroups/{path}/{name}", value + "\n")

    def take(self) -> Host:
        return take(str(self.root), str(self.proc.root), STORE, ["machine.slice"])


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_pools_are_those_of_the_tree_that_counts(tmp_path: Path, kind: str) -> None:
    host = Tree(tmp_path, kind).take()
    assert (host.systemd, host.pids) == (True, True)
    assert host.pools == (Pool("system.slice", 9, None), Pool("user.slice", 3, 99))
    assert host.units == (Pool("db.service", 7, None),)
    assert (host.sshd_unit, host.pam_systemd) == ("ssh.service", True)
    assert host.accounts == {"root", "bob"}
    assert host.size.pid_max == 32768
    assert host.size.outer_pids_max is None
    assert not host.may_raise


@pytest.mark.parametrize("kind, name, raw", [("v2", "cpu.weight", "1000"), ("v1", "cpu.shares", "10240")])
def test_weights_are_those_of_the_tree_that_has_them(tmp_path: Path, kind: str, name: str, raw: str) -> None:
    tree = Tree(tmp_path, kind)
    before = tree.take()
    assert (before.cpu, before.weights) == (kind == "v2", {})
    where = ""
    if kind == "v1":
        where = "shares/"
        shares = tree.cgroups / where
        tree.proc.write(
            "self/mountinfo",
            f"1 1 0:1 / {tree.cgroups} rw - cgroup none rw,pids\n2 1 0:2 / {shares} rw - cgroup none rw,cpu,cpuacct\n",
        )
        tree.proc.write("1/cgroup", "3:pids:/init.scope\n2:cpu,cpuacct:/init.scope\n1:name=systemd:/init.scope\n")
    tree.cgroup(f"{where}hostcare.slice", name, raw)
    host = tree.take()
    assert (host.cpu, host.weights) == (True, {"hostcare.slice": 1000})


def test_a_tree_that_systemd_does_not_use(tmp_path: Path) -> None:
    """It takes cpu and cpuacct as one. Where only one is mounted, it makes cgroups there and removes them again."""
    tree = Tree(tmp_path, "v1")
    mounts = "1 1 0:1 / {0} rw - cgroup none rw,pids\n2 1 0:2 / {0} rw - cgroup none rw,cpu\n"
    tree.proc.write("self/mountinfo", mounts.format(tree.cgroups))
    assert not tree.take().cpu


@given(st.integers(1, 10000))
def test_a_weight_is_the_same_by_shares(weight: int) -> None:
    """systemd writes a hundredth of 1024 times the weight, rounded down."""
    assert round(weight * 1024 // 100 * 100 / 1024) == weight


@pytest.mark.parametrize("users, capabilities, may", [
    (4026531837, "000001ffffffffff", True), (4026531837, "00000000a82425fb", False), (1, "000001ffffffffff", False),
])  # fmt: skip
def test_who_may_raise_priorities(tmp_path: Path, users: int, capabilities: str, may: bool) -> None:
    tree = Tree(tmp_path, "v2")
    tree.proc.write("1/status", f"Name:\tsystemd\nCapBnd:\t{capabilities}\n")
    link = tmp_path / "proc" / "self" / "ns" / "user"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(f"user:[{users}]")
    assert tree.take().may_nice == may


@pytest.mark.parametrize(
    "pids, users, shares", [(4026531836, 4026531837, False), (4026539999, 4026531837, True), (4026539999, 1, False)]
)
def test_users_that_others_have_too(tmp_path: Path, pids: int, users: int, shares: bool) -> None:
    tree = Tree(tmp_path, "v2")
    for name, number in (("pid", pids), ("user", users)):
        link = tmp_path / "proc" / "self" / "ns" / name
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink() or link.exists():
            link.unlink()
        link.symlink_to(f"{name}:[{number}]")
    assert tree.take().shares_users == shares


def test_a_limit_around_the_host(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "v2")
    tree.cgroup("", "pids.max", "2600")
    assert tree.take().size.outer_pids_max == 2600


def test_cgroups_that_count_no_tasks(tmp_path: Path) -> None:
    host = Tree(tmp_path, "no pids").take()
    assert (host.systemd, host.pids, host.pools) == (True, False, ())


def test_files_of_one_name_count_once_and_in_their_order(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "v2")
    for path in (
        "/usr/lib/sysctl.d/50-a.conf", "/etc/sysctl.d/50-a.conf", "/etc/sysctl.d/99-z.conf", "/run/sysctl.d/60-b.conf",
        "/etc/sysctl.d/no", "/etc/sysctl.conf", "/usr/lib/systemd/system/user.slice.d/10-x.conf",
        "/etc/systemd/system.control/user.slice.d/50-TasksMax.conf",
    ):  # fmt: skip
        tree.write(path, "x\n")
    host = tree.take()
    assert [text.path for text in host.sysctl_files] == [
        "/etc/sysctl.d/50-a.conf", "/run/sysctl.d/60-b.conf", "/etc/sysctl.d/99-z.conf", "/etc/sysctl.conf",
    ]  # fmt: skip
    assert [text.path for text in host.unit_files["user.slice"]] == [
        "/usr/lib/systemd/system/user.slice.d/10-x.conf", "/etc/systemd/system.control/user.slice.d/50-TasksMax.conf",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["no text", "link", "directory"])
def test_a_file_that_cannot_be_edited_has_no_content(tmp_path: Path, kind: str) -> None:
    tree = Tree(tmp_path, "v2")
    path = tmp_path / "etc" / "pam.d" / "sshd"
    path.unlink()
    if kind == "link":
        path.symlink_to("/dev/null")
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\n")
    assert tree.take().files["/etc/pam.d/sshd"].content is None


def test_what_is_kept_for_the_way_back_has_to_be_whole(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "v2")
    tree.write(STORE, "{")
    with pytest.raises(Refused, match="is damaged"):
        tree.take()


def test_threads_of_users_and_processes_in_no_unit(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "v2")
    tree.proc.add(process(50, b"a", threads=5), uid=33, cgroup="0::/system.slice/x.service\n")
    tree.proc.add(process(51, b"b", threads=2), uid=33, cgroup="0::/\n")
    tree.proc.add(process(52, b"sshd"), cgroup="0::/system.slice/ssh.service\n")
    tree.write("/run/sshd.pid", "52\n")
    host = tree.take()
    assert host.users == {"33": 7}
    assert host.sshd_cgroup == "/system.slice/ssh.service"
    assert host.sshd_nice == 0
    tree.proc.write("52/stat", "52 (a) b) S 1 52 52 0 -1 0 0 0 0 0 1 2 0 0 0 -20 1 0 9 0\n")
    assert tree.take().sshd_nice == -20
    assert host.loose >= 1


def test_a_report_of_such_a_host_is_plain_data(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "v2")
    found = report(asked(), str(tree.root), str(tree.proc.root))
    assert json.loads(json.dumps(found)) == found
    assert found["conflicts"] == []
    assert {one["path"] for one in found["changes"]} >= {"/etc/pam.d/sshd", "/etc/systemd/system/hostcare.slice"}
    assert [row["in_use"] for row in found["arithmetic"][:3]] == [3, 9, 0]


def test_this_machine() -> None:
    found = report(asked())
    assert json.loads(json.dumps(found)) == found
    assert found["totals"]["untrusted"] > 0
    assert not found["sysctls"]
