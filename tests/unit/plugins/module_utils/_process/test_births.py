# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the counters of the kernel prove about births: against a model of how it gives out process numbers."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._process.births import (
    NUMBERS_PER_SECOND,
    Births,
    Mark,
    may_be_given_out,
    none_between,
)
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

RESERVED, PID_MAX = 300, 312
Events = t.List[object]


class Kernel:
    """alloc_pid() and copy_process(): numbers in a circle, a count of those that became visible."""

    def __init__(self, alive: t.Iterable[int], cursor: int) -> None:
        self.alive = {number: f"old {number}" for number in alive}
        self.cursor = cursor
        self.forks = 1000
        self.given_out = 0

    def fork(self) -> None:
        number = self._give_out()
        if number is not None:
            self.forks += 1
            self.alive[number] = f"fork {self.forks}"

    def fail(self) -> None:
        """pids.max refuses after the number was given out, and before the fork is counted."""
        self._give_out()

    def _give_out(self) -> int | None:
        circle = [*range(self.cursor, PID_MAX), *range(RESERVED, self.cursor)]
        free = next((number for number in circle if number not in self.alive), None)
        if free is not None:
            self.cursor = free + 1
            self.given_out += 1
        return free

    def mark(self) -> Mark:
        return Mark(self.cursor - 1, self.forks, self.given_out / NUMBERS_PER_SECOND)


EVENTS = st.lists(st.sampled_from(["fork", "fail"]) | st.integers(RESERVED, PID_MAX - 1), max_size=40)
KERNELS = st.builds(Kernel, st.sets(st.integers(RESERVED, PID_MAX - 1)), st.integers(RESERVED + 1, PID_MAX))


def happen(kernel: Kernel, events: Events) -> None:
    for event in events:
        if isinstance(event, int):
            kernel.alive.pop(event, None)
        else:
            getattr(kernel, event)()


@pytest.fixture(scope="module")
def births(tmp_path_factory: pytest.TempPathFactory) -> Births:
    tree = ProcTree(Path(tmp_path_factory.mktemp("births")) / "proc")
    tree.write("sys/kernel/pid_max", f"{PID_MAX}\n")
    return Births(tree.table)


@given(KERNELS, EVENTS)
def test_where_none_was_counted_none_is_new(kernel: Kernel, events: Events) -> None:
    before, known = kernel.mark(), dict(kernel.alive)
    happen(kernel, events)
    if none_between(before, kernel.mark()):
        assert kernel.alive.items() <= known.items()


@example(kernel=Kernel({303}, 303), events=[303, "fork"])
@given(kernel=KERNELS, events=EVENTS)
def test_a_number_that_was_listed_is_still_the_same_process(births: Births, kernel: Kernel, events: Events) -> None:
    """Else the look at who was born since, which leaves out the numbers it knows, overlooks a new owner of one."""
    before, listed = kernel.mark(), dict(kernel.alive)
    happen(kernel, events)
    if not births.may_have_gone_round(before, kernel.mark(), len(listed)):
        for number, name in kernel.alive.items():
            if not may_be_given_out(number, before, kernel.mark()):
                assert listed.get(number, name) == name


@pytest.mark.parametrize(
    "before, after, none",
    [
        (Mark(5, 100), Mark(5, 100), True),
        (Mark(5, 100), Mark(9, 100), True),  # forks that failed
        (Mark(5, 100), Mark(5, 101), False),
        (Mark(5, None), Mark(5, None), False),
        (Mark(5, 100), Mark(5, None), False),
    ],
)
def test_the_count_decides(before: Mark, after: Mark, none: bool) -> None:
    assert none_between(before, after) is none


def test_without_a_count_any_number_may_be_new(births: Births) -> None:
    assert births.may_have_gone_round(Mark(5, None), Mark(5, None), 0)
    assert births.may_have_gone_round(Mark(5, 1), Mark(5, None), 0)


def test_a_full_table_is_round_at_once(births: Births) -> None:
    assert births.may_have_gone_round(Mark(5, 1), Mark(5, 1), PID_MAX)


def test_numbers_stand_still_where_nobody_forks(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    births = Births(tree.table)
    since = births.mark()
    assert births.stood_still(since)
    tree.write("loadavg", "0.00 0.00 0.00 1/100 4001\n")
    assert not births.stood_still(since)


def test_a_table_without_a_count(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc")
    tree.write("stat", "cpu 1\n")
    assert Births(tree.table).mark()[:2] == (99999, None)


def test_a_real_birth_moves_both_witnesses() -> None:
    births = Births(ProcessTable())
    before = births.mark()
    with sleeping():
        after = births.mark()
    assert not none_between(before, after)
    assert before.last_pid != after.last_pid
