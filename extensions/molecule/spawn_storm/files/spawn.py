# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What the scenario has a host do, and asks it.

spawn.py remember         remember who must live on, and each limit
spawn.py compare          whether they do, and how long it took at most to get a process
spawn.py probe            start a process, again and again, and note how long that took
spawn.py bare [NAME]      start what fails, again and again
spawn.py connect          stay connected to the services of Postfix that fail
spawn.py count            how many were born of each so far: each that fails has written one byte
spawn.py rates SECONDS    the same, twice
spawn.py held             what is limited, and how long after its throttle the last one of each was born
spawn.py limits           what is limited, and what is left of throttles
spawn.py released WHOSE   wait for the end of each throttle, of services by timers or by none, and say how late it was
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

HOME = Path("/run/spawn")
MEMORY = HOME / "memory.json"
CRASHES = HOME / "crash"
HELD = HOME / "held"
PORTS = range(10991, 10996)
NAMES = ("crash", "bare", "postfix", "twin", "bob", "operator")
INNOCENT = {
    "job": "sleep 2000", "twin": "spawn/twin", "cron": "cron -f", "master": "postfix/sbin/master", "qmgr": "qmgr -l",
}  # fmt: skip
SLOW = 2.0  # seconds
EARLY, LATE = 1.0, 12.0


def innocents() -> dict[str, str]:
    """Number and start of those who must live on, with their names."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            start = (entry / "stat").read_text().rpartition(")")[2].split()[19]
            for name, part in INNOCENT.items():
                if part in line and "spawn.py" not in line:
                    found[f"{entry.name} {start}"] = name
    return found


def remember() -> None:
    deadline = time.monotonic() + 20
    while set(innocents().values()) != set(INNOCENT) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = innocents()
    assert set(found.values()) == set(INNOCENT), found
    MEMORY.write_text(json.dumps({"innocents": found, "limits": pids_max()}))


def compare() -> None:
    before, now = memory()["innocents"], innocents()
    harmed = [name for key, name in before.items() if key not in now]
    assert not harmed, harmed
    births = counts()["twin"]
    time.sleep(0.5)
    assert counts()["twin"] > births, "the twin stands still"
    probed = json.loads((HOME / "probe.json").read_text())
    assert time.time() - probed["at"] < SLOW, probed
    assert probed["failures"] == 0, probed
    assert probed["worst"] < SLOW, probed
    print(json.dumps(probed))


def probe() -> None:
    worst = 0.0
    failures = tries = 0
    while True:
        began = time.monotonic()
        try:
            subprocess.run(["/bin/true"], check=True)
        except (OSError, subprocess.CalledProcessError):
            failures += 1
        worst, tries = max(worst, time.monotonic() - began), tries + 1
        draft = HOME / "probe.draft"
        draft.write_text(json.dumps({"at": time.time(), "worst": worst, "failures": failures, "tries": tries}))
        draft.replace(HOME / "probe.json")
        time.sleep(0.1)


def bare(name: str = "bare") -> None:
    """It throttles nothing, and goes on when it is refused a child."""
    while True:
        with contextlib.suppress(OSError):
            subprocess.run(["/usr/local/lib/spawn/failing", name], check=False)
        time.sleep(0.05)


def connect() -> None:
    """Jobs that are not done."""
    if os.fork():
        return
    os.setsid()
    clients = [socket.create_connection(("127.0.0.1", port)) for port in PORTS]
    for number in range(3):
        os.close(number)
    time.sleep(3600)
    del clients


def counts() -> dict[str, int]:
    return {name: (HOME / name).stat().st_size for name in NAMES}


def counted() -> dict[str, float]:
    return {"at": time.monotonic(), **counts()}


def count() -> None:
    print(json.dumps(counted()))


def rates(seconds: str) -> None:
    first = counted()
    time.sleep(float(seconds))
    print(json.dumps([first, counted()]))


def memory() -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(MEMORY.read_text())
    return found


def pids_max() -> dict[str, str]:
    """Of each service, wherever systemd has put it."""
    top = Path((HOME / "pids").read_text().strip()) / "system.slice"
    return {path.parent.name: path.read_text().strip() for path in top.glob("**/*.service/pids.max")}


def limited() -> list[str]:
    """The services whose limit is not their own; what came since has the one that all have by default."""
    before, now = memory()["limits"], pids_max()
    return sorted(unit for unit, limit in now.items() if limit != before.get(unit, before["twin.service"]))


def waiting() -> list[str]:
    """The units that systemd keeps waiting."""
    return sorted(path.parent.name[:-2] for path in Path("/run/systemd/system").glob("*.d/zz-hostcare*"))


def throttles() -> list[dict[str, t.Any]]:
    (remembered,) = Path("/run/hostcare").glob("throttled-*")
    found = [one for one in json.loads(remembered.read_text())["throttles"] if one["in_force"]]
    return [{**one, "unit": os.path.basename(one["name"])} for one in found]


def held() -> None:
    late = {}
    for one in throttles():
        births = HOME / {"crash.service": "crash", "bare.service": "bare"}.get(one["unit"], "postfix")
        late[one["unit"]] = round(changed_at(births) - one["since"], 2)
    HELD.write_text(str(CRASHES.stat().st_size))
    print(json.dumps({"limited": limited(), "waiting": waiting(), "late": late}))


def limits() -> None:
    left = [path.name for path in Path("/run/hostcare").glob("*") if path.name.startswith(("throttled", "lock"))]
    print(json.dumps({"limited": limited(), "waiting": waiting(), "left": left}))


def released(whose: str) -> None:
    """systemd starts the unit that waits once more; the others have their limits back."""
    due = {one["unit"]: one["release_at"] for one in throttles()}
    stay = set() if whose == "timers" else due.keys() - {"crash.service"}
    assert len(due) == 3, due
    before = int(HELD.read_text())
    ended: dict[str, float] = {}
    while due.keys() - ended.keys() - stay and uptime() < max(due.values()) + LATE:
        for unit in due.keys() - set(limited()) - {"crash.service"} - ended.keys():
            ended[unit] = uptime()
        if CRASHES.stat().st_size > before:
            ended["crash.service"] = changed_at(CRASHES)
        time.sleep(0.1)
    late = {unit: round(ended[unit] - due[unit], 1) if unit in ended else None for unit in due}
    starts = CRASHES.stat().st_size - before
    print(json.dumps({"late": late, "starts": starts}))
    assert ended.keys() == due.keys() - stay, "the others wait for the next run"
    assert all(-EARLY < late[unit] < LATE for unit in ended), late
    assert starts == 1, "systemd keeps it waiting after that, too"


def changed_at(path: Path) -> float:
    return path.stat().st_mtime - time.time() + uptime()


def uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
