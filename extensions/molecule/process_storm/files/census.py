# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Who must not be harmed, and how they are: census.py take FILE | compare FILE

PID 1, the sshd of the host, the operator's ssh session with its shell and child, and the innocents, which keep a record
of every signal that reaches them (tests/support/storm/src/innocent.c).
"""

from __future__ import annotations

import glob
import json
import os
import struct
import sys
import time
from pathlib import Path

RECORDS = "/run/innocents/*"
SSHD_PID = "/run/sshd.pid"
OPERATOR_TASK = "(operator-task)"


def life(pid: int) -> dict[str, object]:
    """What a process is, and nothing that changes while it lives on as it was."""
    name, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rsplit(")", 1)
    fields = rest.split()
    return {
        "pid": pid,
        "name": name,
        "stopped": fields[0] == "T",
        "parent": int(fields[1]),
        "session": int(fields[3]),
        "started": int(fields[19]),
        "user": os.stat(f"/proc/{pid}").st_uid,
    }


def operator_session() -> list[int]:
    """The operator's task, its shell, and the sshd processes above it, up to the listener."""
    (task,) = [int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/stat") if OPERATOR_TASK in reads(path)]
    above = [task]
    while above[-1] != 1:
        above.append(int(str(life(above[-1])["parent"])))
    return above


def reads(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # gone meanwhile
        return ""


def take() -> dict[str, dict[str, object]]:
    found = {"pid 1": life(1), "sshd": life(int(Path(SSHD_PID).read_text()))}
    for step, pid in enumerate(operator_session()):
        found[f"operator's session, {step} up"] = life(pid)
    for record in sorted(glob.glob(RECORDS)):
        pid, beats, signals, last_signal = struct.unpack("iIII", Path(record).read_bytes()[:16])
        found[record] = {**life(pid), "beats": beats, "signals": signals, "last_signal": last_signal}
    return found


def harms(before: dict[str, dict[str, object]], after: dict[str, dict[str, object]]) -> list[str]:
    found = [f"{who} is gone" for who in before.keys() - after.keys()]
    for who in before.keys() & after.keys():
        old, new = before[who], after[who]
        found += [
            f"{who}: {key} was {old[key]}, is {new[key]}" for key in old if key != "beats" and old[key] != new[key]
        ]
        if "beats" in old and not old["stopped"] and old["beats"] == new["beats"]:
            found.append(f"{who} has no heartbeat")
    return found


def main(verb: str, file: str) -> int:
    now = take()
    if verb == "take":
        Path(file).write_text(json.dumps(now, indent=1))
        print(f"{len(now)} who must not be harmed: {', '.join(now)}")
        return 0
    before = json.loads(Path(file).read_text())
    time.sleep(0.5)  # long enough for a heartbeat
    found = harms(before, take())
    print("\n".join(found) or f"{len(before)} are unharmed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
