# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is throttled, remembered on a tmpfs before it is: the old limits, the time of release, how often before.

One JSON file for each PID namespace. It says what to put back; the limit itself is the kernel's and lives as long as
its control group or process, whatever becomes of the module that set it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from .._kernel.errors import Refused
from .._kernel.state_files import Directory, make_directory, open_directory

CGROUP, USER, UNIT = "cgroup", "user", "unit"
_VERSION = 1
_MOST_BYTES = 4 << 20
_MOST_HISTORIES = 256

Limit = t.Union[int, None]  # None is unlimited


class Member(t.NamedTuple):
    """A process and its RLIMIT_NPROC as it was."""

    pid: int
    start: int
    soft: Limit
    hard: Limit


class Record(t.NamedTuple):
    """One throttle, in force or past. Times are seconds since boot, which no step of the wall clock moves.

    ``name`` is the directory of a cgroup, the number of a user, or a service that systemd starts again and again;
    ``inode`` tells a cgroup from a later one of that name. ``ours`` are the values that were set, the last one the
    present: any of them, found in place, is ours.
    """

    kind: str
    name: str
    inode: int
    old: Limit
    ours: tuple[int, ...]
    wish: str
    since: float
    release_at: float | None
    release_after: float
    repeats: int
    in_force: bool
    ended: float
    forget_after: float
    members: tuple[Member, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return (self.kind, self.name)

    @property
    def token(self) -> str:
        """Names this very throttle, for a timer that looks whether it is still in force."""
        named = f"{self.kind} {self.name} {self.since} {self.value}"
        return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def value(self) -> int:
        """The limit that is in place as far as it is ours."""
        return self.ours[-1]

    def is_due(self, uptime: float) -> bool:
        return self.in_force and self.release_at is not None and uptime >= self.release_at

    def is_forgotten(self, uptime: float) -> bool:
        return not self.in_force and uptime - self.ended >= self.forget_after


Records = t.Dict[t.Tuple[str, str], Record]


class Memory:
    """The file of one PID namespace of one boot."""

    def __init__(self, directory: str, namespace: int, boot: str) -> None:
        self.directory = directory
        self.name = f"throttled-{namespace}"
        self.boot = boot

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)

    def load(self) -> Records:
        """Raises Refused where the file is damaged or may have been written by somebody else."""
        directory = open_directory(self.directory)
        if directory is None:
            return {}
        with directory:
            content = directory.read(self.name, _MOST_BYTES)
        if content is None:
            return {}
        try:
            return parse(content.raw, self.boot)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refused(
                f"{self.path} is damaged, so what is throttled is not known: nothing was touched. Look at pids.max "
                "below /sys/fs/cgroup, put back what was limited, then remove the file."
            ) from None

    def save(self, records: Records, uptime: float) -> None:
        """Replace the file in one step, or remove it where nothing is left to remember. Raises OSError."""
        kept = [record for record in records.values() if not record.is_forgotten(uptime)]
        past = sorted((record for record in kept if not record.in_force), key=lambda record: -record.ended)
        kept = [record for record in kept if record.in_force] + past[:_MOST_HISTORIES]
        if kept:
            with make_directory(self.directory) as directory:
                directory.replace(self.name, dump(kept, self.boot))
            return
        found: Directory | None = open_directory(self.directory)
        if found is not None:
            with found:
                found.remove(self.name)


def dump(records: t.Iterable[Record], boot: str) -> bytes:
    plain = [{**record._asdict(), "token": record.token if record.in_force else ""} for record in records]
    document = {"version": _VERSION, "boot": boot, "throttles": plain}
    # paths are bytes without an encoding: JSON escapes keep the stray ones
    return json.dumps(document, sort_keys=True).encode("ascii") + b"\n"


def parse(raw: bytes, boot: str) -> Records:
    """Another boot's throttles are gone with it. Raises ValueError, TypeError or KeyError on anything else."""
    if len(raw) > _MOST_BYTES:
        raise ValueError
    document = json.loads(raw.decode("ascii"))
    if document["version"] != _VERSION or not isinstance(document["boot"], str):
        raise ValueError
    records = [_record(entry) for entry in document["throttles"]]
    return {record.key: record for record in records} if document["boot"] == boot else {}


def _record(entry: dict[str, t.Any]) -> Record:
    kind, name, wish, in_force = (entry[key] for key in ("kind", "name", "wish", "in_force"))
    members = tuple(
        Member(_whole(pid), _whole(start), _limit(soft), _limit(hard)) for pid, start, soft, hard in entry["members"]
    )
    record = Record(
        kind=kind,
        name=name,
        inode=_whole(entry["inode"]),
        old=_limit(entry["old"]),
        ours=tuple(_whole(value) for value in entry["ours"]),
        wish=wish,
        since=_seconds(entry["since"]),
        release_at=None if entry["release_at"] is None else _seconds(entry["release_at"]),
        release_after=_seconds(entry["release_after"]),
        repeats=_whole(entry["repeats"]),
        in_force=in_force,
        ended=_seconds(entry["ended"]),
        forget_after=_seconds(entry["forget_after"]),
        members=members,
    )
    texts = isinstance(name, str) and isinstance(wish, str) and isinstance(in_force, bool)
    if not (texts and record.ours and _is_sound(kind, name)):
        raise ValueError
    return record


def _is_sound(kind: t.Any, name: str) -> bool:
    if kind == CGROUP:
        return name.startswith("/") and "/../" not in name + "/"
    if kind == UNIT:
        return name.endswith(".service") and "/" not in name
    return bool(kind == USER) and name.isascii() and name.isdigit()


def _whole(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError
    return value


def _limit(value: t.Any) -> Limit:
    return None if value is None else _whole(value)


def _seconds(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        raise ValueError
    return float(value)
