# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way for hosts without /proc, run for real on this one: psutil is the same, the sysctls are given."""

from __future__ import annotations

import json
import os
import typing as t

import psutil
import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources, without_proc
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.filesystems import Mount
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping, wait_for

SYSCTLS = {"kern.maxproc": 10000, "kern.maxprocperuid": 9000, "kern.openfiles": 950, "kern.maxfiles": 1000}


def report(sysctls: t.Mapping[str, int] | None = None, **options: t.Any) -> dict[str, t.Any]:
    way = resources.Way(
        without_proc.table, without_proc.registry((SYSCTLS if sysctls is None else sysctls).get), names_suspects=False
    )
    return resources.report(10, 20.0, way=way, **options)


def limit(found: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    return next(one for one in found["resources"] if one["limit_name"] == name)


def test_the_same_keys_as_with_proc() -> None:
    with_proc, without = resources.report(10, 20.0, only=["process_slots"]), report(only=["process_slots"])
    assert with_proc.keys() == without.keys()
    assert with_proc["resources"][0].keys() == without["resources"][0].keys()
    assert with_proc["process_table"].keys() == without["process_table"].keys()


def test_process_slots_as_psutil_counts() -> None:
    """Others come and go meanwhile, on a busy machine by the hundred."""
    found = {}

    def is_as_many() -> bool:
        found.update(report())
        return abs(limit(found, "kern.maxproc")["used"] - len(psutil.pids())) <= 20

    with sleeping():
        wait_for(is_as_many, "both count the same")
    assert limit(found, "kern.maxproc")["limit"] == 10000
    assert limit(found, "kern.maxproc")["incident"] == "process_storm"
    users = [one for one in found["resources"] if one["limit_name"] == "kern.maxprocperuid"]
    assert all(not one["stops_root"] and one["scope"] != "user root" for one in users)


def test_descriptors_and_who_holds_them() -> None:
    opened = [os.open("/", os.O_RDONLY) for _number in range(50)]
    try:
        found = limit(report(), "kern.maxfiles")
    finally:
        for fd in opened:
            os.close(fd)
    assert (found["used"], found["limit"], found["share"]) == (950, 1000, 0.95)
    assert found["holders"][0]["used"] >= found["holders"][-1]["used"] > 0
    json.dumps(found)


def test_file_systems_are_those_of_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {part.fstype for part in psutil.disk_partitions(all=True)}
    local = {kind for kind in kinds if kind in ("ext4", "xfs", "btrfs", "overlay", "tmpfs")}
    monkeypatch.setattr(without_proc, "_COUNTED", local)
    ours = {one["scope"]: one["limit"] for one in report(only=["blocks"])["resources"]}
    theirs = {one["scope"]: one["limit"] for one in resources.report(100, 20.0, only=["blocks"])["resources"]}
    assert ours["filesystem /"] == theirs["filesystem /"]


@pytest.mark.parametrize("kind, asked", [("ufs", True), ("zfs", True), ("nullfs", False), ("procfs", False)])
def test_what_may_show_another_file_system_is_not_asked(
    kind: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Part(t.NamedTuple):
        device: str
        mountpoint: str
        fstype: str
        opts: str

    monkeypatch.setattr(psutil, "disk_partitions", lambda **_asked: [Part("/dev/x", "/", kind, "rw")])
    assert bool(report(only=["blocks"])["resources"]) is asked


def test_nfs_is_named_and_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    part = psutil.disk_partitions(all=True)[0]._replace(fstype="nfs", mountpoint="/srv")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_asked: [part])
    assert report(only=["blocks"])["left_out"] == [
        {"what": "/srv", "reason": "nfs: a file system that may hang is not asked"}
    ]


def test_what_this_system_does_not_count_is_said() -> None:
    found = report(only=["process_slots", "semaphores"])
    assert found["partial"]
    assert found["partial_reasons"] == ["semaphores: it is not counted on this system"]


def test_a_system_that_counts_no_open_files_says_so() -> None:
    found = report({})
    assert any("descriptors: kern.openfiles cannot be read here" in reason for reason in found["partial_reasons"])
    assert limit(found, "kern.maxproc")["limit"] is None


def test_on_linux_a_missing_proc_is_a_fault() -> None:
    if os.uname().sysname == "Linux":
        assert not without_proc.is_needed("/nonexistent")


def test_a_read_only_disk_cannot_be_used_up() -> None:
    assert not Mount(0, 0, "/dev/x", "/", "ufs", True).counts
