# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""One try: a bomb, a tool that waits beside it, and an innocent of the same name; then who won, and how fast."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.tests.benchmark.contenders import NAME, OTHER, Contender, Scenario
from ansible_collections.hostcare.remediation.tests.support.storm import Arena, Armed

AFTERWARDS = 0.25  # seconds in which no rogue may come back
WATCH_EVERY = 0.001
TO_FILL = 120


class Try(NamedTuple):
    """``zero_ms`` is from the word to go until the last rogue's slot was free; None where that never came."""

    scenario: str
    contender: str
    won: bool
    zero_ms: float | None
    tool_ms: float
    cpu_ms: float
    late: bool
    left_at_end: int
    left: int
    harmed: str
    said: dict[str, Any]


def fight(scenario: Scenario, contender: Contender, slots: int, seed: int, timeout: float) -> Try:
    with Arena(slots) as arena:
        twin = arena.innocent(name=NAME, user=OTHER)
        tool = contender.arm(arena)
        if contender.spare:
            arena.spare(contender.spare)
        arena.bomb(scenario.kind, "--seed", str(seed + 1), *scenario.options, name=NAME)
        if scenario.chains:
            arena.wait_population(scenario.chains * 3 // 4, TO_FILL)
        else:
            arena.wait_full(contender.spare, TO_FILL)
        time.sleep(0.1 + (seed * 0.137) % 0.5)  # at another phase of the naps each time
        loading = arena.cpu_seconds("tools")
        zero = _watch(arena, tool, timeout)
        outcome = tool.outcome(timeout)
        left_at_end = arena.population("rogues")
        until = time.monotonic() + AFTERWARDS
        while time.monotonic() < until:
            if zero is None and arena.population("rogues") == 0:
                zero = time.monotonic()
            time.sleep(WATCH_EVERY)
        left = arena.population("rogues")
        late = outcome.returncode is None
        return Try(
            scenario.name, contender.label,
            won=left == 0 and not late,
            zero_ms=None if zero is None or left else (zero - tool.started) * 1e3,
            tool_ms=outcome.seconds * 1e3,
            cpu_ms=(outcome.cpu_seconds - loading) * 1e3,
            late=late,
            left_at_end=left_at_end,
            left=left,
            harmed=twin.harm(),
            said=_last_line(outcome.out) or {"output": (outcome.out + outcome.err).decode(errors="replace")[-500:]},
        )  # fmt: skip


def _watch(arena: Arena, tool: Armed, timeout: float) -> float | None:
    """Give the word; the moment at which no rogue held a slot, if that came before the tool's end."""
    deadline = tool.go() + timeout
    while tool.running() and time.monotonic() < deadline:
        if arena.population("rogues") == 0:
            return time.monotonic()
        time.sleep(WATCH_EVERY)
    return None


def _last_line(out: bytes) -> dict[str, Any]:
    """What a tool tells of itself in JSON."""
    try:
        said = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
