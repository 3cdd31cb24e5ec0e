# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reserve_info found, as lines for people.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    line,
    more,
    partial,
    percent,
    table,
    wrapped,
)

Data = t.Mapping[str, t.Any]

_STATES = {
    "in_place": "in place",
    "due": "to do",
    "waived": "waived",
    "impossible": "not here",
    "not_asked": "not asked for",
    "refused": "refused",
}


def reserve_lines(info: Data, width: int = 100) -> list[str]:
    """The sum, pool by pool, against the limit that leaves least; each control; what contradicts and what differs."""
    width = max(MIN_WIDTH, width)
    return [
        *_sum(info, width),
        *_controls(info.get("controls") or (), width),
        *_listed("IN THE WAY", info, "conflicts", width),
        *_listed("DIFFERS", info, "findings", width),
        *_processors(info, width),
        *_proof(info, width),
        *partial(info, width),
    ]


def _sum(info: Data, width: int) -> list[str]:
    rows = info.get("arithmetic") or ()
    if not rows:
        return []
    ceilings, totals = info.get("ceilings") or (), info.get("totals") or {}
    lines = [line("LIMITS OF THE HOST", width)]
    lines += table(
        ["limit", "value", "room for the untrusted", ""],
        [(one["name"], one["limit"], one["room"], "<- binding" if one["binding"] else "") for one in ceilings],
        width,
    )
    lines += ["", line("THE SUM", width)]
    shown = [_row(row) for row in sorted(rows, key=lambda row: row["trusted"])]
    shown.append(("untrusted, sum", None, totals.get("untrusted"), None, None, f"of room for {totals.get('room')}"))
    shown.append(("kept back, sum", None, totals.get("trusted"), None, None, f"and {totals.get('left')} more"))
    return lines + table(["pool", "share", "limit", "each", "now", "what"], shown, width)


def _row(row: Data) -> tuple[object, ...]:
    share = None if row["share"] is None else percent(row["share"] / 100)
    return row["pool"], share, row["tasks"], row["each"], row["in_use"], row["why"]


def _controls(controls: t.Sequence[Data], width: int) -> list[str]:
    if not controls:
        return []
    rows = [(one["name"], _STATES.get(one["state"], one["state"]), one["reason"]) for one in controls]
    return ["", line("CONTROLS", width), *table(["control", "state", "why"], rows, width)]


def _listed(title: str, info: Data, key: str, width: int) -> list[str]:
    found = info.get(key) or ()
    if not found:
        return []
    lines = ["", line(title, width)]
    for one in found:
        about = f"{one['control']}: " if one["control"] else ""
        lines += wrapped(f"{about}{one['text']}", width, INDENT)
    return lines + more(info.get(f"{key}_total", 0) - len(found), key, width)


def _processors(info: Data, width: int) -> list[str]:
    found = info.get("processors") or {}
    if not found or not info.get("arithmetic"):
        return []
    told = {
        "weight": f"sshd and operators get {found['share']} % of all processors at least",
        "nice": f"each task of sshd and operators gets {found['share']} % of a processor at least",
        "nothing": "sshd and operators take their turn with all others",
    }[found["by"]]
    return ["", line("PROCESSORS", width), *wrapped(f"{told}: {found['why']}", width, INDENT)]


def _proof(info: Data, width: int) -> list[str]:
    if info.get("proved"):
        return ["", line("PROVED  all that is not trusted together cannot reach a limit of this host", width)]
    lines = ["", line("NOT PROVED", width)]
    for reason in info.get("unproved") or ():
        lines += wrapped(f"- {reason}", width, INDENT)
    return lines
