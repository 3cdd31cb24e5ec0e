# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several looks at a host, kept small: what is needed of each to judge growth.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from . import verdict
from .contents import Contents, Tokens
from .members import Identity, Member, Sample
from .verdict import REPEATED, Case, Moment

Numbers = t.Dict[str, int]


class Reading(t.NamedTuple):
    """``kinds`` of those whose links were read; ``opened`` and ``closed`` since the reading before, where known."""

    at: float
    members: dict[Identity, Member]
    kinds: dict[Identity, Numbers]
    opened: dict[Identity, Numbers]
    closed: dict[Identity, Numbers]
    descriptions: int | None


class History:
    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._counts: list[dict[Identity, int]] = []
        self._tokens: dict[Identity, Tokens] = {}
        self._series: dict[Identity, list[Numbers]] = {}

    def add(self, sample: Sample) -> None:
        opened: dict[Identity, Numbers] = {}
        closed: dict[Identity, Numbers] = {}
        tokens: dict[Identity, Tokens] = {}
        for identity, contents in sample.contents.items():
            if contents.tokens is None or contents.is_thinned:
                continue
            tokens[identity] = contents.tokens
            if identity in self._tokens:
                opened[identity], closed[identity] = _flow(self._tokens.pop(identity), contents.tokens)
            contents.tokens = None
        self._tokens = tokens
        kinds = {identity: kinds_of(contents) for identity, contents in sample.contents.items()}
        self._follow(kinds)
        self.readings.append(Reading(sample.at, sample.members, kinds, opened, closed, sample.host.descriptions))
        self.add_counts({identity: member.descriptors for identity, member in sample.members.items()})

    def add_counts(self, counts: dict[Identity, int]) -> None:
        self._counts.append(counts)

    def add_glimpse(self, kinds: t.Mapping[Identity, Numbers]) -> None:
        """What some held in between, but for sockets, which are not told apart then."""
        self._follow(kinds)

    def _follow(self, kinds: t.Mapping[Identity, Numbers]) -> None:
        for identity, numbers in kinds.items():
            self._series.setdefault(identity, []).append(numbers)

    def changing(self) -> list[Member]:
        """Who has more by now than at first, or less; those that grew most first."""
        first, now = self.readings[0].members, self._counts[-1]
        grown = {one: now[one] - member.descriptors for one, member in first.items() if one in now}
        return [first[one] for one in sorted(grown, key=lambda one: -grown[one]) if grown[one]]

    @property
    def several(self) -> bool:
        return len(self.readings) > 1

    @property
    def seconds(self) -> float:
        return self.readings[-1].at - self.readings[0].at

    def case_of(self, identities: t.Collection[Identity]) -> Case:
        """Of one process, or of a group of them: of its kinds only those count that it had all the time."""
        lasting = [one for one in identities if all(one in reading.members for reading in self.readings)]
        moments = [self._moment(reading, identities, lasting) for reading in self.readings]
        counts = [sum(one.get(identity, 0) for identity in lasting) for one in self._counts]
        last = self.readings[-1].members
        share = max((last[one].nearness for one in identities if one in last), default=0.0)
        left, pace = self._tightest(identities)
        return Case(moments, counts, share, left, pace, falls=self._falls(lasting))

    def _moment(self, reading: Reading, identities: t.Collection[Identity], lasting: t.Sequence[Identity]) -> Moment:
        there = [reading.members[one] for one in identities if one in reading.members]
        looked = [one for one in lasting if all(one in each.kinds for each in self.readings)]
        return Moment(
            reading.at,
            sum(member.descriptors for member in there),
            _sum(reading.kinds[one] for one in looked) if looked else None,
            sum(member.threads for member in there),
            len(there),
            _sum(reading.opened[one] for one in looked if one in reading.opened),
            _sum(reading.closed[one] for one in looked if one in reading.closed),
        )

    def _falls(self, identities: t.Iterable[Identity]) -> Numbers | None:
        """Of each kind, of all of them; None where nothing was seen in between."""
        if len(self._counts) <= len(self.readings) or all(
            len(series) <= len(self.readings) for series in self._series.values()
        ):
            return None
        fell: list[Numbers] = []
        for one in identities:
            series = self._series.get(one, [])
            seen = {kind for numbers in series for kind in numbers}
            fell.append({kind: verdict.fall([numbers.get(kind, 0) for numbers in series]) for kind in seen})
        return _sum(fell)

    def _tightest(self, identities: t.Iterable[Identity]) -> tuple[int | None, float]:
        """The descriptors left, and opened in a second, of the process that will hit its limit first."""
        members = self.readings[-1].members
        found: list[tuple[float, int, float]] = []
        for one in identities:
            left = members[one].left if one in members else None
            if left is not None:
                pace = self.pace([counts[one] for counts in self._counts if one in counts])
                found.append((left / pace if pace else float("inf"), left, pace))
        if not found:
            return None, 0.0
        _seconds, left, pace = min(found)
        return left, pace

    def pace(self, counts: t.Sequence[int]) -> float:
        """Growth in a second: that of the slower half, so that a peak at the end makes no trend."""
        if len(counts) < 2 or self.seconds <= 0:
            return 0.0
        first, last, middle = counts[0], counts[-1], counts[len(counts) // 2]
        if len(counts) == 2:
            return max(0.0, (last - first) / self.seconds)
        part = len(counts) // 2 / (len(counts) - 1)
        slopes = ((middle - first) / part, (last - middle) / (1 - part))
        return max(0.0, min(*slopes, last - first) / self.seconds)


def kinds_of(contents: Contents) -> Numbers:
    """Where only a part of the links was read, that part stands for all."""
    counts = {**contents.counts, REPEATED: contents.repeated}
    return {kind: round(count * contents.scale) for kind, count in counts.items() if count}


def _sum(all_of_them: t.Iterable[Numbers]) -> Numbers:
    total: Numbers = {}
    for one in all_of_them:
        for kind, number in one.items():
            total[kind] = total.get(kind, 0) + number
    return total


def _flow(before: Tokens, after: Tokens) -> tuple[Numbers, Numbers]:
    """What was opened and closed between two readings of a process, by kind."""
    opened: Numbers = {}
    closed: Numbers = {}
    for kind in before.keys() | after.keys():
        old, new = set(before.get(kind, ())), set(after.get(kind, ()))
        opened[kind], closed[kind] = len(new - old), len(old - new)
    return opened, closed
