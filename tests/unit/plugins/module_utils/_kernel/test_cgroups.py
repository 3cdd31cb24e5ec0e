# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: every way a host may have mounted them, and cgroups that refuse, vanish or are none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import cgroups
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.cgroups import (
    Hierarchies,
    Mount,
    ancestors,
    parse_mounts,
)
from ansible_collections.hostcare.remediation.tests.unit.support.own_cgroup import own_cgroup

V1 = (
    "30 25 0:26 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd\n"
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 25 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
)
V2 = "29 25 0:25 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = V1 + "29 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
OTHERS = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "24 22 0:22 / /mnt/cgroup2 rw - tmpfs cgroup2 rw\n"
    "40 22 0:40 / /home/x rw - fuse.cgroup2 cgroup2 rw\n"
)


def test_v1_has_a_mount_for_each_controller() -> None:
    mounts = parse_mounts(OTHERS + V1)
    assert "" not in mounts
    assert mounts["cpu"] == mounts["cpuacct"] == Mount("/sys/fs/cgroup/cpu,cpuacct", "/")
    assert mounts["freezer"].point == "/sys/fs/cgroup/freezer"
    assert mounts["name=systemd"].point == "/sys/fs/cgroup/systemd"


def test_v2_has_one() -> None:
    assert parse_mounts(OTHERS + V2) == {"": Mount("/sys/fs/cgroup", "/")}


def test_hybrid_has_both() -> None:
    mounts = parse_mounts(OTHERS + HYBRID)
    assert (mounts[""].point, mounts["freezer"].point) == ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer")


def test_none_at_all() -> None:
    assert parse_mounts(OTHERS) == {}
    assert parse_mounts("") == {}


def test_a_mount_point_with_blanks_tabs_newlines_and_backslashes() -> None:
    line = "29 25 0:25 /a\\040b /mnt/x\\040y\\011z\\012\\134040 rw - cgroup2 none rw\n"
    assert parse_mounts(line)[""] == Mount("/mnt/x y\tz\n\\040", "/a b")


def test_a_mount_that_shows_a_part_hides_no_mount_that_shows_all() -> None:
    """A container's view that is bound somewhere on the host, mounted later than the true one."""
    part = "90 25 0:25 /machine/c1 /var/lib/machines/c1/cgroup rw - cgroup2 cgroup2 rw\n"
    assert parse_mounts(V2 + part)[""].root == "/"
    assert parse_mounts(part + V2)[""].root == "/"


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_mount_point_cannot_forge_a_line(mark: str) -> None:
    """fusermount lets users mount below directories that they named."""
    line = "29 25 0:25 / /home/x/fake rw - cgroup2 cgroup2 rw".replace(" ", "\\040")  # as the kernel escapes it
    forged = f"50 22 0:50 / /home/x{mark}{line} rw - fuse.sshfs x rw\n"
    assert parse_mounts(V2 + forged)[""].point == "/sys/fs/cgroup"


@example("-")
@given(st.text(max_size=200))
def test_garbage_never_raises(content: str) -> None:
    parse_mounts(content)


@pytest.mark.parametrize(
    "root, path, directory",
    [
        ("/", "/", "/cg"),
        ("/", "/a/b", "/cg/a/b"),
        ("/docker/x", "/docker/x", "/cg"),
        ("/docker/x", "/docker/x/y", "/cg/y"),
        ("/docker/x", "/docker/xy", None),
        ("/docker/x", "/", None),
        ("/", "/..", None),  # outside the cgroup namespace
        ("/", "/../a", None),
        ("/", "/../../a", None),
        ("/", "/..a", "/cg/..a"),
        ("/", "/...", "/cg/..."),
    ],
)
def test_where_a_cgroup_is_found(root: str, path: str, directory: str | None) -> None:
    assert Mount("/cg", root).directory(path) == directory


@pytest.mark.parametrize(
    "directory, top, above",
    [
        ("/cg/a/b", "/cg", ["/cg/a/b", "/cg/a"]),
        ("/cg", "/cg", []),
        ("/cgx/a", "/cg", []),
        ("/elsewhere", "/cg", []),
    ],
)
def test_ancestors(directory: str, top: str, above: list[str]) -> None:
    assert list(ancestors(directory, top)) == above


class Host:
    """Hierarchies below a directory, and the /proc that names them."""

    def __init__(self, directory: Path, *controllers: str) -> None:
        self.directory = directory
        lines = []
        for controller in controllers:
            (directory / (controller or "unified")).mkdir()
            kind, option = ("cgroup", controller) if controller else ("cgroup2", "rw")
            lines.append(f"1 1 0:1 / {directory / (controller or 'unified')} rw - {kind} none {option}\n")
        (directory / "proc" / "self").mkdir(parents=True)
        (directory / "proc" / "self" / "mountinfo").write_text("".join(lines))
        self.hierarchies = Hierarchies(str(directory / "proc"))

    def at(self, *path: str) -> str:
        return str(self.directory.joinpath(*path))


@pytest.mark.parametrize(
    "mounted, cgroups_of_process, found",
    [
        (("freezer", ""), {"freezer": "/a", "": "/b"}, ("freezer", "a")),
        (("freezer", ""), {"freezer": "/", "": "/b"}, ("unified", "b")),
        (("freezer", ""), {"freezer": "/", "": "/"}, ("freezer",)),
        (("freezer",), {"freezer": "/a", "": "/b"}, ("freezer", "a")),
        (("",), {"": "/b"}, ("unified", "b")),
        (("pids",), {"pids": "/a", "": "/b"}, None),
        ((), {"": "/b"}, None),
        (("",), {}, None),
    ],
)
def test_the_hierarchy_where_a_process_is_in_a_cgroup_of_its_own(
    tmp_path: Path, mounted: tuple[str, ...], cgroups_of_process: dict[str, str], found: tuple[str, ...] | None
) -> None:
    host = Host(tmp_path, *mounted)
    expected = None if found is None else host.at(*found)
    assert host.hierarchies.directory("freezer", cgroups_of_process) == expected


def test_the_top_is_the_nearest_mount_point(tmp_path: Path) -> None:
    host = Host(tmp_path, "freezer", "")
    assert host.hierarchies.top(host.at("unified", "a", "b")) == host.at("unified")
    assert host.hierarchies.top("/elsewhere") == "/elsewhere"


def test_without_a_mount_table_there_is_no_hierarchy(tmp_path: Path) -> None:
    assert Hierarchies(str(tmp_path)).mounts == {}


def test_a_mount_that_is_hidden_from_this_process_is_none(tmp_path: Path) -> None:
    host = Host(tmp_path, "freezer")
    os.rmdir(host.at("freezer"))
    assert Hierarchies(host.at("proc")).mounts == {}


class TestDirectories:
    """Plain directories and files stand for cgroups: the same system calls, and any content."""

    def test_members_of_the_subtree(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "cgroup.procs").write_text("1\n2\n")
        (tmp_path / "a" / "cgroup.procs").write_text("")
        (tmp_path / "a" / "b" / "cgroup.procs").write_text("3\n")
        assert cgroups.members(str(tmp_path)) == {1, 2, 3}

    def test_members_of_nothing_are_unknown(self, tmp_path: Path) -> None:
        assert cgroups.members(str(tmp_path / "removed")) is None

    def test_members_that_cannot_be_read_are_unknown(self, tmp_path: Path) -> None:
        (tmp_path / "cgroup.procs").symlink_to("cgroup.procs")  # ELOOP stands for EOPNOTSUPP of a threaded cgroup
        assert cgroups.members(str(tmp_path)) is None

    @pytest.mark.parametrize(
        "files, frozen",
        [
            ({"cgroup.events": "populated 1\nfrozen 1\n"}, True),
            ({"cgroup.events": "populated 1\nfrozen 0\n"}, False),
            ({"cgroup.events": "populated 1\n"}, False),  # before Linux 5.2
            ({"freezer.state": "FROZEN\n"}, True),
            ({"freezer.state": "FREEZING\n"}, False),
            ({"freezer.state": "THAWED\n"}, False),
            ({}, False),
        ],
    )
    def test_frozen(self, tmp_path: Path, files: dict[str, str], frozen: bool) -> None:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        assert cgroups.is_frozen(str(tmp_path)) is frozen

    @pytest.mark.parametrize(
        "content, number", [("7\n", 7), ("0\n", 0), ("max\n", None), ("", None), ("-1\n", None), (None, None)]
    )
    def test_numbers(self, tmp_path: Path, content: str | None, number: int | None) -> None:
        if content is not None:
            (tmp_path / "pids.max").write_text(content)
        assert cgroups.number(str(tmp_path), "pids.max") == number

    def test_what_is_missing_is_not_made(self, tmp_path: Path) -> None:
        directory = str(tmp_path)
        assert not cgroups.can_freeze(directory)
        assert not cgroups.set_frozen(directory, True)
        assert not cgroups.kill(directory)
        assert not cgroups.write(directory, "pids.max", "0")
        assert os.listdir(directory) == []

    def test_v2_goes_before_v1(self, tmp_path: Path) -> None:
        for name in ("cgroup.freeze", "freezer.state"):
            (tmp_path / name).write_text("")
        assert cgroups.set_frozen(str(tmp_path), True)
        assert (tmp_path / "cgroup.freeze").read_text() == "1"
        assert (tmp_path / "freezer.state").read_text() == ""

    def test_what_refuses_a_value_is_no_error(self) -> None:
        assert not cgroups.write("/dev", "full", "1")

    def test_no_descriptor_is_left_open(self, tmp_path: Path) -> None:
        before = os.listdir("/proc/self/fd")
        (tmp_path / "cgroup.procs").write_text("1\n")
        cgroups.members(str(tmp_path))
        cgroups.write(str(tmp_path), "cgroup.procs", "1")
        cgroups.write("/dev", "full", "1")
        assert os.listdir("/proc/self/fd") == before


def test_a_real_v2_cgroup_freezes_and_thaws_and_is_gone_when_removed() -> None:
    with own_cgroup("") as directory:
        assert cgroups.members(directory) == set()
        assert cgroups.set_frozen(directory, True)
        assert cgroups.is_frozen(directory)
        assert cgroups.set_frozen(directory, False)
        assert not cgroups.is_frozen(directory)
        os.rmdir(directory)
        assert cgroups.members(directory) is None
        assert not cgroups.set_frozen(directory, True)
        assert cgroups.read(directory, "cgroup.events") is None


def test_a_real_v1_cgroup_freezes_and_thaws() -> None:
    with own_cgroup("freezer") as directory:
        assert cgroups.set_frozen(directory, True)
        assert cgroups.is_frozen(directory)
        assert cgroups.set_frozen(directory, False)
        assert not cgroups.is_frozen(directory)


def test_the_members_of_a_threaded_cgroup_are_unknown() -> None:
    with own_cgroup("") as directory:
        if not cgroups.write(directory, "cgroup.type", "threaded"):
            pytest.skip("the kernel lets no threaded cgroup be made here")
        refused = pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP))
        with refused, open(directory + "/cgroup.procs", encoding="ascii") as file:
            file.read()
        assert cgroups.members(directory) is None


def test_a_cgroup_that_goes_while_its_file_is_open() -> None:
    """Its files stay open and answer ENODEV: `members` leaves that subtree out."""
    with own_cgroup("") as directory:
        with open(directory + "/cgroup.procs", encoding="ascii") as file:
            os.rmdir(directory)
            with pytest.raises(OSError, match=os.strerror(errno.ENODEV)):
                file.read()
        assert cgroups.members(directory) is None
