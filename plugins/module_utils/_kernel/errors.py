# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ways in which a remedy ends without having done its work.

PRIVATE: may change in any release.
"""

from __future__ import annotations


class Refused(Exception):
    """Nothing was touched: the request is unsafe, contradictory or impossible on this host.

    The message names the thing, the reason and the next step; modules hand it to the user as it is.
    """


class Unproven(Exception):
    """Something was done but the wanted end could not be proven; what was stopped on the way has been woken."""
