# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storm or work: pure, and in doubt it is work.

A crash loop is a parent whose children fail at once, again and again, or a unit that systemd starts again and again. A
runaway grows without end. A server whose children live and a build whose children succeed are busy.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .evidence import Evidence, Spawner

CRASH_LOOP, RUNAWAY, BUSY, FINE = "crash_loop", "runaway", "busy", "fine"
ORDER = (RUNAWAY, CRASH_LOOP, BUSY, FINE)

_LEAST_KNOWN = 5  # children whose end is known, before anything is said of them all
_FAILING = 0.8  # the share of these that failed
_LEAST_STARTS = 3
_LASTING = 0.33  # the share of births that lives: a loop may start a helper or two with each
_HORIZON = 60.0  # seconds within which growth would use up all that is free


class Thresholds(t.NamedTuple):
    """``min_rate`` in births a minute, ``min_growth`` in processes that were born and live."""

    min_rate: float = 60.0
    min_growth: int = 50


class Verdict(t.NamedTuple):
    """``restarted`` is whether it is systemd that starts it again; ``spawner`` is who is to blame, if it is one."""

    verdict: str
    reasons: tuple[str, ...]
    restarted: bool = False
    spawner: Spawner | None = None


def judge(evidence: Evidence, thresholds: Thresholds) -> Verdict:
    spawners = evidence.spawners
    if evidence.per_minute < thresholds.min_rate:
        reasons = (f"{_births(evidence)}, fewer than {thresholds.min_rate:g} a minute", *_refusals(evidence))
        return Verdict(FINE, reasons)
    runaway = _runaway(evidence, thresholds)
    if runaway:
        return Verdict(RUNAWAY, (*runaway, *_refusals(evidence)), spawner=spawners[0] if spawners else None)
    least = thresholds.min_rate * evidence.seconds / 60
    for spawner in spawners:
        if spawner.pid != 1 and spawner.at_once >= max(least, _LEAST_KNOWN) and _fails(spawner):
            reason = (
                f"{spawner.at_once} of {spawner.births} children of {spawner.name} (pid {spawner.pid}) ended at once"
            )
            return Verdict(CRASH_LOOP, (reason, _ends(spawner), *_refusals(evidence)), spawner=spawner)
    restarted = _restarted(evidence, thresholds)
    if restarted:
        return Verdict(CRASH_LOOP, (*restarted, *_refusals(evidence)), restarted=True)
    return Verdict(BUSY, (*_work(evidence, spawners), *_refusals(evidence)))


def _births(evidence: Evidence) -> str:
    return f"{evidence.births} were seen to be born in {evidence.seconds:.0f} s"


def _refusals(evidence: Evidence) -> tuple[str, ...]:
    if not evidence.place.refused:
        return ()
    return (f"{evidence.place.refused} more were refused at its limit of {evidence.place.limit}",)


def _runaway(evidence: Evidence, thresholds: Thresholds) -> tuple[str, ...]:
    """A good part of what is born lives, all the time or until the limit is reached, and there is no end to it."""
    if evidence.survivors < thresholds.min_growth or evidence.grown < thresholds.min_growth:
        return ()
    if evidence.survivors < _LASTING * evidence.births or not (evidence.steady or evidence.place.refused):
        return ()
    grows = f"it grew from {evidence.place.before} to {evidence.place.after} processes in {evidence.seconds:.0f} s"
    if evidence.late * 2 >= evidence.births:
        return (grows, f"{evidence.late} of {evidence.births} were started by others that were just born")
    if evidence.place.refused:
        return (grows,)
    if evidence.free is not None and evidence.free * evidence.seconds <= evidence.survivors * _HORIZON:
        left = evidence.free * evidence.seconds / evidence.survivors
        return (grows, f"{evidence.free} more would be too many, in {left:.0f} s")
    return ()


def _fails(spawner: Spawner) -> bool:
    """Half of its children end at once, and nearly all of these fail."""
    if spawner.known < _LEAST_KNOWN or spawner.at_once * 2 < spawner.births:
        return False
    return spawner.failed >= _FAILING * spawner.known


def _ends(spawner: Spawner) -> str:
    return f"{spawner.failed} of {spawner.known} whose end is known failed"


def _restarted(evidence: Evidence, thresholds: Thresholds) -> tuple[str, ...]:
    starts = evidence.place.starts
    if starts < max(_LEAST_STARTS, thresholds.min_rate * evidence.seconds / 60):
        return ()
    manager = next((spawner for spawner in evidence.spawners if spawner.pid == 1), None)
    if manager is not None and manager.succeeded > manager.failed:
        return ()  # jobs that are done, such as those of a timer or a path unit
    reasons = [f"systemd started it {starts} times or more in {evidence.seconds:.0f} s"]
    if manager is not None and manager.known:
        reasons.append(_ends(manager))
    return tuple(reasons)


def _work(evidence: Evidence, spawners: t.Sequence[Spawner]) -> list[str]:
    reasons = [_births(evidence)]
    if evidence.survivors * 2 >= evidence.births:
        reasons.append(f"{evidence.survivors} of them live")
    for spawner in spawners[:1]:
        if spawner.known >= _LEAST_KNOWN:
            reasons.append(f"of those that ended at once {spawner.succeeded} of {spawner.known} were done")
        elif spawner.at_once * 2 >= spawner.births:
            reasons.append("how those that ended at once ended is not known, which takes Linux 6.15")
    return reasons
