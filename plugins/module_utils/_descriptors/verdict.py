# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak or load: a pure function over what a process, or a group of them, held at some moments.

A leak opens and does not close, at a steady pace, while what would explain it does not grow: connections, threads,
processes. Everything that comes and goes is load, and so is what grows with the number of those it serves.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from . import kinds

LEAK, NEAR_LIMIT, LOAD, FINE = "leak", "near_limit", "load", "fine"
ORDER = (LEAK, NEAR_LIMIT, LOAD, FINE)

REPEATED = "repeated"  # descriptors of files that the process had open already
_LEAST_GROWTH = 8  # descriptors; less is noise
_CLOSED_SHARE = 0.1  # of what was opened, or was there: more of it comes and goes
_STEADY_SHARE = 0.2  # of the growth that each half must have
_FALL_SHARE = 0.5  # of the growth; what falls more in between comes and goes
_EACH_MAY_TAKE = 4  # descriptors of one kind for a connection, thread or process: a CGI program has three pipes
_SOON = 300.0  # seconds
_MANY_CLOSE_WAIT = 20

# An inode tells these apart: one that was closed and opened again at the same number does not look as if it stayed.
_TOLD_APART = frozenset((kinds.CLOSE_WAIT, kinds.CONNECTION, kinds.SOCKET, kinds.PIPE))
# Each is somebody who is served, or a file once: alone it is no sign of a leak.
_LOAD_KINDS = frozenset((kinds.CONNECTION, kinds.FILE, kinds.DEVICE))
_SAYINGS = {
    kinds.CLOSE_WAIT: "the peers have closed these connections and the program has not (CLOSE_WAIT)",
    kinds.DELETED: "the files are deleted and still take room",
    REPEATED: "files that are open already are opened again",
}


class Moment(t.NamedTuple):
    """``kinds`` is None where they were not looked at. ``opened`` and ``closed`` are those since the moment before, by
    kind; a kind is missing there where that is not known."""

    at: float
    descriptors: int
    kinds: t.Mapping[str, int] | None
    threads: int
    processes: int
    opened: t.Mapping[str, int] = {}
    closed: t.Mapping[str, int] = {}


class Case(t.NamedTuple):
    """``counts`` are the numbers of descriptors at all moments, also those in between at which nothing else was read.
    ``falls`` says how far each kind fell meanwhile, None where only the counts tell.

    ``share`` is that of the member nearest to its limit, ``left`` how many it may still open, ``pace`` how many of them
    it opens in a second.
    """

    moments: t.Sequence[Moment]
    counts: t.Sequence[int] = ()
    share: float = 0.0
    left: int | None = None
    pace: float = 0.0
    limit_name: str = "RLIMIT_NOFILE"
    falls: t.Mapping[str, int] | None = None


class Verdict(t.NamedTuple):
    verdict: str
    leaking: str | None
    reasons: list[str]
    growth: int | None
    per_minute: float | None
    seconds_left: int | None


def judge(case: Case, near: float) -> Verdict:
    first, last = case.moments[0], case.moments[-1]
    reasons: list[str] = []
    several = len(case.moments) > 1
    growth = last.descriptors - first.descriptors if several else None
    minutes = (last.at - first.at) / 60
    seconds_left = int(case.left / case.pace) if case.left is not None and case.pace > 0 else None
    leaking = _leaking(case, reasons) if several else None
    is_near = _is_near(case, near, seconds_left, reasons)
    if not several:
        _hint(last, reasons)
    is_load = several and leaking is None and _is_load(case, reasons)
    verdict = LEAK if leaking else NEAR_LIMIT if is_near else LOAD if is_load else FINE
    per_minute = None if growth is None or minutes <= 0 else round(growth / minutes, 2)
    return Verdict(
        verdict, leaking, reasons or ["nothing grows, and no limit is near"], growth, per_minute, seconds_left
    )


def worst(verdicts: t.Iterable[str]) -> str:
    return min(verdicts, key=ORDER.index, default=FINE)


# --- leak ---


def _leaking(case: Case, reasons: list[str]) -> str | None:
    """The kind that leaks most; ``reasons`` get a sentence for each."""
    looked = [moment for moment in case.moments if moment.kinds is not None]
    if len(looked) < 2:
        return None
    grown = _growth_of_kinds(looked)
    leaks = [
        kind
        for kind in sorted(grown, key=lambda one: (-grown[one], one))
        if _is_leak(kind, grown[kind], looked) and not _comes_and_goes(kind, grown[kind], case)
    ]
    reasons += [_sentence(kind, grown[kind], looked) for kind in leaks]
    if not leaks:
        return None
    served = _served(looked[-1]) - _served(looked[0])
    reasons.append(
        f"connections, threads and processes do not explain it: {_served(looked[0])} before, {_served(looked[-1])} now"
        if served > 0
        else "connections, threads and processes did not grow meanwhile"
    )
    return kinds.FILE if leaks[0] == REPEATED else leaks[0]


def _comes_and_goes(kind: str, growth: int, case: Case) -> bool:
    """A file that is closed and opened again at the same number looks as if it stayed, and so does an eventfd: but
    their number falls in between."""
    if kind in _TOLD_APART:
        return False
    fell = fall(case.counts) if case.falls is None else case.falls.get(kind, 0)
    return fell > _FALL_SHARE * growth


def fall(counts: t.Sequence[int]) -> int:
    """How far they fell at the most."""
    highest, deepest = 0, 0
    for count in counts:
        highest = max(highest, count)
        deepest = max(deepest, highest - count)
    return deepest


def _growth_of_kinds(looked: t.Sequence[Moment]) -> dict[str, int]:
    first, last = looked[0].kinds or {}, looked[-1].kinds or {}
    return {kind: count - first.get(kind, 0) for kind, count in last.items()}


def _is_leak(kind: str, growth: int, looked: t.Sequence[Moment]) -> bool:
    if kind in _LOAD_KINDS or growth < _LEAST_GROWTH:
        return False
    return (
        growth > _EACH_MAY_TAKE * max(0, _served(looked[-1]) - _served(looked[0]))
        and _is_steady(kind, growth, looked)
        and _stays_open(kind, looked)
    )


def _served(moment: Moment) -> int:
    """Whom descriptors are opened for."""
    return (moment.kinds or {}).get(kinds.CONNECTION, 0) + moment.threads + moment.processes


def _is_steady(kind: str, growth: int, looked: t.Sequence[Moment]) -> bool:
    """It grows in each step, and in each its part: a server that starts up, or its peak, grows once."""
    counts = [(moment.kinds or {}).get(kind, 0) for moment in looked]
    steps = [after - before for before, after in zip(counts, counts[1:])]
    total = looked[-1].at - looked[0].at
    shares = [(after.at - before.at) / total if total > 0 else 1 for before, after in zip(looked, looked[1:])]
    return all(step >= 1 and step >= _STEADY_SHARE * growth * share for step, share in zip(steps, shares))


def _stays_open(kind: str, looked: t.Sequence[Moment]) -> bool:
    """Of what comes and goes a part is closed in each step."""
    kind = kinds.FILE if kind == REPEATED else kind
    for before, after in zip(looked, looked[1:]):
        if kind in after.closed:
            there = (before.kinds or {}).get(kind, 0)
            if after.closed[kind] > _CLOSED_SHARE * max(there, after.opened.get(kind, 0)):
                return False
    return True


def _sentence(kind: str, growth: int, looked: t.Sequence[Moment]) -> str:
    seconds = looked[-1].at - looked[0].at
    closed = sum(moment.closed.get(kind, 0) for moment in looked[1:])
    saying = _SAYINGS.get(kind, f"{kind} descriptors are opened and not closed")
    return f"{growth} more of {kind} in {seconds:.0f} s, {closed} closed: {saying}"


# --- limit and load ---


def _is_near(case: Case, near: float, seconds_left: int | None, reasons: list[str]) -> bool:
    if case.share >= near:
        reasons.append(f"{case.share:.0%} of {case.limit_name} are used")
        return True
    if seconds_left is not None and seconds_left <= _SOON and case.pace * _SOON >= _LEAST_GROWTH:
        reasons.append(f"{case.limit_name} will be hit in {seconds_left} s at this pace")
        return True
    return False


def _is_load(case: Case, reasons: list[str]) -> bool:
    first, last = case.moments[0], case.moments[-1]
    growth = last.descriptors - first.descriptors
    before, after = _served(first), _served(last)
    if growth >= _LEAST_GROWTH:
        reasons.append(f"{growth} more, with connections, threads and processes from {before} to {after}")
        return True
    churn = sum(sum(moment.opened.values()) + sum(moment.closed.values()) for moment in case.moments[1:])
    swing = max(case.counts, default=0) - min(case.counts, default=0)
    if max(churn, swing) >= max(2 * _LEAST_GROWTH, first.descriptors // 10):
        reasons.append(f"they come and go: {max(churn, swing)} opened and closed, {growth:+d} in all")
        return True
    return False


def _hint(moment: Moment, reasons: list[str]) -> None:
    waiting = (moment.kinds or {}).get(kinds.CLOSE_WAIT, 0)
    if waiting >= _MANY_CLOSE_WAIT:
        reasons.append(
            f"{waiting} sockets in CLOSE_WAIT, which the program should close: take two samples to tell a leak"
        )
