# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused before anything is read, with the option, the reason and the next step."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import limits_request, request
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_plan import Wish
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_remedy import Restoration
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import Limits

PLAIN: dict[str, t.Any] = {
    "group_by": "unit", "samples": 1, "interval": "10s", "near_limit": 0.8, "top": 10, "max_links": 100000,
    "time_budget": "20s", "procstat": False,
}  # fmt: skip


def test_the_defaults() -> None:
    assert request.parse(PLAIN) == request.Request()


def test_a_filter_is_a_selector() -> None:
    found = request.parse({**PLAIN, "unit": ["app.service"], "pid": [7]})
    assert found.selector is not None
    assert (found.selector.units, found.selector.pids) == ({"app.service"}, {7})


@pytest.mark.parametrize(
    "given, said",
    [
        ({"samples": 0}, "samples: 0 is out of range: give 1 to 60"),
        ({"samples": 61}, "samples: 61 is out of range"),
        ({"samples": 2, "interval": "0"}, "interval: 2 samples 0 s apart"),
        ({"samples": 2, "interval": "2h"}, "60m in all at the most"),
        ({"samples": 2, "interval": "soon"}, "interval: 'soon' is not a duration"),
        ({"near_limit": 0}, "near_limit: 0 is no share"),
        ({"near_limit": 80}, "near_limit: 80 is no share of a limit"),
        ({"top": -1}, "top: -1 is negative"),
        ({"max_links": -1}, "max_links: -1 is negative"),
        ({"time_budget": "0"}, "time_budget: no time is left"),
        ({"pid": [0]}, "pid 0 is no process number"),
        ({"user": ["nobody-of-this-name"]}, "user 'nobody-of-this-name' does not exist"),
        ({"name": ["a-name-that-is-too-long"]}, "longer than the 15 bytes"),
    ],
)
def test_bad_input(given: dict[str, t.Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        request.parse({**PLAIN, **given})
    assert said in str(refused.value)


LIMITS: dict[str, t.Any] = {
    "resource": "nofile", "soft": None, "hard": None, "change": "raise", "allow_below_use": False,
    "max_processes": 100, "include_containers": False, "restore": None, "protect": [], "name": ["app"],
}  # fmt: skip
UNDO: dict[str, t.Any] = {
    "pid": 7, "started": 100, "resource": "nofile", "soft": "1024", "hard": "unlimited", "set_soft": "2048",
    "set_hard": "unlimited",
}  # fmt: skip


@pytest.mark.parametrize(
    "soft, hard, wish",
    [
        ("65536", None, Wish("nofile", 65536)),
        ("64K", "1M", Wish("nofile", 65536, 1 << 20)),
        ("unlimited", None, Wish("nofile", "unlimited")),
        ("hard", "max", Wish("nofile", "hard", "max")),
        (" 7 ", None, Wish("nofile", 7)),
        ("0", None, Wish("nofile", 0)),
    ],
)
def test_limits_are_numbers_or_words(soft: str | None, hard: str | None, wish: Wish) -> None:
    assert limits_request.parse({**LIMITS, "soft": soft, "hard": hard}, False).wish == wish


@pytest.mark.parametrize(
    "given, said",
    [
        ({}, "neither soft nor hard was given"),
        ({"soft": "many"}, "soft: 'many' is no limit"),
        ({"soft": "-1"}, "soft: '-1' is no limit"),
        ({"soft": "1.5"}, "soft: '1.5' is no limit"),
        ({"soft": "max"}, "soft: 'max' is no limit"),
        ({"hard": "hard"}, "hard: 'hard' is no limit"),
        ({"soft": "99999999999999999999"}, "more than the kernel can count"),
        ({"soft": "20", "hard": "10"}, "soft 20 is over hard 10"),
        ({"soft": "20", "name": None}, "the selector is empty"),
        ({"soft": "20", "protect": [{}]}, "protect is empty"),
        ({"restore": [UNDO]}, "leave out name"),
        ({"restore": [UNDO], "name": None, "soft": "1"}, "leave out soft"),
        ({"restore": [UNDO, {**UNDO, "resource": "nproc"}], "name": None}, "one undo at a time"),
        ({"restore": [{**UNDO, "resource": "files"}], "name": None}, "files is not one known resource"),
        ({"restore": [{**UNDO, "soft": "hard"}], "name": None}, "restore: soft: 'hard' is no limit"),
    ],
)
def test_bad_limits(given: dict[str, t.Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        limits_request.parse({**LIMITS, **given}, False)
    assert said in str(refused.value)


def test_what_was_undone_can_be_given_back() -> None:
    found = limits_request.parse({**LIMITS, "name": None, "restore": [UNDO], "allow_below_use": True}, True)
    assert found.restore == (Restoration(7, 100, Limits(1024, None), Limits(2048, None)),)
    assert (found.wish.resource, found.wish.allow_below_use, found.check_mode) == ("nofile", True, True)


def test_nothing_to_restore_is_nothing_to_do() -> None:
    assert limits_request.parse({**LIMITS, "name": None, "restore": []}, False).restore == ()
