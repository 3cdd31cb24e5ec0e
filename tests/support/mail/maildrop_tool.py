# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What postfix_maildrop runs, in a process of its own: maildrop_tool.py OPTIONS_AS_JSON [--wait]

Prints the outcome as JSON. With --wait it says "ready" when it is loaded, and waits for a line. `memory_kb` is what the
work itself took at its peak, the interpreter and what is imported apart.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import remedy


def kilobytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def main(options: str, *flags: str) -> None:
    given = json.loads(options)
    given["submitters"] = tuple(given.get("submitters", ()))
    if "--wait" in flags:
        print("ready", flush=True)
        sys.stdin.readline()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here (proc(5))
    before, started, cpu = kilobytes("VmRSS"), time.monotonic(), time.process_time()
    try:
        outcome = remedy.run(remedy.Options(**given))
    except Refused as refusal:
        print(json.dumps({"refused": str(refusal)}))
        return
    took = {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "memory_kb": kilobytes("VmHWM") - before,
    }
    said = {"problem": outcome.problem, "warnings": outcome.warnings, "diff": outcome.diff}
    print(json.dumps({**took, **said, **outcome.result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
