# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What else could be written in Python: rivals.py WAY NAME USER [CGROUP]. Prints "ready", begins after a line of input.

They share the stop rule that suggests itself: a pass that saw every match already stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

NAME, UID = sys.argv[2].encode(), pwd.getpwnam(sys.argv[3]).pw_uid
BETWEEN_PASSES = 0.001
STOPPED, DEAD = "Tt", "ZX"


def scan() -> Iterator[tuple[int, str]]:
    """Number and state of every match that is not dead."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fd = os.open(f"/proc/{entry}/stat", os.O_RDONLY)
        except OSError:
            continue
        try:
            raw = os.read(fd, 1024)
            owner = os.fstat(fd).st_uid
        except OSError:
            continue
        finally:
            os.close(fd)
        closing = raw.rfind(b")")
        state = chr(raw[closing + 2])
        if owner == UID and raw[raw.find(b"(") + 1 : closing] == NAME and state not in DEAD:
            yield int(entry), state


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def send_by_pidfd(pid: int, number: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def stop_to_fixpoint(tell: Callable[[int, int], None]) -> None:
    while True:
        matches = list(scan())
        running = [pid for pid, state in matches if state not in STOPPED]
        for pid in running:
            tell(pid, signal.SIGSTOP)
        if not running:
            break
        time.sleep(BETWEEN_PASSES)
    for pid, _state in matches:
        tell(pid, signal.SIGKILL)


def psutil_matches() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                if process.name().encode() == NAME and process.uids().real == UID:
                    yield process
        except psutil.NoSuchProcess:
            continue


def psutil_to_fixpoint() -> None:
    running = True
    victims: list[psutil.Process] = []
    while running:
        running, victims = False, []
        for process in psutil_matches():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                victims.append(process)
                if process.status() != psutil.STATUS_STOPPED:
                    process.suspend()
                    running = True
            except psutil.NoSuchProcess:
                continue
        time.sleep(BETWEEN_PASSES)
    for process in victims:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def assume_uid() -> None:
    os.setresuid(UID, UID, 0)
    os.kill(-1, signal.SIGKILL)
    os.setresuid(0, 0, 0)


def cgroup_kill() -> None:
    Path(sys.argv[4], "cgroup.kill").write_text("1")


def list_by_psutil() -> None:
    for process in psutil.process_iter(["pid", "name", "username"]):
        if process.info["name"].encode() == NAME and process.info["username"] == sys.argv[3]:
            print(process.info["pid"])


WAYS: dict[str, Callable[[], None]] = {
    "psutil": psutil_to_fixpoint,
    "kill": lambda: stop_to_fixpoint(send),
    "pidfd": lambda: stop_to_fixpoint(send_by_pidfd),
    "uid": assume_uid,
    "cgroup": cgroup_kill,
    "list": list_by_psutil,
}


if __name__ == "__main__":
    way = WAYS[sys.argv[1]]
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    way()
    print(json.dumps({"cpu_seconds": time.process_time() - started}))
