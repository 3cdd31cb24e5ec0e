# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds


def duration(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        return False
    try:
        seconds(value, "duration")
    except Refused:
        return False
    return True


class TestModule:
    def tests(self) -> dict[str, t.Callable[..., bool]]:
        return {"duration": duration}
