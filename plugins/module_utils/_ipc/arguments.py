# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification that the modules for System V IPC share, as plain data.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

_SERVICE: dict[str, dict[str, t.Any]] = {
    "name": {"type": "list", "elements": "str"},
    "exe": {"type": "list", "elements": "str"},
    "unit": {"type": "list", "elements": "str"},
}

SELECTION: dict[str, dict[str, t.Any]] = {
    "owner": {"type": "list", "elements": "str"},
    "id": {"type": "list", "elements": "int"},
    "key": {"type": "list", "elements": "str", "no_log": False},
    "service": {"type": "dict", "options": _SERVICE},
    "bystanders": {"type": "list", "elements": "dict", "default": [], "options": _SERVICE},
}
