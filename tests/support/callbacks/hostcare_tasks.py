# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Counts what each host was asked to do, into the file that HOSTCARE_TASKS names."""

from __future__ import annotations

import collections
import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: hostcare_tasks
type: aggregate
short_description: Counts the tasks of each host
description: For the collection's own tests.
"""

# Actions that ask nothing of a host.
ON_THE_CONTROLLER = {
    "add_host", "assert", "debug", "fail", "group_by", "include_role", "include_tasks", "include_vars", "import_role",
    "import_tasks", "meta", "pause", "set_fact", "validate_argument_spec",
}  # fmt: skip


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hostcare_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._results: collections.Counter[str] = collections.Counter()
        self._host_tasks: collections.defaultdict[str, list[str]] = collections.defaultdict(list)

    def _count(self, result: t.Any, reached: bool = True) -> None:
        host, task = result._host.get_name(), result._task
        self._results[host] += 1
        action = task.resolved_action or task.action
        if reached and not task.delegate_to and action.removeprefix("ansible.builtin.") not in ON_THE_CONTROLLER:
            self._host_tasks[host].append(task.get_name())

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._count(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        self._count(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._count(result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._count(result, reached=False)

    def v2_runner_retry(self, result: t.Any) -> None:
        """One more trip to the host, of which Ansible makes no result."""
        self._host_tasks[result._host.get_name()].append(result._task.get_name())

    def v2_playbook_on_stats(self, stats: t.Any) -> None:  # noqa: ARG002
        counted = {
            host: {"results": results, "host_tasks": self._host_tasks[host]} for host, results in self._results.items()
        }
        Path(os.environ["HOSTCARE_TASKS"]).write_text(json.dumps(counted))
