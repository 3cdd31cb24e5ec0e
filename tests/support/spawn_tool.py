# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What spawn_info runs, in a process of an arena: spawn_tool.py OPTIONS_AS_JSON.

Prints "ready", waits for a line, then prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._spawn import survey

DEFAULTS = {"unit": None, "duration": "3s", "at_once": "2s", "min_rate": 60, "min_growth": 50, "top": 20}


def main() -> None:
    request = survey.parse({**DEFAULTS, **json.loads(sys.argv[1])})
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(survey.run(request, invocations="/nonexistent")))


if __name__ == "__main__":
    main()
