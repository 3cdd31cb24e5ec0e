# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as plain data.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .host import PROTECTED_SLICE, Host
from .options import Options
from .plan import Change, Plan, plan
from .snapshot import take
from .store import render

SCHEMA_VERSION = 1
STORE = "/var/lib/hostcare/harden/originals.json"
_MOST = 100
_NAMES_OF_POOLS = {
    "users": ("user.slice",),
    "services": ("system.slice",),
    "protected": ("hostcare.slice",),
    "manager": ("init.scope",),
}
_Entry = t.Dict[str, t.Any]


def report(options: Options, root: str = "/", proc_root: str = "/proc", store_path: str = STORE) -> _Entry:
    """Raises Refused where the host cannot be read, or the options contradict each other."""
    started = time.monotonic()
    host = take(root, proc_root, store_path, options.container_slices)
    rendered = render_plan(plan(options, host), options, host, store_path)
    rendered["elapsed_ms"] = int((time.monotonic() - started) * 1000)
    return rendered


def render_plan(found: Plan, options: Options, host: Host, store_path: str) -> _Entry:
    reserve = found.reserve
    return {
        "schema_version": SCHEMA_VERSION,
        "state": "reverted" if options.is_reverted else "present",
        "size": {**host.size._asdict(), "systemd": host.systemd, "pids_controller": host.pids},
        "ceilings": [
            {**ceiling._asdict(), "binding": reserve is not None and ceiling is reserve.binding}
            for ceiling in (reserve.ceilings if reserve else ())
        ],
        "arithmetic": _arithmetic(found, options, host),
        "totals": {
            "room": reserve.binding.room if reserve else 0,
            "untrusted": reserve.untrusted if reserve else 0,
            "trusted": reserve.trusted if reserve else 0,
            "left": reserve.left if reserve else 0,
        },
        "processors": {**found.processors._asdict(), "weight": host.weights.get(PROTECTED_SLICE)},
        "controls": [one._asdict() for one in found.controls],
        "conflicts": [one._asdict() for one in found.conflicts[:_MOST]],
        "conflicts_total": len(found.conflicts),
        "findings": [one._asdict() for one in found.findings[:_MOST]],
        "findings_total": len(found.findings),
        "changes": [_change(one) for one in found.changes],
        "directories": list(found.directories),
        "leftovers": list(found.leftovers),
        "sysctls": dict(found.sysctls),
        "tell": list(found.tell),
        "sshd_unit": host.sshd_unit,
        "store": render(found.store),
        "store_path": store_path,
        "due": found.is_due,
        "refused": bool(found.conflicts),
        "proved": found.proved,
        "unproved": list(found.unproved),
        "partial": bool(host.unread),
        "partial_reasons": list(host.unread),
        "elapsed_ms": 0,
    }


def _arithmetic(found: Plan, options: Options, host: Host) -> list[_Entry]:
    tasks = {pool.name: pool.tasks for pool in host.pools}
    of_pools = {**_NAMES_OF_POOLS, "containers": options.container_slices}
    rows = []
    for row in found.reserve.rows if found.reserve else ():
        used = host.kernel_threads + host.loose if row.pool == "kernel" else None
        if row.pool in of_pools:
            used = sum(tasks.get(name, 0) for name in of_pools[row.pool])
        rows.append({**row._asdict(), "in_use": used})
    return rows


def _change(one: Change) -> _Entry:
    return {
        "control": one.control,
        "path": one.path,
        "state": "absent" if one.content is None else "present",
        "content": one.content or "",
        "mode": f"{one.mode:04o}",
        "uid": one.uid,
        "gid": one.gid,
    }
