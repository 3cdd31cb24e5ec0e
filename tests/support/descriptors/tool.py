# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What file_descriptor_info and process_rlimit run, without Ansible: tool.py survey|limits OPTIONS_AS_JSON.

The option ``source`` is ``proc`` or ``psutil``; with ``cost`` the result tells processor time and memory too. Prints
the result, or {"refused": why}, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import (
    limits_remedy,
    limits_request,
    request,
    survey,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.psutil_source import PsutilSource
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused

SURVEY: dict[str, t.Any] = {
    "group_by": "unit",
    "samples": 1,
    "interval": "10s",
    "near_limit": 0.8,
    "top": 10,
    "max_links": 100000,
    "time_budget": "20s",
    "procstat": False,
}
LIMITS: dict[str, t.Any] = {
    "resource": "nofile",
    "soft": None,
    "hard": None,
    "change": "raise",
    "allow_below_use": False,
    "max_processes": 100,
    "include_containers": False,
    "restore": None,
    "protect": [],
}


def run(what: str, given: dict[str, t.Any]) -> dict[str, t.Any]:
    check_mode = given.pop("check_mode", False)
    if what == "limits":
        outcome = limits_remedy.run(limits_request.parse({**LIMITS, **given}, check_mode))
        return {**outcome.result, "problem": outcome.problem, "diff": outcome.diff}
    chosen = None
    source = given.pop("source", "")
    wanted = request.parse({**SURVEY, **given})
    if source == "psutil":
        chosen = PsutilSource(wanted)
    return survey.run(wanted, chosen)


def main(what: str, options: str) -> None:
    given = json.loads(options)
    with_cost = given.pop("cost", False)
    started = time.process_time()
    try:
        result = run(what, given)
    except Refused as refusal:
        result = {"refused": str(refusal)}
    if with_cost:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        result.update(cpu_seconds=time.process_time() - started, peak_kib=usage.ru_maxrss)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
