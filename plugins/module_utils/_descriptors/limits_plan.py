# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the limits a process has and the limits it should have to what will be done: pure, the same in check mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

from .._kernel.errors import Refused
from .._kernel.rlimits import Limits

UNLIMITED, HARD, MAX = "unlimited", "hard", "max"
RAISE, SET = "raise", "set"
CHANGED, UNCHANGED, REFUSED, PROTECTED, GONE = "changed", "unchanged", "refused", "protected", "gone"

_NUMBER = re.compile(r"^(\d+)([KMG]?)$")
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST = (1 << 63) - 1
_INFINITE = float("inf")

Value = t.Union[int, str]  # a number, or one of the words above


class Wish(t.NamedTuple):
    """What the limits should be; None is what they are."""

    resource: str
    soft: Value | None = None
    hard: Value | None = None
    change: str = RAISE
    allow_below_use: bool = False


class Powers(t.NamedTuple):
    """What this process may do to a limit (setrlimit(2)): ``most`` is fs.nr_open for nofile, else None."""

    privileged: bool
    most: int | None


class Target(t.NamedTuple):
    """A process as it is: ``used`` of the resource, None where unknown; ``foreign`` is its user where its limits are
    not ours to change, ``guarded`` why it must not be harmed; else both are empty."""

    limits: Limits
    used: int | None
    foreign: str = ""
    guarded: str = ""


class Decision(t.NamedTuple):
    outcome: str
    limits: Limits
    reason: str


def value(given: str | None, option: str, words: t.Collection[str]) -> Value | None:
    """``65536``, ``64K``, ``unlimited`` or a word of the option. Raises Refused."""
    if given is None:
        return None
    word = str(given).strip()
    if word in words:
        return word
    match = _NUMBER.match(word)
    if match is None:
        raise Refused(f"{option}: {word!r} is no limit: give a number, such as 65536 or 64K, or {' or '.join(words)}.")
    number = int(match.group(1)) * _FACTORS[match.group(2)]
    if number > _MOST:
        raise Refused(f"{option}: {word} is more than the kernel can count: give {UNLIMITED} if that is meant.")
    return number


def text(limit: int | None) -> str:
    return UNLIMITED if limit is None else str(limit)


def _size(limit: int | None) -> float:
    return _INFINITE if limit is None else limit


def decide(wish: Wish, target: Target, powers: Powers) -> Decision:
    """The limits it will get, or why it keeps its own."""
    now = target.limits
    wanted = _wanted(wish, now, powers)
    if wanted == now:
        return Decision(UNCHANGED, now, "it has what was asked for")
    if _size(wanted.soft) > _size(wanted.hard):
        return Decision(
            REFUSED, now, f"soft {text(wanted.soft)} would be over hard {text(wanted.hard)}: raise hard too"
        )
    lowers = _size(wanted.soft) < _size(now.soft) or _size(wanted.hard) < _size(now.hard)
    if lowers and target.guarded:
        return Decision(PROTECTED, now, target.guarded)
    obstacle = _forbidden(wish, wanted, target, powers) or (_harmful(wish, wanted, target) if lowers else "")
    if obstacle:
        return Decision(REFUSED, now, obstacle)
    return Decision(CHANGED, wanted, f"{_pair(now)} to {_pair(wanted)}")


def _pair(limits: Limits) -> str:
    return f"soft {text(limits.soft)}, hard {text(limits.hard)}"


def _wanted(wish: Wish, now: Limits, powers: Powers) -> Limits:
    hard = _resolved(wish.hard, now.hard, powers.most)
    soft = hard if wish.soft == HARD else _resolved(wish.soft, now.soft, None)
    if wish.hard is None and _size(soft) > _size(hard):
        hard = soft  # a higher soft limit takes the hard one along
    if wish.soft is None and _size(soft) > _size(hard):
        soft = hard  # as a lower hard limit does with the soft one
    if wish.change == RAISE:
        soft, hard = max(soft, now.soft, key=_size), max(hard, now.hard, key=_size)
    return Limits(soft, hard)


def _resolved(wished: Value | None, now: int | None, most: int | None) -> int | None:
    if wished is None:
        return now
    if isinstance(wished, int):
        return wished
    return most if wished == MAX else None


def _forbidden(wish: Wish, wanted: Limits, target: Target, powers: Powers) -> str:
    """What the kernel will refuse, and what helps; empty where it will not."""
    if target.foreign:
        return f"it belongs to {target.foreign}: run as that user, or as root with CAP_SYS_RESOURCE"
    if powers.most is not None and _size(wanted.hard) > powers.most:
        return (
            f"no process may have {wish.resource} over fs.nr_open, which is {powers.most}: give hard: max, or raise "
            "that sysctl first"
        )
    if _size(wanted.hard) > _size(target.limits.hard) and not powers.privileged:
        return (
            f"raising its hard limit of {text(target.limits.hard)} takes CAP_SYS_RESOURCE, which is missing here: run "
            "as root, in a container with that capability, or give soft: hard"
        )
    return ""


def _harmful(wish: Wish, wanted: Limits, target: Target) -> str:
    if wish.allow_below_use:
        return ""
    if target.used is None:
        return f"what it uses of {wish.resource} is not known: set allow_below_use if the lower limit is meant"
    if target.used > _size(wanted.soft):
        return f"it uses {target.used}: set allow_below_use if the lower limit is meant"
    return ""
