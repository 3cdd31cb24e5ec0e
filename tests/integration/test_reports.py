# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What an operator reads on the terminal: triage and the role's report, by the callback plain."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT, Controller
from ansible_collections.hostcare.remediation.tests.support.mounts import empty
from ansible_collections.hostcare.remediation.tests.support.storm.arena import Arena

# A name that Ansible would run as a template if it ever took it for one; 15 bytes, as many as the kernel keeps.
HOSTILE = "{{ 99**9 }}\x1b[2J"
SHOWN = r"{{ 99**9 }}\x1b[2J"
RUN = "/usr/bin/env"


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(slots=500) as arena:
        yield arena


def play(arena: Arena, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    programs = Path(os.environ.get("HOSTCARE_ANSIBLE_BIN") or Path(sys.executable).parent)
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.work/collections",
        "ANSIBLE_STDOUT_CALLBACK": "hostcare.remediation.plain",
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }
    (home / "ansible.cfg").write_text("[defaults]\n")
    settings = [f"{name}={value}" for name, value in environment.items()]
    # The lock and the budget of this machine stay out of it.
    apart = empty("/run", "/var/lib")
    command = [
        *apart,
        RUN,
        "-i",
        *settings,
        str(programs / "ansible-playbook"),
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"triage_directory={home}/triage",
        *arguments,
    ]
    done = arena.run(command, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_triage_says_what_is_full_and_how_to_act(arena: Arena, tmp_path: Path) -> None:
    arena.spare(20)
    arena.bomb("nap", name=HOSTILE)
    arena.wait_full(spare=20)
    before = len(arena.living())
    done = play(arena, tmp_path, "hostcare.remediation.triage")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TASK [" not in done.stdout
    assert "PLAY RECAP" in done.stdout
    assert "changed=0" in done.stdout
    assert "TRIAGE  1 host: 1 critical" in done.stdout
    assert f"name {SHOWN}, user games: {before} processes" in done.stdout
    assert "-e hostcare_hosts=localhost" in done.stdout
    assert f"page  {tmp_path}/triage/triage.html" in done.stdout
    for text in (done.stdout, *(file.read_text() for file in (tmp_path / "triage").iterdir())):
        assert str(99**9) not in text
        assert "\x1b" not in text
    assert SHOWN in (tmp_path / "triage" / "triage.html").read_text()
    assert len(arena.living()) == before


@pytest.mark.once
def test_the_line_that_triage_gives_to_paste_ends_the_storm(arena: Arena, tmp_path: Path) -> None:
    twin = arena.innocent(name="rogue")
    arena.spare(100)
    arena.bomb("nap", name="rogue")
    arena.wait_full(spare=100)
    report = play(arena, tmp_path, "hostcare.remediation.triage").stdout
    (line,) = [line for line in report.splitlines() if line.startswith("  ansible-playbook ")]
    done = play(arena, tmp_path, *shlex.split(line)[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert arena.living() == []
    twin.assert_unharmed()
    again = play(arena, tmp_path, *shlex.split(line)[1:])
    assert "REMEDY  nothing matches the selection" in again.stdout
    assert "changed=0" in again.stdout


@pytest.mark.once
def test_a_hostile_name_stays_a_name_when_the_role_acts(arena: Arena, tmp_path: Path) -> None:
    arena.spare(100)
    arena.bomb("nap", name=HOSTILE)
    arena.wait_full(spare=100)
    done = play(arena, tmp_path, "hostcare.remediation.process_storm", "-e", "process_storm_auto=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert arena.living() == []


@pytest.mark.once
def test_without_a_selector_nothing_is_touched(arena: Arena, tmp_path: Path) -> None:
    done = play(arena, tmp_path, "hostcare.remediation.process_storm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUSPECTS  none" in done.stdout
    assert "REMEDY  nothing to do." in done.stdout
    assert "changed=0" in done.stdout


def test_a_failure_is_shown_with_its_task(arena: Arena, tmp_path: Path) -> None:
    done = play(
        arena, tmp_path, "hostcare.remediation.process_storm",
        "-e", "process_storm_auto=true", "-e", '{"process_storm_selector": {"name": ["x"]}}',
    )  # fmt: skip
    assert done.returncode != 0
    assert "TASK [hostcare.remediation.process_storm : Preflight | Check that one way is chosen]" in done.stdout
    assert "process_storm_selector and process_storm_auto are both set" in done.stdout
    assert "failed=1" in done.stdout


@pytest.mark.once
def test_what_the_playbook_ignores_is_told_once_by_its_report(controller: Controller, tmp_path: Path) -> None:
    here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    hosts = {
        "dead": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
        "here": here,
        "void": {**here, "ansible_python_interpreter": "/nonexistent"},
    }
    run = controller.run_playbook(
        "hostcare.remediation.triage", hosts,
        "-e", "hostcare_session_timeout=0", "-e", f"triage_directory={tmp_path}/triage",
        environment={"ANSIBLE_STDOUT_CALLBACK": "hostcare.remediation.plain"},
    )  # fmt: skip
    assert run.succeeded, run.output
    assert "fatal:" not in run.output
    assert "TASK [" not in run.output
    assert "\nUNREACHABLE  dead: " in run.output
    assert "\nFAILED  void: void cannot run /nonexistent. Set ansible_python_interpreter" in run.output
    assert "--- dead" not in run.output, "the report is of all hosts"
