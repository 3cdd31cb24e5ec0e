# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gives sshd and operators a processor: by the weight of their slice, by nice where that does not count."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.plan import Plan, plan
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import DEBIAN, asked, become

WITHOUT = DEBIAN._replace(cpu=False)
DROP_IN = "/etc/systemd/system/ssh.service.d/60-hostcare-harden.conf"
PAM, NICE = "/etc/pam.d/hostcare-sshd", "/etc/security/hostcare-sshd.conf"


def written(found: Plan, path: str) -> str:
    return next((one.content or "" for one in found.changes if one.path == path), "")


def test_by_weight() -> None:
    found = plan(asked(), DEBIAN)
    assert found.processors[:3] == ("weight", 0, 71)  # 1000 of it and four others with 100 each
    assert "Nice=" not in written(found, DROP_IN)
    assert "pam_limits" not in written(found, PAM)
    assert not written(found, NICE)


def test_by_nice_which_nobody_but_operators_inherits() -> None:
    found = plan(asked(), WITHOUT)
    # 10420 tasks on 4 processors: 88761 of 88761 + 1024 * 2605
    assert found.processors[:3] == ("nice", -20, 3)
    assert "\nNice=-20\n" in written(found, DROP_IN)
    assert written(found, NICE).endswith("\n* - priority 0\nroot - priority 0\n")
    lines = [line for line in written(found, PAM).splitlines() if not line.startswith("#")]
    stays, lowered, moved = (
        next(at for at, line in enumerate(lines) if module in line)
        for module in ("pam_succeed_if.so", f"pam_limits.so conf={NICE}", "pam_systemd.so")
    )
    assert stays < lowered < moved
    assert lines[lowered].split()[:2] == ["session", "required"]


@pytest.mark.parametrize("cpu", [True, False])
def test_there_and_back(cpu: bool) -> None:
    host = DEBIAN._replace(cpu=cpu)
    hard = become(host, plan(asked(), host))
    again = plan(asked(), hard)
    assert (again.findings, again.is_due, again.proved) == ((), False, True)
    back = become(hard, plan(asked(state="reverted"), hard))
    assert (back.files, back.directories, back.sshd_nice) == (host.files, host.directories, 0)


@pytest.mark.parametrize(
    "host, options, why",
    [
        ({"may_nice": False}, {}, "PID 1 may not raise priorities (CAP_SYS_NICE)"),
        ({"pam_limits": False}, {}, "the session of everybody would be raised"),
        ({"pam_systemd": False}, {}, "the session of everybody would be raised"),
        ({}, {"protected_nice": 0}, "protected_nice is 0"),
    ],
)
def test_neither(host: dict[str, t.Any], options: dict[str, t.Any], why: str) -> None:
    found = plan(asked(**options), WITHOUT._replace(**host))
    assert found.processors.by == "nothing"
    assert why in found.processors.why
    assert "Nice=" not in written(found, DROP_IN)
    assert not written(found, NICE)
    control = next(one for one in plan(asked(**options), become(WITHOUT._replace(**host), found)).controls
                   if one.name == "protected")  # fmt: skip
    assert (control.state, why in control.reason) == ("in_place", True)


class TestWhatTheKernelHas:
    """The controller may be there and not be used: what counts is what the kernel has once sshd is in its slice."""

    @pytest.mark.parametrize("missing", ["hostcare.slice", "user.slice"])
    def test_no_weights_in_spite_of_the_controller(self, missing: str) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))
        weights = {name: weight for name, weight in hard.weights.items() if name != missing}
        found = plan(asked(), hard._replace(weights=weights))
        assert found.processors.by == "nice"
        assert "Nice=-20" in written(found, DROP_IN)
        assert set(found.tell) == {"systemd", "sshd"}

    def test_another_weight(self) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))
        found = plan(asked(), hard._replace(weights={**hard.weights, "hostcare.slice": 100}))
        assert [one.text for one in found.findings] == ["hostcare.slice has CPU weight 100 now, not 1000"]
        assert "systemd" in found.tell
        assert not found.proved

    def test_an_sshd_that_is_not_nice(self) -> None:
        hard = become(WITHOUT, plan(asked(), WITHOUT))
        found = plan(asked(), hard._replace(sshd_nice=0))
        assert [one.text for one in found.findings] == ["sshd runs at nice 0, not -20"]
        assert "sshd" in found.tell

    def test_weights_that_count_again(self) -> None:
        hard = become(WITHOUT, plan(asked(), WITHOUT))
        weights = {**{pool.name: 100 for pool in hard.pools}, "hostcare.slice": 1000}
        found = plan(asked(), hard._replace(cpu=True, weights=weights))
        assert found.processors.by == "weight"
        assert {one.path: one.content for one in found.changes}[NICE] is None
        assert "Nice=" not in written(found, DROP_IN)


@pytest.mark.parametrize("changes", [{"systemd": False}, {"sshd_unit": ""}])
def test_nobody_to_protect(changes: dict[str, t.Any]) -> None:
    assert plan(asked(), DEBIAN._replace(**changes)).processors.by == "nothing"


@pytest.mark.parametrize("changes", [{"waivers": {"protected": "no"}}, {"state": "reverted"}])
def test_nothing_is_set_where_it_is_not_asked_for(changes: dict[str, t.Any]) -> None:
    assert plan(asked(**changes), DEBIAN).processors.by == "nothing"
