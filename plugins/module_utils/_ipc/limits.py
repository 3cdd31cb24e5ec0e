# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits on System V IPC, what is used of them and by whom. Pure.

Sources: proc_sys_kernel(5), and for the errors semget(2), semop(2), shmget(2), msgget(2), msgop(2).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.sysv_ipc import MESSAGE_QUEUES, SEMAPHORES, SHARED_MEMORY, Facts, Object

# The kernel's own values for SHMMAX and SHMALL: ULONG_MAX - (1UL << 24), include/uapi/linux/shm.h
NO_LIMIT = ((1 << 64) - 1 - (1 << 24), (1 << 32) - 1 - (1 << 24))
_HOLDERS = 3


class Limit(t.NamedTuple):
    """``used`` is None where it cannot be known, ``limit`` where there is none. ``is_total``: on all
    objects together, so that something can be left; else on each one, and ``used`` is that of the largest."""

    kind: str
    name: str
    parameter: str
    unit: str
    used: int | None
    limit: int | None
    is_total: bool
    error: str
    by_user: t.Mapping[int, int] = {}

    @property
    def free(self) -> int | None:
        if not self.is_total or self.used is None or self.limit is None:
            return None
        return max(0, self.limit - self.used)

    @property
    def share(self) -> float | None:
        if not self.is_total or self.used is None or self.limit is None:
            return None
        return round(self.used / self.limit, 4) if self.limit else float(max(self.used, 1))

    @property
    def largest(self) -> list[tuple[int, int]]:
        """The users who have most of it, and how much."""
        return sorted(self.by_user.items(), key=lambda item: (-item[1], item[0]))[:_HOLDERS]


def limits(
    tables: t.Mapping[str, t.Sequence[Object]], settings: t.Mapping[str, int], page: int, kinds: t.Collection[str]
) -> list[Limit]:
    """Those of the kinds that this kernel has, in the order in which `_LIMITS` lists them."""
    found = []
    for kind, name, parameter, unit, measure, is_total, error in _LIMITS:
        if kind not in kinds or name not in settings:
            continue
        used: int | None = None
        by_user: dict[int, int] = {}
        if measure is not None:
            sizes = [(owned.facts.uid, measure(owned.facts, page)) for owned in tables.get(kind, ())]
            used = sum(size for _uid, size in sizes) if is_total else max((size for _uid, size in sizes), default=0)
            if is_total:
                for uid, size in sizes:
                    by_user[uid] = by_user.get(uid, 0) + size
        limit = None if settings[name] in NO_LIMIT else settings[name]
        found.append(Limit(kind, name, parameter, unit, used, limit, is_total, error, by_user))
    return found


def binding(found: t.Sequence[Limit], kind: str) -> Limit | None:
    """The limit of the kind that will be hit first."""
    totals = [limit for limit in found if limit.kind == kind and limit.share is not None]
    return min(totals, key=lambda limit: (-(limit.share or 0.0), limit.free or 0), default=None)


def pages(size: int, page: int) -> int:
    return -(-size // page)


_Measure = t.Callable[[Facts, int], int]
_LIMITS: tuple[tuple[str, str, str, str, _Measure | None, bool, str], ...] = (
    (SEMAPHORES, "SEMMNI", "kernel.sem", "arrays", lambda _array, _page: 1, True, "ENOSPC from semget(2)"),
    (SEMAPHORES, "SEMMNS", "kernel.sem", "semaphores", lambda array, _page: array.nsems, True, "ENOSPC from semget(2)"),
    (SEMAPHORES, "SEMMSL", "kernel.sem", "semaphores in one array", lambda array, _page: array.nsems, False,
     "EINVAL from semget(2)"),
    (SEMAPHORES, "SEMOPM", "kernel.sem", "operations in one call", None, False, "E2BIG from semop(2)"),
    (SHARED_MEMORY, "SHMMNI", "kernel.shmmni", "segments", lambda _one, _page: 1, True, "ENOSPC from shmget(2)"),
    (SHARED_MEMORY, "SHMALL", "kernel.shmall", "pages", lambda one, page: pages(one.bytes, page), True,
     "ENOSPC from shmget(2)"),
    (SHARED_MEMORY, "SHMMAX", "kernel.shmmax", "bytes in one segment", lambda one, _page: one.bytes, False,
     "EINVAL from shmget(2)"),
    (MESSAGE_QUEUES, "MSGMNI", "kernel.msgmni", "queues", lambda _queue, _page: 1, True, "ENOSPC from msgget(2)"),
    (MESSAGE_QUEUES, "MSGMNB", "kernel.msgmnb", "bytes in one queue", lambda queue, _page: queue.bytes, False,
     "EAGAIN from msgsnd(2), or it sleeps"),
    (MESSAGE_QUEUES, "MSGMAX", "kernel.msgmax", "bytes in one message", None, False, "EINVAL from msgsnd(2)"),
)  # fmt: skip
