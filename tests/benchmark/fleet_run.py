# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""One run of ansible-playbook and all that the controller spent on it: ssh clients and kept connections, too."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CALLBACKS = ROOT / "tests" / "support" / "callbacks"
MEMORY_EVERY = 2.0  # seconds
_PR_SET_CHILD_SUBREAPER = 36

Adopted = Callable[[], list[int]]


class Run(NamedTuple):
    """``cpu`` is user and system time, in seconds; ``memory`` the most at one time, in MiB, pages shared by several
    counted once. ``tasks`` has for each host how many results it had, and the tasks that asked something of it."""

    seconds: float
    cpu: float
    memory: float
    tasks: dict[str, dict[str, Any]]


def play(arguments: Sequence[str], settings: Mapping[str, str], home: Path) -> Run:
    """``settings`` are those of Ansible, of which none of the user's own is kept. Kept connections end with the run."""
    counted, log = home / "tasks.json", home / "log"
    counted.unlink(missing_ok=True)
    environment = _environment(home) | {"HOSTCARE_TASKS": str(counted)} | dict(settings)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    with _adopting() as adopted, log.open("w") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [program, *arguments], cwd=home, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            memory, code, spent = _watch(process.pid, adopted)
            process.returncode = code
            seconds = time.monotonic() - started
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            kept = _end(adopted)
    if code or not counted.exists():
        raise RuntimeError(f"{' '.join(arguments)[:200]} ended with {code}:\n{log.read_text()[-3000:]}")
    return Run(seconds, spent + kept, memory, json.loads(counted.read_text()))


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    kept.pop("SSH_AUTH_SOCK", None)
    return kept | {
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.work/collections:{ROOT}/.work/thirdparty",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "hostcare_tasks",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONPYCACHEPREFIX": f"{ROOT}/.work/pycache",
    }


@contextlib.contextmanager
def _adopting() -> Iterator[Adopted]:
    """Connections that ssh keeps are nobody's children: meanwhile they are ours, which `adopted()` lists."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = set(_children(os.getpid()))
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    try:
        yield lambda: [pid for pid in _children(os.getpid()) if pid not in before]
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _watch(pid: int, adopted: Adopted) -> tuple[float, int, float]:
    """The most memory, the return code and the processor time of a child, once it has ended."""
    most, due = 0.0, time.monotonic() + MEMORY_EVERY
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return most, os.waitstatus_to_exitcode(status), _cpu(usage)
        if time.monotonic() >= due:
            most = max(most, sum(map(_memory, _family(adopted()))))
            due = time.monotonic() + MEMORY_EVERY
        time.sleep(0.02)


def _end(adopted: Adopted) -> float:
    """The processor time of children, which are ended, and of theirs."""
    spent = 0.0
    while pids := adopted():
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        spent += sum(_cpu(os.wait4(pid, 0)[2]) for pid in pids)
    return spent


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _family(pids: Sequence[int]) -> list[int]:
    found = list(pids)
    for pid in found:
        found.extend(_children(pid))
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for thread in os.listdir(f"/proc/{pid}/task") for child in _read(pid, thread).split()]
    return []


def _read(pid: int, thread: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{thread}/children").read_text()
    return ""


def _memory(pid: int) -> float:
    """In MiB; a page that several share counts in parts."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
