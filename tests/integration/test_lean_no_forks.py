# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A module's process starts no other, from the interpreter's first instruction to the last, and makes no file."""

from __future__ import annotations

import re
import shutil
import subprocess
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.slots import LEAN, Login

# How a module is started is each core's own affair, what it does then is not: one of them serves for the older cores.
MODULES = [module if module == "rogue_process" else pytest.param(module, marks=pytest.mark.once) for module in LEAN]
FORKS = re.compile(r"\b(fork|vfork|clone|clone3)\(")
CREATES = re.compile(r"O_CREAT|\b(mkdir|mkdirat|mknod|mknodat|symlink|symlinkat|rename|renameat2?|link|linkat)\(")


class Traced(t.NamedTuple):
    """An interpreter that writes down its system calls: usable as `ansible_python_interpreter`."""

    python: str
    log: Path

    def calls(self, pattern: re.Pattern[str]) -> list[str]:
        # what is opened there is memory (the module's zip file) or the kernel's, whatever the flags
        lines = [line for line in self.log.read_text().splitlines() if '"/proc/self/' not in line]
        assert any("execve(" in line and "python" in line for line in lines), "strace saw no Python"
        return [line for line in lines if pattern.search(line)]


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    log = tmp_path / "calls"
    wanted = (
        "%process,openat,open,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,rename,renameat,renameat2,link,linkat"
    )
    # All other calls at full speed: a slow module finds no moment in which nobody on a busy machine forks.
    return Traced(f"strace -f --seccomp-bpf -qq -e trace={wanted} -o {log} /usr/bin/python3", log)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[str]:
    """A real process with a name of its own to be stopped and killed."""
    name = f"hcv{uuid.uuid4().hex[:8]}"
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    # away from the session the tests and their sshd run in, which rogue_process protects as its own
    process = subprocess.Popen([program, "300"], start_new_session=True)
    yield name
    process.kill()
    process.wait()


@pytest.mark.parametrize("module", MODULES)
def test_module_makes_no_fork(root: Login, traced: Traced, module: str) -> None:
    answer = root.play(LEAN[module], live=True, host_vars={"ansible_python_interpreter": traced.python}).only
    assert answer.status == "ok", answer.data
    assert traced.calls(FORKS) == []
    if module != "remedy_lock":  # its directory is a file it is asked to make
        assert traced.calls(CREATES) == []


@pytest.mark.once
def test_a_locale_the_host_does_not_have_makes_no_fork(root: Login, traced: Traced) -> None:
    """AnsibleModule would ask `locale -a` for another one."""
    host_vars = {
        "ansible_python_interpreter": traced.python,
        "ansible_ssh_extra_args": "-o SetEnv=LC_MESSAGES=xx_XX.UTF-8",
    }
    answer = root.play(LEAN["headroom_info"], live=True, host_vars=host_vars).only
    assert answer.status == "ok", answer.data
    assert traced.calls(FORKS) == []


@pytest.mark.once
@pytest.mark.parametrize("state", ["frozen", "terminated", "killed"])
def test_acting_on_a_process_makes_no_fork(root: Login, traced: Traced, victim: str, state: str) -> None:
    task = {"hostcare.remediation.rogue_process": {"state": state, "name": [victim], "timeout": "2m"}}
    answer = root.play(task, live=True, host_vars={"ansible_python_interpreter": traced.python}).only
    assert answer.status == "ok", answer.data
    assert (answer.data["changed"], answer.data["matched"]) == (True, 1), answer.data
    assert traced.calls(FORKS) == []


@pytest.mark.once
def test_throttling_and_releasing_makes_no_fork(root: Login, traced: Traced, victim: str) -> None:
    with PidsCgroup() as cell:
        cell.add(int(next(path.parent.name for path in Path("/proc").glob("[0-9]*/comm") if _is(path, victim))))
        for state, limit in (("throttled", 0), ("released", None)):
            task = {"hostcare.remediation.spawn_throttle": {"state": state, "name": [victim], "release_after": "1m"}}
            answer = root.play(task, live=True, host_vars={"ansible_python_interpreter": traced.python}).only
            assert answer.status == "ok", answer.data
            assert (answer.data["changed"], cell.limit) == (True, limit), answer.data
            assert traced.calls(FORKS) == []


def _is(comm: Path, name: str) -> bool:
    try:
        return comm.read_text() == name + "\n"
    except OSError:
        return False


@pytest.mark.once
def test_taking_the_lock_makes_no_fork(root: Login, traced: Traced) -> None:
    for state in ("held", "released"):
        task = {"hostcare.remediation.remedy_lock": {"state": state, "remedy": "test", "owner": "a test"}}
        answer = root.play(task, live=True, host_vars={"ansible_python_interpreter": traced.python}).only
        assert answer.status == "ok", answer.data
        assert answer.data["changed"] is True
        assert traced.calls(FORKS) == []


@pytest.mark.parametrize("module", MODULES)
def test_module_runs_where_one_process_is_all_there_may_be(root: Login, module: str) -> None:
    with PidsCgroup() as cell:
        cell.limit = 1
        python = f"/bin/sh -c 'echo $$ >{cell.path}/cgroup.procs; exec /usr/bin/python3'"
        answer = root.play(LEAN[module], live=True, host_vars={"ansible_python_interpreter": python}).only
    assert answer.status == "ok", answer.data


def test_a_fork_is_seen(root: Login, traced: Traced) -> None:
    """The trace would show one: a stock module that runs a command."""
    task = {"ansible.builtin.command": "true"}
    # ansible-core quotes an interpreter with arguments as one word, so this one goes into a file
    script = traced.log.with_name("python")
    script.write_text(f'#!/bin/sh\nexec {traced.python} "$@"\n')
    script.chmod(0o755)
    host_vars = {"ansible_python_interpreter": str(script), "ansible_pipelining": True}
    answer = root.play(task, live=True, host_vars=host_vars).only
    assert answer.status == "ok", answer.data
    assert traced.calls(FORKS)
    assert traced.calls(CREATES)
