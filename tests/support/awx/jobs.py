# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Jobs as AWX runs them: ansible-runner, in the directories that AWX makes for a job.

The layout, the files and what is marked unsafe are those of awx/main/tasks/jobs.py and of safe_dump in
awx/main/utils/safe_yaml.py (AWX 24.6.1): what a template sets is a template of Ansible, an answer to a survey is text.

jobs.py HOME ISOLATION HOSTS TEMPLATE ANSWERS [ARGUMENT ...] runs one job in a container (a JSON object, see Isolation)
on hosts (one of their variables) with answers to its survey (another one), and prints what became of it as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from ansible_collections.hostcare.remediation.tests.support.automation import PROGRAMS, environment
from ansible_collections.hostcare.remediation.tests.support.awx import rules
from ansible_collections.hostcare.remediation.tests.support.awx.shipped import TEMPLATES
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

TIMEOUT = 240  # seconds
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


class Isolation(t.NamedTuple):
    """A container for each job, as AWX has it: of an image (an execution environment), in a network of podman, with the
    key of the machine credential in an agent."""

    image: str
    network: str
    key: str

    @property
    def settings(self) -> dict[str, t.Any]:
        return {
            "process_isolation": True,
            "process_isolation_executable": "podman",
            "container_image": self.image,
            "container_options": [f"--network={self.network}", "--user=root", "--pull=never"],
        }


class Awx:
    """One project, synchronized once; each job has a directory of its own, and a container where one is asked for."""

    def __init__(self, home: Path, hosts: dict[str, t.Any], isolation: Isolation | None = None) -> None:
        self._home, self._hosts, self._isolation = home, hosts, isolation
        self._count = 16 + len(list(home.glob("job-*")))
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
        shutil.copytree(self._project, job / "project")
        shutil.copytree(self._collections, job / "requirements_collections", symlinks=True)
        hosts = job / "inventory" / "hosts"
        hosts.write_text(
            INVENTORY % json.dumps({"all": {"hosts": list(self._hosts)}, "_meta": {"hostvars": self._hosts}})
        )
        hosts.chmod(0o700)
        own = {
            **template["extra_vars"],
            "hostcare_become": False,
            "hostcare_window": "",
            "hostcare_max_hosts": "",
        }
        numbers = {"awx_job_id": self._count, "tower_job_id": self._count}
        settings = {"job_timeout": TIMEOUT, "idle_timeout": TIMEOUT, "suppress_ansible_output": True}
        if self._isolation:
            settings.update(self._isolation.settings)
        files = {
            "extravars": yaml.safe_dump(own) + yaml.dump({**numbers, **taken}, Dumper=_Dumper),
            "settings": json.dumps(settings),
            "envvars": json.dumps({
                "ANSIBLE_COLLECTIONS_PATH": f"{'/runner' if self._isolation else job}/requirements_collections",
                "ANSIBLE_FORCE_COLOR": "True",
                "ANSIBLE_HOST_KEY_CHECKING": "False",
            }),
            "cmdline": " ".join(arguments),
        }  # fmt: skip
        if self._isolation:
            files["ssh_key"] = Path(self._isolation.key).read_text()
        for file, content in files.items():
            (job / "env" / file).write_text(content)
        done = subprocess.run(
            [PROGRAMS / "ansible-runner", "run", job, "--playbook", template["playbook"], "--ident", str(self._count)],
            env=environment(self._home), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=TIMEOUT,
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


def main(home: str, isolation: str, hosts: str, template: str, answers: str, *arguments: str) -> None:
    awx = Awx(Path(home), json.loads(hosts), Isolation(**json.loads(isolation)))
    awx.synchronize()
    job = awx.launch(template, json.loads(answers), *arguments)
    said = {"code": job.code, "status": job.status, "artifacts": job.artifacts, "output": job.output.splitlines()}
    changed = [event for event in job.events if event.get("event_data", {}).get("res", {}).get("changed")]
    print(json.dumps({**said, "changed": sorted({event["event_data"]["task"] for event in changed})}))


if __name__ == "__main__":
    main(*sys.argv[1:])
