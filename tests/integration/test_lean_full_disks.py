# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Modules run on a host on which no file can be made in any temp directory, nor in the home directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller
from ansible_collections.hostcare.remediation.tests.support.mounts import TEMP_DIRECTORIES, empty, full
from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, PING
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

LOCK = "hostcare.remediation.remedy_lock"
SPARE = "/mnt"

# A Python that cannot keep a file in memory, as on other kernels than Linux.
WITHOUT_MEMFD = "/usr/bin/python3 -c 'import os, sys; del os.memfd_create; exec(sys.stdin.read())'"


@pytest.fixture(scope="module")
def full_host() -> Iterator[PrivateSshd]:
    with PrivateSshd(wrapper=empty(SPARE) + full(*TEMP_DIRECTORIES, "/root")) as sshd:
        for directory in (*TEMP_DIRECTORIES, "/root"):
            tried = sshd.ssh(f": >{directory}/one-more")
            assert "No space left on device" in tried.stderr, f"{directory} is not full: {tried}"
        yield sshd


# They differ in what they do, not in how they reach the host: with the older cores one stands for all.
LEANEST = [
    "rogue_process",
    *(
        pytest.param(module, marks=pytest.mark.once)
        for module in (
            "batch",
            "headroom_info",
            "reserve_info",
            "spawn_info",
            "spawn_throttle",
            "sysv_ipc",
            "sysv_ipc_info",
        )
    ),
]


@pytest.mark.parametrize("module", LEANEST)
def test_module_runs_where_no_file_can_be_made(controller: Controller, full_host: PrivateSshd, module: str) -> None:
    answer = controller.play(full_host.inventory(persist=True), LEAN[module]).only
    assert answer.status == "ok", answer.data


@pytest.mark.once
def test_the_lock_needs_no_more_than_its_own_directory(controller: Controller, full_host: PrivateSshd) -> None:
    claim = {"state": "held", "remedy": "test", "owner": "a test"}
    host_vars = full_host.inventory(persist=True)
    refused = controller.play(host_vars, {LOCK: claim}).only
    assert refused.status == "failed"
    assert "/run/hostcare: No space left on device" in refused.data["msg"]
    places = {"lock_directory": f"{SPARE}/lock", "budget_directory": f"{SPARE}/budget"}
    held = controller.play(host_vars, {LOCK: claim | places}).only
    assert held.status == "ok", held.data


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "as installed"])
def test_a_stock_module_does_not(controller: Controller, full_host: PrivateSshd, pipelining: bool) -> None:
    host_vars = full_host.inventory(persist=True) | {"ansible_pipelining": pipelining}
    # without pipelining ansible-core calls the host unreachable
    assert controller.play(host_vars, PING).only.status in ("failed", "unreachable")


@pytest.mark.once
def test_without_memfd_the_first_temp_directory_with_room_serves(controller: Controller) -> None:
    with PrivateSshd(wrapper=full("/tmp", "/var/tmp", "/dev/shm", "/root")) as sshd:
        host_vars = sshd.inventory(persist=True) | {"ansible_python_interpreter": WITHOUT_MEMFD}
        answer = controller.play(host_vars, LEAN["headroom_info"]).only
        assert answer.status == "ok", answer.data
        assert sshd.ssh("echo /run/ansible_*").stdout.strip() == "/run/ansible_*", "the payload was left behind"


@pytest.mark.once
def test_without_memfd_and_room_the_failure_says_so(controller: Controller, full_host: PrivateSshd) -> None:
    host_vars = full_host.inventory(persist=True) | {"ansible_python_interpreter": WITHOUT_MEMFD}
    answer = controller.play(host_vars, LEAN["headroom_info"]).only
    assert answer.status == "failed"
    assert "No usable temporary directory found" in str(answer.data)


def test_the_way_with_memfd_leaves_nothing(controller: Controller) -> None:
    with PrivateSshd(wrapper=empty("/tmp", "/var/tmp", "/dev/shm", "/root")) as sshd:
        answer = controller.play(sshd.inventory(persist=True), LEAN["headroom_info"]).only
        assert answer.status == "ok", answer.data
        assert sshd.ssh("find /tmp /var/tmp /dev/shm /root -mindepth 1").stdout == ""
