# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused before anything is read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import Delays, parse_request
from ansible_collections.hostcare.remediation.tests.support.throttle_tool import DEFAULTS

UNIT: dict[str, t.Any] = {"unit": ["app.service"]}


@pytest.mark.parametrize(
    "given, why",
    [
        ({"state": "throttled"}, "the selector is empty"),
        ({"state": "throttled", **UNIT, "only_due": True}, "only_due goes with state released"),
        ({"state": "throttled", **UNIT, "limit": "few"}, "limit: 'few' is no limit"),
        ({"state": "throttled", **UNIT, "limit": "-1"}, "limit: '-1' is no limit"),
        ({"state": "throttled", **UNIT, "limit": "1.5"}, "is no limit"),
        ({"state": "throttled", **UNIT, "limit": "\u0664"}, "is no limit"),
        ({"state": "throttled", **UNIT, "limit": "4194305"}, "up to 4194304"),
        ({"state": "throttled", **UNIT, "release_after": "soon"}, "release_after: 'soon' is not a duration"),
        ({"state": "throttled", **UNIT, "release_after": "2h"}, "longer than max_release_after 1h"),
        ({"state": "throttled", **UNIT, "backoff": 0.5}, "backoff: 0.5 is not between 1"),
        ({"state": "throttled", **UNIT, "backoff": float("nan")}, "backoff: nan"),
        ({"state": "throttled", **UNIT, "jitter": 1.5}, "jitter: 1.5"),
        ({"state": "throttled", **UNIT, "max_repeats": -1}, "max_repeats: -1"),
        ({"state": "throttled", "cgroup": ["/"]}, "names no single cgroup"),
        ({"state": "throttled", **UNIT, "protect": [{}]}, "protect is empty"),
    ],
)
def test_refused(given: dict[str, t.Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        parse_request({**DEFAULTS, **given}, check_mode=False)


def test_taken() -> None:
    request = parse_request({**DEFAULTS, "state": "throttled", **UNIT, "limit": " 012 ", "release_after": "1m"}, True)
    assert (request.limit, request.check_mode) == ("12", True)
    assert request.delays == Delays(60.0, 2.0, 0.1, 3600.0, 5, 3600.0)


def test_a_release_needs_no_selector() -> None:
    assert parse_request({**DEFAULTS, "state": "released"}, False).selector is None
