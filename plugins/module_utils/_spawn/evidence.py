# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen of births and deaths to one piece of evidence for each unit: pure.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import collections
import typing as t

_PARTS = 4  # of the time that was watched, to tell a start from growth without end


class Birth(t.NamedTuple):
    """A process that was born while the host was watched. Times in seconds since boot; ``status`` as waitpid(2) gives
    it, None where it is not known. ``late`` is whether its parent was born meanwhile, too."""

    pid: int
    name: str
    parent: int
    parent_name: str
    place: str
    born: float
    ended: float | None = None
    status: int | None = None
    late: bool = False


class Place(t.NamedTuple):
    """A unit, or a cgroup that no service manager named, before and after, in processes. ``lasting`` are the tasks of
    those that were there all the time, ``main`` is who systemd started. ``starts`` is how often it did so meanwhile, as
    far as that was seen. ``limit`` is None where it has none."""

    path: str
    unit: str
    before: int = 0
    after: int = 0
    lasting: int = 0
    main: int = 0
    starts: int = 0
    refused: int = 0
    limit: int | None = None


class Spawner(t.NamedTuple):
    """A parent and its births; 1 is the service manager. ``branch`` is who of its ancestors, or itself, the main
    process of the unit has started; 0 where it is the main process or none is known."""

    pid: int
    name: str
    births: int
    at_once: int
    failed: int
    succeeded: int
    branch: int = 0

    @property
    def known(self) -> int:
        return self.failed + self.succeeded


class Evidence(t.NamedTuple):
    """All there is of one place. ``survivors`` are births that had not ended, ``steady`` whether they came all the
    time; ``free`` is how many more the host or the unit has room for, None for no end."""

    place: Place
    seconds: float
    births: int
    at_once: int
    survivors: int
    steady: bool
    late: int
    spawners: tuple[Spawner, ...]
    free: int | None = None

    @property
    def per_minute(self) -> float:
        return round(max(self.births, self.place.starts) * 60 / self.seconds, 1) if self.seconds else 0.0

    @property
    def grown(self) -> int:
        return self.place.after - self.place.before


def gather(
    births: t.Sequence[Birth],
    places: t.Mapping[str, Place],
    began: float,
    seconds: float,
    at_once: float,
    free: int | None,
    branches: t.Mapping[int, int] | None = None,
) -> list[Evidence]:
    """One for each place in which something was born, started or refused."""
    by_place: dict[str, list[Birth]] = {}
    for birth in births:
        by_place.setdefault(birth.place, []).append(birth)
    eventful = [path for path, place in places.items() if place.starts or place.refused]
    found = []
    for path in dict.fromkeys((*by_place, *eventful)):
        place = places.get(path, Place(path, path))
        found.append(_evidence(place, by_place.get(path, []), began, seconds, at_once, free, branches or {}))
    return found


def _evidence(
    place: Place,
    births: t.Sequence[Birth],
    began: float,
    seconds: float,
    at_once: float,
    free: int | None,
    branches: t.Mapping[int, int],
) -> Evidence:
    survivors = [birth for birth in births if birth.ended is None]
    parts = collections.Counter(_part(birth.born - began, seconds) for birth in survivors)
    room = [left for left in (free, None if place.limit is None else place.limit - place.after) if left is not None]
    return Evidence(
        place,
        seconds,
        len(births),
        sum(1 for birth in births if _ended_at_once(birth, at_once)),
        len(survivors),
        _is_steady([parts[part] for part in range(_PARTS)]),
        sum(1 for birth in births if birth.late),
        tuple(_spawners(births, at_once, branches)),
        max(0, min(room)) if room else None,
    )


def _is_steady(parts: t.Sequence[int]) -> bool:
    """Some in each part, or ever more."""
    is_even = all(part * len(parts) * 4 >= sum(parts) > 0 for part in parts)
    return is_even or (parts[0] > 0 and list(parts) == sorted(parts))


def _part(after: float, seconds: float) -> int:
    return min(max(int(after / seconds * _PARTS), 0), _PARTS - 1) if seconds else 0


def _ended_at_once(birth: Birth, at_once: float) -> bool:
    return birth.ended is not None and birth.ended - birth.born <= at_once


def _spawners(births: t.Sequence[Birth], at_once: float, branches: t.Mapping[int, int]) -> list[Spawner]:
    """Those with the most births first."""
    by_parent: dict[int, list[Birth]] = {}
    for birth in births:
        by_parent.setdefault(birth.parent, []).append(birth)
    found = []
    for parent, children in by_parent.items():
        quick = [birth for birth in children if _ended_at_once(birth, at_once)]
        known = [birth.status for birth in quick if birth.status is not None]
        failed = sum(1 for status in known if status != 0)
        name = children[-1].parent_name
        branch = branches.get(parent, 0)
        found.append(Spawner(parent, name, len(children), len(quick), failed, len(known) - failed, branch))
    return sorted(found, key=lambda one: (-one.births, one.pid))
