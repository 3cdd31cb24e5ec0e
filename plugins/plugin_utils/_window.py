# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows: ``Mon-Fri 22:00-05:00 Europe/Berlin``; several with semicolons between them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*)\s+)?"
    r"(?P<from>[0-9]{2}:[0-9]{2})-(?P<to>[0-9]{2}:[0-9]{2})"
    r"(?:\s+(?P<zone>[A-Za-z0-9_+/-]+))?",
    re.IGNORECASE,
)
_WHOLE_DAY = 24 * 60


class Window(t.NamedTuple):
    """``days`` are those on which it opens, Monday 0; minutes since midnight; it may close on the day after."""

    days: frozenset[int]
    opens: int
    closes: int
    zone: dt.tzinfo

    def holds(self, moment: dt.datetime) -> bool:
        local = moment.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.opens < self.closes:
            return day in self.days and self.opens <= minute < self.closes
        return (day in self.days and minute >= self.opens) or ((day - 1) % 7 in self.days and minute < self.closes)


def parse(text: str) -> list[Window]:
    """Raises ValueError that says which part is wrong and what is right. Empty text is no window."""
    return [_parse(part.strip()) for part in text.split(";") if part.strip()]


def is_open(text: str, moment: dt.datetime) -> bool:
    """Whether one of the windows is open at that moment, which knows its time zone."""
    return any(window.holds(moment) for window in parse(text))


def _parse(text: str) -> Window:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no window: give it as 'Mon-Fri 22:00-05:00 Europe/Berlin'; days and zone may be left out"
        )
    opens, closes = _minute(found["from"]), _minute(found["to"])
    if opens in (closes, _WHOLE_DAY):
        raise ValueError(f"{text!r} is never open: give 00:00-24:00 for the whole day")
    return Window(_days(found["days"] or "mon-sun"), opens, closes, _zone(found["zone"] or "UTC"))


def _minute(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if hours * 60 + minutes > _WHOLE_DAY or minutes > 59:
        raise ValueError(f"{text} is no time of day: give 00:00 to 24:00")
    return hours * 60 + minutes


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _dash, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{part!r} are no days: give them as {', '.join(DAYS)}")
        day = DAYS.index(first)
        found.add(day)
        while DAYS[day] != (last or first):
            day = (day + 1) % 7
            found.add(day)
    return frozenset(found)


def _zone(name: str) -> dt.tzinfo:
    if name.upper() in ("UTC", "Z"):
        return dt.timezone.utc
    import zoneinfo  # noqa: PLC0415  (of Python 3.9, which a controller has)

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone that this controller knows: give one such as Europe/Berlin, install tzdata, or "
            "give UTC"
        ) from None
