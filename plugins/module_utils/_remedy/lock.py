# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of the host and its remedy budget: read as a snapshot, written as planned.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._kernel import clock
from .._kernel.errors import Refused
from .._kernel.state_files import Content, Directory, make_directory, open_directory
from .planning import Plan, Request, Snapshot, plan
from .records import Claim, DamagedError, dump_budget, dump_claim, load_budget, load_claim

LOCK = "lock"


class Places(t.NamedTuple):
    """Where the state lives: the lock must not outlive a boot, the budget should."""

    lock_directory: str
    budget_directory: str


class Outcome(t.NamedTuple):
    """What was seen, what was decided, and what went otherwise than wished."""

    snapshot: Snapshot
    plan: Plan
    partial_reasons: list[str]
    warnings: list[str]
    budget_file: str | None


def preview(places: Places, request: Request) -> Outcome:
    """What `settle` would do, without touching anything; what may not be read is named."""
    seen = _View([])
    with contextlib.ExitStack() as stack:
        lock_directory = seen.open(stack, places.lock_directory)
        budget_directory = seen.open(stack, places.budget_directory)
        snapshot = seen.snapshot(lock_directory, budget_directory, request.remedy)
    return Outcome(snapshot, plan(snapshot, request), seen.partial_reasons, _damages(snapshot), None)


def settle(places: Places, request: Request) -> Outcome:
    """Decide and act as one step: nobody else decides on this host in between."""
    with contextlib.ExitStack() as stack:
        lock_directory = stack.enter_context(make_directory(places.lock_directory))
        stack.enter_context(lock_directory.guarded())
        budget_directory = open_directory(places.budget_directory)
        if budget_directory is not None:
            stack.enter_context(budget_directory)
        snapshot = _View(None).snapshot(lock_directory, budget_directory, request.remedy)
        decided = plan(snapshot, request)
        warnings = _damages(snapshot)
        budget_file = _apply(decided, request, lock_directory, places.budget_directory, warnings)
    return Outcome(snapshot, decided, [], warnings, budget_file)


class _View:
    """Reads the state; with a list of reasons what may not be read is noted there instead of raised."""

    def __init__(self, partial_reasons: list[str] | None) -> None:
        self._tolerant = partial_reasons is not None
        self.partial_reasons: list[str] = partial_reasons or []

    def open(self, stack: contextlib.ExitStack, path: str) -> Directory | None:
        try:
            directory = open_directory(path)
        except PermissionError as error:
            self._note(error, path)
            return None
        return stack.enter_context(directory) if directory is not None else None

    def snapshot(self, lock_directory: Directory | None, budget_directory: Directory | None, remedy: str) -> Snapshot:
        now = clock.now()
        holder, lock_damage = self._holder(lock_directory, now)
        spent: set[Claim] = set()
        damage = None
        for directory in (budget_directory, lock_directory):
            content = self._read(directory, budget_name(remedy))
            if content is None or directory is None:
                continue
            try:
                spent.update(load_budget(content.raw))
            except DamagedError as error:
                damage = f"{directory.where(budget_name(remedy))}: {error}"
        in_order = tuple(sorted(spent, key=lambda claim: -clock.age(claim.moment, now)))
        return Snapshot(now, holder, in_order, lock_damage, damage)

    def _holder(self, directory: Directory | None, now: clock.Moment) -> tuple[Claim | None, str | None]:
        content = self._read(directory, LOCK)
        if content is None or directory is None:
            return None, None
        try:
            return load_claim(content.raw), None
        except DamagedError as error:
            # In doubt somebody holds it; the file's own age makes it stale one day.
            written = clock.Moment("", 0.0, min(content.modified, now.wall))
            return Claim("unknown", "unknown", written), f"{directory.where(LOCK)}: {error}"

    def _read(self, directory: Directory | None, name: str) -> Content | None:
        if directory is None:
            return None
        try:
            return directory.read(name)
        except PermissionError as error:
            self._note(error, directory.where(name))
            return None

    def _note(self, error: PermissionError, path: str) -> None:
        if not self._tolerant:
            raise error
        self.partial_reasons.append(
            f"{path} may not be read ({error.strerror}): run as root to know who holds the lock."
        )


def budget_name(remedy: str) -> str:
    return f"budget-{remedy}.json"


def _apply(
    decided: Plan, request: Request, lock_directory: Directory, budget_directory: str, warnings: list[str]
) -> str | None:
    """The lock first: who does not get it has spent nothing; and without its debit written it is not kept."""
    if decided.write_lock and decided.holder is not None:
        lock_directory.remove(LOCK)  # of a stale holder; guarded, so nobody's new lock can be hit
        if not lock_directory.create(LOCK, dump_claim(decided.holder)):
            raise Refused(f"{lock_directory.where(LOCK)} was made by somebody else at this moment. Run again.")
    if decided.remove_lock:
        lock_directory.remove(LOCK)
    if not decided.write_budget:
        return None
    raw = dump_budget(decided.spent, request.max_remedies)
    try:
        return _keep_budget(raw, request.remedy, lock_directory, budget_directory, warnings)
    except (OSError, Refused):
        if decided.write_lock:
            lock_directory.remove(LOCK)
        raise


def _keep_budget(raw: bytes, remedy: str, lock_directory: Directory, budget_directory: str, warnings: list[str]) -> str:
    """On disk, or, where the disk is full or read-only (which may be the very incident), beside the lock."""
    name = budget_name(remedy)
    try:
        with make_directory(budget_directory) as directory:
            directory.replace(name, raw)
            lock_directory.remove(name)  # a copy from a time when the disk could not be written
            return directory.where(name)
    except OSError as error:
        lock_directory.replace(name, raw)
        warnings.append(
            f"The remedy budget could not be written to {budget_directory} ({error.strerror}): it is kept in "
            f"{lock_directory.where(name)} and lost at the next boot."
        )
        return lock_directory.where(name)


def _damages(snapshot: Snapshot) -> list[str]:
    damaged = [
        ("The lock", "it counts as held until its file is stale", snapshot.lock_damage),
        ("The remedy budget", "all of it counts as spent for one window", snapshot.budget_damage),
    ]
    return [f"{what} is damaged ({how}): {then}." for what, then, how in damaged if how is not None]
