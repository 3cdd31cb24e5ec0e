# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The module's work as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

TOOL = Path(__file__).resolve().with_name("maildrop_tool.py")


def command(state: str, flags: t.Sequence[str] = (), python: str = sys.executable, **options: t.Any) -> list[str]:
    return [python, str(TOOL), json.dumps({"state": state, **options}), *flags]


def module(
    state: str, prefix: t.Sequence[str] = (), python: str = sys.executable, **options: t.Any
) -> dict[str, t.Any]:
    """Run it to its end; `prefix` is a command that runs it elsewhere."""
    done = subprocess.run(
        [*prefix, *command(state, python=python, **options)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


class Purger:
    """The module, loaded and waiting for the word; then it may be killed at any moment."""

    def __init__(self, state: str, **options: t.Any) -> None:
        self.process = subprocess.Popen(
            command(state, ["--wait"], **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def kill(self) -> bool:
        """Whether it was still at work."""
        self.process.kill()
        self.process.communicate()
        return self.process.returncode < 0

    def result(self) -> dict[str, t.Any]:
        out, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors.decode()
        return dict(json.loads(out))
