# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plain
type: stdout
short_description: Reports as plain lines, and little else
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Shows what a C(debug) task says as plain lines of text, under the name of its host, and keeps quiet about tasks that
    went well. Of a task with C(run_once) it names no host. Failures and unreachable hosts are shown as the default
    callback shows them, unless the playbook says to ignore them, and so is the recap.
  - Meant for reports, such as those of the playbook C(hostcare.remediation.triage).
  - From C(-v) on it is the default callback.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set as stdout callback in the configuration, C(ANSIBLE_STDOUT_CALLBACK=hostcare.remediation.plain).
"""

import typing as t

from ansible.plugins.callback.default import CallbackModule as Default

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

DEBUG_ACTIONS = ("ansible.builtin.debug", "ansible.legacy.debug", "debug")


class CallbackModule(Default):
    """The default callback without the tasks that went well."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "hostcare.remediation.plain"

    @property
    def _talkative(self) -> bool:
        return bool(self._display.verbosity)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        if self._talkative:
            super().v2_playbook_on_play_start(play)  # type: ignore[no-untyped-call, unused-ignore]
            return
        self._play = play

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        if self._talkative:
            super()._task_start(task, prefix)  # type: ignore[no-untyped-call, unused-ignore]
            return
        # The banner is printed when the task fails, by the default callback's own methods; they look here for the name.
        if prefix is not None:
            self._task_type_cache[task._uuid] = prefix
        self._last_task_name = task.get_name().strip()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        if self._talkative:
            super().v2_runner_on_ok(result)
            return
        self._handle_warnings(result._result)
        if result._task.action in DEBUG_ACTIONS:
            heading = "" if result._task.run_once else f"--- {result._host.get_name()} "
            self._report(heading, result._result.get("msg"))

    def _report(self, heading: str, message: object) -> None:
        lines = message if isinstance(message, (list, tuple)) else str(message).splitlines()
        self._display.display("\n" + heading.ljust(79, "-"))
        for line in lines:
            self._display.display(str(line))

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        if self._talkative or not ignore_errors:
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        if self._talkative or not result._task.ignore_unreachable:
            super().v2_runner_on_unreachable(result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        if self._talkative:
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if self._talkative:
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        if self._talkative:
            super().v2_runner_item_on_skipped(result)

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        if self._talkative:
            super().v2_playbook_on_include(included_file)  # type: ignore[no-untyped-call, unused-ignore]
