# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the line is that a process comes from."""

from __future__ import annotations

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.lineage import UNKNOWN, Line, line
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import process

BORN = 5000.0
SHELL = process(100, b"sh", ppid=90, sid=100)
INIT = process(1, b"systemd", ppid=0, sid=1)


def of(made: Process, parent: Process | None, takes_orphans: bool = False, began: float | None = None) -> Line:
    return line(made, BORN, parent, takes_orphans, began)


def test_a_child_whose_parent_lives_is_as_old_as_itself() -> None:
    assert of(process(200, ppid=100, sid=100), SHELL) == Line(BORN - 1, UNKNOWN)
    assert of(process(200, ppid=100, sid=200), SHELL) == Line(BORN - 1, UNKNOWN), "it made a session of its own"


@pytest.mark.parametrize(
    "made,parent,takes_orphans",
    [
        (process(200, ppid=1, sid=150), INIT, True),
        (process(200, ppid=1, sid=1), INIT, True),  # it may be PID 1's own child, and need not be
        (process(200, ppid=100, sid=150), SHELL, False),  # a session that neither it nor its parent leads: adopted
        (process(200, ppid=100, sid=150), None, False),  # the parent went while all were read
        (process(200, ppid=300, sid=300), process(300, sid=300), True),  # a user's service manager
    ],
)
def test_a_child_of_a_dead_parent_may_be_of_any_age(made: Process, parent: Process | None, takes_orphans: bool) -> None:
    assert of(made, parent, takes_orphans) == Line(UNKNOWN, UNKNOWN)


def test_a_daemon_may_have_made_objects_before_it_left_its_parent() -> None:
    assert of(process(200, ppid=1, sid=200), INIT, True) == Line(BORN - 60, UNKNOWN)


def test_a_unit_dates_the_first_process_that_it_runs() -> None:
    daemon = process(200, ppid=1, sid=200)
    for before in (0, 3, 120):
        assert of(daemon, INIT, True, BORN - before) == Line(BORN - before, BORN - before)
    assert of(daemon, INIT, True, BORN + 0.9) == Line(BORN, BORN), "ticks are coarser than stamps"


@pytest.mark.parametrize("began", [BORN - 86400, BORN - 121, BORN + 1.1, BORN + 86400])
def test_what_an_earlier_life_of_the_unit_left_behind_may_be_of_any_age(began: float) -> None:
    assert of(process(200, ppid=1, sid=200), INIT, True, began) == Line(UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("began", [None, BORN - 3, BORN + 30])
def test_a_worker_whose_server_is_dead_is_dated_by_nothing(began: float | None) -> None:
    assert of(process(200, ppid=1, sid=199), INIT, True, began) == Line(UNKNOWN, UNKNOWN)


def test_a_unit_bounds_what_is_recorded_of_any_process_in_it() -> None:
    assert of(process(200, ppid=100, sid=100), SHELL, False, BORN - 50) == Line(BORN - 1, BORN - 50)


def test_a_process_from_outside_the_namespace_was_started_there() -> None:
    assert of(process(200, ppid=0, sid=0), None) == Line(BORN - 1, UNKNOWN)
