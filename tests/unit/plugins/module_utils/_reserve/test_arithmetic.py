# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of those who are not trusted reaches no limit, whatever the host and whatever is asked for."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.arithmetic import (
    POOLS,
    SMALLEST_POOL,
    Size,
    Wish,
    protected_slots,
    reserve,
)

SHARES = {"users": 40, "services": 40, "containers": 20}
HOST = Size(pid_max=32768, threads_max=60000, cores=4, memory=8 << 30)

sizes = st.builds(
    Size,
    pid_max=st.integers(301, 4194304),
    threads_max=st.integers(20, 1 << 22),
    cores=st.integers(1, 1024),
    memory=st.integers(64 << 20, 1 << 44),
    outer_pids_max=st.none() | st.integers(1, 1 << 22),
)
wishes = st.builds(
    Wish,
    shares=st.fixed_dictionaries({pool: st.integers(0, 60) for pool in POOLS}),
    operator_slots=st.integers(8, 1000),
    startups=st.integers(1, 300),
    kernel_slots=st.integers(0, 5000),
    tasks_per_core=st.integers(16, 1 << 16),
    memory_per_task=st.integers(16384, 1 << 24),
    numbers_per_task=st.integers(1, 3),
)


@given(sizes, wishes)
def test_the_sum_of_the_untrusted_reaches_no_limit(size: Size, wish: Wish) -> None:
    try:
        found = reserve(size, wish)
    except Refused:
        return
    untrusted, trusted = found.untrusted, found.trusted
    assert untrusted * wish.numbers_per_task + trusted + 300 <= size.pid_max
    assert untrusted + trusted <= size.threads_max
    assert size.outer_pids_max is None or untrusted + trusted <= size.outer_pids_max
    assert untrusted * wish.memory_per_task <= size.memory
    assert untrusted <= size.cores * wish.tasks_per_core
    assert found.left >= 0
    assert trusted >= protected_slots(wish) + wish.operator_slots // 8
    for pool in POOLS:
        assert found.each(pool) * 2 + 1 >= SMALLEST_POOL
        assert 0 < found.each(pool) <= found.tasks(pool)
    assert found.binding.room == min(ceiling.room for ceiling in found.ceilings)


@given(sizes, wishes, st.integers(1, 1 << 20))
def test_more_memory_never_means_less(size: Size, wish: Wish, more: int) -> None:
    try:
        small = reserve(size, wish)
    except Refused:
        return
    large = reserve(size._replace(memory=size.memory + (more << 20)), wish)
    assert all(large.tasks(pool) >= small.tasks(pool) for pool in POOLS)


def test_the_arithmetic_of_a_host() -> None:
    found = reserve(HOST, Wish(SHARES))
    kept_back = 264 + 32 + (128 + 4 * 32) + 32768 // 50
    assert found.trusted == kept_back == 1207
    assert found.binding.name == "kernel.pid_max"
    assert found.binding.room == (32768 - 300 - kept_back) // 3 == 10420
    assert [found.tasks(pool) for pool in POOLS] == [4168, 4168, 2084]
    assert (found.each("users"), found.each("containers")) == (2084, 2084)
    assert found.left == 0


@pytest.mark.parametrize(
    "changes, binding",
    [
        ({}, "kernel.pid_max"),
        ({"pid_max": 4194304}, "cores"),
        ({"pid_max": 4194304, "memory": 1 << 30}, "memory"),
        ({"pid_max": 4194304, "threads_max": 5000}, "kernel.threads-max"),
        ({"pid_max": 4194304, "outer_pids_max": 4000}, "pids.max around the host"),
    ],
)
def test_what_binds(changes: dict[str, t.Any], binding: str) -> None:
    assert reserve(HOST._replace(**changes), Wish(SHARES)).binding.name == binding


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"shares": {"users": 50, "services": 50, "containers": 20}}, "users 50 + services 50 + containers 20 = 120"),
        ({"shares": {"users": 50, "services": 50, "containers": 0}}, "1 or more"),
        ({"shares": {"users": 50, "services": 50}}, "shares: give users, services, containers"),
        ({"shares": {**SHARES, "guests": 1}}, "shares: give users, services, containers"),
        ({"operator_slots": 7}, "operator_slots: 7 is too little"),
        ({"numbers_per_task": 4}, "numbers_per_task: 4 is not 1 to 3"),
        ({"tasks_per_core": 1}, "tasks_per_core"),
        ({"memory_per_task": 1}, "memory_per_task"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, t.Any], told: str) -> None:
    with pytest.raises(Refused, match=told.replace("+", r"\+")):
        reserve(HOST, Wish(SHARES)._replace(**changes))


def test_a_host_that_is_too_small_is_told_what_to_raise() -> None:
    with pytest.raises(Refused, match=r"kernel.pid_max is 900, which leaves .* Raise kernel.pid_max, or lower"):
        reserve(HOST._replace(pid_max=900), Wish(SHARES))
