# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _words as words
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import (
    CRITICAL,
    FINE,
    STATES,
    WARNING,
    Fleet,
    Host,
    Limit,
    title,
)
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import safe
from ansible_collections.hostcare.remediation.plugins.plugin_utils._page_style import STYLE
from ansible_collections.hostcare.remediation.plugins.plugin_utils._page_template import TEMPLATE

CELL = 84  # the width of a column of the map
_GROUND, _BAR = 80, 70  # of what is drawn in it
_ROWS = 12  # limits in the details of one host; what is critical or a warning is always there
_MANY = 100  # hosts; from here on the browser lays out a row when it comes into sight
_NAMES = 12  # hosts named in one piece of advice
View = t.Mapping[str, t.Any]


def page(fleet: Fleet, incidents: t.Sequence[str]) -> str:
    """Everything in it is escaped: by the template for HTML, and before that what would hide or turn text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    identities = {host.name: f"host-{number}" for number, host in enumerate(fleet.hosts, start=1)}
    return environment.from_string(TEMPLATE).render(
        style=Markup(STYLE),
        headline=words.headline(fleet),
        summary=words.summary(fleet),
        generated=fleet.generated,
        moment=fleet.generated.replace("T", " ").replace("Z", " UTC"),
        act=words.act(fleet, incidents),
        spread=_spread(fleet),
        groups=_groups(fleet, identities),
        todo=_todo(fleet, incidents, identities),
        columns=_columns(fleet),
        many=len(fleet.hosts) > _MANY,
        width=max(1, len(fleet.resources)) * CELL,
        critical=round(fleet.thresholds.critical * 100),
        warning=round(fleet.thresholds.warning * 100),
        horizon=words.duration(fleet.thresholds.horizon),
    )


def _spread(fleet: Fleet) -> list[View]:
    """One bar for the whole fleet; a part that is too small to be seen gets a minimum."""
    counts = [(state, count) for state, count in fleet.counts.items() if count]
    least = 6
    room = 1000 - least * len(counts)
    parts: list[View] = []
    x = 0.0
    for state, count in counts:
        width = least + room * count / len(fleet.hosts)
        parts.append({"state": state, "x": round(x, 1), "width": round(width, 1)})
        x += width
    return parts


def _groups(fleet: Fleet, identities: t.Mapping[str, str]) -> list[View]:
    groups: list[View] = []
    for state in STATES:
        hosts = [_host(host, fleet, identities[host.name]) for host in fleet.hosts if host.state == state]
        if hosts:
            groups.append({"state": state, "count": len(hosts), "hosts": hosts})
    return groups


def _todo(fleet: Fleet, incidents: t.Sequence[str], identities: t.Mapping[str, str]) -> list[View]:
    """Each resource that is critical somewhere: where, and what helps."""
    found: dict[tuple[str, str], list[Host]] = {}
    for host in fleet.hosts:
        for limit in host.cells.values():
            if limit.level == CRITICAL:
                incident = limit.incident if limit.incident in incidents else ""
                found.setdefault((limit.resource, incident), []).append(host)
    order = [*incidents, ""]
    return [
        {
            "title": title(resource),
            "count": f"{len(hosts):,}",
            "hosts": [{"id": identities[host.name], "name": safe(host.name)} for host in hosts[:_NAMES]],
            "more": f"{len(hosts) - _NAMES:,}" if len(hosts) > _NAMES else "",
            "incident": incident,
        }
        for (resource, incident), hosts in sorted(found.items(), key=lambda item: order.index(item[0][1]))
    ]


def _columns(fleet: Fleet) -> list[View]:
    """A heading takes two lines at most."""
    columns: list[View] = []
    for number, resource in enumerate(fleet.resources):
        first, _blank, rest = title(resource).partition(" ")
        columns.append({"words": [first, rest[:14]] if rest else [first[:14]], "x": number * CELL + CELL // 2})
    return columns


def _host(host: Host, fleet: Fleet, identity: str) -> View:
    name = safe(host.name)
    if host.reason:
        return {"id": identity, "name": name, "state": host.state, "reason": host.reason}
    shown = _shown(host)
    facts = [words.processes(host), words.context(host)]
    facts += [f"reserve: {host.reserve}"] if host.reserve else []
    facts += [f"measured in {host.elapsed_ms:,} ms"] if host.elapsed_ms is not None else []
    return {
        "id": identity,
        "name": name,
        "state": host.state,
        "reason": "",
        "layers": _layers(host, fleet),
        "cells": [_cell(host.cells.get(name), number) for number, name in enumerate(fleet.resources)],
        "spoken": _spoken(host),
        "worst": _worst(host),
        "limits": [_limit(limit) for limit in shown],
        "more": len(host.limits) - len(shown),
        "remedies": words.remedies(host),
        "suspects": [reason for suspect in host.suspects for reason in suspect["reasons"][:1]],
        "gaps": host.gaps,
        "left_out": host.left_out,
        "context": "; ".join(fact for fact in facts if fact),
    }


def _shown(host: Host) -> list[Limit]:
    """What is not fine, the scarcest of every resource, and then the scarcest of all, in their order."""
    cells = host.cells
    must = [limit for limit in host.limits if limit.level != FINE or limit is cells[limit.resource]]
    others = [limit for limit in host.limits if limit not in must]
    shown = [*must, *others[: max(0, _ROWS - len(must))]]
    return [limit for limit in host.limits if limit in shown]


def _layers(host: Host, fleet: Fleet) -> list[View]:
    """What is drawn below the words of a row: one path for all cells that look alike, so that 1,000 rows stay light."""
    paths: dict[str, list[str]] = {}
    for number, resource in enumerate(fleet.resources):
        limit = host.cells.get(resource)
        if limit is None:
            continue
        share = min(1.0, max(0.0, limit.share or 0.0))
        heat = f"heat{min(3, int(share / 0.2))}" if limit.level == FINE else "heat0"
        left = number * CELL
        paths.setdefault(f"{limit.level} {heat}", []).append(f"M{left + 2} 13h{_GROUND}")
        if limit.share is not None:
            filled = f"M{left + 7} 21.5h{max(0.5, _BAR * share):.0f}"
            paths.setdefault(f"{limit.level} bar", []).append(filled)
    order = sorted(paths, key=lambda kind: (kind.endswith("bar"), kind))
    return [{"kind": kind, "path": "".join(paths[kind])} for kind in order]


def _cell(limit: Limit | None, number: int) -> View:
    """The words of a cell; those that are not fine say more under the pointer."""
    x = number * CELL + CELL // 2
    if limit is None:
        return {"level": FINE, "x": x, "words": "-", "tip": ""}
    tip = "" if limit.level == FINE else f"{words.what(limit)}: {words.used_of(limit)}"
    return {"level": limit.level, "x": x, "words": words.share(limit), "tip": tip}


def _limit(limit: Limit) -> View:
    free = "" if limit.free is None else f", {words.amount(limit.free, limit.measure)} free"
    change = words.growth(limit)
    return {
        "level": limit.level,
        "what": words.what(limit),
        "used": words.used_of(limit) + free + (f"; {change}" if change else ""),
        "share": words.share(limit),
        "holders": words.held(limit),
    }


def _worst(host: Host) -> str:
    if host.worst is None:
        return "nothing with a limit was found"
    if host.worst.free is None:
        return words.what(host.worst)
    return f"{words.what(host.worst)}: {words.amount(host.worst.free, host.worst.measure)} left"


def _spoken(host: Host) -> str:
    """The row for who does not see it: what is not fine, in words."""
    troubled = [limit for limit in host.cells.values() if limit.level in (CRITICAL, WARNING)]
    parts = [f"{limit.level} {title(limit.resource)} {words.share(limit)}" for limit in troubled]
    return f"{host.state}: " + (", ".join(parts) if parts else "all limits have room")
