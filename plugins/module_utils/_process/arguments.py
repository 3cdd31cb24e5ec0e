# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of the selector, as plain data.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

_CRITERIA: dict[str, dict[str, t.Any]] = {
    "name": {"type": "list", "elements": "str"},
    "name_regex": {"type": "str"},
    "exe": {"type": "list", "elements": "str"},
    "exe_regex": {"type": "str"},
    "cmdline_regex": {"type": "str"},
    "user": {"type": "list", "elements": "str"},
    "unit": {"type": "list", "elements": "str"},
    "cgroup": {"type": "list", "elements": "str"},
    "pid": {"type": "list", "elements": "int"},
    "descends_from": {"type": "list", "elements": "int"},
    "tree": {"type": "list", "elements": "int"},
    "ancestry": {"type": "str"},
    "min_age": {"type": "str"},
}

SELECTOR: dict[str, dict[str, t.Any]] = {
    **_CRITERIA,
    "min_count": {"type": "int", "default": 0},
    "protect": {"type": "list", "elements": "dict", "default": [], "options": _CRITERIA},
}
