# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Who takes part: the peers, the C program that is the limit, and ours."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path
from typing import NamedTuple

from ansible_collections.hostcare.remediation.tests.benchmark import ours
from ansible_collections.hostcare.remediation.tests.support.storm import (
    OTHER_USER,
    ROGUE_USER,
    ROGUES,
    Arena,
    Armed,
    program,
)

NAME, USER, OTHER = "rogue", ROGUE_USER, OTHER_USER
PEERS = Path(__file__).resolve().parent / "peers"
LIMIT = "C, STOP to fixpoint"
OURS = "ours, method auto"
THEIR_CGROUP = "{cgroup of the rogues}"


class Contender(NamedTuple):
    """``spare`` slots are kept free for those that must fork; ``loaded`` ones were started before the storm."""

    label: str
    command: tuple[str, ...]
    spare: int = 0
    loaded: bool = False
    ours: bool = False

    def arm(self, arena: Arena) -> Armed:
        directory = str(arena.grounds.unified(ROGUES) or "")
        command = [directory if word == THEIR_CGROUP else word for word in self.command]
        return arena.arm(command, gate=not self.loaded)


def _rival(way: str) -> tuple[str, ...]:
    return (sys.executable, str(PEERS / "rivals.py"), way, NAME, USER, THEIR_CGROUP)


def _ours(method: str) -> Contender:
    command = ours.kill_command(method, NAME, USER)
    return Contender(f"ours, method {method}", tuple(command), loaded=True, ours=True)


_BY_USER_AND_NAME = ("-x", "-u", USER, NAME)
_PKILL = " ".join(_BY_USER_AND_NAME)
_KILLALL = f"-u {USER} {NAME}"
_UID = str(pwd.getpwnam(USER).pw_uid)

FIGHTERS = [
    Contender(LIMIT, (program("cscan"), NAME, _UID)),
    _ours("auto"),
    _ours("user"),
    _ours("scan"),
    Contender("Python, cgroup.kill", _rival("cgroup"), loaded=True),
    Contender("Python, uid + kill(-1)", _rival("uid"), loaded=True),
    Contender("Python, STOP to fixpoint", _rival("kill"), loaded=True),
    Contender("the same through pidfd", _rival("pidfd"), loaded=True),
    Contender("psutil to fixpoint", _rival("psutil"), loaded=True),
    Contender("shell loop, 5 STOP, KILL", ("/bin/sh", str(PEERS / "shell_loop.sh"), NAME)),
    Contender("pkill -STOP, -KILL", ("/bin/sh", "-c", f"pkill -STOP {_PKILL}; pkill -KILL {_PKILL}"), spare=2),
    Contender("pkill -KILL", ("pkill", "-KILL", *_BY_USER_AND_NAME)),
    Contender(
        "killall -STOP, -KILL", ("/bin/sh", "-c", f"killall -STOP {_KILLALL}; killall -KILL {_KILLALL}"), spare=2
    ),
    Contender("kill $(pgrep ...)", ("/bin/sh", "-c", f"kill -KILL $(pgrep {_PKILL})")),
]

LISTERS = [
    Contender("C", (program("clist"), NAME, _UID)),
    Contender("ours", tuple(ours.list_command(NAME, USER)), loaded=True, ours=True),
    Contender("ps", ("/bin/ps", "-e", "-o", "pid=,user=,comm=")),
    Contender("pgrep", ("pgrep", *_BY_USER_AND_NAME)),
    Contender("psutil", _rival("list"), loaded=True),
]


class Scenario(NamedTuple):
    name: str
    kind: str
    options: tuple[str, ...] = ()
    chains: int = 0  # of a bomb that leaves the table open


SCENARIOS = [
    Scenario("nap", "nap"),
    Scenario("spin", "spin"),
    Scenario("comet", "comet", ("--count", "200", "--life", "30"), 200),
    Scenario("hopper", "hopper"),
    Scenario("setsid", "setsid"),
]
