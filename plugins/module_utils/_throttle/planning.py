# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a limit as it is and what is remembered of it to what becomes of it: pure, the same in check mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import hashlib
import shlex
import typing as t

from .._kernel import clock
from .records import CGROUP, UNIT, Limit, Record
from .request import CURRENT, NONE_NEW, Delays

THROTTLED, UNCHANGED, RELEASED = "throttled", "unchanged", "released"
GONE, LEFT_ALONE, FAILED = "gone", "left_alone", "failed"


class Seen(t.NamedTuple):
    """A limit as it is. ``value`` is its own, ``ceiling`` the least of all above it, ``current`` how many tasks run.

    Of a user ``value`` is the highest RLIMIT_NPROC among its processes that are meant. Of a unit it is 0 while systemd
    waits before it starts the unit again.
    """

    kind: str
    name: str
    inode: int
    value: Limit
    current: int
    ceiling: Limit = None
    ceiling_at: str = ""
    refused_forks: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.kind, self.name)


class Decision(t.NamedTuple):
    """``record`` is what will be remembered, None to forget it; ``write`` says whether ``limit`` has to be set."""

    outcome: str
    reason: str
    limit: Limit
    record: Record | None
    write: bool = False


def text(limit: Limit) -> str:
    return "unlimited" if limit is None else str(limit)


def lower(one: Limit, other: Limit) -> bool:
    """Whether the first limit lets fewer run than the second."""
    return one is not None and (other is None or one < other)


def wanted(limit: str, seen: Seen) -> int:
    """The number behind the word."""
    return {NONE_NEW: 0, CURRENT: seen.current}[limit] if limit in (NONE_NEW, CURRENT) else int(limit)


def delay(delays: Delays, repeats: int, seed: str) -> float | None:
    """Seconds until the release; None where there is none: not asked for, or throttled too often.

    The jitter comes from the seed, which differs from host to host: so check mode tells the very delay.
    """
    if not delays.release_after or repeats > delays.max_repeats:
        return None
    share = int.from_bytes(hashlib.sha256(f"{seed} {repeats}".encode("utf-8", "replace")).digest()[:4], "big") / 2**32
    grown = min(delays.longest, delays.release_after * delays.backoff**repeats)
    return round(grown * (1 + delays.jitter * share), 3)


def throttle(seen: Seen, record: Record | None, limit: str, delays: Delays, now: float, seed: str) -> Decision:
    """What `state: throttled` means for one target."""
    if record is not None and record.in_force and record.inode == seen.inode:
        return _again(seen, record, limit, delays, now, seed)
    value = wanted(limit, seen)
    if not lower(value, seen.value):
        return Decision(UNCHANGED, f"it is limited to {text(seen.value)} already, and not by this", seen.value, record)
    repeats = _repeats(record, now)
    return _anew(seen, seen.value, (value,), limit, delays, repeats, now, seed, "")


def _again(seen: Seen, record: Record, limit: str, delays: Delays, now: float, seed: str) -> Decision:
    """It is in force: kept, mended, changed or, past its time, begun once more."""
    foreign = seen.value not in record.ours and seen.value != record.old
    if foreign and lower(seen.value, record.value):
        return Decision(UNCHANGED, f"somebody else has limited it further, to {text(seen.value)}", seen.value, record)
    old = seen.value if foreign else record.old
    same_limit = record.wish == limit
    value = record.value if same_limit else wanted(limit, seen)
    if not lower(value, old):
        return Decision(UNCHANGED, f"it was limited to {text(old)} before, which is less", seen.value, record)
    ours = tuple(dict.fromkeys((*(one for one in record.ours if one != value), value)))
    if record.is_due(now):
        why = "its time was over, and it is asked for again"
        return _anew(seen, old, ours, limit, delays, record.repeats + 1, now, seed, why)
    if not same_limit or record.release_after != delays.release_after:
        why = "it is throttled already, now with another limit or time"
        return _anew(seen, old, ours, limit, delays, record.repeats, now, seed, why)
    if seen.value == record.value:
        return Decision(UNCHANGED, _standing(record), seen.value, record)
    kept = record._replace(old=old, ours=ours)
    why = f"somebody else had set {text(seen.value)}" if seen.kind != UNIT else "systemd did not wait, or no more"
    return Decision(THROTTLED, f"{why} meanwhile; the time of its release stays", value, kept, write=True)


def _anew(
    seen: Seen,
    old: Limit,
    ours: tuple[int, ...],
    limit: str,
    delays: Delays,
    repeats: int,
    now: float,
    seed: str,
    why: str,
) -> Decision:
    value = ours[-1]
    lasting = delay(delays, repeats, f"{seed} {seen.name}")
    record = Record(
        seen.kind,
        seen.name,
        seen.inode,
        old,
        ours,
        limit,
        now,
        None if lasting is None else now + lasting,
        delays.release_after,
        repeats,
        True,
        0.0,
        delays.forget_after,
    )
    write = seen.value != value or seen.kind == UNIT  # which has another time by now
    return Decision(THROTTLED, _saying(seen, value, record, why), value, record, write)


def _repeats(record: Record | None, now: float) -> int:
    """How often before: a target that stayed free for long enough begins from zero."""
    if record is None:
        return 0
    # in force still means that its cgroup went away with the limit
    ended = now if record.in_force else record.ended
    return 0 if now - ended >= record.forget_after else record.repeats + 1


def _saying(seen: Seen, value: int, record: Record, why: str) -> str:
    parts = [why] if why else []
    if seen.current > value:
        parts.append(f"{seen.current} run, over the limit of {value}: none of them ends, and none new can start")
    if seen.kind == UNIT:
        lasting = None if record.release_at is None else record.release_at - record.since
        waits = "does not start it again" if lasting is None else f"waits {lasting:.0f} s before it starts it again"
        parts.append(f"systemd {waits}")
    if record.release_after and record.release_at is None:
        parts.append(f"throttled {record.repeats} times again, more than max_repeats: it stays throttled")
    elif record.repeats:
        parts.append(f"throttled again, {record.repeats} in a row")
    return "; ".join(parts) or f"{seen.current} run, at most {value} may"


def _standing(record: Record) -> str:
    if record.release_after and record.release_at is None:
        return f"it stays throttled: throttled {record.repeats} times again, more than max_repeats"
    return "it is throttled already"


def release(seen: Seen | None, record: Record, now: float, keeps_history: bool) -> Decision:
    """What the end of a throttle means for a cgroup that was throttled; ``seen`` None where it is gone."""
    past = record._replace(in_force=False, ended=now, members=()) if keeps_history else None
    if seen is None or seen.inode != record.inode:
        new = "it is gone, and its limit with it" if seen is None else "it was made anew since, without that limit"
        return Decision(GONE, new, None if seen is None else seen.value, past)
    if seen.value == record.old:
        return Decision(RELEASED, "its old limit had been put back already", seen.value, past)
    if seen.value in record.ours:
        return Decision(RELEASED, f"it has its old limit of {text(record.old)}", record.old, past, write=True)
    reason = f"somebody else has set {text(seen.value)} since it was throttled to {record.value}: that stays"
    return Decision(LEFT_ALONE, reason, seen.value, past)


def release_command(record: Record, memory: str, now: clock.Moment) -> str | None:
    """What a timer of systemd does at the time of release where no later run comes by: it undoes this very throttle, if
    that is still remembered, and nobody's other limit.

    By the calendar: a time from now begins anew whenever systemd reads its configuration, and then it reads a semicolon
    back as something else (systemd 252).
    """
    if record.kind != CGROUP or not record.in_force or record.release_at is None:
        return None
    file, token = shlex.quote(f"{record.name}/pids.max"), record.token
    old = "max" if record.old is None else record.old
    script = f"grep -q {token} {shlex.quote(memory)} && grep -qx {record.value} {file} && echo {old} >{file} || :"
    at = clock.utc(now.wall - now.uptime + record.release_at + 1).replace("T", " ").replace("Z", " UTC")
    return (
        f"systemd-run --collect --unit=hostcare-release-{token} --on-calendar={shlex.quote(at)} "
        f"--timer-property=AccuracySec=1s /bin/sh -c {shlex.quote(script)}"
    )
