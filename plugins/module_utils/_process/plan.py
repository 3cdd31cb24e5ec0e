# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen to what will be done: pure, the same in check mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import Process
from .selection import Selector

# From the strongest down; `pause` is never chosen, only asked for.
SCOPES = ("cgroup", "user", "group")


class Scope(t.NamedTuple):
    """Something one call can stop whole. ``strangers`` is how many processes it holds that are not victims."""

    kind: str
    target: str
    victims: int
    strangers: int


class Snapshot(t.NamedTuple):
    """The table, judged. ``scopes`` lists each kind whole: together they cover every victim, or the kind is absent."""

    victims: list[Process]
    protected: list[tuple[Process, str]]
    zombies: list[Process]
    stopped: frozenset[tuple[int, int]]
    scopes: list[Scope]
    own_pid: int
    can_assume_users: bool


class Plan(t.NamedTuple):
    victims: list[Process]
    method: str
    scopes: list[Scope]
    reason: str


def selectiveness(selector: Selector) -> str:
    """Why a scope may hold what is not meant although all that is in it was selected; empty where it cannot."""
    if selector.cmdline_regex is not None:
        return "a command line is compared, which can be read only process by process"
    if selector.min_age and not selector.pids:
        return "min_age spares the young, which it would hit"
    return ""


def make(snapshot: Snapshot, selector: Selector, method: str, max_victims: int) -> Plan:
    """Raises Refused where the selection is unsafe or over the brake."""
    meant = {process.pid for process, _reason in snapshot.protected}
    if 1 in meant:
        raise Refused(
            "the selector matches PID 1, so it matches everything: add a criterion that only the rogues meet."
        )
    if snapshot.own_pid in meant:
        raise Refused(
            "the selector matches this module itself: add a criterion that only the rogues meet, such as name or unit."
        )
    count = len(snapshot.victims)
    if count < selector.min_count:
        return Plan([], "none", [], f"{count} match, fewer than min_count {selector.min_count}")
    if not count:
        return Plan([], "scan", [], "nothing matches so far")
    if count > max_victims:
        raise Refused(
            f"{count} processes match, more than max_victims {max_victims} allows: nothing was touched. "
            f"Narrow the selector, or set max_victims to {count} or more if all of them are meant."
        )
    chosen, scopes, reason = choose(snapshot, selector, method)
    return Plan(snapshot.victims, chosen, scopes, reason)


def choose(snapshot: Snapshot, selector: Selector, method: str) -> tuple[str, list[Scope], str]:
    """The strongest method that covers exactly the selection."""
    if method in ("scan", "pause"):
        return method, [], "asked for"
    obstacles = {kind: obstacle(snapshot, selector, kind) for kind in SCOPES}
    if method != "auto":
        if obstacles[method]:
            raise Refused(f"method {method} does not fit: {obstacles[method]}. Use method auto, or another selector.")
        return method, _scopes(snapshot, method), "asked for"
    for kind in SCOPES:
        if not obstacles[kind]:
            return kind, _scopes(snapshot, kind), f"each {kind} that holds a victim holds nothing else"
    return "scan", [], "; ".join(f"{kind}: {why}" for kind, why in obstacles.items())


def obstacle(snapshot: Snapshot, selector: Selector, kind: str) -> str:
    """Why a whole ``kind`` cannot be taken; empty where it can."""
    if selectiveness(selector):
        return selectiveness(selector)
    if kind == "user" and not snapshot.can_assume_users:
        return "it takes root with CAP_SETUID and CAP_KILL"
    scopes = _scopes(snapshot, kind)
    if not scopes:
        return f"no {kind} holds the victims"
    strangers = [scope for scope in scopes if scope.strangers]
    if strangers:
        return f"{strangers[0].target} also holds {strangers[0].strangers} others"
    return ""


def _scopes(snapshot: Snapshot, kind: str) -> list[Scope]:
    return [scope for scope in snapshot.scopes if scope.kind == kind]
