# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Not one live array, ever, and orphans do go: real holders, round after round."""

from __future__ import annotations

import os
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.ipc import APP, OTHER, SERVICE, Bench, Postgres, rounds
from ansible_collections.hostcare.remediation.tests.support.ipc.bench import (
    OTHER_NAMESPACE,
    OTHER_SERVICE,
    arrays,
    segments,
)
from ansible_collections.hostcare.remediation.tests.unit.support.arrays import in_namespace

pytestmark = pytest.mark.once

ROUNDS = int(os.environ.get("HOSTCARE_IPC_ROUNDS", "60"))
# A PID namespace with a /proc of its own: what runs in it sees nobody outside.
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
ASKED: dict[str, t.Any] = {"owner": [str(APP), "root"], "service": {"name": [SERVICE]}}


def cast(bench: Bench) -> dict[str, int]:
    """Everybody who lives, and the array each of them lives with."""
    lives = {
        "a parent that never touched its array": bench.start("untouched"),
        "a parent whose array was touched last by a dead child": bench.start("idle"),
        "one asleep in semop whose parent is dead": bench.start("waiter"),
        "a worker that outlives its server": bench.start("worker"),
        "one in another PID namespace": bench.start("idle", wrap=OTHER_NAMESPACE),
        "one in another PID namespace that never touched": bench.start("untouched", wrap=OTHER_NAMESPACE),
        "another service of the same user": bench.start("idle", name=OTHER_SERVICE),
        "another service of the same user that never touched": bench.start("untouched", name=OTHER_SERVICE),
        "another service that root made for the same user": bench.start("server", name=OTHER_SERVICE),
        "root's, never touched": bench.start("untouched", name=OTHER_SERVICE, uid=0),
        "one who is at work": bench.start("used"),
        "one who holds the lock": bench.start("undo"),
    }
    # The number of the dead child that touched last is given to others, of the same user and of another one.
    for uid in (OTHER, APP):
        holder = bench.start("idle")
        bench.reuse(holder.array, uid)
        lives[f"one whose toucher's number is now of user {uid}"] = holder
    return {who: holder.array for who, holder in lives.items()}


def lost(live: dict[str, int]) -> list[str]:
    present = arrays()
    return [who for who, array in live.items() if array not in present]


def test_not_one_live_array_ever(tmp_path: Path) -> None:
    """Seen from the host, and from a container that shares the IPC namespace with holders outside it."""

    def work() -> dict[str, t.Any]:
        with Bench(tmp_path) as bench:
            live = cast(bench)
            churn = [bench.start("churn"), bench.start("churn", name=OTHER_SERVICE)]
            time.sleep(1.5)
            orphans = {bench.leave(life) for life in ("set", "used", "undo", "untouched")}
            ran = [rounds(ROUNDS, **ASKED), rounds(ROUNDS, CONTAINER, **ASKED)]
            ran.append(rounds(5, **{**ASKED, "service": {"exe": [str(tmp_path / SERVICE)]}}))
            ran.append(rounds(5, owner=[str(APP)]))
            return {
                "lost": lost(live),
                "churn": [holder.process.poll() for holder in churn],
                "strangers": [entry for one in ran for entry in one["removed"] if entry["id"] not in orphans],
                "kept": ran[0]["last"]["kept_total"],
                "sights": [one["last"]["sight"] for one in ran],
                "seconds": [one["seconds"] for one in ran],
            }

    found = in_namespace(work, "250 32000 32 512", seconds=60 + ROUNDS * 2)
    print(found["seconds"])
    assert found["lost"] == []
    assert found["churn"] == [None, None], "who makes arrays all the time has lost one"
    assert found["strangers"] == []
    assert found["kept"] >= 10
    assert found["sights"] == ["host", "container", "host", "host"]


def test_postgresql(tmp_path: Path) -> None:
    """Its memory is spared by its key, and by whoever is attached when the key is named, whatever else is asked for."""

    def work() -> dict[str, t.Any]:
        with tempfile.TemporaryDirectory(prefix="hc-", dir="/var/tmp") as directory, Bench(tmp_path) as bench:
            server = Postgres(Path(directory))
            (memory,) = segments().values()
            orphan = bench.leave("set")
            asked = {"kind": ["semaphores", "shared_memory"], "owner": ["postgres", str(APP)]}
            named = {
                "kind": ["shared_memory"], "key": [hex(memory.key & 0xFFFFFFFF)], "verdicts": ["orphaned", "unknown"],
            }  # fmt: skip
            first = rounds(ROUNDS, **asked, service={"name": [SERVICE]})
            second = rounds(ROUNDS, **named)
            return {
                "removed": [entry["id"] for entry in first["removed"]] == [orphan],
                "named": second["last"]["kept"][0]["verdict"],
                "memory": memory.id in segments(),
                "answers": server.answers(),
                "removed named": second["removed"],
            }

    found = in_namespace(work, seconds=90 + ROUNDS * 2)
    assert found == {"removed": True, "named": "in_use", "memory": True, "answers": True, "removed named": []}


DEAD = [(life, uid) for life in ("set", "used", "undo", "untouched", "idle") for uid in (APP, 0)]


@pytest.mark.parametrize("again", [True, False], ids=["running again", "dead"])
def test_orphans_do_go(tmp_path: Path, again: bool) -> None:
    """At least nine in ten, with nothing but owner and service; what is kept says why."""

    def work() -> dict[str, t.Any]:
        with Bench(tmp_path) as bench:
            orphans = {bench.leave(life, uid=uid): (life, uid) for life, uid in DEAD for _one in range(3)}
            reused = {}
            for _one in range(3):
                array = bench.leave("idle")
                orphans[array] = reused[array] = ("idle", APP)
            time.sleep(2.2)
            live = {}
            if again:
                live = {"again": bench.start("idle").array, "root's": bench.start("used", uid=0).array}
            for array, uid in zip(reused, (APP, OTHER, 0), strict=True):
                bench.reuse(array, uid)
            ran = rounds(1, **ASKED)
            gone = {orphans[entry["id"]] for entry in ran["removed"]}
            return {
                "lost": lost(live),
                "share": ran["last"]["removed_total"] / len(orphans),
                "all": all(entry["id"] in orphans for entry in ran["removed"]),
                "reused": all(array not in arrays() for array in reused),
                "kept": [(entry["id"] in orphans, entry["reason"]) for entry in ran["last"]["kept"]],
                "gone": sorted(gone),
            }

    found = in_namespace(work)
    assert found["lost"] == []
    assert found["all"]
    assert found["reused"], "an array whose toucher's number was used again"
    assert found["share"] >= 0.9, found
    assert all(reason for _orphan, reason in found["kept"])
