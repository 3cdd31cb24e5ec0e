# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rogue_process runs, in a process that is loaded before the storm: remedy_tool.py OPTIONS_AS_JSON.

Prints "ready", waits for a line, then prints the outcome as JSON. The start of the interpreter is left out that way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process import remedy, selection


def main() -> None:
    given = json.loads(sys.argv[1])
    protect = tuple(selection.parse(selector, "protect") for selector in given.pop("protect", []))
    selector = given.pop("selector", None)
    options = remedy.Options(selector=selection.parse(selector) if selector else None, protect=protect, **given)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        outcome = remedy.run(options)
    except Refused as refusal:
        print(json.dumps({"refused": str(refusal)}))
        return
    print(json.dumps({"problem": outcome.problem, "warnings": outcome.warnings, **outcome.result}))


if __name__ == "__main__":
    main()
