# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts, limits and holders in plain words: the same on the terminal, on the page and in Markdown.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import (
    CRITICAL,
    FAILED,
    UNREACHABLE,
    Fleet,
    Holder,
    Host,
    Limit,
    percent,
    title,
)
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import option, suspect_option

_NAMED = 12  # hosts in one line to paste
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def amount(value: int | None, measure: str = "count") -> str:
    """``32,761``, or ``1.4 GiB``."""
    if value is None:
        return "unlimited"
    return size(value) if measure == "bytes" else f"{value:,}"


def size(value: int) -> str:
    number, unit = float(value), 0
    while abs(number) >= 1024 and unit < len(_BYTES) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_BYTES[unit]}" if unit == 0 or abs(number) >= 100 else f"{number:.1f} {_BYTES[unit]}"


def share(limit: Limit) -> str:
    found = percent(limit.share)
    return "no limit" if found is None else f"{found:,} %" if found < 1000 else "> 999 %"


def duration(seconds: float) -> str:
    """The two largest units: ``2 h 5 min``."""
    whole = int(seconds)
    for above, below, large, small in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if whole >= above:
            rest = whole % above // below
            return f"{whole // above} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def used_of(limit: Limit) -> str:
    return f"{amount(limit.used, limit.measure)} of {amount(limit.limit, limit.measure)}"


def what(limit: Limit) -> str:
    """``process slots, user app (RLIMIT_NPROC)``."""
    scope = "" if limit.scope in ("", "host") else f", {limit.scope}"
    name = "" if limit.name in ("", limit.resource) else f" ({limit.name})"
    return f"{title(limit.resource)}{scope}{name}"


def holder(one: Holder, brief: bool = False) -> str:
    """``java [4711] of app in app.service``."""
    parts = [one.name or "?"]
    parts += [f"[{one.pid}]"] if one.pid is not None else []
    parts += [f"of {one.user}"] if one.user and one.user != one.name else []
    parts += [f"in {one.unit}"] if one.unit not in ("", "/") and not brief else []
    return " ".join(parts)


def held(limit: Limit, most: int = 3, brief: bool = False) -> str:
    return ", ".join(f"{holder(one, brief)}: {amount(one.used, limit.measure)}" for one in limit.holders[:most])


def growth(limit: Limit) -> str:
    """Empty where it does not change, or nobody looked twice."""
    if not limit.per_minute:
        return ""
    pace = amount(round(abs(limit.per_minute)), limit.measure) if abs(limit.per_minute) >= 1 else "less than 1"
    words = f"{'+' if limit.per_minute > 0 else '-'}{pace} a minute"
    return f"{words}, full in {duration(limit.full_in)}" if limit.full_in is not None else words


def context(host: Host) -> str:
    """Load, memory, pressure and uptime in one sentence."""
    found = host.context
    parts = []
    if found.get("load"):
        averages = " / ".join(f"{number:.2f}" for number in found["load"])
        parts.append(f"load {averages}" + (f" on {found['processors']} processors" if found.get("processors") else ""))
    if found.get("memory_total") is not None and found.get("memory_available") is not None:
        parts.append(f"{size(found['memory_available'])} of {size(found['memory_total'])} memory available")
    if found.get("swap_total") and found.get("swap_free") is not None:
        parts.append(f"{size(found['swap_total'] - found['swap_free'])} of {size(found['swap_total'])} swap used")
    stalled = [f"{kind} {number:.0f} %" for kind, number in (found.get("pressure") or {}).items() if number is not None]
    parts += [f"waiting in the last minute: {', '.join(stalled)}"] if stalled else []
    parts += [f"up {duration(found['uptime_s'])}"] if found.get("uptime_s") is not None else []
    return "; ".join(parts)


def processes(host: Host) -> str:
    words = {"kernel_threads": "kernel threads"}
    return ", ".join(f"{count:,} {words.get(kind, kind)}" for kind, count in host.processes.items() if count)


def summary(fleet: Fleet) -> str:
    """``8 hosts: 3 critical, 1 unreachable, 4 fine``."""
    number = len(fleet.hosts)
    states = ", ".join(f"{count:,} {state}" for state, count in fleet.counts.items() if count)
    return f"{number:,} host{'' if number == 1 else 's'}: {states}" if number else "no hosts"


def headline(fleet: Fleet) -> str:
    number, critical = len(fleet.hosts), fleet.counts[CRITICAL]
    if critical:
        return (
            f"{critical:,} of {number:,} host{'' if number == 1 else 's'} {'is' if critical == 1 else 'are'} critical"
        )
    silent = fleet.counts[UNREACHABLE] + fleet.counts[FAILED]
    if silent:
        return f"No host is critical, {silent:,} could not be measured"
    return "No host is critical"


def remedy(playbook: str, hosts: t.Sequence[str], more: str = "") -> str:
    """The line to paste, quoted for a shell."""
    line = f"ansible-playbook hostcare.remediation.{playbook} -e hostcare_hosts={shlex.quote(','.join(hosts))}"
    return f"{line} {more}" if more else line


def remedies(host: Host) -> list[str]:
    """The lines for one host, with whom to act on."""
    lines = []
    for incident in host.incidents:
        if incident == "process_storm":
            lines += [remedy(incident, [host.name], suspect_option(suspect)) for suspect in host.suspects[:1]]
        else:
            critical = [limit for limit in host.limits if (limit.incident, limit.level) == (incident, CRITICAL)]
            whom = next((limit.options for limit in critical if limit.options), {})
            lines.append(remedy(incident, [host.name], option(whom) if whom else ""))
    return lines


def act(fleet: Fleet, incidents: t.Sequence[str]) -> str:
    """The line for the whole fleet. Many hosts need no names: the playbook finds by itself who needs what."""
    sick = [host for host in fleet.hosts if any(incident in host.incidents for incident in incidents)]
    if not sick or len(sick) > _NAMED:
        return "ansible-playbook hostcare.remediation.remediate" if sick else ""
    lines = remedies(sick[0])
    return lines[0] if len(sick) == len(lines) == 1 else remedy("remediate", [host.name for host in sick])
