# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role looks for chains below every daemon that cron_mailto knows, whatever name that goes by."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import daemons
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse

VARIABLES = Path(__file__).parents[4] / "roles" / "cron_mail_storm" / "vars" / "main.yml"


def test_the_chains_of_every_daemon_are_looked_for() -> None:
    chains = re.findall(r"^__cron_mail_storm_sendmail\w*: (.+)$", VARIABLES.read_text(), re.MULTILINE)
    found = [parse({"ancestry": chain}).ancestry for chain in chains]
    assert all(child == {b"sendmail"} for child, _parents in found)
    assert frozenset().union(*(parents for _child, parents in found)) == {*daemons._NAMES, b"mail_for_job"}
