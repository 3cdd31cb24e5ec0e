# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

"""The module of this name runs in the lean way."""

from __future__ import annotations

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lean import ActionModule

__all__ = ("ActionModule",)
