# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Prints each result as one line of JSON, for the tests to read."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: hostcare_results
type: stdout
short_description: One line of JSON for each result
description: For the collection's own tests.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "hostcare_results"

    def _print(self, result: t.Any, status: str) -> None:
        data = json.loads(self._dump_results(result._result, indent=0, serialize=True))
        if "diff" in result._result:  # which the dump leaves out
            data["diff"] = result._result["diff"]
        # ansible-core 2.19 and later keep warnings as objects, and out of the dump
        warnings = getattr(result, "warnings", None) or result._result.get("warnings") or []
        data["warnings"] = [warning if isinstance(warning, str) else warning.event.msg for warning in warnings]
        line = {"task": result._task.get_name(), "host": result._host.get_name(), "status": status, "data": data}
        self._display.display("RESULT " + json.dumps(line))

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._print(result, "ok")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        self._print(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._print(result, "unreachable")

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._print(result, "skipped")
