# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reserve of process slots in one sentence.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import clip, safe

_NAMED = 3
_LONGEST = 120  # characters of one name


def reserve_words(found: t.Any) -> str:
    """Of the `reserve` of headroom_info, which a host in the wrong hands may have made; empty where it says nothing."""
    if not isinstance(found, t.Mapping) or not _is_count(found.get("limit")):
        return ""
    limit = f"{_name(found.get('limit_name'))} {found['limit']:,}"
    slots: t.Any = found.get("slots")
    if _is_count(slots) and slots > 0:
        return f"{slots:,} process slots ({limit}) are left when all others take what their limits allow"
    pools = [pool for pool in _list(found.get("pools")) if isinstance(pool, t.Mapping)]
    for how in ("alone", "together"):
        named = [_pool(pool) for pool in pools if pool.get("breaks") == how]
        if named:
            who = ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
            each = ", each alone," if how == "alone" and len(named) > 1 else " together" if how == "together" else ""
            return f"none: {who}{each} could take the last process slot ({limit})"
    return f"none: the limits of all others add up to the last process slot ({limit}), or there are none"


def _pool(pool: t.Mapping[str, t.Any]) -> str:
    at_most = pool.get("at_most")
    return f"{_name(pool.get('scope'))} ({f'up to {at_most:,} tasks' if _is_count(at_most) else 'no limit'})"


def _name(value: t.Any) -> str:
    return clip(safe(str(value)[: 4 * _LONGEST]), _LONGEST)


def _is_count(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63


def _list(value: t.Any) -> t.Sequence[t.Any]:
    return value[:100] if isinstance(value, (list, tuple)) else ()
