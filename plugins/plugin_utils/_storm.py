# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What headroom_info found and what rogue_process did, as lines for people.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    clip,
    line,
    more,
    partial,
    percent,
    safe,
    table,
    wrapped,
)
from ansible_collections.hostcare.remediation.plugins.plugin_utils._slots import reserve_words

Data = t.Mapping[str, t.Any]

_EXAMPLES = 3
_GROWTH = 2  # how much a storm may have grown when the proposal is acted on
_DONE = {"killed": "killed", "terminated": "ended", "frozen": "frozen", "thawed": "woken"}
_TEMPLATE_MARKS = ("{{", "{%", "{#")
_GROUPINGS = (("name", "by_name"), ("user", "by_user"), ("unit", "by_unit"), ("parent", "by_parent"))


def headroom_lines(headroom: Data, width: int = 100, top: int = 5) -> list[str]:
    """Every limit with what is used of it, then who fills the process table."""
    width = max(MIN_WIDTH, width)
    lines = [
        *_limits(headroom, width, max(top, 3)),
        *_reserve(headroom, width),
        "",
        *_process_table(headroom.get("process_table") or {}, width, top),
    ]
    lines += partial(headroom, width)
    return lines


def suspect_lines(suspects: t.Sequence[Data], width: int = 100, top: int = 3) -> list[str]:
    """Who looks like the rogue and why; the worst first."""
    width = max(MIN_WIDTH, width)
    if not suspects:
        return [line("SUSPECTS  none: no group of processes is out of proportion.", width)]
    lines = [line("SUSPECTS  out of proportion, the worst first", width)]
    for number, suspect in enumerate(suspects[:top], start=1):
        share = percent(suspect.get("share")) or "unknown share"
        count, young = suspect.get("processes", 0), suspect.get("young", 0)
        head = f"{number}. {_selection(suspect.get('selector') or {})}"
        lines += wrapped(f"{head}: {count} processes ({share} of all), {young} of them young", width, INDENT)
        for reason in suspect.get("reasons") or ():
            lines += wrapped(f"- {reason}", width, INDENT * 3)
    return lines + more(len(suspects) - top, "suspects", width)


def suspect_option(suspect: Data, max_victims: int = 500) -> str:
    """The option for ansible-playbook that lets the role act on this suspect, quoted for a shell; never cut.

    A name of a process is chosen by whoever started it. One with template marks in it would be run by Ansible as a
    template, on the controller: such a selection is not given to paste, the role has to find it again by itself.
    """
    selector = suspect.get("selector") or {}
    hostile = any(mark in text for text in _texts(selector) for mark in _TEMPLATE_MARKS)
    variables: dict[str, t.Any] = {"process_storm_auto": True} if hostile else {"process_storm_selector": selector}
    count = int(suspect.get("processes") or 0)
    if count * _GROWTH > max_victims:
        variables["process_storm_max_victims"] = count * _GROWTH
    return option(variables)


def option(variables: Data) -> str:
    """Variables as an option for ansible-playbook, quoted for a shell; empty where one would be run as a template."""
    if any(mark in text for text in _texts(variables) for mark in _TEMPLATE_MARKS):
        return ""
    return "-e " + shlex.quote(json.dumps(variables, sort_keys=True, default=str))


def rogue_lines(rogue: Data, dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """What was done to whom, why, what was spared, what remains, and the proof."""
    width = max(MIN_WIDTH, width)
    return [
        *_headline(rogue, dry, width),
        *_groups("", rogue.get("groups") or (), width, top),
        *_evidence(rogue.get("evidence") or (), width),
        *_groups("protected, not touched:", rogue.get("protected") or (), width, top),
        *_survivors(rogue, width, top),
        *_zombies(rogue.get("zombies") or {}, width, top),
        *_how(rogue, dry, width),
        *partial(rogue, width),
    ]


def _limits(headroom: Data, width: int, top: int) -> list[str]:
    resources = [one for one in headroom.get("resources") or () if one.get("resource") in (None, "process_slots")]
    rows = [
        [
            resource.get("limit_name"),
            resource.get("scope"),
            resource.get("used"),
            "unlimited" if resource.get("limit") is None else resource["limit"],
            resource.get("free"),
            percent(resource.get("share")),
            _remarks(resource),
        ]
        for resource in resources[:top]
    ]
    if not rows:
        return [line("PROCESS SLOTS  no limit could be read.", width)]
    titles = ["limit", "scope", "used", "of", "free", "share", ""]
    rest = more(len(resources) - top, "limits, none of them nearer", width)
    return [line("PROCESS SLOTS", width), *table(titles, rows, width), *rest]


def _reserve(headroom: Data, width: int) -> list[str]:
    said = reserve_words(headroom.get("reserve"))
    return wrapped(f"RESERVE  {said}", width) if said else []


def _remarks(resource: Data) -> str:
    remarks = ["hit first"] if resource.get("binding") else []
    if not resource.get("stops_root"):
        remarks.append("not for root")
    return ", ".join(remarks)


def _process_table(found: Data, width: int, top: int) -> list[str]:
    counts = (
        ("processes", "processes"),
        ("threads", "threads"),
        ("kernel_threads", "kernel threads"),
        ("zombies", "zombies"),
        ("stopped", "stopped"),
        ("uninterruptible", "uninterruptible"),
    )
    summary = ", ".join(f"{found.get(key, 0)} {words}" for key, words in counts)
    lines = wrapped(f"PROCESS TABLE  {summary}", width)
    rows = [row for title, key in _GROUPINGS for row in _grouping(title, found.get(key) or (), top)]
    if rows:
        lines += table(["by", "group", "processes", "threads", "zombies", "young"], rows, width)
    parents = [
        [parent.get("name"), parent.get("pid"), parent.get("user"), parent.get("unit"), parent.get("zombies")]
        for parent in found.get("zombie_parents") or ()
    ]
    if parents and top:
        titles = ["leaves zombies", "pid", "user", "unit", "zombies"]
        lines += table(titles, parents[:top], width) + more(len(parents) - top, "parents", width)
    return lines


def _grouping(title: str, groups: t.Sequence[Data], top: int) -> t.Iterator[list[object]]:
    for number, group in enumerate(groups[:top]):
        key = group.get("key")
        pid = f" (pid {group['pid']})" if group.get("pid") is not None else ""
        counts = (group.get(count, 0) for count in ("processes", "threads", "zombies", "young"))
        yield ["" if number else title, f"{'none' if key in (None, '') else key}{pid}", *counts]


def _headline(rogue: Data, dry: bool, width: int) -> list[str]:
    matched = rogue.get("matched", 0)
    failure = wrapped(f"REMEDY  refused or failed: {rogue['msg']}", width) if rogue.get("msg") else []
    if not matched:
        return failure or wrapped("REMEDY  nothing matches the selection: nothing to do.", width)
    if dry:
        state = str(rogue.get("state"))
        return failure + wrapped(f"REMEDY  {matched} processes would be {_DONE.get(state, state)}", width)
    done = ", ".join(f"{rogue[key]} {words}" for key, words in _DONE.items() if rogue.get(key))
    return failure + wrapped(f"REMEDY  {matched} processes matched: {done or 'none of them touched'}", width)


def _groups(title: str, groups: t.Sequence[Data], width: int, top: int) -> list[str]:
    if not groups:
        return []
    rows = [[group.get(key) for key in ("count", "name", "user", "unit", "reason")] for group in groups[:top]]
    lines = [line(title, width, INDENT)] if title else []
    return (
        lines
        + table(["count", "name", "user", "unit", "because"], rows, width)
        + more(len(groups) - top, "groups", width)
    )


def _evidence(victims: t.Sequence[Data], width: int) -> list[str]:
    lines = [line("some of them:", width, INDENT)] if victims else []
    for victim in victims[:_EXAMPLES]:
        facts = [f"pid {victim.get('pid')}"]
        facts += [f"started {victim['started']}"] if victim.get("started") else []
        facts += [f"in {victim['cwd']}"] if victim.get("cwd") else []
        facts += [str(victim.get("cmdline") or victim.get("exe") or victim.get("name"))]
        lines += [line(", ".join(facts), width, INDENT * 2)]
    return lines


def _survivors(rogue: Data, width: int, top: int) -> list[str]:
    survivors = rogue.get("survivors") or ()
    total = rogue.get("survivors_total") or len(survivors)
    if not total:
        return []
    rows = [[survivor.get(key) for key in ("pid", "name", "user", "state", "reason")] for survivor in survivors[:top]]
    titles = ["pid", "name", "user", "state", "because"]
    return [
        line(f"{total} are still there:", width, INDENT),
        *table(titles, rows, width),
        *more(total - len(rows), "processes", width),
    ]


def _zombies(zombies: Data, width: int, top: int) -> list[str]:
    if not zombies.get("total"):
        return []
    parents = zombies.get("parents") or ()
    rows = [[parent.get(key) for key in ("pid", "name", "user", "zombies", "told")] for parent in parents[:top]]
    return [
        line(f"{zombies['total']} zombies hold slots until their parents collect them:", width, INDENT),
        *(table(["pid", "parent", "user", "zombies", "told"], rows, width) if rows else ()),
        *more(len(parents) - top, "parents", width),
    ]


def _how(rogue: Data, dry: bool, width: int) -> list[str]:
    if not rogue.get("matched"):
        return []
    lines = []
    if rogue.get("method"):
        lines += wrapped(f"method: {rogue['method']}, {rogue.get('method_reason') or 'no reason given'}", width, INDENT)
    if not dry:
        end = "proven" if rogue.get("converged") else "NOT PROVEN"
        proof = f": {rogue['proof']}" if rogue.get("proof") else ""
        lines += wrapped(
            f"end: {end}{proof} (rounds: {rogue.get('rounds', 0)}, {rogue.get('elapsed_ms', 0)} ms)", width, INDENT
        )
    return lines


def _selection(selector: Data) -> str:
    parts = []
    for key, value in selector.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        parts.append(f"{key} {', '.join(clip(safe(item), 60) for item in values)}")
    return ", ".join(parts)


def _texts(value: object) -> t.Iterator[str]:
    if isinstance(value, t.Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)
