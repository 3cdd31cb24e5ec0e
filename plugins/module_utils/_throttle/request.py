# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked of `spawn_throttle`, checked before anything is read.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._process.selection import CRITERIA, Selector, parse, seconds

CURRENT, NONE_NEW = "current", "none_new"
RESTART = "restart"
_MOST_TASKS = 4194304  # PID_MAX_LIMIT, include/linux/threads.h: pids.max takes no more
_MOST_REPEATS = 100
_MOST_BACKOFF = 10.0


class Delays(t.NamedTuple):
    """How long a throttle lasts, in seconds; ``release_after`` 0 is until it is released by hand."""

    release_after: float = 0.0
    backoff: float = 2.0
    jitter: float = 0.1
    longest: float = 3600.0
    max_repeats: int = 5
    forget_after: float = 3600.0


class Request(t.NamedTuple):
    """Checked. ``limit`` is a number of tasks or one of the words above; no selector is all that is remembered."""

    state: str
    selector: Selector | None = None
    protect: tuple[Selector, ...] = ()
    limit: str = NONE_NEW
    method: str = "auto"
    delays: Delays = Delays()
    only_due: bool = False
    max_processes: int = 500
    include_containers: bool = False
    check_mode: bool = False


def parse_request(given: t.Mapping[str, t.Any], check_mode: bool) -> Request:
    """Raises Refused, which names the option, the reason and the next step."""
    has_selector = any(given[criterion] for criterion in CRITERIA)
    throttles = given["state"] == "throttled"
    if throttles and given["only_due"]:
        raise Refused("only_due goes with state released: leave it out.")
    if throttles and not has_selector:
        raise Refused(f"the selector is empty: say whose spawning is meant, by one of {', '.join(CRITERIA)}.")
    if given["method"] == RESTART and (given["limit"].strip() != NONE_NEW or given["protect"]):
        raise Refused("method restart goes with neither limit nor protect: it delays the next start of a unit.")
    return Request(
        state=given["state"],
        selector=parse(given) if has_selector else None,
        protect=tuple(parse(selector, "protect") for selector in given["protect"]),
        limit=_limit(given["limit"]),
        method=given["method"],
        delays=_delays(given),
        only_due=given["only_due"],
        max_processes=given["max_processes"],
        include_containers=given["include_containers"],
        check_mode=check_mode,
    )


def _limit(word: str) -> str:
    word = word.strip()
    if word in (CURRENT, NONE_NEW):
        return word
    if not (word.isascii() and word.isdigit() and int(word) <= _MOST_TASKS):
        raise Refused(
            f"limit: {word!r} is no limit: give a number of processes up to {_MOST_TASKS}, {CURRENT} or {NONE_NEW}."
        )
    return str(int(word))


def _delays(given: t.Mapping[str, t.Any]) -> Delays:
    delays = Delays(
        release_after=seconds(given["release_after"], "release_after"),
        backoff=float(given["backoff"]),
        jitter=float(given["jitter"]),
        longest=seconds(given["max_release_after"], "max_release_after"),
        max_repeats=given["max_repeats"],
        forget_after=seconds(given["forget_after"], "forget_after"),
    )
    if not 1 <= delays.backoff <= _MOST_BACKOFF:
        raise Refused(f"backoff: {given['backoff']} is not between 1, a fixed delay, and {_MOST_BACKOFF:.0f}.")
    if not 0 <= delays.jitter <= 1:
        raise Refused(f"jitter: {given['jitter']} is not a share between 0 and 1.")
    if not 0 <= delays.max_repeats <= _MOST_REPEATS:
        raise Refused(f"max_repeats: {delays.max_repeats} is not between 0 and {_MOST_REPEATS}.")
    if delays.release_after > delays.longest:
        raise Refused(
            f"release_after {given['release_after']} is longer than max_release_after {given['max_release_after']}: "
            "correct one of them."
        )
    return delays
