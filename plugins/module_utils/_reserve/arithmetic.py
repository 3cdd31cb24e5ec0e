# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tasks each pool may have, so that all pools together cannot reach a limit of the host.

Fork fails for root, too, at ``kernel.pid_max``, ``kernel.threads-max`` and ``pids.max`` (fork(2), cgroup-v2.rst). The
kernel keeps nothing back for root, so the reserve has to be what the limits of all others together leave over.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused

# Numbers below this are given out once only, before the first wrap-around (RESERVED_PIDS, kernel/pid.c).
_LOST_NUMBERS = 300
# A task keeps its own number and those of its process group and its session, whose leaders may both be dead
# (setpgid(2), setsid(2)). Whoever wants to, takes three numbers with each task.
NUMBERS_PER_TASK = 3
_MANAGER = 32  # PID 1, and what it forks on its way to a service
_KERNEL_BASE, _KERNEL_PER_CORE = 128, 32
_LEAST_MARGIN, _MARGIN_SHARE = 16, 50  # one part in 50
SMALLEST_POOL = 16

USERS, SERVICES, CONTAINERS = "users", "services", "containers"
POOLS = (USERS, SERVICES, CONTAINERS)


class Size(t.NamedTuple):
    """What the host has. None is no such limit."""

    pid_max: int
    threads_max: int
    cores: int
    memory: int
    outer_pids_max: int | None = None


class Wish(t.NamedTuple):
    """What is asked for. Shares are percents of what the reserve leaves."""

    shares: t.Mapping[str, int]
    operator_slots: int = 64
    startups: int = 100
    kernel_slots: int = 0
    tasks_per_core: int = 4096
    memory_per_task: int = 256 << 10
    numbers_per_task: int = NUMBERS_PER_TASK


class Ceiling(t.NamedTuple):
    """One limit of the host, and how many tasks of those who are not trusted it leaves room for."""

    name: str
    limit: int
    room: int
    how: str


class Row(t.NamedTuple):
    """One line of the sum. ``each`` is the limit of one user or service within the pool."""

    pool: str
    share: int | None
    tasks: int
    each: int | None
    trusted: bool
    why: str


class Reserve(t.NamedTuple):
    ceilings: tuple[Ceiling, ...]
    binding: Ceiling
    rows: tuple[Row, ...]

    def tasks(self, pool: str) -> int:
        return next(row.tasks for row in self.rows if row.pool == pool)

    def each(self, pool: str) -> int:
        row = next(row for row in self.rows if row.pool == pool)
        return row.tasks if row.each is None else row.each

    @property
    def untrusted(self) -> int:
        return sum(row.tasks for row in self.rows if not row.trusted)

    @property
    def trusted(self) -> int:
        return sum(row.tasks for row in self.rows if row.trusted)

    @property
    def left(self) -> int:
        """Tasks that the binding limit still has room for with every untrusted pool full, before the trusted ones."""
        return self.binding.room - self.untrusted


def protected_slots(wish: Wish) -> int:
    """The listener and the sessions of operators; and each connection that has not logged in yet is two processes."""
    return wish.operator_slots + 2 * wish.startups


def reserve(size: Size, wish: Wish) -> Reserve:
    """Raises Refused where the host is too small for what is asked for."""
    _check(wish)
    trusted = _trusted(size, wish)
    ceilings = _ceilings(size, wish, sum(row.tasks for row in trusted))
    binding = min(ceilings, key=lambda ceiling: ceiling.room)
    pools = tuple(_pool(pool, binding.room, wish) for pool in POOLS)
    small = [row for row in pools if row.tasks < SMALLEST_POOL]
    if small:
        raise Refused(
            f"{binding.name} is {binding.limit}, which leaves {max(0, binding.room)} tasks for all who are not "
            f"trusted, "
            f"and {small[0].tasks} of them for {small[0].pool}: fewer than {SMALLEST_POOL}. Raise {binding.name}, or "
            f"lower what is kept back (operator_slots, kernel_slots, MaxStartups of sshd), or change shares."
        )
    return Reserve(ceilings, binding, (*pools, *trusted))


def _check(wish: Wish) -> None:
    unknown = sorted(set(wish.shares) - set(POOLS))
    missing = [pool for pool in POOLS if pool not in wish.shares]
    if unknown or missing:
        raise Refused(f"shares: give {', '.join(POOLS)}, each in percent, and nothing else, not {sorted(wish.shares)}.")
    if any(share < 1 for share in wish.shares.values()) or sum(wish.shares.values()) > 100:
        told = " + ".join(f"{pool} {wish.shares[pool]}" for pool in POOLS)
        raise Refused(
            f"shares: {told} = {sum(wish.shares.values())} percent. Each takes 1 or more, all together 100 at most."
        )
    for name, least in (
        ("operator_slots", 8), ("startups", 1), ("kernel_slots", 0), ("tasks_per_core", 16), ("memory_per_task", 16384)
    ):  # fmt: skip
        if getattr(wish, name) < least:
            raise Refused(f"{name}: {getattr(wish, name)} is too little; the least is {least}.")
    if not 1 <= wish.numbers_per_task <= NUMBERS_PER_TASK:
        raise Refused(
            f"numbers_per_task: {wish.numbers_per_task} is not 1 to {NUMBERS_PER_TASK}: a task keeps its own process "
            f"number and at most those of its group and its session."
        )


def _trusted(size: Size, wish: Wish) -> tuple[Row, ...]:
    kernel = wish.kernel_slots or _KERNEL_BASE + _KERNEL_PER_CORE * size.cores
    protected = protected_slots(wish)
    tightest = min(limit for limit in (size.pid_max, size.threads_max, size.outer_pids_max) if limit is not None)
    margin = max(_LEAST_MARGIN, tightest // _MARGIN_SHARE)
    return (
        Row("protected", None, protected, None, True, "sshd, connections that log in, and sessions of operators"),
        Row("manager", None, _MANAGER, None, True, "PID 1 and what it is about to start"),
        Row("kernel", None, kernel, None, True, "kernel threads, and what is in no unit"),
        Row("margin", None, margin, None, True, "2 percent, for what cannot be counted"),
    )


def _ceilings(size: Size, wish: Wish, trusted: int) -> tuple[Ceiling, ...]:
    each = wish.numbers_per_task
    found = [
        Ceiling(
            "kernel.pid_max",
            size.pid_max,
            (size.pid_max - _LOST_NUMBERS - trusted) // each,
            f"less {_LOST_NUMBERS} numbers given out once only, {trusted} trusted; {each} numbers a task",
        ),
        Ceiling("kernel.threads-max", size.threads_max, size.threads_max - trusted, f"less {trusted} trusted"),
        Ceiling(
            "memory",
            size.memory,
            size.memory // wish.memory_per_task,
            f"bytes, of which a task takes {wish.memory_per_task}",
        ),
        Ceiling(
            "cores", size.cores, size.cores * wish.tasks_per_core, f"processors, of {wish.tasks_per_core} tasks each"
        ),
    ]
    if size.outer_pids_max is not None:
        limit = size.outer_pids_max
        found.append(Ceiling("pids.max around the host", limit, limit - trusted, f"less {trusted} trusted"))
    return tuple(found)


def _pool(pool: str, room: int, wish: Wish) -> Row:
    """Rounded down, so that the sum cannot exceed the room. One user, or one service, gets half of its pool."""
    share = wish.shares[pool]
    tasks = max(0, room) * share // 100
    why = {
        USERS: "sessions of all who are no operators (user.slice)",
        SERVICES: "services, and what cron starts (system.slice)",
        CONTAINERS: "containers and virtual machines",
    }[pool]
    return Row(pool, share, tasks, None if pool == CONTAINERS else tasks // 2, False, why)
