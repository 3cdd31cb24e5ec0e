# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Jobs as AWX runs them, on a host with a bomb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.awx.jobs import Awx
from ansible_collections.hostcare.remediation.tests.support.storm.arena import TOOLS, Arena
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = pytest.mark.once

SPARE = 15


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(slots=320, full_by="pids.max") as arena:
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        yield arena


@pytest.fixture
def awx(tmp_path: Path, arena: Arena) -> Awx:
    cgroups = " ".join(f"--cgroup {directory}" for directory in arena.grounds.make(TOOLS))
    reached = {
        "ansible_connection": "local",
        "ansible_python_interpreter": f"{program('enter')} {arena.init} {cgroups} -- /usr/bin/python3",
        "hostcare_session_timeout": "5s",
        # A bomb that is short of its limit for a moment has to count as well.
        "triage_critical": 0.6,
        "triage_warning": 0.5,
    }
    awx = Awx(tmp_path, {"web1": reached})
    awx.synchronize()
    return awx


def test_jobs_on_a_host_with_a_bomb(awx: Awx, arena: Arena, tmp_path: Path) -> None:
    twin = arena.innocent(name="rogue")
    arena.spare(SPARE)
    arena.bomb("nap")
    arena.wait_full(spare=SPARE, share=1)
    before = len(arena.living())

    triage = awx.launch("Hostcare | Triage", {"triage_critical": 0.6, "triage_warning": 0.5})
    assert (triage.code, triage.status) == (0, "successful"), triage.output
    assert triage.events[-1]["event"] == "playbook_on_stats"
    assert triage.artifacts["hostcare_triage"]["plan"] == {"process_storm": ["web1"]}
    assert "TRIAGE" in triage.output

    # What an answer says is text, whatever it says.
    mark = tmp_path / "mark"
    pipe = f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"
    strange = json.dumps({"name": ["{{ 7 * 7 }}", "$(id)"], "exe": [pipe, f"/x'; touch {mark}; '"]})
    nobody = awx.launch("Hostcare | Process storm", {"hostcare_hosts": "web1", "hostcare_selector": strange})
    assert nobody.code == 0, nobody.output
    lines = f"a.service\n$(touch {mark}); touch {mark}"
    for template, answers in (
        ("Process storm", {"hostcare_selector": pipe}),
        ("Process storm", {"hostcare_hosts": f"{pipe}\n; touch {mark}"}),
        ("Descriptor leak", {"hostcare_units": lines}),
        ("Semaphore leak", {"hostcare_selector": json.dumps({"owner": [pipe]}), "semaphore_leak_service": lines}),
    ):
        refused = awx.launch(f"Hostcare | {template}", {"hostcare_hosts": "web1", **answers})
        assert not any(event.get("event_data", {}).get("res", {}).get("changed") for event in refused.events)
        assert refused.code != 0 or "no hosts matched" in refused.output, refused.output
    assert not mark.exists()
    assert len(arena.living()) == before

    check = awx.launch("Hostcare | Remediate", {"hostcare_hosts": "web1"}, "--check", "--diff")
    assert check.code == 0, check.output
    assert any("then end them" in task for task in check.tasks("runner_on_ok"))
    assert len(arena.living()) == before

    real = awx.launch("Hostcare | Remediate", {"hostcare_hosts": "web1"}, "--diff")
    assert (real.code, real.status) == (0, "successful"), real.output
    assert arena.living() == []
    twin.assert_unharmed()
    # By its number the host knows who holds its lock.
    (held,) = [
        event["event_data"]["res"]
        for event in real.events
        if event["event"] == "runner_on_ok" and event["event_data"]["task"].endswith("Take the lock of the host")
    ]
    assert f"job {real.number}" in json.dumps(held)
