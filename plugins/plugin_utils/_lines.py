# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of plain text from data that an attacker may have named: every line is printable and bounded in width.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t
import unicodedata

MIN_WIDTH = 40
INDENT = "  "
_GAP = "  "
_CUT = "..."


def safe(value: object) -> str:
    """The value on one line. What would move the cursor, colour, turn or hide text is shown as an escape."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_plain(char) else char.encode("unicode_escape").decode("ascii") for char in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def clip(text: str, width: int) -> str:
    """At most that many columns; what is cut is seen to be cut."""
    if columns(text) <= width:
        return text
    kept, used = [], columns(_CUT)
    for char in text:
        used += columns(char)
        if used > width:
            break
        kept.append(char)
    return ("".join(kept) + _CUT)[: max(0, width)]


def line(text: object, width: int, indent: str = "") -> str:
    return clip(indent + safe(text), width)


def wrapped(text: object, width: int, indent: str = "") -> list[str]:
    """A sentence over as many lines as it needs."""
    lines: list[str] = []
    current = ""
    for word in safe(text).split(" "):
        if current and columns(indent) + columns(current) + 1 + columns(word) > width:
            lines.append(clip(indent + current, width))
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*lines, clip(indent + current, width)]


def table(titles: t.Sequence[str], rows: t.Sequence[t.Sequence[object]], width: int) -> list[str]:
    """A table under its titles. Numbers stand right; where it is too wide the widest text columns give way."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[at]) for row in rows) and bool(rows) for at in range(len(titles))]
    widths = [max(columns(row[at]) for row in [list(titles), *cells]) for at in range(len(titles))]
    _shrink(widths, numeric, width - len(INDENT) - len(_GAP) * (len(widths) - 1))
    return [_row(row, widths, numeric, width) for row in [list(titles), *cells]]


def more(count: int, what: str, width: int) -> list[str]:
    """What a bounded list left out."""
    return [line(f"... and {count} more {what}", width, INDENT)] if count > 0 else []


def partial(result: t.Mapping[str, t.Any], width: int) -> list[str]:
    """What a module could not see."""
    if not result.get("partial"):
        return []
    lines = [line("not everything could be read:", width, INDENT)]
    for reason in result.get("partial_reasons") or ():
        lines += wrapped(f"- {reason}", width, INDENT * 2)
    return lines


def percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}".replace("%", " %")


def _shrink(widths: list[int], numeric: list[bool], room: int) -> None:
    flexible = [at for at, is_number in enumerate(numeric) if not is_number]
    while sum(widths) > room and flexible:
        widest = max(flexible, key=lambda at: widths[at])
        if widths[widest] <= len(_CUT) + 1:
            break
        widths[widest] -= 1


def _row(row: t.Sequence[str], widths: list[int], numeric: list[bool], width: int) -> str:
    parts = []
    for at, text in enumerate(row):
        shown = clip(text, widths[at])
        padding = " " * (widths[at] - columns(shown))
        parts.append(padding + shown if numeric[at] else shown + padding)
    return clip((INDENT + _GAP.join(parts)).rstrip(), width)


def _cell(value: object) -> str:
    return "-" if value is None else safe(value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or isinstance(value, (int, float)) or str(value).endswith(" %")


def _is_plain(char: str) -> bool:
    # Marks (M) are printable but stack on the character before them: their width cannot be told.
    return char.isprintable() and unicodedata.category(char)[0] != "M"
