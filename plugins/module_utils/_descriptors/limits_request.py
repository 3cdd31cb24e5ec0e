# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked of `process_rlimit`, checked before anything is read.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._kernel.rlimits import TITLES, Limits
from .._process.selection import CRITERIA
from .._process.selection import parse as parse_selector
from .limits_plan import HARD, MAX, SET, UNLIMITED, Wish, value
from .limits_remedy import Request, Restoration


def parse(given: t.Mapping[str, t.Any], check_mode: bool) -> Request:
    """Raises Refused, which names the option, the reason and the next step."""
    common = {
        "max_processes": given["max_processes"],
        "include_containers": given["include_containers"],
        "check_mode": check_mode,
    }
    if given["restore"] is not None:
        return Request(*_restorations(given), **common)
    soft, hard = value(given["soft"], "soft", (UNLIMITED, HARD)), value(given["hard"], "hard", (UNLIMITED, MAX))
    if soft is None and hard is None:
        raise Refused("neither soft nor hard was given: say what the limit should be, or give restore.")
    if isinstance(soft, int) and isinstance(hard, int) and soft > hard:
        raise Refused(f"soft {soft} is over hard {hard}: the kernel allows none such, give a higher hard limit.")
    return Request(
        Wish(given["resource"], soft, hard, given["change"], given["allow_below_use"]),
        parse_selector(given),
        tuple(parse_selector(selector, "protect") for selector in given["protect"]),
        **common,
    )


def _restorations(given: t.Mapping[str, t.Any]) -> tuple[Wish, None, tuple[()], tuple[Restoration, ...]]:
    others = [option for option in (*CRITERIA, "soft", "hard") if given.get(option)]
    if others:
        raise Refused(f"restore: it says by itself what is meant; leave out {', '.join(others)}.")
    resources = {item["resource"] for item in given["restore"]}
    if len(resources) > 1 or not resources <= set(TITLES):
        raise Refused(f"restore: {', '.join(sorted(resources))} is not one known resource: give one undo at a time.")
    items = tuple(
        Restoration(item["pid"], item["started"], _limits(item, ""), _limits(item, "set_")) for item in given["restore"]
    )
    wish = Wish(next(iter(resources), given["resource"]), None, None, SET, given["allow_below_use"])
    return wish, None, (), items


def _limits(item: t.Mapping[str, t.Any], prefix: str) -> Limits:
    soft, hard = (value(item[prefix + name], f"restore: {prefix}{name}", (UNLIMITED,)) for name in ("soft", "hard"))
    return Limits(soft if isinstance(soft, int) else None, hard if isinstance(hard, int) else None)
