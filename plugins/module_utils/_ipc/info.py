# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sysv_ipc_info` returns: every object with its verdict, every limit, every setting that cannot be meant.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import itertools
import os
import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.errors import Refused
from .._kernel.processes import text
from .._kernel.sysv_ipc import Object
from . import attachments, posix, report
from .limits import Limit
from .look import Host, Judged, Look, look
from .oddities import oddities, sources
from .report import MOST_LISTED, Describer, stamp
from .selection import Selection
from .verdict import VERDICTS, Verdict

SCHEMA_VERSION = 1
KINDS = (*sysv_ipc.KINDS, *posix.KINDS)
_MOST_HOLDERS = 5
_Entry = t.Dict[str, t.Any]


class Used(t.NamedTuple):
    """A POSIX object, its users, and what follows."""

    named: posix.Named
    users: list[int]
    verdict: Verdict


def survey(
    selection: Selection, top: int, time_budget: float, host: Host | None = None, root: str = ""
) -> dict[str, t.Any]:
    """``root`` is put before ``/dev`` and ``/etc``. Raises Refused where nothing can be said."""
    started = time.monotonic()
    host = host or Host.here()
    try:
        return _Survey(selection, host, root, started + time_budget).render(top, started)
    except OSError as error:
        raise Refused(
            f"{error.filename or 'the kernel'} cannot be read ({error.strerror}): free what it lacks, such as "
            "descriptors or memory, then run again."
        ) from error


class _Survey:
    def __init__(self, selection: Selection, host: Host, root: str, deadline: float) -> None:
        self.selection, self.host, self.root = selection, host, root
        self.kinds = [kind for kind in KINDS if kind in selection.kinds]
        self.seen: Look = look(host, selection, deadline - time.monotonic())
        self.describer = Describer(self.seen)
        # Names and identifiers are different things: who asks for some identifiers asks for no files.
        by_id = selection.ids or selection.keys
        self.files = [] if by_id else posix.objects([kind for kind in self.kinds if kind in posix.KINDS], root)
        self.attached = attachments.Attachments({}, {}, [])
        if self.files or any(one.case.facts.attached for one in self.seen.judged):
            names = {named.file: os.path.basename(named.path) for named in self.files}
            self.attached = attachments.read(self.seen.people, names, deadline)
        self.used = [self._used(named) for named in self.files if not selection.uids or named.uid in selection.uids]

    def _used(self, named: posix.Named) -> Used:
        users = sorted(self.attached.files.get(named.file, ()))
        return Used(named, users, posix.judge(named, users, self.seen.world.sight, self.attached.gaps))

    def render(self, top: int, started: float) -> dict[str, t.Any]:
        page = os.sysconf("SC_PAGE_SIZE")
        judged: list[tuple[Judged, str]] = [(one, "") for one in self.seen.judged]
        gaps = [*report.gaps(self.seen, self.host.processes), *self.attached.gaps]
        clock = self.seen.world.clock
        return {
            "schema_version": SCHEMA_VERSION,
            "matched": self.seen.matched + len(self.used),
            "totals": [self._total(kind) for kind in self.kinds],
            "groups": sorted(
                [*self.describer.groups(judged), *self._posix_groups()], key=lambda group: -group["count"]
            )[:MOST_LISTED],
            "objects": self._objects(max(0, top)),
            "limits": self._limits(),
            "settings": [
                {
                    "parameter": odd.parameter,
                    "value": odd.value,
                    "problem": odd.problem,
                    "proposal": odd.proposal,
                    "sources": [
                        {"path": text(source.path), "line": source.line, "value": source.value[:200]}
                        for source in sources(odd.parameter, self.root)[-MOST_LISTED:]
                    ],
                }
                for odd in oddities(sysv_ipc.settings(self.host.tables.root), page)
            ],
            "clock_step": round(clock.step, 1),
            "sight": self.seen.world.sight,
            "partial": bool(gaps),
            "partial_reasons": gaps,
            "elapsed_ms": int((time.monotonic() - started) * 1000),
        }

    def _total(self, kind: str) -> _Entry:
        counts = dict.fromkeys(VERDICTS, 0)
        for judged in self.seen.judged:
            if judged.case.facts.kind == kind:
                counts[judged.verdict.verdict] += len(judged.members)
        for used in self.used:
            counts[used.verdict.verdict] += used.named.kind == kind
        return {"kind": kind, "objects": sum(counts.values()), **counts}

    def _objects(self, top: int) -> list[_Entry]:
        """The orphaned first, then the unknown."""
        order = {verdict: number for number, verdict in enumerate(VERDICTS)}
        judged = sorted(self.seen.judged, key=lambda one: (order[one.verdict.verdict], one.members[0].id))
        entries = [
            self._entry(one, member)
            for one, member in itertools.islice(((one, member) for one in judged for member in one.members), top)
        ]
        used = sorted(self.used, key=lambda one: (order[one.verdict.verdict], one.named.path))[:top]
        entries += [self._posix_entry(one) for one in used]
        return sorted(entries, key=lambda entry: order[entry["verdict"]])[:top]

    def _entry(self, judged: Judged, member: Object) -> _Entry:
        entry = self.describer.entry(judged, member)
        mapping = sorted(self.attached.segments.get(member.id, ()))
        if entry["kind"] == sysv_ipc.SHARED_MEMORY and mapping:
            entry["holders"] = [self._holder(pid, "has it attached") for pid in mapping[:_MOST_HOLDERS]]
            entry["holders_total"] = len(mapping)
        return entry

    def _posix_entry(self, used: Used) -> _Entry:
        named, users, verdict = used
        return {
            "kind": named.kind,
            "id": None,
            "key": None,
            "name": text(named.path),
            "owner": self.describer.names[named.uid],
            "uid": named.uid,
            "creator": "",
            "cuid": None,
            "mode": f"{named.mode:04o}",
            "nsems": 1 if named.kind == posix.SEMAPHORES else None,
            "bytes": None if named.kind == posix.SEMAPHORES else named.bytes,
            "messages": None,
            "attached": len(users),
            "ctime": stamp(named.ctime),
            "otime": stamp(named.used),
            "age": int(self.seen.world.clock.now - named.ctime),
            "pids": [],
            "waiters": None,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "reasons": [verdict.reason],
            "holders": [self._holder(pid, "has it open or mapped") for pid in users[:_MOST_HOLDERS]],
            "holders_total": len(users),
        }

    def _holder(self, pid: int, reason: str) -> _Entry:
        name, user, unit = self.seen.people.describe(pid)
        return {"pid": pid, "name": name, "user": user, "unit": unit, "reason": reason}

    def _posix_groups(self) -> list[_Entry]:
        counts: dict[tuple[str, int, Verdict], list[int]] = {}
        for named, _users, verdict in self.used:
            count = counts.setdefault((named.kind, named.uid, verdict), [0, 0])
            count[0] += 1
            count[1] += named.bytes
        return [
            {
                "kind": kind,
                "owner": self.describer.names[uid],
                "uid": uid,
                "creator": "",
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "count": count,
                "nsems": count if kind == posix.SEMAPHORES else 0,
                "bytes": size,
            }
            for (kind, uid, verdict), (count, size) in counts.items()
        ]

    def _limits(self) -> list[_Entry]:
        found = self.describer.limits(self.kinds, self.seen.objects, self.host.tables.root)
        for place in posix.places(self.kinds, self.files, self.root, self.host.tables.root):
            by_user: dict[int, int] = {}
            for named in self.files:
                if named.kind == place.kind:
                    by_user[named.uid] = by_user.get(named.uid, 0) + (named.bytes if place.unit == "bytes" else 1)
            limit = Limit(
                place.kind, place.name, place.parameter, place.unit, place.used, place.limit, True, place.error, by_user
            )
            found.append(self.describer.limit(limit, is_binding=True))
        return found
