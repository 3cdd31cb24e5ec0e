# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Semaphore arrays on a test host: who holds them, how the real Apache leaks them, and what has become of each.

arrays.py hold NAME SEMAPHORES [KEY]  make an array, never touch it again, and live on unless it has a KEY
arrays.py innocent NUMBER             once so many arrays are there, remember each as one that must live
arrays.py leak                        kill Apache until it cannot start for want of an array
arrays.py beside SECONDS              kill Apache once that old, start it again: orphans beside a server that runs
arrays.py ask                         ask the server for its page again and again, and count the answers
arrays.py check [without]             the innocent live, the orphans are gone, the server answers and has arrays or none
"""

from __future__ import annotations

import ctypes
import json
import re
import signal
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

TABLE = Path("/proc/sysvipc/sem")
HOLDERS = Path("/run/holders")
MEMORY = Path("/run/arrays.json")
ANSWERS = Path("/run/answers")

UNIT = "apache2.service"
LOG = Path("/var/log/apache2/error.log")
PAGE = "http://127.0.0.1/"
PAGE_OF_THE_OTHER = "http://127.0.0.1:8081/"
REFUSED = re.compile(r"\(28\)No space left on device: (AH0002[34]: Couldn't create the .+)")
MOST_ROUNDS = 20

IPC_PRIVATE, IPC_CREAT, SETVAL = 0, 0o1000, 16


def table() -> dict[str, str]:
    """Every array by its number, with what says that it is still the same: key, size, creator, time of creation."""
    rows = [line.split() for line in TABLE.read_text().splitlines()[1:]]
    return {row[1]: " ".join((row[0], row[3], row[6], row[9])) for row in rows}


def remembered() -> dict[str, dict[str, str]]:
    return dict(json.loads(MEMORY.read_text()))


def remember(**groups: dict[str, str]) -> None:
    MEMORY.write_text(json.dumps({**(remembered() if MEMORY.exists() else {}), **groups}))


def but(arrays: dict[str, str], *others: t.Iterable[str]) -> dict[str, str]:
    return {number: array for number, array in arrays.items() if not any(number in other for other in others)}


def until(what_else: str, happens: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < deadline, f"{what_else}: {table()}"
        time.sleep(0.05)


def innocent(number: int) -> str:
    until(f"not {number} arrays", lambda: len(table()) == number)
    remember(innocent=table(), orphans={}, server={})
    return f"{number} innocent arrays"


def hold(name: str, semaphores: str, key: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.semget(int(key, 0) if key else IPC_PRIVATE, int(semaphores), IPC_CREAT | 0o600)
    if number < 0 or any(libc.semctl(number, at, SETVAL, 1) for at in range(int(semaphores))):
        raise OSError(ctypes.get_errno(), "no array")
    if not key:
        (HOLDERS / name).touch()
        signal.pause()


def systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)


def processes() -> list[str]:
    """Of the unit, whatever state systemd thinks it is in."""
    group = Path("/sys/fs/cgroup/system.slice", UNIT, "cgroup.procs")
    try:
        return group.read_text().split()
    except OSError:
        return []


def start() -> str:
    """What Apache said when it refused to start; empty when it runs."""
    since, read = time.time(), LOG.stat().st_size
    systemctl("reset-failed", UNIT)
    if systemctl("start", UNIT).returncode == 0:
        until("the server does not answer", lambda: answers(PAGE))  # before it does, it has not all its arrays
        return ""
    journal = ["journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}", f"--since=@{since:.3f}"]
    said = subprocess.run(journal, capture_output=True, text=True, check=True).stdout
    return said + LOG.read_bytes()[read:].decode()


def crash() -> None:
    """By SIGKILL, all at once. The unit has Restart=on-abort: systemd must be kept from starting it by itself."""
    systemctl("kill", "--signal=SIGKILL", UNIT)
    systemctl("stop", UNIT)
    until("processes are left", lambda: not processes())


def leak() -> str:
    innocent = remembered()["innocent"]
    for rounds in range(MOST_ROUNDS):
        said = start()
        if said:
            refused = REFUSED.search(said)
            assert refused, f"Apache did not start, but for another reason: {said}"
            orphans = but(table(), innocent)
            remember(orphans=orphans, server={})
            return f"{rounds} crashes left {len(orphans)} arrays: {refused.group(0)}"
        crash()
    raise AssertionError(f"Apache still starts after {MOST_ROUNDS} crashes: {table()}")


def beside(seconds: str) -> str:
    known = remembered()
    time.sleep(float(seconds))
    crash()
    orphans = but(table(), known["innocent"])
    said = start()
    assert not said, said
    server = but(table(), known["innocent"], orphans)
    assert orphans, table()
    assert server, table()
    remember(orphans=orphans, server=server)
    return f"orphans {sorted(orphans)} beside {sorted(server)} of the server"


def answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=5) as answer:
            return bool(answer.status == 200 and answer.read())
    except OSError:
        return False


def ask() -> None:
    counts = {True: 0, False: 0}
    fresh = ANSWERS.with_suffix(".new")
    while True:
        counts[answers(PAGE)] += 1
        fresh.write_text(f"{counts[True]} {counts[False]}")
        fresh.replace(ANSWERS)
        time.sleep(0.05)


def check(wanted: str = "with") -> list[str]:
    known, now = remembered(), table()
    wrong = [f"innocent array {number} is gone" for number, one in known["innocent"].items() if now.get(number) != one]
    wrong += [f"orphan {number} is still there" for number in known["orphans"] if number in now]
    wrong += [f"holder {holder.name} is gone" for holder in HOLDERS.iterdir() if not lives(holder.name)]
    wrong += [f"{page} does not answer" for page in (PAGE, PAGE_OF_THE_OTHER) if not answers(page)]
    servers = but(now, known["innocent"], known["orphans"])
    if wanted == "without":
        wrong += [f"array {number} of the server is still there" for number in servers]
    else:
        wrong += [f"array {number} of the running server is gone" for number in known["server"] if number not in now]
        wrong += [] if servers else ["the server has no array"]
    print(f"{len(known['innocent'])} innocent arrays, {len(known['orphans'])} orphans, {len(servers)} of the server")
    return wrong + (check_answers() if ANSWERS.exists() else [])


def check_answers() -> list[str]:
    """Of those who asked meanwhile, each was to get one."""
    answered, failed = map(int, ANSWERS.read_text().split())
    print(f"{answered} requests were answered meanwhile")
    return [f"{failed} of {answered + failed} requests were not answered"] if failed or not answered else []


def lives(name: str) -> bool:
    return systemctl("is-active", name).stdout.strip() == "active"


def main(verb: str, *arguments: str) -> int:
    if verb == "innocent":
        print(innocent(int(arguments[0])))
    elif verb == "check":
        wrong = check(*arguments)
        print("\n".join(wrong))
        return 1 if wrong else 0
    else:
        said = {"hold": hold, "leak": leak, "beside": beside, "ask": ask}[verb](*arguments)  # type: ignore[operator]
        print(said or "")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
