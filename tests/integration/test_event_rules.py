# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The rulebooks, run by ansible-rulebook: alerts as the Alertmanager posts them, and what becomes of them."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.automation import Rulebook, alert
from ansible_collections.hostcare.remediation.tests.support.awx.server import TOKEN, Awx
from ansible_collections.hostcare.remediation.tests.support.awx.shipped import DATA, TEMPLATES
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT
from ansible_collections.hostcare.remediation.tests.support.storm.arena import TOOLS, Arena
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = pytest.mark.once

STORM = 50
APPROVAL, REMEDY = "Hostcare | Remediate with approval", "Hostcare | Remediate"
# No name of one host.
HOSTILE = [
    "", " web1", "web1 ", "web1\n", "web1\nweb2", "web1;id", "web1,web2", "web1:web2", "web1:9100:1", "web*", "!web1",
    "~.*", "@/etc/passwd", "$(id)", "`id`", "{{ 7 * 7 }}", "{% for x in (1,) %}web1{% endfor %}", "../web1", "web1\x00",
    "all", "all:9100", "ungrouped", "localhost", "localhost:9100", "1", "1e5", "[::1]:9100", "wéb1", "-i",
]  # fmt: skip


def hostile(mark: Path) -> list[t.Any]:
    """Whoever may write labels and annotations, but is not asked."""
    pipe = f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"
    labels = [alert(instance, hostcare=kind) for instance in [*HOSTILE, pipe] for kind in ("triage", "remediate")]
    odd: list[t.Any] = [
        alert("web7", status="resolved"), alert("web7", hostcare="Remediate"), alert("web7", hostcare=pipe),
        {**alert("web7"), "labels": {}}, {**alert("web7"), "labels": None}, {**alert("web7"), "labels": ["web7"]},
        {**alert("web7"), "labels": {"instance": ["web7"], "hostcare": "triage", "alertname": "A"}},
        {**alert("web7"), "labels": {"instance": {"web7": 1}, "hostcare": "triage", "alertname": "A"}},
        {**alert("web7"), "labels": {"instance": 7, "hostcare": "triage", "alertname": "A"}}, {},
    ]  # fmt: skip
    return labels + odd


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def awx() -> Iterator[Awx]:
    """With the two templates that are launched, and their surveys. What is launched there does not end."""
    with Awx(ROOT) as awx:
        controller = awx.controller
        project = controller.create("projects", {"name": "Hostcare", "organization": 1})["id"]
        controller.update_project(project)
        made = {"name": REMEDY, "organization": 1, "project": project, "playbook": "playbooks/remediate.yml"}
        made |= {"survey_enabled": True, "ask_limit_on_launch": True}
        number = controller.create("job_templates", made)["id"]
        controller.surveys["job_templates", number] = TEMPLATES[REMEDY]["survey_spec"]
        number = controller.create(
            "workflow_job_templates", {"name": APPROVAL, "organization": 1, "survey_enabled": True}
        )["id"]
        (workflow,) = DATA["controller_workflows"]
        controller.surveys["workflow_job_templates", number] = workflow["survey_spec"]
        controller.status_of_jobs = "running"
        yield awx


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena(slots=320, full_by="pids.max") as arena:
        for directory in ("/run", "/var/lib"):
            assert arena.run(["mount", "-t", "tmpfs", "tmpfs", directory]).returncode == 0
        yield arena


class Both(t.NamedTuple):
    workflow: Rulebook
    triage: Rulebook


@pytest.fixture(scope="module")
def rulebooks(home: Path, awx: Awx, arena: Arena) -> Iterator[Both]:
    cgroups = " ".join(f"--cgroup {directory}" for directory in arena.grounds.make(TOOLS))
    reached = {
        "ansible_connection": "local",
        "ansible_python_interpreter": f"{program('enter')} {arena.init} {cgroups} -- /usr/bin/python3",
        "hostcare_session_timeout": "5s",
        "triage_critical": 0.6,
        "triage_warning": 0.5,
    }
    directory = {"hostcare_eda_directory": str(home / "report")}
    controller = ("--controller-url", awx.url, "--controller-token", TOKEN)
    both = Both(
        Rulebook("alert_workflow", home / "awx", {"web1": {}}, *controller, EDA_JOB_TEMPLATE_REFRESH_DELAY="0.2"),
        # Another host than web1 would be a mistake, and be seen.
        Rulebook("alert_triage", home / "local", {"web1": reached, "web2": reached}, variables=directory),
    )
    with contextlib.ExitStack() as stack:
        for rulebook in both:
            stack.enter_context(rulebook)
        yield both


def test_alerts_start_jobs_of_awx(rulebooks: Both, awx: Awx, tmp_path: Path) -> None:
    rulebook, launches, mark = rulebooks.workflow, awx.controller.launches, tmp_path / "mark"
    assert rulebook.post(alert("web1:9100"), token="guessed") == 401
    for _repeat in range(2):
        assert rulebook.post(*[alert("web1:9100") for _duplicate in range(STORM // 2)]) == 200
    for odd in hostile(mark):
        rulebook.post(odd)
    rulebook.post("no alert at all")
    rulebook.post(
        alert("web2:9100"),
        alert("web1:9100", alertname="HostcareInodes"),
        alert("10.0.0.1:9100", annotation=f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"),
        alert("web1.example.org", hostcare="remediate"),
        alert("web1.example.org", hostcare="remediate"),
    )
    rulebook.post(alert("last"))
    rulebook.wait(lambda: len(launches) >= 6)
    time.sleep(0.5)  # for one too many
    told = Counter((launch["name"], launch["extra_vars"]["hostcare_hosts"], launch["limit"]) for launch in launches)
    assert told == {
        (APPROVAL, "web1", ""): 2,
        (APPROVAL, "web2", ""): 1,
        (APPROVAL, "10.0.0.1", ""): 1,
        (APPROVAL, "last", ""): 1,
        (REMEDY, "web1.example.org", "web1.example.org"): 1,
    }
    # The host, and nothing else of the alert.
    assert all(set(launch["asked"].get("extra_vars", {})) == {"hostcare_hosts"} for launch in launches)
    assert not mark.exists()


def test_alerts_start_playbooks(rulebooks: Both, home: Path, arena: Arena, tmp_path: Path) -> None:
    rulebook, mark = rulebooks.triage, tmp_path / "mark"
    twin = arena.innocent(name="rogue")
    arena.spare(15)
    arena.bomb("nap")
    arena.wait_full(spare=15, share=1)
    before = len(arena.living())

    def plays() -> int:
        return rulebook.log.read_text(errors="replace").count("PLAY RECAP")

    for odd in hostile(mark):
        rulebook.post(odd)
    annotation = f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"
    rulebook.post(*[alert("web1:9100", annotation=annotation) for _duplicate in range(STORM)])
    rulebook.wait(lambda: plays() == 1)
    report = json.loads((home / "report" / "triage.json").read_text())
    assert [host["name"] for host in report["hosts"]] == ["web1"]
    assert report["plan"] == {"process_storm": ["web1"]}
    assert len(arena.living()) == before

    # They come one after the other: one too many would come before the remedy.
    rulebook.post(alert("web1:9100"), alert("web1:9100", status="resolved"))
    rulebook.post(*[alert("web1:9100", annotation=annotation, hostcare="remediate") for _duplicate in range(STORM)])
    rulebook.wait(lambda: plays() == 2)
    assert arena.living() == []
    twin.assert_unharmed()
    assert not mark.exists()
