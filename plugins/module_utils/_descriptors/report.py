# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result: every key of the module's RETURN, whatever could be read.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.processes import text
from . import verdict
from .contents import Contents
from .deleted import File
from .history import History, kinds_of
from .members import Identity, Member, Sample
from .request import Request
from .sockets import Row
from .verdict import Case, Moment, Verdict

SCHEMA_VERSION = 1
_MOST_SOCKETS = 10
_MOST_PREFIXES = 5
_MOST_DELETED = 5
_MOST_MEMBERS = 50

Entry = t.Dict[str, t.Any]


class Report:
    def __init__(self, request: Request, source: t.Any, history: History, sample: Sample) -> None:
        self.request = request
        self.source = source
        self.history = history
        self.sample = sample

    def render(self, started: float) -> Entry:
        host = self._host()
        users = self._users()
        groups = self._groups()
        processes = self._processes()
        verdicts = [entry["verdict"] for entry in (host, *users, *groups)]
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source.name,
            "verdict": verdict.worst(verdicts),
            "host": host,
            "groups": groups[: self.request.top],
            "processes": processes,
            "users": users[: self.request.top],
            "samples": self.request.samples,
            "seconds": round(self.history.seconds, 3),
            "partial": bool(self.sample.gaps),
            "partial_reasons": self.sample.gaps,
            "elapsed_ms": int((time.monotonic() - started) * 1000),
        }

    # --- host and users ---

    def _host(self) -> Entry:
        sample, host = self.sample, self.sample.host
        used, limit = host.descriptions, host.descriptions_limit
        counts = [reading.descriptions for reading in self.history.readings if reading.descriptions is not None]
        case = Case(
            [Moment(one.at, one.descriptions or 0, None, 0, 0) for one in self.history.readings],
            (),
            used / limit if used is not None and limit else 0.0,
            max(0, limit - used) if used is not None and limit else None,
            self.history.pace(counts),
            "all open files the host may have",
        )
        judged = verdict.judge(case, self.request.near_limit)
        if judged.verdict != verdict.NEAR_LIMIT:
            judged = judged._replace(verdict=verdict.FINE, reasons=["no limit of the host is near"])
        hidden = sample.hidden
        return {
            "descriptions": used,
            "descriptions_limit": limit,
            "share": round(case.share, 4) if used is not None and limit else None,
            "max_per_process": host.max_per_process,
            "processes": len(sample.members),
            "descriptors": sum(member.descriptors for member in sample.members.values()),
            "looked_at": sum(contents.seen for contents in sample.contents.values()),
            "distinct": sample.distinct.total if sample.distinct else None,
            "distinct_by": sample.distinct.method if sample.distinct else "",
            "unattributed": hidden.unattributed if hidden else None,
            "in_flight": hidden.in_flight if hidden else None,
            "io_uring": hidden.io_uring if hidden else None,
            "mapped": max(0, hidden.unattributed - hidden.in_flight - hidden.io_uring) if hidden else None,
            "growth_per_minute": judged.per_minute if used is not None else None,
            "seconds_left": judged.seconds_left,
            "verdict": judged.verdict,
            "reasons": judged.reasons,
        }

    def _users(self) -> list[Entry]:
        by_user: dict[str, list[Member]] = {}
        for member in self.sample.members.values():
            by_user.setdefault(member.user, []).append(member)
        found = [self._user(user, members) for user, members in by_user.items()]
        return sorted(found, key=lambda one: (verdict.ORDER.index(one["verdict"]), -one["descriptors"], one["user"]))

    def _user(self, user: str, members: list[Member]) -> Entry:
        host, inotify = self.sample.host, self.sample.inotify
        own = None if inotify is None else inotify.get(user)
        instances, watches = (None, None) if inotify is None else (own.instances, own.watches) if own else (0, 0)
        reasons = [
            f"{used / limit:.0%} of {name} are used"
            for used, limit, name in (
                (instances, host.inotify_instances, "fs.inotify.max_user_instances"),
                (watches, host.inotify_watches, "fs.inotify.max_user_watches"),
            )
            if used and limit and used >= limit * self.request.near_limit
        ]
        return {
            "user": user,
            "processes": len(members),
            "descriptors": sum(member.descriptors for member in members),
            "inotify_instances": instances,
            "inotify_instances_limit": host.inotify_instances,
            "inotify_watches": watches,
            "inotify_watches_limit": host.inotify_watches,
            "verdict": verdict.NEAR_LIMIT if reasons else verdict.FINE,
            "reasons": reasons or ["no limit of inotify is near"],
        }

    # --- groups and processes ---

    def _groups(self) -> list[Entry]:
        """Every group, the worst first; only the first ones are described."""
        groups: dict[str, list[Member]] = {}
        for member in self.sample.members.values():
            groups.setdefault(member.group, []).append(member)
        judged = [(key, members, self._judge([one.identity for one in members])) for key, members in groups.items()]
        judged.sort(key=lambda one: (*_badness(one[2]), -sum(member.descriptors for member in one[1]), one[0]))
        return [self._group(key, members, found) for key, members, found in judged[: max(1, self.request.top)]]

    def _group(self, key: str, members: list[Member], judged: Verdict) -> Entry:
        members = sorted(members, key=lambda one: (-one.descriptors, one.pid))
        nearest = max(members, key=lambda one: (one.nearness, one.descriptors))
        identities = [member.identity for member in members]
        contents = [self.sample.contents[one] for one in identities if one in self.sample.contents]
        whole = len(contents) == len(members) and not any(one.is_thinned for one in contents)
        distinct = self.sample.distinct
        return {
            "key": text(key),
            "processes": len(members),
            "descriptors": sum(member.descriptors for member in members),
            "distinct": distinct.groups.get(key) if distinct and whole else None,
            "worst": {
                "pid": nearest.pid,
                "name": nearest.name,
                "descriptors": nearest.descriptors,
                "soft_limit": nearest.soft,
                "hard_limit": nearest.hard,
                "share": nearest.share,
            },
            "members": [member.pid for member in members[:_MOST_MEMBERS]],
            **self._described(identities, judged),
        }

    def _processes(self) -> list[Entry]:
        judged = [(member, self._judge([identity])) for identity, member in self.sample.members.items()]
        judged.sort(key=lambda one: (*_badness(one[1]), -one[0].descriptors, one[0].pid))
        return [self._process(member, found) for member, found in judged[: self.request.top]]

    def _process(self, member: Member, judged: Verdict) -> Entry:
        return {
            "pid": member.pid,
            "name": member.name,
            "started": member.started,
            "exe": self.source.exe(member.pid),
            "user": member.user,
            "unit": member.unit,
            "descriptors": member.descriptors,
            "soft_limit": member.soft,
            "hard_limit": member.hard,
            "share": member.share,
            **self._described([member.identity], judged),
        }

    def _judge(self, identities: list[Identity]) -> Verdict:
        return verdict.judge(self.history.case_of(identities), self.request.near_limit)

    def _described(self, identities: list[Identity], judged: Verdict) -> Entry:
        contents = [self.sample.contents[one] for one in identities if one in self.sample.contents]
        return {
            "kinds": self._kinds(identities),
            "sockets": _sockets(self.sample.sockets[one] for one in identities if one in self.sample.sockets),
            "files": _files(contents),
            "deleted": _deleted(contents),
            "growth": judged.growth,
            "growth_per_minute": judged.per_minute,
            "seconds_left": judged.seconds_left,
            "verdict": judged.verdict,
            "leaking": judged.leaking,
            "reasons": judged.reasons,
        }

    def _kinds(self, identities: list[Identity]) -> list[Entry]:
        now: dict[str, int] = {}
        before: dict[str, int] = {}
        first = self.history.readings[0].kinds
        for identity in identities:
            if identity in self.sample.contents:
                for kind, count in kinds_of(self.sample.contents[identity]).items():
                    now[kind] = now.get(kind, 0) + count
            for kind, count in first.get(identity, {}).items():
                before[kind] = before.get(kind, 0) + count
        now.pop(verdict.REPEATED, None)
        growing = self.history.several
        return [
            {"kind": kind, "count": count, "growth": count - before.get(kind, 0) if growing else None}
            for kind, count in sorted(now.items(), key=lambda one: (-one[1], one[0]))
        ]


def _badness(judged: Verdict) -> tuple[int, int]:
    is_leak = judged.verdict == verdict.LEAK
    return verdict.ORDER.index(judged.verdict), -(judged.growth or 0) if is_leak else 0


def _sockets(rows: t.Iterable[dict[Row, int]]) -> list[Entry]:
    total: dict[Row, int] = {}
    for one in rows:
        for row, count in one.items():
            total[row] = total.get(row, 0) + count
    largest = sorted(total.items(), key=lambda one: (-one[1], str(one[0])))[:_MOST_SOCKETS]
    return [{**row._asdict(), "count": count} for row, count in largest]


def _files(contents: t.Iterable[Contents]) -> list[Entry]:
    total: dict[bytes, int] = {}
    for one in contents:
        for prefix, count in one.prefixes.items():
            total[prefix] = total.get(prefix, 0) + count
    largest = sorted(total.items(), key=lambda one: (-one[1], one[0]))[:_MOST_PREFIXES]
    return [{"prefix": text(prefix), "count": count} for prefix, count in largest]


def _deleted(contents: t.Sequence[Contents]) -> Entry:
    files: dict[tuple[int, int], File] = {}
    for one in contents:
        files.update({(file.device, file.inode): file for file in one.deleted})
    largest = sorted(files.values(), key=lambda one: (-one.bytes, one.path))[:_MOST_DELETED]
    return {
        "descriptors": sum(one.counts.get("deleted", 0) for one in contents),
        "files": len(files),
        "bytes": sum(one.bytes for one in files.values()),
        "unknown": sum(one.deleted_unknown for one in contents),
        "largest": [{"path": one.path, "bytes": one.bytes} for one in largest],
    }
