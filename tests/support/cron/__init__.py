# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Real cron daemons of Debian, each in a root of its own, and crontabs for them.

with Cell(root("bookworm"), tmp_path / "cell") as cell:
    cell.stage("/etc/cron.d/app", b"@reboot root /job app.1\\n")
    cell.start("/usr/sbin/cron", "-f")
    cell.go()
    cell.settle()
    assert cell.ran() == {"app.1": 1}            # what ran
    assert cell.mailed() == {"app.1": "root"}    # and what was mailed to whom
"""

from __future__ import annotations

from .cell import USERS, Cell, Mail
from .corpus import CORPUS, crontab
from .roots import ROOTS, root

__all__ = ("CORPUS", "ROOTS", "USERS", "Cell", "Mail", "crontab", "root")
