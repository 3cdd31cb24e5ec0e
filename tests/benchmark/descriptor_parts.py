# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Parts of a survey of descriptors, with no more loaded than they need: descriptor_parts.py count|classify

Prints how many descriptors were seen, the processor time that took without the start of the interpreter, and the most
memory, as JSON without the module for it.
"""

from __future__ import annotations

import os.path
import resource
import sys
import time

sys.path.insert(0, os.path.abspath(__file__ + "/../../../.work/collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.proc_source import ProcSource
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.request import Request
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import DescriptorTables
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable


def count() -> int:
    """Of all processes."""
    tables = DescriptorTables()
    holdings = map(tables.holding, ProcessTable().pids())
    return sum(holding.descriptors for holding in holdings if holding is not None)


def classify() -> int:
    """All links by kind, all sockets by state and peer, all descriptions once."""
    sample = ProcSource(Request(max_links=1 << 20)).take(with_tokens=False, is_last=True)
    return sum(member.descriptors for member in sample.members.values())


if __name__ == "__main__":
    started = time.process_time()
    seen = {"count": count, "classify": classify}[sys.argv[1]]()
    cost = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'{{"descriptors": {seen}, "cpu_seconds": {cost}, "peak_kib": {peak}}}')
