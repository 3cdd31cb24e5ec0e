# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all unit tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes an example slow and not wrong.
settings.register_profile("hostcare", deadline=None)
settings.load_profile("hostcare")
