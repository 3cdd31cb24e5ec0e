# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Ask a host with `ansible -m ping`, each time over a fresh connection: pings.py HOST TIMES SECONDS INVENTORY...

Each is a process of its own that runs the program `ansible` from its first line on: it reads the inventory, opens a
connection of ssh that is nobody else's, and runs the module. It is forked from this one, in which Ansible is imported
already, since on a busy machine that import takes longer than all the rest, and says nothing about the host.

Prints each answer with the time it took, and at the end how many answered within SECONDS, with the median and the
longest time. HOSTCARE_PINGS_LOG names a file in which the same is read meanwhile.
"""

from __future__ import annotations

import importlib
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ansible.cli.adhoc import AdHocCLI

# What the program would import at its first task.
for name in ("executor.task_queue_manager", "plugins.connection.ssh", "plugins.strategy.linear"):
    importlib.import_module(f"ansible.{name}")

FRESH = "ansible_ssh_args='-o ControlMaster=no -o ControlPath=none'"


def say(line: str) -> None:
    print(line, flush=True)
    if log := os.environ.get("HOSTCARE_PINGS_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def ask(command: list[str], most: float) -> tuple[float, str]:
    """How long it took, and what was said if it was no answer in time."""
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            AdHocCLI.cli_executor(command)  # exits
        status = wait(pid, started + most)
        took = time.monotonic() - started
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    if status is None:
        return took, f"no answer within {most:.0f} s"
    return took, "" if status == 0 and "pong" in text else " ".join(text.split())[-300:]


def wait(pid: int, deadline: float) -> int | None:
    """Its status; None where it was still at work, and is ended with all it has started."""
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def main(host: str, times: int, most: float, inventories: list[str]) -> None:
    command = ["ansible", host, "-m", "ansible.builtin.ping", "-T", str(int(most)), "-e", FRESH]
    command += [word for one in inventories for word in ("-i", one)]
    took = []
    for number in range(1, times + 1):
        seconds, fault = ask(command, most)
        say(f"{host} {number} of {times}: {fault or 'pong'}, {seconds:.1f} s")
        took += [] if fault else [seconds]
    summary = f"{host}: {len(took)} of {times} answered within {most:.0f} s"
    if took:
        summary += f", half of them within {statistics.median(took):.1f} s, all within {max(took):.1f} s"
    say(summary)
    sys.exit(0 if len(took) == times else 3)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
