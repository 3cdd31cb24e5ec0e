# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""ansible-playbook as a user runs it, and what it answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLBACKS = Path(__file__).resolve().parent / "callbacks"


class Result(t.NamedTuple):
    task: str
    host: str
    status: str
    data: dict[str, t.Any]

    @property
    def warnings(self) -> str:
        return "\n".join(str(warning) for warning in self.data.get("warnings", []))


class Run(t.NamedTuple):
    results: list[Result]
    output: str
    seconds: float
    code: int = 0

    @property
    def succeeded(self) -> bool:
        return self.code == 0

    @property
    def only(self) -> Result:
        """The result, where the play has one task for one host."""
        assert len(self.results) == 1, self.output
        return self.results[0]


def python_behind(enter: t.Sequence[str], directory: Path) -> Path:
    """An interpreter for a host that is namespaces: it starts Python by the command that enters them."""
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nexec {" ".join(enter)} /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    return python


class Controller:
    """Plays tasks against one host, `target`, with the ansible-core this test run is about."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "ansible.cfg").write_text("[defaults]\n")
        self._programs = Path(os.environ.get("HOSTCARE_ANSIBLE_BIN") or Path(sys.executable).parent)

    def play(
        self,
        host_vars: t.Mapping[str, t.Any],
        *tasks: dict[str, t.Any],
        arguments: t.Sequence[str] = (),
        environment: t.Mapping[str, str] | None = None,
        inventory: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
        **keywords: t.Any,
    ) -> Run:
        """`keywords` are those of the play (become, environment, module_defaults); `inventory` adds hosts."""
        playbook = self._home / "playbook.json"
        play = {"hosts": "target", "gather_facts": False, "tasks": list(tasks), **keywords}
        playbook.write_text(json.dumps([play]))
        hosts = {"target": host_vars, **(inventory or {})}
        return self.run_playbook(playbook, hosts, *arguments, environment=environment)

    def run_playbook(
        self,
        playbook: Path | str,
        inventory: t.Mapping[str, t.Mapping[str, t.Any]],
        *arguments: str,
        environment: t.Mapping[str, str] | None = None,
    ) -> Run:
        """A playbook by its path, or one of the collection's by its name."""
        hosts = self._home / "inventory.json"
        hosts.write_text(json.dumps({"all": {"hosts": inventory}}))
        started = time.monotonic()
        done = subprocess.run(
            [self._programs / "ansible-playbook", "-i", hosts, playbook, *arguments],
            cwd=self._home,
            env=self._environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        took = time.monotonic() - started
        results = [
            Result(**json.loads(line.removeprefix("RESULT ")))
            for line in done.stdout.splitlines()
            if line.startswith("RESULT ")
        ]
        assert results or done.returncode == 0, done.stdout
        return Run(results, done.stdout, took, done.returncode)

    def _environment(self) -> dict[str, str]:
        # The user's own settings must not reach the tests.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        kept.pop("SSH_AUTH_SOCK", None)
        return kept | {
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.work/collections:{ROOT}/.work/thirdparty",
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_STDOUT_CALLBACK": "hostcare_results",
            "ANSIBLE_HOME": str(self._home / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self._home / "ansible-tmp"),
            "ANSIBLE_CONFIG": str(self._home / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
