# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sysv_ipc_info found and what sysv_ipc did, as lines for people.

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

_KINDS = {
    "semaphores": "arrays",
    "shared_memory": "segments",
    "message_queues": "queues",
    "posix_semaphores": "POSIX semaphores",
    "posix_shared_memory": "POSIX segments",
    "posix_message_queues": "POSIX queues",
}
_VERDICTS = {"orphaned": "orphaned", "unknown": "perhaps in use", "in_use": "in use"}


def ipc_lines(info: Data, width: int = 100, top: int = 10) -> list[str]:
    """Every limit with what is used of it, settings that cannot be meant, and who has what for which reason."""
    width = max(MIN_WIDTH, width)
    return [
        *_limits("IPC LIMITS", info.get("limits") or (), width),
        *_settings(info.get("settings") or (), width),
        *_totals(info.get("totals") or (), width),
        *_groups("", info.get("groups") or (), width, top),
        *_holders(info.get("objects") or (), width, top),
        *_doubts(info, width),
        *partial(info, width),
    ]


def ipc_removal_lines(removal: Data, dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """What was removed and why, what was kept and why, and what is free now."""
    width = max(MIN_WIDTH, width)
    return [
        *_headline(removal, dry, width),
        *_groups("", removal.get("removed_groups") or (), width, top),
        *_groups("kept:", removal.get("kept_groups") or (), width, top),
        *_holders(removal.get("kept") or (), width, top),
        *_outcome(removal, dry, width),
        *_doubts(removal, width),
        *partial(removal, width),
    ]


def _limits(title: str, limits: t.Sequence[Data], width: int) -> list[str]:
    rows = [
        [
            limit.get("limit_name"),
            limit.get("unit"),
            limit.get("used"),
            limit.get("limit"),
            limit.get("free"),
            percent(limit.get("share")),
            f"hit first: {limit.get('error')}" if limit.get("binding") else "",
        ]
        for limit in limits
        if limit.get("used") is not None
    ]
    if not rows:
        return [line(f"{title}  none could be read.", width)]
    return [line(title, width), *table(["limit", "what", "used", "of", "free", "share", ""], rows, width)]


def _settings(settings: t.Sequence[Data], width: int) -> list[str]:
    lines: list[str] = []
    for setting in settings:
        said = f"SETTING  {setting.get('parameter')} is {setting.get('value')}: {setting.get('problem')}."
        sources = setting.get("sources") or ()
        if sources:
            said += f" Set by {sources[-1].get('path')}, line {sources[-1].get('line')}."
        if setting.get("proposal"):
            said += f" Probably meant: {setting['proposal']}."
        lines += wrapped(said, width)
    return lines


def _totals(totals: t.Sequence[Data], width: int) -> list[str]:
    parts = []
    for total in totals:
        counts = [f"{total[verdict]} {words}" for verdict, words in _VERDICTS.items() if total.get(verdict)]
        if total.get("objects"):
            parts.append(f"{total['objects']} {_kind(total)} ({', '.join(counts)})")
    return wrapped(f"IPC OBJECTS  {'; '.join(parts) or 'none'}", width)


def _groups(title: str, groups: t.Sequence[Data], width: int, top: int) -> list[str]:
    if not groups or top < 1:
        return []
    rows = [
        [
            group.get("count"),
            _kind(group),
            group.get("owner"),
            group.get("creator"),
            _VERDICTS.get(str(group.get("verdict")), group.get("verdict")),
            group.get("reason"),
        ]
        for group in groups[:top]
    ]
    titles = ["count", "what", "owner", "creator", "verdict", "because"]
    if _kinds_of(groups):  # one for all, which the headline has said
        titles, rows = [titles[0], *titles[2:]], [[row[0], *row[2:]] for row in rows]
    head = [line(title, width, INDENT)] if title else []
    return head + table(titles, rows, width) + more(len(groups) - top, "groups", width)


def _holders(objects: t.Sequence[Data], width: int, top: int) -> list[str]:
    """Who stands between an object and its removal, each once, with what he could hold."""
    found: dict[tuple[object, object, object], int] = {}
    for one in objects:
        if one.get("verdict") == "unknown":
            for who in {(who.get("name"), who.get("user"), who.get("unit")) for who in one.get("holders") or ()}:
                found[who] = found.get(who, 0) + 1
    if not found or top < 1:
        return []
    ranked = sorted(found.items(), key=lambda item: (-item[1], str(item[0])))
    return [
        line("who could hold what is perhaps in use:", width, INDENT),
        *table(["could hold", "name", "user", "unit"], [[count, *who] for who, count in ranked[:top]], width),
        *more(len(ranked) - top, "of them", width),
    ]


def _headline(removal: Data, dry: bool, width: int) -> list[str]:
    failure = wrapped(f"REMEDY  refused or failed: {removal['msg']}", width) if removal.get("msg") else []
    matched, removed = removal.get("matched", 0), removal.get("removed_total", 0)
    if not matched:
        return failure or wrapped("REMEDY  nothing matches the selection: nothing to do.", width)
    if failure and not removed:
        return failure
    what = _kinds_of(removal.get("removed_groups") or ()) or "objects"
    done = f"{removed or 'no'} {what} {'would be' if dry else 'were'} removed"
    return failure + wrapped(f"REMEDY  {done}, {removal.get('kept_total', 0)} kept", width)


def _outcome(removal: Data, dry: bool, width: int) -> list[str]:
    if not removal.get("removed_total"):
        return []
    freed = ", ".join(f"{count} of {limit}" for limit, count in (removal.get("freed") or {}).items() if count)
    if dry:
        return wrapped(f"this would free {freed or 'nothing'}", width, INDENT)
    end = "" if removal.get("converged") else "; NOT ALL of what was to be removed is gone"
    return wrapped(f"freed: {freed or 'nothing'} ({removal.get('elapsed_ms', 0)} ms){end}", width, INDENT)


def _doubts(result: Data, width: int) -> list[str]:
    lines: list[str] = []
    if result.get("clock_step"):
        said = f"the clock was set forward by {result['clock_step']} s: times prove nothing about older objects"
        lines += wrapped(said, width, INDENT)
    if result.get("sight") == "hidden":
        lines += wrapped("processes are hidden from this user, so nothing counts as orphaned", width, INDENT)
    return lines


def _kinds_of(groups: t.Sequence[Data]) -> str:
    kinds = {_kind(group) for group in groups}
    return kinds.pop() if len(kinds) == 1 else ""


def _kind(one: Data) -> str:
    return _KINDS.get(str(one.get("kind")), str(one.get("kind")))
