# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What file_descriptor_info found and what process_rlimit did, as lines for people.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    more,
    partial,
    percent,
    table,
    wrapped,
)

Data = t.Mapping[str, t.Any]

_WORTH_A_REASON = ("leak", "near_limit")
_VERDICTS = {"near_limit": "near limit"}
_MOST_KINDS = 4
_MOST_ENDS = 3


def descriptor_lines(info: Data, width: int = 100, top: int = 10) -> list[str]:
    """What the host has open, who holds it against which limit, and why somebody counts as a leak or as near."""
    width = max(MIN_WIDTH, width)
    groups = info.get("groups") or ()
    return [
        *_host(info, width),
        *_groups(groups, width, top),
        *_near_users(info.get("users") or (), width),
        *[text for group in groups[:top] if group.get("verdict") in _WORTH_A_REASON for text in _case(group, width)],
        *partial(info, width),
    ]


def rlimit_lines(result: Data, dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """Whose limits were changed from what to what, and who may not have it and why."""
    width = max(MIN_WIDTH, width)
    failure = wrapped(f"FIRST AID  refused or failed: {result['msg']}", width) if result.get("msg") else []
    if failure and not result.get("changed_processes"):
        return failure
    if not result.get("matched"):
        return failure + wrapped("FIRST AID  nothing matches the selection: nothing to do.", width)
    changed = result.get("changed_processes", 0)
    done = f"{changed or 'no'} processes {'would get' if dry else 'got'} other limits on {result.get('resource')}"
    counts = [
        f"{result[key]} {words}"
        for key, words in (("unchanged", "had enough"), ("refused", "refused"), ("gone", "gone meanwhile"))
        if result.get(key)
    ]
    end = [] if dry or result.get("converged", True) else wrapped("NOT ALL have what was asked for", width, INDENT)
    return [
        *failure,
        *wrapped(f"FIRST AID  {', '.join([done, *counts])}", width),
        *_limits(result.get("processes") or (), changed, width, top),
        *end,
        *partial(result, width),
    ]


# --- descriptors ---


def _host(info: Data, width: int) -> list[str]:
    host = info.get("host")
    if not host:
        return []
    said = f"FILE DESCRIPTORS  {host.get('descriptors')} in {host.get('processes')} processes"
    if host.get("distinct") is not None and host.get("looked_at"):
        said += f"; {host['looked_at']} of them stand for {host['distinct']} open files"
    if host.get("descriptions") is not None:
        limit = host.get("descriptions_limit")
        said += f"; the host has {host['descriptions']} open" + (f" of {limit}" if limit else ", without a limit")
    reasons = host.get("reasons") or () if host.get("verdict") in _WORTH_A_REASON else ()
    return wrapped(said, width) + [text for reason in reasons for text in _reason(reason, width)]


def _groups(groups: t.Sequence[Data], width: int, top: int) -> list[str]:
    if not groups or top < 1:
        return []
    rows = [
        [
            group.get("key"),
            _verdict(group),
            group.get("leaking"),
            group.get("descriptors"),
            group.get("distinct"),
            group.get("processes"),
            (group.get("worst") or {}).get("descriptors"),
            (group.get("worst") or {}).get("soft_limit"),
            percent((group.get("worst") or {}).get("share")),
            _rounded(group.get("growth_per_minute")),
        ]
        for group in groups[:top]
    ]
    titles = ["who", "verdict", "leaks", "held", "distinct", "processes", "worst", "of", "share", "a minute"]
    return table(titles, rows, width) + more(len(groups) - top, "of them", width)


def _verdict(group: Data) -> object:
    """One look cannot tell a leak, so it does not say that all is fine."""
    if group.get("growth") is None and group.get("verdict") == "fine":
        return None
    return _VERDICTS.get(str(group.get("verdict")), group.get("verdict"))


def _rounded(number: float | None) -> int | None:
    return None if number is None else round(number)


def _near_users(users: t.Sequence[Data], width: int) -> list[str]:
    """Whoever is near a limit of inotify, which fails with the same words."""
    lines: list[str] = []
    for user in users:
        if user.get("verdict") in _WORTH_A_REASON:
            lines += wrapped(
                f"user {user.get('user')}: {'; '.join(map(str, user.get('reasons') or ()))}", width, INDENT
            )
    return lines


def _case(group: Data, width: int) -> list[str]:
    verdict = f"leaks {group.get('leaking')}" if group.get("verdict") == "leak" else "is near its limit"
    left = group.get("seconds_left")
    said = f"{group.get('key')} {verdict}" + (f", full in {_duration(left)}" if left is not None else "")
    lines = wrapped(said, width, INDENT)
    for reason in group.get("reasons") or ():
        lines += _reason(reason, width)
    for detail in (_kinds(group), _sockets(group), _deleted(group)):
        lines += wrapped(detail, width, INDENT * 2) if detail else []
    return lines


def _reason(reason: object, width: int) -> list[str]:
    return wrapped(f"- {reason}", width, INDENT * 2)


def _kinds(group: Data) -> str:
    kinds = group.get("kinds") or ()
    shown = [f"{one['count']} {one['kind']}" + _growth(one.get("growth")) for one in kinds[:_MOST_KINDS]]
    return "holds " + ", ".join(shown) if shown else ""


def _growth(growth: int | None) -> str:
    return f" ({growth:+d})" if growth else ""


def _sockets(group: Data) -> str:
    """The other ends of those that leak; of others they say nothing about the case."""
    if group.get("leaking") not in ("CLOSE_WAIT", "socket"):
        return ""
    state = "CLOSE_WAIT" if group["leaking"] == "CLOSE_WAIT" else None
    rows = [one for one in group.get("sockets") or () if state is None or one.get("state") == state]
    shown = [f"{one['count']} {one.get('protocol')} {_ends(one)}" for one in rows[:_MOST_ENDS]]
    return "sockets: " + "; ".join(shown) if shown else ""


def _ends(one: Data) -> str:
    port, peer = one.get("port"), one.get("peer")
    if one.get("direction") == "in":
        return f"to port {port} from {peer}"
    return f"to {peer} port {port}" if peer and port else str(peer or f"port {port}")


def _deleted(group: Data) -> str:
    deleted = group.get("deleted") or {}
    if not deleted.get("bytes"):
        return ""
    largest = [str(one.get("path")) for one in (deleted.get("largest") or ())[:1]]
    return f"deleted files take {deleted['bytes'] / 1e6:.1f} MB" + (f", such as {largest[0]}" if largest else "")


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# --- limits ---


def _limits(processes: t.Sequence[Data], changed: int, width: int, top: int) -> list[str]:
    shown = [one for one in processes if one.get("outcome") in ("changed", "refused")]
    if not shown or top < 1:
        return []
    rows = [
        [
            one.get("pid"),
            one.get("name"),
            one.get("user"),
            one.get("unit"),
            one.get("used"),
            one.get("soft"),
            one.get("new_soft"),
            one.get("new_hard"),
            one.get("reason") if one.get("outcome") == "refused" else "",
        ]
        for one in shown[:top]
    ]
    titles = ["pid", "name", "user", "unit", "used", "soft", "new soft", "hard", ""]
    refused = sum(one.get("outcome") == "refused" for one in shown)
    return table(titles, rows, width) + more(refused + changed - top, "processes", width)
