# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects, limits and verdicts as the modules return them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import itertools
import os
import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.processes import ProcessTable
from .._kernel.sysv_ipc import MESSAGE_QUEUES, SEMAPHORES, SHARED_MEMORY, Object, Touch, Unseen
from .limits import Limit, binding, limits, pages
from .look import Judged, Look
from .people import user_name
from .verdict import Case, Judge, Person, Verdict

MOST_LISTED = 50
_MOST_PIDS = 8
_MOST_HOLDERS = 5
_Entry = t.Dict[str, t.Any]


class Names:
    """Users by number, each looked up once."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def __getitem__(self, uid: int) -> str:
        if uid not in self._known:
            self._known[uid] = user_name(uid)
        return self._known[uid]


class Describer:
    """What modules return of the objects of one look."""

    def __init__(self, seen: Look) -> None:
        self.seen = seen
        self.names = Names()

    def entries(self, judged: t.Iterable[tuple[Judged, str]], most: int) -> list[_Entry]:
        """The first ones; the text is why they are kept in spite of their verdict."""
        each = ((one, member, reason) for one, reason in judged for member in one.members)
        return [self.entry(one, member, reason) for one, member, reason in itertools.islice(each, most)]

    def entry(self, judged: Judged, member: Object, reason: str = "") -> _Entry:
        case, verdict, _members = judged
        facts = case.facts
        judge = self.seen.judge
        holders = judge.holders(case)
        is_array = facts.kind == SEMAPHORES
        return {
            "kind": facts.kind,
            "id": member.id,
            "key": f"0x{member.key & 0xFFFFFFFF:08x}",
            "name": None,
            "owner": self.names[facts.uid],
            "uid": facts.uid,
            "creator": self.names[facts.cuid],
            "cuid": facts.cuid,
            "mode": f"{facts.mode & 0o777:04o}",
            "nsems": facts.nsems if is_array else None,
            "bytes": None if is_array else facts.bytes,
            "messages": facts.messages if facts.kind == MESSAGE_QUEUES else None,
            "attached": facts.attached if facts.kind == SHARED_MEMORY else None,
            "ctime": stamp(facts.ctime),
            "otime": stamp(facts.used) if facts.used else None,
            "age": int(self.seen.world.clock.now) - facts.ctime,
            "pids": pids(judge, case),
            "waiters": case.touch.waiters if is_array and isinstance(case.touch, Touch) else None,
            "verdict": verdict.verdict,
            "reason": reason or verdict.reason,
            "reasons": [*([reason] if reason else []), verdict.reason, *_details(judge, case, holders)],
            "holders": [_holder(person, case) for person in holders[:_MOST_HOLDERS]],
            "holders_total": len(holders),
        }

    def groups(self, judged: t.Iterable[tuple[Judged, str]]) -> list[_Entry]:
        """Counted by kind, users, verdict and reason, largest first; at most `MOST_LISTED`."""
        counts: dict[tuple[str, int, int, Verdict, str], list[int]] = {}
        for one, reason in judged:
            facts = one.case.facts
            count = counts.setdefault((facts.kind, facts.uid, facts.cuid, one.verdict, reason), [0, 0, 0])
            count[0] += len(one.members)
            count[1] += facts.nsems * len(one.members)
            count[2] += facts.bytes * len(one.members)
        largest = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))[:MOST_LISTED]
        return [
            {
                "kind": kind,
                "owner": self.names[uid],
                "uid": uid,
                "creator": self.names[cuid],
                "verdict": verdict.verdict,
                "reason": reason or verdict.reason,
                "count": count,
                "nsems": nsems,
                "bytes": size,
            }
            for (kind, uid, cuid, verdict, reason), (count, nsems, size) in largest
        ]

    def limits(self, kinds: t.Collection[str], tables: t.Mapping[str, t.Sequence[Object]], root: str) -> list[_Entry]:
        page = os.sysconf("SC_PAGE_SIZE")
        found = limits(tables, sysv_ipc.settings(root), page, kinds)
        bound = [binding(found, kind) for kind in kinds]
        return [self.limit(limit, limit in bound) for limit in found]

    def limit(self, limit: Limit, is_binding: bool) -> _Entry:
        return {
            "kind": limit.kind,
            "limit_name": limit.name,
            "parameter": limit.parameter,
            "unit": limit.unit,
            "used": limit.used,
            "limit": limit.limit,
            "free": limit.free,
            "share": limit.share,
            "binding": is_binding,
            "error": limit.error,
            "holders": [{"name": self.names[uid], "used": used} for uid, used in limit.largest],
        }


def freed(removed: t.Iterable[Judged]) -> dict[str, int]:
    """How much of each limit."""
    page = os.sysconf("SC_PAGE_SIZE")
    room = dict.fromkeys(("SEMMNI", "SEMMNS", "SHMMNI", "SHMALL", "MSGMNI"), 0)
    for one in removed:
        facts, count = one.case.facts, len(one.members)
        if facts.kind == SEMAPHORES:
            room["SEMMNI"] += count
            room["SEMMNS"] += facts.nsems * count
        elif facts.kind == SHARED_MEMORY:
            room["SHMMNI"] += count
            room["SHMALL"] += pages(facts.bytes, page) * count
        else:
            room["MSGMNI"] += count
    return room


def gaps(seen: Look, table: ProcessTable) -> list[str]:
    """What could not be seen, and why."""
    reasons = [f"the kernel has no {kind.replace('_', ' ')} of System V" for kind in seen.missing]
    if seen.world.gap:
        reasons.append(seen.world.gap)
    unseen: dict[str, int] = {}
    for case, _verdict, members in seen.judged:
        if isinstance(case.touch, Unseen) and case.touch is not sysv_ipc.GONE:
            unseen[case.touch.reason] = unseen.get(case.touch.reason, 0) + len(members)
    reasons += [f"{count} of the objects: {reason}" for reason, count in sorted(unseen.items())]
    if table.denied:
        reasons.append(
            f"{table.denied} reads below {table.root} were denied: run as root, in a container with CAP_SYS_PTRACE"
        )
    return reasons


def stamp(seconds: float) -> str:
    """In UTC. A time that no calendar has stays a number."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def pids(judge: Judge, case: Case) -> list[_Entry]:
    counts: dict[int, int] = {}
    for pid in case.pids:
        counts[pid] = counts.get(pid, 0) + 1
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_PIDS]
    return [{"pid": pid, "state": judge.state(pid, case.last_touch), "count": count} for pid, count in most]


def _details(judge: Judge, case: Case, holders: t.Sequence[Person]) -> t.Iterator[str]:
    """With numbers, for one object."""
    touch, facts = case.touch, case.facts
    if isinstance(touch, Unseen):
        return
    if touch.waiters:
        yield f"{touch.waiters} processes sleep in semop on it"
    if facts.attached:
        yield f"it is attached {facts.attached} times"
    states = [f"{one['pid']} ({one['state']})" for one in pids(judge, case) if one["pid"]]
    if states:
        yield f"touched last by {', '.join(states)}"
    elif facts.kind != SHARED_MEMORY:
        yield "it names no process, so it was never touched, or by one that is not visible from here"
    if holders:
        eldest = holders[0]
        yield f"{len(holders)} processes use it or could, first of them {eldest.name}[{eldest.pid}] of {eldest.user}"
    if facts.messages:
        yield f"it holds {facts.messages} unread messages"
    if judge.world.clock.step:
        yield f"the wall clock was set forward by {judge.world.clock.step:.0f} s or more, so start times prove nothing"


def _holder(person: Person, case: Case) -> _Entry:
    if person.pid in case.pids:
        reason = "touched it last"
    elif person.in_service:
        reason = "is of the service"
    elif person.uids & ({case.facts.uid, case.facts.cuid} - {0}):
        reason = "is of its user, or serves with processes that are"
    elif person.uses:
        reason = "uses System V IPC of its user"
    else:
        reason = "is of root, and nothing tells whose it is"
    return {"pid": person.pid, "name": person.name, "user": person.user, "unit": person.unit, "reason": reason}
