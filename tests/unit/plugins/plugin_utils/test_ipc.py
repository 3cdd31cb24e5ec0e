# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._ipc import ipc_lines, ipc_removal_lines
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import columns

ORPHANS = {
    "kind": "semaphores", "owner": "www-data", "uid": 33, "creator": "root", "verdict": "orphaned",
    "reason": "nobody who could hold it is as old as it is", "count": 30, "nsems": 30, "bytes": 0,
}  # fmt: skip
DOUBTFUL = {**ORPHANS, "verdict": "unknown", "reason": "a process as old as it runs", "count": 2, "nsems": 2}
KEPT = {
    "kind": "semaphores", "id": 5, "owner": "www-data", "verdict": "unknown", "reason": "a process as old as it runs",
    "holders": [{"pid": 77, "name": "php-fpm", "user": "www-data", "unit": "php-fpm.service", "reason": "its user"}],
}  # fmt: skip
LIMITS = [
    {
        "kind": "semaphores", "limit_name": "SEMMNI", "parameter": "kernel.sem", "unit": "arrays", "used": 32,
        "limit": 512, "free": 480, "share": 0.0625, "binding": False, "error": "ENOSPC from semget(2)", "holders": [],
    },
    {
        "kind": "semaphores", "limit_name": "SEMMNS", "parameter": "kernel.sem", "unit": "semaphores", "used": 32,
        "limit": 32, "free": 0, "share": 1.0, "binding": True, "error": "ENOSPC from semget(2)", "holders": [],
    },
    {
        "kind": "semaphores", "limit_name": "SEMMSL", "parameter": "kernel.sem", "unit": "semaphores in one array",
        "used": 1, "limit": 25032000, "free": None, "share": None, "binding": False, "error": "EINVAL from semget(2)",
        "holders": [],
    },
    {
        "kind": "semaphores", "limit_name": "SEMOPM", "parameter": "kernel.sem", "unit": "operations", "used": None,
        "limit": 512, "free": None, "share": None, "binding": False, "error": "E2BIG from semop(2)", "holders": [],
    },
]  # fmt: skip
INFO: dict[str, t.Any] = {
    "matched": 32,
    "totals": [{"kind": "semaphores", "objects": 32, "in_use": 0, "orphaned": 30, "unknown": 2}],
    "groups": [ORPHANS, DOUBTFUL],
    "objects": [{**KEPT, "verdict": "orphaned", "holders": []}, KEPT, KEPT],
    "limits": LIMITS,
    "settings": [
        {
            "parameter": "kernel.sem", "value": "25032000 32 512 512", "proposal": "250 32000 32 512",
            "problem": "one array may hold 25032000 semaphores and the whole host 32",
            "sources": [{"path": "/etc/sysctl.d/99-oracle.conf", "line": 3, "value": "25032000 32 512"}],
        }
    ],
    "clock_step": 0.0, "sight": "host", "partial": False, "partial_reasons": [], "elapsed_ms": 4,
}  # fmt: skip
REMOVAL: dict[str, t.Any] = {
    "state": "absent", "matched": 32, "removed_total": 30, "removed_groups": [ORPHANS], "kept_total": 2,
    "kept": [KEPT, KEPT], "kept_groups": [DOUBTFUL], "freed": {"SEMMNI": 30, "SEMMNS": 30, "SHMMNI": 0},
    "limits": LIMITS, "converged": True, "clock_step": 0.0, "sight": "host", "partial": False, "partial_reasons": [],
    "elapsed_ms": 1030,
}  # fmt: skip


def test_the_limit_that_is_hit_is_named_with_its_error() -> None:
    (hit,) = [line for line in ipc_lines(INFO) if "hit first" in line]
    assert hit.split()[:6] == ["SEMMNS", "semaphores", "32", "32", "0", "100"]
    assert "ENOSPC from semget(2)" in hit


def test_a_limit_of_which_no_use_is_counted_is_left_out() -> None:
    (each,) = [line for line in ipc_lines(INFO) if "SEMMSL" in line]
    assert each.split()[-4:] == ["1", "25032000", "-", "-"]
    assert not any("SEMOPM" in line for line in ipc_lines(INFO))


def test_a_setting_that_cannot_be_meant_is_shown_with_the_line_that_sets_it() -> None:
    text = " ".join(" ".join(ipc_lines(INFO)).split())
    assert "SETTING kernel.sem is 25032000 32 512 512: one array may hold 25032000" in text
    assert "Set by /etc/sysctl.d/99-oracle.conf, line 3. Probably meant: 250 32000 32 512." in text
    bare = {**INFO, "settings": [{**INFO["settings"][0], "sources": [], "proposal": None}]}
    assert not any("Set by" in line or "Probably" in line for line in ipc_lines(bare))


def test_objects_are_counted_by_verdict_and_group() -> None:
    lines = ipc_lines(INFO)
    assert "IPC OBJECTS  32 arrays (30 orphaned, 2 perhaps in use)" in lines
    (orphans,) = [line for line in lines if "nobody who could" in line]
    assert orphans.split()[:4] == ["30", "www-data", "root", "orphaned"]
    queue = {**DOUBTFUL, "kind": "message_queues"}
    (orphans,) = [line for line in ipc_lines({**INFO, "groups": [ORPHANS, queue]}) if "nobody who could" in line]
    assert orphans.split()[:4] == ["30", "arrays", "www-data", "root"]
    assert "  ... and 1 more groups" in ipc_lines(INFO, top=1)
    assert "IPC OBJECTS  none" in ipc_lines({"limits": LIMITS})


def test_who_keeps_an_object_from_being_an_orphan_is_named_once() -> None:
    for lines in (ipc_lines(INFO), ipc_removal_lines(REMOVAL)):
        (row,) = [line for line in lines if "php-fpm.service" in line]
        assert row.split() == ["2", "php-fpm", "www-data", "php-fpm.service"]
    certain = {**REMOVAL, "kept": [{**KEPT, "verdict": "in_use"}]}
    assert not any("php-fpm" in line for line in ipc_removal_lines(certain))


def test_without_room_for_groups_only_the_totals_are_shown() -> None:
    lines = ipc_lines(INFO, top=0)
    assert lines[-1].startswith("IPC OBJECTS")


def test_a_removal_says_what_was_done_and_what_would_be() -> None:
    done = "\n".join(ipc_removal_lines(REMOVAL))
    assert done.startswith("REMEDY  30 arrays were removed, 2 kept")
    assert "freed: 30 of SEMMNI, 30 of SEMMNS (1030 ms)" in done
    dry = "\n".join(ipc_removal_lines(REMOVAL, dry=True))
    assert dry.startswith("REMEDY  30 arrays would be removed, 2 kept")
    assert "this would free 30 of SEMMNI" in dry
    for text in (done, dry):
        assert "a process as old as it runs" in text


def test_an_end_without_proof_is_loud() -> None:
    assert any("NOT ALL" in line for line in ipc_removal_lines({**REMOVAL, "converged": False}))


def test_a_refusal_is_shown_with_its_reason() -> None:
    refused = {**REMOVAL, "removed_total": 0, "removed_groups": [], "msg": "30 are more than max_removals"}
    assert ipc_removal_lines(refused)[0] == "REMEDY  refused or failed: 30 are more than max_removals"
    assert not any("removed" in line and "REMEDY" in line for line in ipc_removal_lines(refused)[1:])
    assert ipc_removal_lines({"msg": "no"}) == ["REMEDY  refused or failed: no"]


def test_nothing_to_do_is_said() -> None:
    assert ipc_removal_lines({}) == ["REMEDY  nothing matches the selection: nothing to do."]
    nothing = {**REMOVAL, "removed_total": 0, "removed_groups": [], "matched": 2}
    assert ipc_removal_lines(nothing)[0] == "REMEDY  no objects were removed, 2 kept"


def test_why_times_or_processes_prove_nothing_is_said() -> None:
    for lines in (
        ipc_lines({**INFO, "clock_step": 3600.0, "sight": "hidden"}),
        ipc_removal_lines({**REMOVAL, "clock_step": 3600.0, "sight": "hidden"}),
    ):
        assert any("set forward by 3600.0 s" in line for line in lines)
        assert any("hidden from this user" in line for line in lines)


def test_what_could_not_be_read_is_said() -> None:
    partial = {"partial": True, "partial_reasons": ["/proc/7/ns/ipc: denied"]}
    assert ipc_lines({**INFO, **partial})[-1].strip() == "- /proc/7/ns/ipc: denied"
    assert ipc_removal_lines({**REMOVAL, **partial})[-1].strip() == "- /proc/7/ns/ipc: denied"
    assert ipc_lines({})[0] == "IPC LIMITS  none could be read."


@given(st.text(max_size=40), st.integers(0, 150))
def test_no_name_breaks_out_of_a_line(name: str, width: int) -> None:
    info = {
        **INFO,
        "groups": [{**ORPHANS, "owner": name, "reason": name}],
        "objects": [{**KEPT, "holders": [{"name": name, "user": name, "unit": name}]}],
    }
    removal = {**REMOVAL, "removed_groups": info["groups"], "kept": info["objects"], "msg": name}
    for lines in (ipc_lines(info, width), ipc_removal_lines(removal, False, width)):
        assert all(line.isprintable() and columns(line) <= max(40, width) for line in lines)
