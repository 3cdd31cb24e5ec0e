# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Debian's cron cannot read the entry in a line, which makes it ignore the whole crontab.

Follows load_entry() of cron 3.0pl1. What only some versions of it refuse counts as good here: that a crontab is
ignored must be certain.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_DAYS = (b"sun", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun")
_FIELDS: tuple[tuple[str, int, int, tuple[bytes, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day-of-month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day-of-week", 0, 7, _DAYS),
)
_SPECIALS = (b"reboot", b"yearly", b"annually", b"monthly", b"weekly", b"daily", b"midnight", b"hourly")
_WORD = re.compile(rb"[0-9A-Za-z]+")
_REST = re.compile(rb"[^ \t\n]*[ \t]*")
_LONGEST_COMMAND = 998


class _BadField(Exception):
    """This is no list of numbers and ranges."""


def problem(text: bytes, has_user: bool, is_user: t.Callable[[bytes], bool]) -> str | None:
    """The reason in the daemon's own words, or None."""
    try:
        rest = _after_the_times(text)
    except _BadField as bad:
        return str(bad)
    if rest is None:
        return None
    command = rest
    if has_user:
        user = re.match(rb"([^ \t\n]*)[ \t]+", rest)
        if user is None:
            return "bad command"
        if not is_user(user.group(1)):
            return "bad username"
        command = rest[user.end() :]
    elif rest.startswith(b"*"):
        return "bad command"
    return "command too long" if len(command) - 1 > _LONGEST_COMMAND else None


def after_the_times(text: bytes) -> bytes:
    """What follows the times of a job; nothing where they are bad, all of it where they are not for certain."""
    try:
        rest = _after_the_times(text)
    except _BadField:
        return b""
    return text if rest is None else rest


def _after_the_times(text: bytes) -> bytes | None:
    """With a newline at its end; None where only some versions take the times. Raises _BadField."""
    text = text.lstrip(b" \t") + b"\n"
    if b"~" in text.split(b"/", 1)[0]:
        return None  # a random time, which newer versions take
    if text.startswith(b"@"):
        word = t.cast("re.Match[bytes]", re.match(rb"@([^ \t\n]*)[ \t]*", text))
        if word.group(1) not in _SPECIALS:
            raise _BadField("bad time specifier")
        return text[word.end() :]
    at = 0
    for name, low, high, names in _FIELDS:
        try:
            at = _list(text, at, low, high, names)
        except _BadField:
            raise _BadField(f"bad {name}") from None
    return text[at:]


def _list(text: bytes, at: int, low: int, high: int, names: tuple[bytes, ...]) -> int:
    """The index of the next field."""
    while True:
        at = _range(text, at, low, high, names)
        if text[at : at + 1] != b",":
            break
        at += 1
    return t.cast("re.Match[bytes]", _REST.match(text, at)).end()


def _range(text: bytes, at: int, low: int, high: int, names: tuple[bytes, ...]) -> int:
    if text[at : at + 1] == b"*":
        at += 1
    else:
        first, at = _number(text, at, low, names)
        last = first
        if text[at : at + 1] == b"-":
            last, at = _number(text, at + 1, low, names)
        elif text[at : at + 1] == b"/":
            raise _BadField
        if not (low <= first <= high and low <= last <= high):
            raise _BadField
    if text[at : at + 1] == b"/":
        step, at = _number(text, at + 1, 0, ())
        if step <= 0:
            raise _BadField
    return at


def _number(text: bytes, at: int, low: int, names: tuple[bytes, ...]) -> tuple[int, int]:
    word = _WORD.match(text, at)
    if word is None:
        raise _BadField
    if word.group().lower() in names:
        return names.index(word.group().lower()) + low, word.end()
    if not word.group().isdigit():
        raise _BadField
    number = min(int(word.group()), 2**63 - 1) & 0xFFFFFFFF  # strtol(3), cut down to an int
    return (number - 2**32 if number >= 2**31 else number), word.end()
