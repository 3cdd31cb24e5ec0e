# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as Markdown (CommonMark with tables): for a ticket, a chat, a job summary.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _words as words
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import FINE, Fleet, Host, title
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import safe

# What could begin emphasis, a link, an image, HTML or a cell. Nothing here stands at the beginning of a line.
_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>|~&@]|:(?=//)|(?<=www)\.)")
_MOST = 200  # hosts in the tables


def fleet_markdown(fleet: Fleet, incidents: t.Sequence[str]) -> str:
    """Every text of a host is escaped: none of it can become a link, an image, HTML, or end its table."""
    moment = fleet.generated.replace("T", " ").replace("Z", " UTC")
    parts = [
        f"# {escaped(words.headline(fleet))}",
        f"Triage of {escaped(moment)}. {escaped(words.summary(fleet))}.",
        *_heat(fleet),
        *_troubles(fleet),
        *_silent(fleet),
        *_act(fleet, incidents),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(value: object) -> str:
    """On one line, and without a meaning."""
    return _MEANS_SOMETHING.sub(r"\\\1", safe(value))


def _heat(fleet: Fleet) -> list[str]:
    hosts = [host for host in fleet.hosts if not host.reason][:_MOST]
    if not hosts:
        return []
    rows = [[host.name, host.state, *(_cell(host, resource) for resource in fleet.resources)] for host in hosts]
    return [_table(["host", "state", *map(title, fleet.resources)], rows), *_rest(fleet, len(hosts))]


def _cell(host: Host, resource: str) -> str:
    limit = host.cells.get(resource)
    return "" if limit is None else words.share(limit)


def _rest(fleet: Fleet, shown: int) -> list[str]:
    count = sum(not host.reason for host in fleet.hosts) - shown
    return [f"{count:,} more hosts, none of them worse, stand in the JSON file."] if count else []


def _troubles(fleet: Fleet) -> list[str]:
    rows = [
        [host.name, limit.level, words.what(limit), words.used_of(limit), words.share(limit), words.held(limit)]
        for host in fleet.hosts[:_MOST]
        for limit in host.limits
        if limit.level != FINE
    ]
    if not rows:
        return []
    return ["## What is scarce", _table(["host", "level", "limit", "used", "share", "held by"], rows)]


def _silent(fleet: Fleet) -> list[str]:
    hosts = [host for host in fleet.hosts if host.reason]
    if not hosts:
        return []
    rows = [[host.name, host.state, host.reason] for host in hosts[:_MOST]]
    return ["## Not measured", _table(["host", "state", "why"], rows)]


def _act(fleet: Fleet, incidents: t.Sequence[str]) -> list[str]:
    line = words.act(fleet, incidents)
    return ["## To act", _code(line)] if line else []


def _code(line: str) -> str:
    """Within a fence that is longer than any in the line itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence}console\n{line}\n{fence}"


def _table(titles: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
