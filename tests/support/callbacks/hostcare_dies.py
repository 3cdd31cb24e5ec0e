# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The controller dies as a task begins: of SIGKILL, so that nothing is tidied up."""

from __future__ import annotations

import os
import signal
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: hostcare_dies
type: notification
short_description: SIGKILL for this ansible-playbook when the task that is named in HOSTCARE_DIES_AT begins
description: For the collection's own tests.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "hostcare_dies"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:  # noqa: ARG002
        if task.get_name().endswith(os.environ["HOSTCARE_DIES_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
