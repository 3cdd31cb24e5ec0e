# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

"""Reports on a fleet from what its hosts answered; works on the controller alone.

The answers are taken from the variables of the hosts as they are, and never pass through a template: a process may be
called ``{{ lookup(...) }}``.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_report import FORMATS, Wanted, report

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "variable": {"type": "str", "default": "triage_headroom"},
    "incidents": {"type": "list", "elements": "str", "default": []},
    "warning": {"type": "float", "default": 0.8},
    "critical": {"type": "float", "default": 0.95},
    "horizon": {"type": "str", "default": "1h"},
    "directory": {"type": "str", "default": ""},
    "formats": {"type": "list", "elements": "str", "choices": list(FORMATS), "default": list(FORMATS)},
    "metrics_directory": {"type": "str", "default": ""},
    "width": {"type": "int", "default": 100},
    "top": {"type": "int", "default": 30},
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        core: t.Any = self
        _validation, given = core.validate_argument_spec(ARGUMENTS)
        hostvars = (task_vars or {})["hostvars"]
        try:
            thresholds = Thresholds(given["warning"], given["critical"], seconds(given["horizon"], "horizon")).checked()
        except Refused as refusal:
            raise AnsibleActionFail(str(refusal)) from None
        answers = {host: hostvars.raw_get(host).get(given["variable"]) for host in given["hosts"]}
        wanted = Wanted(
            directory=given["directory"],
            formats=given["formats"],
            metrics_directory=given["metrics_directory"],
            width=given["width"],
            top=given["top"],
        )
        result.update(report(answers, thresholds, given["incidents"], wanted, datetime.now(timezone.utc)))
        return {**result, "changed": False}
