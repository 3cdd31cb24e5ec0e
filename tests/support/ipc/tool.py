# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tool.py ROUNDS OPTIONS: runs `sysv_ipc` so many times without Ansible, and prints as JSON what all runs removed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import removal
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import parse


def main(rounds: int, given: dict[str, Any]) -> None:
    rest = {name: given.pop(name) for name in list(given) if name in removal.Options._fields}
    rest = {"min_age": 0.0, "observe": 0.0, **rest}
    if "verdicts" in rest:
        rest["verdicts"] = frozenset(rest["verdicts"])
    selection = parse({"kind": ["semaphores"], "bystanders": [], **given})
    removed: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    started = time.monotonic()
    for _round in range(rounds):
        result = removal.run(removal.Options(selection, **rest)).result
        removed += result["removed"]
    print(json.dumps({"removed": removed, "last": result, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
