# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of System V IPC, and the remedy for whom has most of it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.tests.unit.support import arrays
from ansible_collections.hostcare.remediation.tests.unit.support.arrays import in_namespace, needs_root
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

KINDS = ["semaphores", "shared_memory", "message_queues"]
HEAD = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
ARRAY = "         0 {:10} 600 {:10} {:5} {:5}     0     0          0 1763724600\n"


def report(root: Path | str = "/proc") -> dict[str, t.Any]:
    found = resources.report(5, 20.0, str(root), only=KINDS)
    return {one["limit_name"]: one for one in found["resources"]}


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    """The incident: 31 of 32 semaphores, in a table that has room for hundreds of arrays."""
    made = ProcTree(tmp_path / "proc")
    lines = [ARRAY.format(number, 1, 33333 if number else 0, 0) for number in range(31)]
    made.write("sysvipc/sem", HEAD + "".join(lines))
    made.write("sys/kernel/sem", "25032000\t32\t512\t512\n")
    return made


def test_the_incident(tree: ProcTree) -> None:
    found = report(tree.root)
    assert set(found) == {"kernel.sem SEMMNI", "kernel.sem SEMMNS"}, "kinds that the kernel lacks have no limits"
    scarce = found["kernel.sem SEMMNS"]
    assert (scarce["used"], scarce["limit"], scarce["free"], scarce["binding"]) == (31, 32, 1, True)
    assert not found["kernel.sem SEMMNI"]["binding"]
    assert [(holder["name"], holder["used"]) for holder in scarce["holders"]] == [("33333", 30), ("root", 1)]
    assert scarce["incident"] == "semaphore_leak"
    assert scarce["remedy"].startswith("ansible-playbook hostcare.remediation.semaphore_leak ")
    assert '"semaphore_leak_selector": {"owner": ["33333"]}' in scarce["remedy"]


def test_a_kernel_without_any(tmp_path: Path) -> None:
    found = resources.report(5, 20.0, str(ProcTree(tmp_path / "proc").root), only=KINDS)
    assert found["resources"] == []
    assert not found["partial"]


def test_a_table_of_another_form_is_said_to_be_unread(tree: ProcTree) -> None:
    tree.write("sysvipc/sem", "novel\n")
    found = resources.report(5, 20.0, str(tree.root), only=KINDS)
    assert found["resources"] == []
    assert "form that is not known here" in found["partial_reasons"][0]


@needs_root
def test_real_objects() -> None:
    def work() -> dict[str, t.Any]:
        arrays.array(3)
        arrays.segment(5000)
        arrays.queue()
        return report()

    found = in_namespace(work)
    assert {name: one["used"] for name, one in found.items()} == {
        "kernel.sem SEMMNI": 1, "kernel.sem SEMMNS": 3, "kernel.shmmni": 1, "kernel.shmall": 2, "kernel.msgmni": 1,
    }  # fmt: skip
    assert found["kernel.shmall"]["limit"] is None
    assert found["kernel.shmmni"]["remedy"] == ""
