# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Jobs as AWX runs them: ansible-runner, in the directories that AWX makes for a job, on hosts with bombs.

The layout, the files and what is marked unsafe are those of awx/main/tasks/jobs.py and of safe_dump in
awx/main/utils/safe_yaml.py (AWX 24.6.1): what a template sets is a template of Ansible, an answer to a survey is text.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.automation import PROGRAMS, environment
from ansible_collections.hostcare.remediation.tests.support.awx import rules
from ansible_collections.hostcare.remediation.tests.support.awx.shipped import TEMPLATES
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT
from ansible_collections.hostcare.remediation.tests.support.storm.arena import TOOLS, Arena
from ansible_collections.hostcare.remediation.tests.support.storm.programs import program

pytestmark = pytest.mark.once

SPARE = 15
INVENTORY = """#!/usr/bin/env python3
# -*- coding: utf-8 -*-
print(%r)
"""


class _Dumper(yaml.SafeDumper):
    """Every text is marked, as AWX marks it."""

    def represent_data(self, data: t.Any) -> yaml.Node:
        return self.represent_scalar("!unsafe", data) if isinstance(data, str) else super().represent_data(data)


class Job(t.NamedTuple):
    number: int
    code: int
    status: str
    output: str
    events: list[dict[str, t.Any]]

    @property
    def artifacts(self) -> dict[str, t.Any]:
        """What AWX keeps as the artifacts of the job, and hands on to the nodes that follow."""
        return dict(self.events[-1]["event_data"].get("artifact_data", {}))

    def tasks(self, *kinds: str) -> list[str]:
        return [event["event_data"]["task"] for event in self.events if event["event"] in kinds]


class Awx:
    """One project, synchronized once; each job has a directory of its own."""

    def __init__(self, home: Path, hosts: dict[str, t.Any]) -> None:
        self._home, self._hosts, self._count = home, hosts, 16
        self._project, self._collections = home / "project", home / "requirements_collections"

    def synchronize(self) -> None:
        """A checkout, and what collections/requirements.yml asks for."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (self._project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._project / name)
        subprocess.run(
            ["ansible-galaxy", "collection", "install", "-r", "collections/requirements.yml", "-p", self._collections],
            cwd=self._project, env=environment(self._home, ANSIBLE_COLLECTIONS_PATH=str(self._collections)),
            capture_output=True, check=True, timeout=120,
        )  # fmt: skip

    def launch(self, name: str, answers: dict[str, t.Any], *arguments: str) -> Job:
        """With the defaults of the survey, as AWX fills them in."""
        template = TEMPLATES[name]
        questions = template["survey_spec"]["spec"]
        defaults = {one["variable"]: one["default"] for one in questions if "default" in one}
        taken = rules.accepted(template, {**defaults, **answers})
        self._count += 1
        job = self._home / f"job-{self._count}"
        for part in ("inventory", "env"):
            (job / part).mkdir(parents=True)
        (job / "project").symlink_to(self._project)
        hosts = job / "inventory" / "hosts"
        hosts.write_text(
            INVENTORY % json.dumps({"all": {"hosts": list(self._hosts)}, "_meta": {"hostvars": self._hosts}})
        )
        hosts.chmod(0o700)
        own = {**template["extra_vars"], "hostcare_become": False, "hostcare_window": "", "hostcare_max_hosts": ""}
        numbers = {"awx_job_id": self._count, "tower_job_id": self._count}
        files = {
            "extravars": yaml.safe_dump(own) + yaml.dump({**numbers, **taken}, Dumper=_Dumper),
            "settings": json.dumps({"job_timeout": 120, "idle_timeout": 60, "suppress_ansible_output": True}),
            "envvars": json.dumps({"ANSIBLE_COLLECTIONS_PATH": str(self._collections), "ANSIBLE_FORCE_COLOR": "True"}),
            "cmdline": " ".join(arguments),
        }
        for file, content in files.items():
            (job / "env" / file).write_text(content)
        done = subprocess.run(
            [PROGRAMS / "ansible-runner", "run", job, "--playbook", template["playbook"], "--ident", str(self._count)],
            env=environment(self._home), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        artifacts = job / "artifacts" / str(self._count)
        assert artifacts.is_dir(), done.stdout + done.stderr
        events = [json.loads(path.read_text()) for path in (artifacts / "job_events").glob("*.json")]
        return Job(
            self._count,
            int((artifacts / "rc").read_text()),
            (artifacts / "status").read_text(),
            (artifacts / "stdout").read_text(),
            sorted(events, key=lambda event: int(event["counter"])),
        )


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
