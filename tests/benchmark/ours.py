# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How the benchmark reaches what it is about: the only file of it that knows the collection's own code."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tests" / "support" / "remedy_tool.py"
NO_BRAKE = 1 << 22


def kill_command(method: str, name: str, user: str) -> list[str]:
    """rogue_process without the start of its interpreter (that is AnsiballZ's): waits once it is loaded."""
    options = {
        "state": "killed",
        "selector": {"name": [name], "user": [user]},
        "method": method,
        "max_victims": NO_BRAKE,
    }
    return [sys.executable, str(TOOL), json.dumps(options)]


def list_command(name: str, user: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), name, user]


def main(name: str, user: str) -> None:
    """List by name and user, through the table and the selector that the modules use."""
    sys.path.insert(0, str(ROOT / ".work" / "collections"))
    from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable  # noqa: PLC0415
    from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Matcher, parse  # noqa: PLC0415

    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    table = ProcessTable()
    matcher = Matcher(parse({"name": [name], "user": [user]}), table)
    for process in table.scan():
        if matcher.matches(process):
            print(process.pid)
    print(json.dumps({"cpu_seconds": time.process_time() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
