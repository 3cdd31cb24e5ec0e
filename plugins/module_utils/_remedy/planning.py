# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may begin a remedy on this host, decided from a snapshot alone: nothing here reads or changes the host.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.clock import Moment, age, spoken, utc
from .records import Claim


class Request(t.NamedTuple):
    """What is asked for; lengths of time in seconds."""

    state: str
    remedy: str
    owner: str
    stale_after: float
    max_remedies: int
    window: float
    remedied: bool = True
    force: bool = False


class Snapshot(t.NamedTuple):
    """What the host says: the holder of the lock, the remedies begun so far (oldest first), and what is damaged."""

    now: Moment
    holder: Claim | None = None
    spent: tuple[Claim, ...] = ()
    lock_damage: str | None = None
    budget_damage: str | None = None


class Plan(t.NamedTuple):
    """What to do about the request and why. ``holder`` and ``spent`` are how they shall be afterwards."""

    verdict: str
    reason: str
    holder: Claim | None
    spent: tuple[Claim, ...]
    write_lock: bool = False
    remove_lock: bool = False
    write_budget: bool = False

    @property
    def refused(self) -> bool:
        return self.verdict in ("busy", "exhausted")

    @property
    def changed(self) -> bool:
        return self.write_lock or self.remove_lock or self.write_budget


class Budget(t.NamedTuple):
    """How much of the budget is left, and when the next remedy is free again (None: now, or never)."""

    used: int
    left: int
    free_again: float | None


def plan(snapshot: Snapshot, request: Request) -> Plan:
    return _hold(snapshot, request) if request.state == "held" else _release(snapshot, request)


def is_stale(claim: Claim, now: Moment, stale_after: float) -> bool:
    """Its run cannot be alive any more: the host was booted since, or it is too old."""
    rebooted = bool(claim.moment.boot_id and now.boot_id and claim.moment.boot_id != now.boot_id)
    return rebooted or age(claim.moment, now) >= stale_after


def budget(spent: t.Sequence[Claim], now: Moment, request: Request) -> Budget:
    ages = sorted(age(claim.moment, now) for claim in spent if claim.remedy == request.remedy)
    ages = [seconds for seconds in ages if seconds < request.window]
    left = max(0, request.max_remedies - len(ages))
    if left or not request.max_remedies:
        return Budget(len(ages), left, None)
    # Free again when so many have left the window that fewer than max_remedies are in it.
    return Budget(len(ages), 0, request.window - ages[request.max_remedies - 1])


def describe(claim: Claim, now: Moment) -> str:
    since = f"since {utc(claim.moment.wall)} ({spoken(age(claim.moment, now))} ago)"
    return f"{claim.owner} for {claim.remedy} {since}"


def _hold(snapshot: Snapshot, request: Request) -> Plan:
    holder, now = snapshot.holder, snapshot.now
    stale = holder is not None and is_stale(holder, now, request.stale_after)
    if holder is not None and not stale:
        if _is_own(holder, request):
            return Plan("kept", f"held already by {describe(holder, now)}", holder, snapshot.spent)
        return Plan("busy", _busy_reason(snapshot, holder, request), holder, snapshot.spent)
    spent = snapshot.spent
    if snapshot.budget_damage is not None:
        # How much was spent is not known. Written down as all of it, now: so it is free again after one window.
        spent = tuple(
            Claim(request.remedy, f"unknown {number} (the record was damaged)", now)
            for number in range(1, request.max_remedies + 1)
        )
    allowance = budget(spent, now, request)
    if not allowance.left:
        damaged = snapshot.budget_damage is not None
        reason = _exhausted_reason(snapshot, allowance, request)
        return Plan("exhausted", reason, holder, spent, write_budget=damaged and bool(spent))
    claim = Claim(request.remedy, request.owner, now)
    reason = _taken_over_reason(holder, now, request) if holder else "taken, nobody held it"
    return Plan("taken", reason, claim, (*spent, claim), write_lock=True, write_budget=True)


def _release(snapshot: Snapshot, request: Request) -> Plan:
    holder, spent = snapshot.holder, snapshot.spent
    if holder is None:
        return Plan("free", "nobody holds it", None, spent)
    who = describe(holder, snapshot.now)
    if not _is_own(holder, request) and not request.force:
        return Plan("foreign", f"held by {who}, not by {request.owner}: left as it is", holder, spent)
    refund = not request.remedied and holder in spent
    if refund:
        spent = tuple(claim for claim in spent if claim != holder)
    reason = f"released, held by {who}" + ("; nothing was remedied, the budget gets it back" if refund else "")
    return Plan("released", reason, None, spent, remove_lock=True, write_budget=refund)


def _is_own(holder: Claim, request: Request) -> bool:
    return (holder.owner, holder.remedy) == (request.owner, request.remedy)


def _taken_over_reason(holder: Claim, now: Moment, request: Request) -> str:
    goes_on = holder.remedy == request.remedy
    rest = "this one does what is left" if goes_on else f"run {holder.remedy} again, too: it may have stopped half-way"
    return f"taken over from {describe(holder, now)}, which is stale. That run was cut off; {rest}."


def _busy_reason(snapshot: Snapshot, holder: Claim, request: Request) -> str:
    left = request.stale_after - age(holder.moment, snapshot.now)
    damage = f" (its file is damaged: {snapshot.lock_damage})" if snapshot.lock_damage else ""
    return (
        f"another run is at work on this host: held by {describe(holder, snapshot.now)}{damage}. "
        f"It counts as stale in {spoken(left)}; if that run is dead, release it with force=true."
    )


def _exhausted_reason(snapshot: Snapshot, allowance: Budget, request: Request) -> str:
    if not request.max_remedies:
        return f"max_remedies is 0: no {request.remedy} remedy is allowed on this host."
    damage = f" (the record is damaged: {snapshot.budget_damage})" if snapshot.budget_damage else ""
    wait = allowance.free_again or 0.0
    return (
        f"the budget is spent: {allowance.used} of {request.max_remedies} {request.remedy} remedies within "
        f"{spoken(request.window)}{damage}. Free again in {spoken(wait)}, at {utc(snapshot.now.wall + wait)}. "
        f"A remedy that is needed so often cures a symptom: look for the cause, or raise max_remedies."
    )
