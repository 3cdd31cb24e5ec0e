# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In use, orphaned, or neither for certain: a pure judgement over what was read.

There is no descriptor, no mapping and no count of users behind a System V semaphore. That it is used can sometimes be
seen. That it is not used is concluded from there being nobody left who could know its identifier. What is not known
counts as use.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.sysv_ipc import MESSAGE_QUEUES, SEMAPHORES, SHARED_MEMORY, SHM_DEST, Facts, Touch, Unseen
from .clock import Clock
from .lineage import UNKNOWN as NEVER
from .lineage import Line

IN_USE = "in_use"
ORPHANED = "orphaned"
UNKNOWN = "unknown"
VERDICTS = (ORPHANED, UNKNOWN, IN_USE)  # as they are listed

HOST = "host"
CONTAINER = "container"
HIDDEN = "hidden"

_SECOND = 1.0  # what the times of objects are rounded down to


class Person(t.NamedTuple):
    """A living process. ``uids`` are its real, effective and saved ones, and those of its children that have their
    memory from it; ``uses`` the owners and creators of what it, or such a child, is seen to use.

    ``is_manager``: systemd's own, that of the host or of a user. ``is_here``: in the IPC namespace of the objects, as
    far as is known.
    """

    pid: int
    name: str
    user: str
    unit: str
    uids: frozenset[int]
    born: float
    line: Line
    in_service: bool = False
    is_bystander: bool = False
    uses: frozenset[int] = frozenset()
    is_manager: bool = False
    is_here: bool = True


class World(t.NamedTuple):
    """Everything but the objects. ``people`` are all living processes that may matter, by number.

    ``has_service``: whether it was said who could hold what root made. ``gap``: why the view is not whole.
    """

    people: dict[int, Person]
    clock: Clock
    sight: str = HOST
    has_strangers: bool = False
    has_service: bool = False
    gap: str = ""


class Case(t.NamedTuple):
    """What is judged; many objects may be alike in all of it. ``is_named``: the user named the very object, which lifts
    the rule that spares those with a key."""

    facts: Facts
    touch: Touch | Unseen
    is_private: bool = True
    is_named: bool = False

    @property
    def last_touch(self) -> int:
        return max(self.facts.ctime, self.facts.used)

    @property
    def pids(self) -> tuple[int, ...]:
        return self.touch.pids if isinstance(self.touch, Touch) else ()

    @property
    def needs_root(self) -> bool:
        """Root made it or owns it, and nobody ever touched it: nothing at all says whose it is."""
        return 0 in (self.facts.uid, self.facts.cuid) and not any(self.pids)


class Verdict(t.NamedTuple):
    """``reason`` has no numbers of processes in it, so that equal cases can be counted."""

    verdict: str
    reason: str


class Judge:
    """Judges cases against one world; what depends on users alone is worked out once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._able: dict[tuple[int, int, bool], list[Person]] = {}

    # --- the verdict ---

    def judge(self, case: Case) -> Verdict:
        if isinstance(case.touch, Unseen):
            return Verdict(UNKNOWN, case.touch.reason)
        return self._use(case, case.touch) or self._doubt(case, case.touch) or self._possibility(case)

    def _use(self, case: Case, touch: Touch) -> Verdict | None:
        """What proves that it is used."""
        facts = case.facts
        if touch.waiters:
            return Verdict(IN_USE, "processes sleep in semop on it")
        if facts.attached:
            return Verdict(IN_USE, "processes have it attached")
        if facts.kind == SHARED_MEMORY and facts.mode & SHM_DEST:
            return Verdict(IN_USE, "it is removed already and goes with the last that has it attached")
        if any(self.state(pid, case.last_touch) == "alive" for pid in touch.pids):
            return Verdict(IN_USE, "a process that touched it last is alive")
        return None

    def _doubt(self, case: Case, touch: Touch) -> Verdict | None:
        """What keeps it from being known who could use it."""
        world = self.world
        if not case.is_private and not case.is_named:
            return Verdict(UNKNOWN, "it has a key, so anybody may open it at any time")
        if world.gap:
            return Verdict(UNKNOWN, world.gap)
        if world.sight == HIDDEN:
            return Verdict(UNKNOWN, "processes are hidden from this user")
        if world.sight == CONTAINER:
            if world.has_strangers:
                return Verdict(UNKNOWN, "processes outside this PID namespace use System V IPC here")
            if not _is_traced(case.facts.kind, touch):
                return Verdict(UNKNOWN, "it names no process, so one outside this PID namespace may use it")
        if not world.has_service and 0 in (case.facts.uid, case.facts.cuid):
            return Verdict(UNKNOWN, "root made or owns it, and no service says who could hold it")
        return None

    def _possibility(self, case: Case) -> Verdict:
        """Whether a living process could know its identifier."""
        able = self._able_to(case)
        if not able:
            return Verdict(ORPHANED, "no process that could hold it is alive")
        if not case.is_private:
            return Verdict(UNKNOWN, "it has a key, and a process that could open it is alive")
        older = [person for person in able if not self._is_later(person.line, case.facts.ctime)]
        if not older:
            return Verdict(ORPHANED, "every process that could hold it is younger than it is")
        if all(person.line.since == NEVER for person in older):
            return Verdict(UNKNOWN, "a process that could hold it may have it from a dead parent of unknown age")
        return Verdict(UNKNOWN, "a process that could hold it is not younger than it is")

    # --- who and when ---

    def state(self, pid: int, last_touch: int) -> str:
        """Of a process that is named by an object which was last touched then."""
        if pid == 0:
            return "unseen"
        person = self.world.people.get(pid)
        if person is None:
            return "dead"
        itself = Line(person.born - _SECOND, person.line.recorded)
        return "reused" if self._is_later(itself, last_touch) else "alive"

    def holders(self, case: Case) -> list[Person]:
        """Who uses it, then who could, the oldest line first."""
        users = {pid for pid in case.pids if self.state(pid, case.last_touch) == "alive"}
        able = [
            person
            for person in self._able_to(case)
            if person.pid not in users and not (case.is_private and self._is_later(person.line, case.facts.ctime))
        ]
        return [self.world.people[pid] for pid in sorted(users)] + able

    def _is_later(self, line: Line, stamp: int) -> bool:
        """Whether the line certainly began after that second."""
        begun = line.recorded if self.world.clock.step else line.since
        return begun >= stamp + _SECOND

    def _able_to(self, case: Case) -> list[Person]:
        """Everybody who could know the identifier of such an object, the oldest line first."""
        kind = (case.facts.uid, case.facts.cuid, case.needs_root)
        if kind not in self._able:
            able = [person for person in self.world.people.values() if _is_able(person, *kind)]
            self._able[kind] = sorted(able, key=lambda person: (person.line.since, person.born, person.pid))
        return self._able[kind]


def _is_able(person: Person, uid: int, cuid: int, needs_root: bool) -> bool:
    """Whether the process could know the identifier of an object of these users.

    Those of the service; those of the object's own user, whatever service they are; daemons that are seen to use what
    such a user has. Root is the user of too many to count here, but for an object that nobody ever touched.
    """
    if not person.is_here:
        return False
    if person.in_service:
        return True
    if person.is_bystander:
        return False
    users = {uid, cuid} - {0}
    if not person.uses.isdisjoint(users or {0}):
        return True
    if person.is_manager:
        return False
    return not person.uids.isdisjoint(users) or (needs_root and 0 in person.uids)


def _is_traced(kind: str, touch: Touch) -> bool:
    """Whether it names a process of this PID namespace wherever it could name one of another."""
    if kind == MESSAGE_QUEUES:
        return any(touch.pids)
    return all(touch.pids) if kind == SEMAPHORES else touch.pids[0] != 0


def shows_strangers(case: Case) -> bool:
    """Whether it was used by a process that is not of this PID namespace: it says when, and by nobody."""
    if isinstance(case.touch, Unseen):
        return False
    if case.facts.kind == SHARED_MEMORY:
        return case.pids[0] == 0
    return bool(case.facts.used) and not any(case.pids)
