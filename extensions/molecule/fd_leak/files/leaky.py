# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Daemons that leak, each in a way of its own, those beside them that do not, and what has become of each.

leaky.py leak KIND [UID]      leak a pipe, a deleted file, an eventfd or an inotify instance, again and again
leaky.py crowd                share 300 descriptors with 50 workers, each of which leaks a pipe every two seconds
leaky.py forget               answer whoever connects and never close what he has closed (CLOSE_WAIT)
leaky.py call                 connect to that one, over and over
leaky.py door                 answer HTTP on a socket of systemd's, and leak a pipe with each answer
leaky.py innocent             hold many descriptors for ever, and others for a moment
leaky.py load                 ask the web server on ever more and ever fewer connections
leaky.py ask PORT             ask a door for its page, over and over, and count the answers
leaky.py answered PORT        say how many it gave, and fail where one is missing
leaky.py remember UNIT...     remember pids, their start and their limits
leaky.py compare              whether they are still as they were remembered
leaky.py pass PORT LIMIT      get more answers from a door than it may have descriptors, or fail

Once there is a file FIXED they start without their fault, as after an update; once there is BROKEN they do not start.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

HOME = Path("/run/leaky")
FIXED = HOME / "fixed"
BROKEN = HOME / "broken"
MEMORY = HOME / "memory.json"
FORGETFUL_PORT = 7000
WEB = "127.0.0.1", 80
SHARED_PIPES = 150
WORKERS = 50
MOST_INOTIFY = 90  # of the 128 that a user may have by default, on the whole machine

_libc = ctypes.CDLL(None, use_errno=True)
kept: list[t.Any] = []


# --- those who leak ---


def pipe() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    kept.append(reader)


def deleted() -> None:
    """A log that is rotated and never closed."""
    path = Path(f"/var/tmp/leaky-{os.getpid()}.log")
    log = path.open("wb")
    log.write(b"x" * 65536)
    log.flush()
    path.unlink()
    kept.append(log)


def eventfd() -> None:
    kept.append(call(_libc.eventfd, 0, 0))


def inotify() -> None:
    if len(kept) < MOST_INOTIFY:
        kept.append(call(_libc.inotify_init1, 0))


def call(function: t.Callable[..., int], *arguments: int) -> int:
    answer = function(*arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return answer


def leak(kind: str, uid: str = "") -> None:
    if uid:
        os.setgid(int(uid))
        os.setuid(int(uid))
    step = {"pipe": pipe, "deleted": deleted, "eventfd": eventfd, "inotify": inotify}[kind]
    fixed = FIXED.exists()
    if BROKEN.exists():
        raise SystemExit("the update is broken")
    while True:
        if not fixed:
            with contextlib.suppress(OSError):
                step()
        time.sleep(0.3)


def crowd() -> None:
    """No one of them is seen to leak: each opens two in four seconds, and holds 300 that all have."""
    for _one in range(SHARED_PIPES):
        kept.extend(os.pipe())
    for _one in range(WORKERS - 1):
        if os.fork() == 0:
            break
    time.sleep(random.random() * 2)
    while True:
        pipe()
        time.sleep(2)


def forget() -> None:
    with socket.create_server(("127.0.0.1", FORGETFUL_PORT), backlog=64) as listener:
        while True:
            connection, _peer = listener.accept()
            connection.recv(100)
            connection.sendall(b"well\n")
            kept.append(connection)


def door() -> None:
    """At its limit it cannot accept, as any server."""
    fixed = FIXED.exists()
    listener = socket.socket(fileno=3)
    while True:
        try:
            connection, _peer = listener.accept()
        except OSError:
            time.sleep(0.05)
            continue
        with connection:
            connection.recv(4096)
            try:
                if not fixed:
                    pipe()
                answer = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nopen\n"
            except OSError:
                answer = b"HTTP/1.0 500 Too many open files\r\nContent-Length: 0\r\n\r\n"
            with contextlib.suppress(OSError):  # who asked has gone
                connection.sendall(answer)


# --- those who do not ---


def call_the_forgetful() -> None:
    while True:
        try:
            with socket.create_connection(("127.0.0.1", FORGETFUL_PORT), timeout=5) as connection:
                connection.sendall(b"how are you\n")
                connection.recv(100)
        except OSError:
            pass
        time.sleep(0.2)


def innocent() -> None:
    for _one in range(300):
        kept.extend(os.pipe())
    while True:
        for_a_moment = [os.open("/etc/passwd", os.O_RDONLY) for _one in range(random.randrange(10, 60))]
        time.sleep(0.1)
        for number in for_a_moment:
            os.close(number)


def load() -> None:
    """From a few connections to many and back, each of them kept alive for some requests."""
    served = HOME / "load"
    answers = 0
    while True:
        for count in (5, 10, 20, 40, 60, 40, 20, 10):
            connections = [http.client.HTTPConnection(*WEB, timeout=10) for _one in range(count)]
            for _round in range(2):
                for connection in connections:
                    try:
                        connection.request("GET", "/")
                        answers += connection.getresponse().read() != b""
                    except (OSError, http.client.HTTPException):
                        connection.close()
                time.sleep(0.2)
            for connection in connections:
                connection.close()
            served.write_text(str(answers))


def ask(port: str) -> None:
    counts = {True: 0, False: 0}
    fresh = HOME / f"{port}.new"
    while True:
        counts[answers(port)] += 1
        fresh.write_text(f"{counts[True]} {counts[False]}")
        fresh.replace(HOME / port)
        time.sleep(0.2)


def answered(port: str) -> str:
    given, missing = map(int, (HOME / port).read_text().split())
    if missing or not given:
        raise SystemExit(f"{missing} of {given + missing} requests were not answered")
    return f"all {given} requests were answered"


def answers(port: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(4096).startswith(b"HTTP/1.0 200 ")
    except OSError:
        return False


# --- what has become of them ---


def remember(*units: str) -> str:
    now = {unit: lives_of(unit) for unit in units}
    assert all(now.values()), now
    MEMORY.write_text(json.dumps(now))
    return f"{sum(map(len, now.values()))} processes of {', '.join(units)}"


def compare() -> list[str]:
    wrong = []
    for unit, before in json.loads(MEMORY.read_text()).items():
        now = lives_of(unit)
        wrong += [
            f"{unit}: {pid} was {life}, is {now.get(pid)}" for pid, life in before.items() if now.get(pid) != life
        ]
    return wrong


def lives_of(unit: str) -> dict[str, list[t.Any]]:
    """The first process of a unit: those of a server's pool come and go."""
    shown = subprocess.run(
        ["systemctl", "show", "--value", "--property=MainPID", unit], capture_output=True, check=True
    )
    pid = int(shown.stdout)
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    (limit,) = [
        line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max open files")
    ]
    return {str(pid): [started, limit]}


def pass_the_limit(port: str, limit: str) -> str:
    """Each answer costs the door a descriptor."""
    wanted = int(limit) + 20
    for number in range(wanted):
        if not answers(port):
            raise SystemExit(f"the door at {port} stopped answering after {number} of {wanted}")
    return f"the door at {port} answered {wanted} times"


def main(verb: str, *arguments: str) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    HOME.mkdir(mode=0o755, exist_ok=True)
    if verb == "compare":
        wrong = compare()
        print("\n".join(wrong) or "all as they were")
        return 1 if wrong else 0
    verbs: dict[str, t.Callable[..., t.Any]] = {
        "leak": leak, "crowd": crowd, "forget": forget, "call": call_the_forgetful, "door": door, "innocent": innocent,
        "load": load, "ask": ask, "answered": answered, "remember": remember, "pass": pass_the_limit,
    }  # fmt: skip
    said = verbs[verb](*arguments)
    print(said or "")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
