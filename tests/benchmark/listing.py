# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Ten thousand processes, listed by name and user: processor time, because that is what a host in a storm lacks."""

from __future__ import annotations

import json
import statistics
from typing import Any

from ansible_collections.hostcare.remediation.tests.benchmark.contenders import LISTERS, NAME, OTHER, USER, Contender
from ansible_collections.hostcare.remediation.tests.support.storm import Arena

OTHERS = 500


def measure(count: int, tries: int) -> list[dict[str, Any]]:
    """A row for each lister; ``cpu_ms`` leaves out the start of an interpreter that was loaded before."""
    found: dict[str, list[float]] = {lister.label: [] for lister in LISTERS}
    with Arena(count + 1000) as arena:
        arena.bomb("crowd", "--count", str(count), name=NAME, user=USER)
        arena.bomb("crowd", "--count", str(OTHERS), name=NAME, user=OTHER, cgroup="others")
        arena.wait_population(count, timeout=120)
        arena.wait_population(OTHERS, cgroup="others")
        for _try in range(tries):
            for lister in LISTERS:
                found[lister.label].append(_list(arena, lister, count))
    limit = statistics.median(found[LISTERS[0].label])
    return [
        {"lister": label, "cpu_ms": statistics.median(times), "x_c": statistics.median(times) / limit}
        for label, times in found.items()
    ]


def _list(arena: Arena, lister: Contender, count: int) -> float:
    tool = lister.arm(arena)
    tool.go()
    outcome = tool.outcome(60)
    lines = outcome.out.decode().splitlines()
    told = json.loads(lines.pop()) if lister.loaded else {"cpu_seconds": outcome.cpu_seconds}
    if outcome.returncode != 0 or _matches(lister, lines) != count:
        raise RuntimeError(f"{lister.label} listed {_matches(lister, lines)} of {count}: {outcome.err!r}")
    return float(told["cpu_seconds"]) * 1e3


def _matches(lister: Contender, lines: list[str]) -> int:
    """ps leaves the choice to a filter behind it, which costs it nothing here."""
    if lister.label != "ps":
        return len(lines)
    return sum(line.split()[1:] == [USER, NAME] for line in lines)
