# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A host that is well, before and after: well.py remember | compare

Every process of a service lives on, each unit is as it was, and no remedy has left a trace.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MEMORY = Path("/run/well.json")
TRACES = ("/run/hostcare", "/var/lib/hostcare")
# What comes and goes by itself, or with whoever looks.
PASSING = ("session", "user@", "user-runtime-dir", "/cron.service", "systemd-tmpfiles", "libpod")


def processes() -> dict[str, str]:
    """Number and start of each, with its name and service."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit():
                continue
            group = (entry / "cgroup").read_text().strip().rpartition(":")[2]
            name, rest = (entry / "stat").read_text().partition("(")[2].rsplit(")", 1)
        except OSError:
            continue
        if ".service" in group and not any(word in group for word in PASSING):
            found[f"{entry.name} {rest.split()[19]}"] = f"{name} in {group}"
    return found


def units() -> dict[str, str]:
    command = ["systemctl", "list-units", "--type=service", "--all", "--plain", "--no-legend"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    states = {line.split()[0]: line.split()[3] for line in lines}
    return {unit: state for unit, state in states.items() if state == "running"}


def harms(before: dict[str, dict[str, str]]) -> list[str]:
    now = processes()
    found = [f"{who} ({key}) is gone" for key, who in before["processes"].items() if key not in now]
    found += [f"{unit} runs no more" for unit in before["units"].keys() - units().keys()]
    return found + [f"{trace} is there: a remedy was at work" for trace in TRACES if Path(trace).exists()]


def main(verb: str) -> int:
    if verb == "remember":
        MEMORY.write_text(json.dumps({"processes": processes(), "units": units()}))
        return 0
    before = json.loads(MEMORY.read_text())
    found = harms(before)
    print(
        "\n".join(found) or f"{len(before['processes'])} processes of {len(before['units'])} services are as they were"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
