# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems are asked for their room: each once, and none that may hang."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import filesystems
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.filesystems import (
    BLOCKS,
    INODES,
    Mount,
    Space,
    choose,
    measure,
    parse_mounts,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.survey import Survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /with\040blank\011and\134 rw - tmpfs none rw,size=4k
29 27 7:0 / /snap/core ro,nodev - squashfs /dev/loop0 ro
30 27 0:40 / /srv rw - nfs4 server:/export rw,hard
31 30 254:0 /data /srv/data rw - ext4 /dev/vda rw
"""


def mount(point: str, kind: str = "ext4", device: str = "254:0", number: int = 1, read_only: bool = False) -> Mount:
    return Mount(number, 0, device, point, kind, read_only)


def points(mounts: t.Iterable[Mount]) -> list[str]:
    return [one.point for one in mounts]


def survey_of(root: str, include_fuse: bool = False, budget: float = 10.0) -> Survey:
    return Survey(ProcessTable(root), [], 0, [], time.monotonic() + budget, {}, include_fuse)


def space(point: str, kind: str = "ext4", blocks: int = 10_000_000, used: int = 5_000_000) -> Space:
    return Space(mount(point, kind), blocks, used, blocks - used, False, 1000, 10, 990)


def test_the_mount_table() -> None:
    found = parse_mounts(MOUNTINFO)
    assert [(one.number, one.parent, one.device, one.kind) for one in found] == [
        (22, 27, "0:21", "proc"),
        (27, 1, "254:0", "ext4"),
        (28, 27, "0:25", "tmpfs"),
        (29, 27, "7:0", "squashfs"),
        (30, 27, "0:40", "nfs4"),
        (31, 30, "254:0", "ext4"),
    ]
    assert found[2].point == "/with blank\tand\\"
    assert [one.read_only for one in found] == [False, False, False, True, False, False]


@given(st.binary())
def test_no_table_breaks_it(raw: bytes) -> None:
    choose(parse_mounts(raw), include_fuse=False)


def test_a_mount_point_that_is_no_text_can_still_be_opened() -> None:
    (found,) = parse_mounts(b"1 0 8:1 / /srv/\xff\xfe rw - ext4 /dev/sda1 rw")
    assert os.fsencode(found.point) == b"/srv/\xff\xfe"


def test_what_is_asked_and_what_is_not() -> None:
    chosen, left_out = choose(parse_mounts(MOUNTINFO), include_fuse=False)
    assert points(chosen) == ["/", "/with blank\tand\\"]
    assert left_out == {
        "/srv": "nfs4: a file system that may hang is not asked",
        "/srv/data": "lies below /srv (nfs4), which may hang",
    }


@pytest.mark.parametrize(
    "kind, device, asked",
    [
        ("ext4", "8:1", True),
        ("xfs", "253:0", True),
        ("btrfs", "0:33", True),
        ("zfs", "0:34", True),
        ("overlay", "0:35", True),
        ("tmpfs", "0:36", True),
        ("vxfs", "199:7", True),  # unknown, but on a disk
        ("nfs", "0:50", False),
        ("cifs", "0:51", False),
        ("ceph", "0:52", False),
        ("9p", "0:53", False),
        ("autofs", "0:54", False),
        ("fuse", "0:55", False),
        ("fuse.sshfs", "0:56", False),
        ("fuseblk", "8:17", False),  # ntfs-3g: on a disk, but a daemon answers
        ("virtiofs", "0:57", False),
        ("gfs2", "253:4", False),
        ("ocfs2", "253:5", False),
        ("proc", "0:4", False),
        ("cgroup2", "0:5", False),
        ("fusectl", "0:6", False),
        ("squashfs", "7:1", False),
        ("iso9660", "11:0", False),
        ("ramfs", "0:7", False),
    ],
)
def test_which_kinds_are_asked(kind: str, device: str, asked: bool) -> None:
    chosen, _skipped = choose([mount("/x", kind, device)], include_fuse=False)
    assert bool(chosen) is asked


@pytest.mark.parametrize("kind", ["proc", "squashfs", "fusectl", "cgroup2"])
def test_what_cannot_be_used_up_is_not_even_mentioned(kind: str) -> None:
    assert choose([mount("/x", kind, "0:9")], include_fuse=False) == ([], {})


def test_what_is_read_only_cannot_be_used_up() -> None:
    assert choose([mount("/x", read_only=True)], include_fuse=False) == ([], {})


def test_fuse_when_asked_for() -> None:
    mounts = [mount("/x", "fuse.sshfs", "0:9"), mount("/y", "nfs", "0:10"), mount("/x/disk", "ext4", "8:1")]
    chosen, left_out = choose(mounts, include_fuse=True)
    assert points(chosen) == ["/x", "/x/disk"]
    assert list(left_out) == ["/y"]


@pytest.mark.parametrize(
    "hanging, other, blocked",
    [
        ("/a", "/a/b", True),
        ("/a", "/a", True),  # one covers the other: which one depends on the order
        ("/a", "/ab", False),
        ("/a/b", "/a", False),
        ("/", "/a", False),  # every path has come from the root already
    ],
)
def test_nobody_walks_through_what_may_hang(hanging: str, other: str, blocked: bool) -> None:
    mounts = [mount(hanging, "nfs4", "0:40", 1), mount(other, "ext4", "8:1", 2)]
    chosen, left_out = choose(mounts, include_fuse=False)
    assert bool(chosen) is not blocked
    assert (other in left_out) is blocked


@given(st.permutations([mount("/", number=1), mount("/a/b", number=2), mount("/a", number=3), mount("/c", number=4)]))
def test_the_order_of_the_table_decides_nothing(mounts: list[Mount]) -> None:
    assert points(choose(mounts, include_fuse=False)[0]) == ["/", "/a", "/c", "/a/b"]


@pytest.mark.parametrize(
    "one, other, same",
    [
        (space("/"), space("/var/lib/overlay", "overlay"), True),
        (space("/"), space("/var/lib/overlay", "overlay", used=5_009_000), True),  # somebody wrote in between
        (space("/"), space("/var/lib/overlay", "overlay", used=6_000_000), False),
        (space("/"), space("/var/lib/overlay", "overlay", blocks=20_000_000), False),
        (space("/"), space("/home"), False),  # two disks of one size
        (space("/a", "overlay"), space("/b", "overlay"), True),
    ],
)
def test_a_union_is_the_file_system_it_writes_to(one: Space, other: Space, same: bool) -> None:
    assert filesystems._is_same(one, other) is same


def test_a_mount_that_went_away_is_not_an_error(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.write("self/mountinfo", f"9 1 8:1 / {tmp_path}/gone rw - ext4 /dev/sda1 rw\n")
    survey = survey_of(str(tree.root))
    assert measure(survey) == []
    assert survey.gaps == []


def test_past_its_time_it_says_so(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.write("self/mountinfo", "9 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    survey = survey_of(str(tree.root), budget=-1.0)
    assert measure(survey) == []
    assert survey.gaps == ["the time budget ended after 0 file systems: raise time_budget to see all"]


class TestThisMachine:
    def test_the_file_system_of_the_root_as_statvfs_has_it(self) -> None:
        survey = survey_of("/proc")
        expected = os.statvfs("/")
        inodes = {limit.scope: limit for limit in INODES.limits(survey, 1000)}
        blocks = {limit.scope: limit for limit in BLOCKS.limits(survey, 1000)}
        assert blocks["filesystem /"].limit == expected.f_blocks * expected.f_frsize
        assert blocks["filesystem /"].measure == "bytes"
        if expected.f_files:
            assert inodes["filesystem /"].limit == expected.f_files

    def test_every_disk_that_psutil_knows_is_there_once(self) -> None:
        devices: dict[int, str] = {}
        for partition in psutil.disk_partitions(all=False):
            if not Mount(0, 0, "8:0", partition.mountpoint, partition.fstype, False).may_hang:
                devices.setdefault(os.stat(partition.mountpoint).st_dev, partition.mountpoint)
        found = [os.stat(one.mount.point).st_dev for one in measure(survey_of("/proc"))]
        assert len(found) == len(set(found))
        assert set(devices) <= set(found)

    @pytest.mark.parametrize("top", [0, -1, 1])
    def test_no_more_than_asked_for(self, top: int) -> None:
        assert len(BLOCKS.limits(survey_of("/proc"), top)) == max(0, top)
