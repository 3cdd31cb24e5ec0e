# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real holders of arrays, living and dead, in an IPC namespace of their own."""

from __future__ import annotations

from .bench import APP, OTHER, SERVICE, Bench, Holder, Postgres, rounds

__all__ = ("APP", "OTHER", "SERVICE", "Bench", "Holder", "Postgres", "rounds")
