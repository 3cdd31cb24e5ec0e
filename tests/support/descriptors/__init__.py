# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real holders of descriptors: daemons that leak, a server under load, crowds; for integration tests and benchmark."""

from __future__ import annotations

from .field import Field, by_key, kinds
from .programs import DAEMON, TOOL, program, tool_command

__all__ = ("DAEMON", "TOOL", "Field", "by_key", "kinds", "program", "tool_command")
