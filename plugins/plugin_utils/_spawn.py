# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What spawn_info saw and what spawn_throttle did, as lines for people, and what the role spawn_storm does about it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    more,
    partial,
    table,
    wrapped,
)

Data = t.Mapping[str, t.Any]

_STORMS = {"crash_loop": "crash loop", "runaway": "runaway"}
# Whose children are ended.
ENDED: dict[str, tuple[str, ...]] = {"never": (), "runaway": ("runaway",), "always": ("runaway", "crash_loop")}


def spawn_lines(info: Data, width: int = 100, top: int = 10) -> list[str]:
    """Who is born where, storms first, and why they count as storms."""
    width = max(MIN_WIDTH, width)
    groups = info.get("groups") or ()
    said = f"SPAWNING  {info.get('births')} were seen to be born in {info.get('seconds')} s"
    storms = info.get("storms") or "no"
    said += f"; {storms} storm{'' if storms == 1 else 's'}"
    return [
        *wrapped(said, width),
        *_groups(groups, info.get("groups_total") or len(groups), width, top),
        *[text for group in groups[:top] if group.get("verdict") in _STORMS for text in _case(group, width)],
        *partial(info, width),
    ]


def throttle_lines(results: t.Sequence[Data], dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """What was throttled or released, and until when. The results are of one or more runs of spawn_throttle."""
    width = max(MIN_WIDTH, width)
    lines: list[str] = []
    targets = [target for result in results for target in result.get("targets") or ()]
    shown = [target for target in targets if target.get("outcome") != "gone"]
    for target in shown[:top]:
        lines += wrapped(_target(target, dry), width, INDENT)
    lines += more(len(shown) - top, "of them", width)
    for result in results:
        if result.get("failed") and result.get("msg"):
            lines += wrapped(f"refused or failed: {result['msg']}", width, INDENT)
    return ["THROTTLE", *lines] if lines else []


def spawn_steps(
    groups: t.Sequence[Data], end: str = "runaway", limit: str = "none_new"
) -> dict[str, list[dict[str, t.Any]]]:
    """For each step of the remedy what it is done to, as arguments of its module. A job of a service, which can end
    without it, is stopped first, ends as a whole, and its service is released then."""
    ended = [group for group in groups if group["verdict"] in ENDED[end] and group.get("children_of")]
    jobs = [group for group in ended if _job(group)]
    return {
        "freeze": [{**_selector(group), "tree": [_job(group)]} for group in jobs],
        "throttle": [{**_selector(group), **_throttle(group, limit)} for group in groups],
        "end": [{**_selector(group), **_meant(group)} for group in ended],
        "release": [_selector(group) for group in jobs],
    }


def _selector(group: Data) -> dict[str, t.Any]:
    return {criterion: [str(name) for name in names] for criterion, names in group["selector"].items()}


def _job(group: Data) -> int:
    """The child of the main process that spawns, 0 where there is none."""
    return int((group.get("spawner") or {}).get("branch") or 0)


def _meant(group: Data) -> dict[str, t.Any]:
    return {"tree": [_job(group)]} if _job(group) else {"descends_from": [int(group["children_of"])]}


def _throttle(group: Data, limit: str) -> dict[str, t.Any]:
    if group.get("restarted"):
        return {"method": "restart", "limit": "none_new"}
    return {"method": "auto", "limit": str(group["lasting"]) if limit == "lasting" else limit}


def _groups(groups: t.Sequence[Data], total: int, width: int, top: int) -> list[str]:
    if not groups or top < 1:
        return []
    rows = [
        [
            group.get("unit"),
            _STORMS.get(str(group.get("verdict")), group.get("verdict")),
            round(group.get("per_minute") or 0),
            group.get("births"),
            group.get("at_once"),
            group.get("starts"),
            group.get("refused"),
            group.get("processes"),
        ]
        for group in groups[:top]
    ]
    titles = ["who", "verdict", "a minute", "born", "ended at once", "starts", "refused", "live"]
    return table(titles, rows, width) + more(total - min(top, len(groups)), "of them", width)


def _case(group: Data, width: int) -> list[str]:
    lines = wrapped(f"{group.get('unit')} is a {_STORMS[str(group.get('verdict'))]}", width, INDENT)
    for reason in group.get("reasons") or ():
        lines += wrapped(f"- {reason}", width, INDENT * 2)
    return lines


def _target(target: Data, dry: bool) -> str:
    outcome = str(target.get("outcome"))
    said = f"{target.get('unit') or target.get('target')}: "
    said += f"would be {outcome}" if dry and outcome in ("throttled", "released") else outcome.replace("_", " ")
    said += f", {target.get('reason')}"
    if target.get("release_in") is not None:
        said += f"; released in {target['release_in']} s"
    return said
