# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A real Postfix, spools on file systems of their own, and the module as a process that can be killed."""

from __future__ import annotations

from .host import PostfixHost
from .spools import Spool, mount
from .tool import TOOL, Purger, module

__all__ = ("TOOL", "PostfixHost", "Purger", "Spool", "module", "mount")
