# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The same incident on one host and on a hundred: the playbook of the collection, and a plain one of shell tasks.

Each host has the semaphore arrays of a dead service, and two arrays that are in use and have to stay. The hosts share
the processors with the controller, so that the time of a run contains the work of all of them; processor time is the
controller's alone, its ssh clients included.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.tests.benchmark import fleet_run
from ansible_collections.hostcare.remediation.tests.benchmark.fleet_hosts import USER, Fleet, Host

COUNTS = (1, 10, 50, 100)
MOST_HOST_TASKS = 5
BENT = 1.25  # how many times the seconds of a host a larger fleet may take for each

_PEER = str(Path(__file__).resolve().parent / "fleet_peer.yml")
FORKS = 50
# As the documentation wants it, for all alike.
TUNED = {
    "ANSIBLE_FORKS": str(FORKS),
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=8h",
    "ANSIBLE_GATHERING": "explicit",
}
OURS = "ours"


class Contender(NamedTuple):
    label: str
    arguments: tuple[str, ...]
    settings: dict[str, str]
    most_hosts: int = 1000


CONTENDERS = (
    Contender(
        OURS,
        (
            "hostcare.remediation.semaphore_leak",
            # A host is remedied several times within the hour.
            *("-e", json.dumps({"semaphore_leak_selector": {"owner": [USER]}, "semaphore_leak_budget": 200})),
        ),
        TUNED,
    ),
    Contender("shell tasks", (_PEER, "--skip-tags", "one_by_one"), TUNED),
    # Beyond these numbers they take too long.
    Contender("shell tasks, Ansible's defaults", (_PEER, "--skip-tags", "one_by_one"), {}, 10),
    Contender("a loop task to remove", (_PEER, "--skip-tags", "at_once"), TUNED, 1),
)


def measure(counts: Sequence[int], tries: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each number of hosts and contender: medians where one try is short."""
    rows = []
    with Fleet(max(counts)) as fleet:
        say(f"{max(counts)} hosts are up")
        for count in counts:
            for contender in CONTENDERS:
                if count > contender.most_hosts:
                    continue
                try:
                    own = [_try(fleet, count, contender) for _number in range(tries if count <= 10 else 1)]
                except RuntimeError as failure:
                    if contender.label == OURS:
                        raise
                    say(f"{contender.label} failed with {count} hosts: {failure}")
                    continue
                rows.append(_median(own))
                say(_line(rows[-1]))
    return rows


def _try(fleet: Fleet, count: int, contender: Contender) -> dict[str, Any]:
    hosts = fleet.hosts[:count]
    fleet.leak(hosts)
    inventory = fleet.home / "inventory.json"
    inventory.write_text(json.dumps(fleet.inventory(hosts)))
    before = _sessions(hosts)
    run = fleet_run.play(["-i", str(inventory), *contender.arguments], contender.settings, fleet.home)
    fleet.check(hosts)
    assert len(run.tasks) == count
    return {
        "contender": contender.label,
        "hosts": count,
        "seconds": run.seconds,
        "cpu": run.cpu,
        "memory": run.memory,
        "host_tasks": max(len(host["host_tasks"]) for host in run.tasks.values()),
        "results": max(host["results"] for host in run.tasks.values()),
        "sessions": (_sessions(hosts) - before) / count,
    }


def _sessions(hosts: Sequence[Host]) -> int:
    return sum(host.sessions() for host in hosts)


def _median(tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = tries[0]
    return {**first, **{name: statistics.median(one[name] for one in tries) for name in ("seconds", "cpu", "memory")}}


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    heading = f"{'remove 250 arrays on each host':<34}{'hosts':>6}{'s':>8}{'s/host':>8}{'cpu s':>8}{'cpu/host':>9}"
    told = [f"{heading}{'MiB':>6}{'tasks':>6}{'results':>8}{'sessions':>9}", *map(_line, rows), ""]
    for label in dict.fromkeys(row["contender"] for row in rows):
        told += [
            f"{label}: from {one.hosts} to {one.more} hosts {one.seconds:.2f} s and {one.cpu:.2f} cpu s for each more"
            for one in _slopes(rows, label)
        ]
    return told


def _line(row: dict[str, Any]) -> str:
    count, seconds, cpu = row["hosts"], row["seconds"], row["cpu"]
    costs = f"{seconds:>8.1f}{seconds / count:>8.2f}{cpu:>8.1f}{cpu / count:>9.2f}{row['memory']:>6.0f}"
    return f"{row['contender']:<34}{count:>6}{costs}{row['host_tasks']:>6}{row['results']:>8}{row['sessions']:>9.1f}"


class Slope(NamedTuple):
    """What each host more costs, from one number of hosts to the next."""

    hosts: int
    more: int
    seconds: float
    cpu: float


def _slopes(rows: Sequence[dict[str, Any]], label: str) -> list[Slope]:
    own = [row for row in rows if row["contender"] == label]
    slopes = []
    for few, many in itertools.pairwise(own):
        added = many["hosts"] - few["hosts"]
        costs = ((many[cost] - few[cost]) / added for cost in ("seconds", "cpu"))
        slopes.append(Slope(few["hosts"], many["hosts"], *costs))
    return slopes


def is_linear(rows: Sequence[dict[str, Any]]) -> bool:
    """Ours: few host-tasks, and a host among many takes hardly more time than one among few."""
    own = [row for row in rows if row["contender"] == OURS]
    shares = [row["seconds"] / row["hosts"] for row in own if row["hosts"] >= 10]
    bent = any(more > BENT * less for less, more in itertools.pairwise(shares))
    return not bent and all(row["host_tasks"] <= MOST_HOST_TASKS for row in own)
