# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""ansible-rulebook, ansible-runner and ansible-builder, in their own environment, with the ansible-core of the run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

PROGRAMS = ROOT / ".work" / "venv-automation" / "bin"
TOKEN = "sesame"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    core = os.environ.get("HOSTCARE_ANSIBLE_BIN") or str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join((str(PROGRAMS), core, os.environ["PATH"])),
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.work/collections",
        "ANSIBLE_HOME": str(home / "ansible"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }  # fmt: skip


class Rulebook:
    """ansible-rulebook at work on one of the collection's rulebooks: `with Rulebook(...) as one: one.post(...)`."""

    def __init__(
        self,
        name: str,
        home: Path,
        inventory: dict[str, t.Any],
        *arguments: str,
        variables: dict[str, t.Any] | None = None,
        **more: str,
    ) -> None:
        home.mkdir()
        self.log = home / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        (home / "inventory.yml").write_text(json.dumps({"all": {"hosts": inventory}}))
        given = {"hostcare_eda_port": self._port, "hostcare_eda_token": TOKEN, **(variables or {})}
        (home / "variables.yml").write_text(json.dumps(given))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAMS / "ansible-rulebook", "--rulebook", f"hostcare.remediation.{name}",
                 "--inventory", "inventory.yml", "--vars", "variables.yml", "--verbose", *arguments],
                cwd=home, env=environment(home, **more), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> Rulebook:
        """It takes some seconds to begin: make them all before the first is entered."""
        try:
            self.wait(self._listens)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def wait(self, condition: t.Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain: {self.log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.05)

    def post(self, *alerts: t.Any, token: str = TOKEN) -> int:
        """As the Alertmanager does: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
        message = {
            "version": "4", "groupKey": '{}:{alertname="A"}', "truncatedAlerts": 0, "status": "firing",
            "receiver": "hostcare", "groupLabels": {"alertname": "A"}, "commonLabels": {"alertname": "A"},
            "commonAnnotations": {}, "externalURL": "http://alertmanager:9093", "alerts": list(alerts),
        }  # fmt: skip
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/",
            json.dumps(message).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {token}",
                "User-Agent": "Alertmanager/0.25.0",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def alert(instance: str, status: str = "firing", annotation: str = "text", **labels: str) -> dict[str, t.Any]:
    """One alert, as it is when it reaches a receiver."""
    return {
        "status": status,
        "labels": {"alertname": "HostcareProcessSlots", "instance": instance, "job": "node", "severity": "critical",
                   "hostcare": "triage", **labels},
        "annotations": {"summary": annotation, "description": annotation},
        "startsAt": "2026-03-01T12:00:00.000Z",
        "endsAt": "2026-03-01T12:05:00.000Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=1",
        "fingerprint": "c9d8b7a6f5e4d3c2",
    }  # fmt: skip
