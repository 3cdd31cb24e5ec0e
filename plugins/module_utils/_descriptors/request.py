# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, checked before anything is read.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._process.selection import Selector, seconds
from .._process.selection import parse as parse_selector

_FILTERS = ("name", "exe", "user", "unit", "cgroup", "pid")
_MOST_SAMPLES = 60
_LEAST_PAUSE = 0.1
_LONGEST = 3600.0  # all samples together, in seconds


class Request(t.NamedTuple):
    """Times in seconds. ``selector`` is None where all processes are meant."""

    selector: Selector | None = None
    group_by: str = "unit"
    samples: int = 1
    interval: float = 10.0
    near_limit: float = 0.8
    top: int = 10
    max_links: int = 100_000
    time_budget: float = 20.0
    procstat: bool = False


def parse(given: t.Mapping[str, t.Any]) -> Request:
    """Raises Refused, which names the option, the reason and the next step."""
    filters = {option: given[option] for option in _FILTERS if given.get(option)}
    samples, interval = given["samples"], seconds(given["interval"], "interval")
    if not 1 <= samples <= _MOST_SAMPLES:
        raise Refused(f"samples: {samples} is out of range: give 1 to {_MOST_SAMPLES}.")
    if samples > 1 and (interval < _LEAST_PAUSE or (samples - 1) * interval > _LONGEST):
        raise Refused(
            f"interval: {samples} samples {interval:g} s apart are out of range: give {_LEAST_PAUSE:g}s or more, "
            f"and {_LONGEST / 60:g}m in all at the most."
        )
    near = given["near_limit"]
    if not 0 < near <= 1:
        raise Refused(f"near_limit: {near:g} is no share of a limit: give more than 0 and at most 1, such as 0.8.")
    for option in ("top", "max_links"):
        if given[option] < 0:
            raise Refused(f"{option}: {given[option]} is negative: give 0 or more.")
    budget = seconds(given["time_budget"], "time_budget")
    if not budget:
        raise Refused("time_budget: no time is left to read anything: give 1s or more.")
    return Request(
        parse_selector(filters, "the filter") if filters else None,
        given["group_by"],
        samples,
        interval,
        near,
        given["top"],
        given["max_links"],
        budget,
        given["procstat"],
    )
