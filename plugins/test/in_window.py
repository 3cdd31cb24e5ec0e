# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.hostcare.remediation.plugins.plugin_utils._window import is_open


def in_window(moment: object, windows: object) -> bool:
    if not isinstance(moment, dt.datetime) or not isinstance(windows, str):
        raise AnsibleFilterError(
            "hostcare.remediation.in_window: give a moment such as now() and a text such as '22:00-05:00'."
        )
    try:
        return is_open(windows, moment)
    except ValueError as error:
        raise AnsibleFilterError(f"hostcare.remediation.in_window: {error}") from None


class TestModule:
    def tests(self) -> dict[str, t.Callable[..., bool]]:
        return {"in_window": in_window}
