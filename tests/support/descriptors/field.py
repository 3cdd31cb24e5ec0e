# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A field of daemons: an arena in which each one is in a cgroup that is named like a unit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, final

from ansible_collections.hostcare.remediation.tests.support.storm import Arena

from .programs import DAEMON, program, tool_command

ROOM = 3000


class Cost(NamedTuple):
    out: bytes
    cpu_seconds: float
    peak_kib: int


@final
class Field:
    def __init__(self, slots: int = ROOM) -> None:
        self.arena = Arena(slots)
        self.daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Field:
        self.arena.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.arena.__exit__(kind, error, trace)

    def daemon(self, unit: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
        """Start one in its unit; returns what it said after "ready", the port of a server."""
        return self.start(unit, *prefix, sys.executable, DAEMON, *map(str, arguments))

    def crowd(self, unit: str, processes: int, descriptors: int, *how: str) -> None:
        self.start(unit, program("fdcrowd"), str(processes), str(descriptors), *how)

    def start(self, unit: str, *command: str) -> str:
        """A program that says ready; it ends with the arena."""
        process = self.arena.start(command, unit, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.daemons.append(process)
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert line[:1] == [b"ready"], f"{command} said {line}"
        return line[1].decode() if len(line) > 1 else ""

    def survey(self, *prefix: str, **options: Any) -> dict[str, Any]:
        """What file_descriptor_info returns here."""
        return self._tool(prefix, "survey", options)

    def limits(self, *prefix: str, **options: Any) -> dict[str, Any]:
        """What process_rlimit returns here."""
        return self._tool(prefix, "limits", options)

    def _tool(self, prefix: tuple[str, ...], what: str, options: dict[str, Any]) -> dict[str, Any]:
        done = self.arena.run([*prefix, *tool_command(what, **options)], timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def cost_of(self, command: Sequence[str]) -> Cost:
        """Run a program to its end: what it said, its processor time and its memory."""
        process = self.arena.start(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        out = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode in (0, 1), command
        return Cost(out, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    def output(self, *command: str) -> str:
        """What a peer says, run inside."""
        done = self.arena.run(command, timeout=120)
        assert done.returncode in (0, 1), (command, done.stderr.decode())
        return done.stdout.decode("utf-8", "replace")


def by_key(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {group["key"]: group for group in groups}


def kinds(entry: dict[str, Any]) -> dict[str, int]:
    return {one["kind"]: one["count"] for one in entry["kinds"]}
