# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real cgroups below that of the tests, where the host lets them be made."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import cgroups
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.cgroups import Hierarchies
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.children import state_of, wait_for

_NUMBERS = itertools.count()


@contextlib.contextmanager
def own_cgroup(controller: str) -> t.Iterator[str]:
    """Its directory in the hierarchy of ``controller``, ``""`` for v2. At the end it is thawed, and all in it die."""
    mine = ProcessTable().cgroups(os.getpid()) or {}
    hierarchies = Hierarchies()
    if controller not in hierarchies.mounts or controller not in mine:
        pytest.skip(f"no hierarchy {controller or 'v2'!r} is mounted here")
    parent = hierarchies.mounts[controller].directory(mine[controller])
    directory = f"{parent}/hostcare-unit-{os.getpid()}-{next(_NUMBERS)}"
    try:
        os.mkdir(directory)
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield directory
    finally:
        with contextlib.suppress(FileNotFoundError):
            _empty(directory)
            os.rmdir(directory)


def _empty(directory: str) -> None:
    cgroups.set_frozen(directory, False)
    for pid in cgroups.members(directory) or ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(state_of(pid) in "gone Z" for pid in cgroups.members(directory) or ()), "all in it die")


def move(pid: int, directory: str) -> None:
    with open(directory + "/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(pid))
