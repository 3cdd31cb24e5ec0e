# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What spawn_throttle runs, in a process that is loaded before the storm: throttle_tool.py DIRECTORY OPTIONS_AS_JSON...

Prints "ready"; for each of the options it waits for a line, then prints the outcome as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import CRITERIA
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import parse_request

DEFAULTS: dict[str, t.Any] = {
    **dict.fromkeys(CRITERIA), "min_age": None, "min_count": 0, "protect": [], "limit": "none_new", "method": "auto",
    "release_after": "0", "backoff": 2.0, "jitter": 0.1, "max_release_after": "1h", "max_repeats": 5,
    "forget_after": "1h", "only_due": False, "max_processes": 500, "include_containers": False,
}  # fmt: skip


def run(directory: str, options: dict[str, t.Any], patience: float = 10) -> dict[str, t.Any]:
    """Another test's run of the same PID namespace is waited for."""
    given = {**DEFAULTS, **options}
    deadline = time.monotonic() + patience
    while True:
        try:
            outcome = remedy.run(parse_request(given, bool(options.get("check_mode"))), directory=directory)
            break
        except Refused as refusal:
            if "another run" not in str(refusal) or time.monotonic() > deadline:
                return {"refused": str(refusal)}
            time.sleep(0.02)
    return {"problem": outcome.problem, "warnings": outcome.warnings, "diff": outcome.diff, **outcome.result}


def main() -> None:
    print("ready", flush=True)
    for options in sys.argv[2:]:
        sys.stdin.readline()
        print(json.dumps(run(sys.argv[1], json.loads(options))), flush=True)


if __name__ == "__main__":
    main()
