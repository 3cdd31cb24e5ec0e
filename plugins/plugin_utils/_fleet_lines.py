# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet on a terminal: the worst first, in plain words, and the lines to act.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _words as words
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import FINE, Fleet, Host, Limit
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    line,
    safe,
    table,
    wrapped,
)
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import suspect_lines

_AMOUNTS = (3, 4)  # columns that stand to the right
_FEW = 3  # hosts that are shown with everything there is to them


def fleet_lines(fleet: Fleet, incidents: t.Sequence[str], width: int = 100, top: int = 30) -> list[str]:
    """``top`` hosts at most."""
    width = max(MIN_WIDTH, width)
    few = sum(not host.reason for host in fleet.hosts) <= _FEW
    shown = [host for host in fleet.hosts if few or host.state != FINE]
    return [
        *wrapped(f"TRIAGE  {words.summary(fleet)}", width),
        *_table(shown[:top], few, width),
        *_more(len(shown) - top, width),
        *([] if few else _fine(fleet, width)),
        *_silent(shown[:top], width),
        *_reserves(shown[:top] if few else (), width),
        *_gaps(shown[:top] if few else (), width),
        *_suspects(fleet, width),
        *_act(fleet, incidents, width),
    ]


def _table(hosts: t.Sequence[Host], everything: bool, width: int) -> list[str]:
    rows = [row for host in hosts for row in _rows(host, everything)]
    if not rows:
        return []
    rows.insert(0, ["host", "state", "what", "used", "of", "share", "held by"])
    for column in _AMOUNTS:
        widest = max(len(row[column]) for row in rows)
        for row in rows:
            row[column] = row[column].rjust(widest)
    return table(rows[0], rows[1:], width)


def _rows(host: Host, everything: bool) -> t.Iterator[list[str]]:
    """The scarcest limit of each resource, by itself; without its host once that has been named."""
    name = safe(host.name)
    for limit in host.cells.values():
        if everything or limit.level != FINE:
            yield [
                name,
                _state(limit),
                words.what(limit),
                words.amount(limit.used, limit.measure),
                words.amount(limit.limit, limit.measure),
                words.share(limit),
                words.held(limit, 1, brief=True),
            ]
            name = ""


def _state(limit: Limit) -> str:
    state = "" if limit.level == FINE else limit.level
    return f"{state}, full in {words.duration(limit.full_in)}" if state and limit.full_in is not None else state


def _silent(hosts: t.Sequence[Host], width: int) -> list[str]:
    lines = []
    for host in hosts:
        if host.reason:
            lines += wrapped(f"{host.state.upper()}  {safe(host.name)}: {host.reason}", width)
    return ["", *lines] if lines else []


def _fine(fleet: Fleet, width: int) -> list[str]:
    fine = [safe(host.name) for host in fleet.hosts if host.state == FINE]
    named = ", ".join(fine[:10])
    more = f" and {len(fine) - 10:,} more" if len(fine) > 10 else ""
    return wrapped(f"fine: {named}{more}", width, INDENT) if fine else []


def _more(count: int, width: int) -> list[str]:
    return [line(f"... and {count:,} more hosts that are not fine", width, INDENT)] if count > 0 else []


def _reserves(hosts: t.Sequence[Host], width: int) -> list[str]:
    """What is left for whoever has to help, should somebody take all he may."""
    lines = []
    for host in hosts:
        if host.reserve:
            lines += wrapped(f"reserve of {safe(host.name)}: {host.reserve}", width, INDENT)
    return lines


def _gaps(hosts: t.Sequence[Host], width: int) -> list[str]:
    lines = []
    for host in hosts:
        for gap in host.gaps:
            lines += wrapped(f"- {safe(host.name)}: {gap}", width, INDENT * 2)
        for left_out in host.left_out:
            lines += wrapped(f"- {safe(host.name)}, left out: {left_out}", width, INDENT * 2)
    return [line("not everything could be read:", width, INDENT), *lines] if lines else []


def _suspects(fleet: Fleet, width: int) -> list[str]:
    """Of the first hosts whose processes are the trouble."""
    lines = []
    for host in [host for host in fleet.hosts if "process_storm" in host.incidents][:_FEW]:
        lines += [
            "",
            *wrapped(f"{safe(host.name)}: {words.processes(host)}", width),
            *suspect_lines(host.suspects, width),
        ]
    return lines


def _act(fleet: Fleet, incidents: t.Sequence[str], width: int) -> list[str]:
    """Never cut: they are there to be pasted."""
    line_for_all = words.act(fleet, incidents)
    if not line_for_all:
        return []
    heading = wrapped("TO ACT  Nothing was changed. With --check this only says what it would do:", width)
    lines = ["", *heading, INDENT + line_for_all]
    sick = [host for host in fleet.hosts if host.incidents][:_FEW]
    single = [INDENT + remedy for host in sick for remedy in words.remedies(host) if remedy != line_for_all]
    return [*lines, "or one by one:", *single] if single else lines
