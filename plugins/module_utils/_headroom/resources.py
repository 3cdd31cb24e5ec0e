# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: one file for each counted resource, joined here.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel.processes import ProcessTable
from . import process_slots
from .survey import Survey

SCHEMA_VERSION = 1
_RESOURCES = (process_slots,)


def report(top: int, time_budget: float, proc_root: str = "/proc") -> dict[str, t.Any]:
    """All resources in one pass over the process table. Raises Refused where there is none."""
    started = time.monotonic()
    table = ProcessTable(proc_root)
    table.check()
    survey = Survey.take(table, started + time_budget)
    resources = [limit for resource in _RESOURCES for limit in resource.limits(survey, top)]
    reasons = list(survey.gaps)
    if table.denied:
        reasons.append(
            f"{table.denied} reads below {table.root} were denied: run as root, in a container with CAP_SYS_PTRACE"
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "resources": resources,
        "process_table": process_slots.table(survey, top),
        "suspects": process_slots.suspects(survey, top),
        "partial": bool(reasons),
        "partial_reasons": reasons,
        "elapsed_ms": int((time.monotonic() - started) * 1000),
    }
