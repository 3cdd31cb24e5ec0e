# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be started: the C programs, compiled when first asked for, the daemons and the tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.hostcare.remediation.tests.support.storm.programs import BINARIES, COMPILE

HERE = Path(__file__).resolve().parent
DAEMON = str(HERE / "daemon.py")
TOOL = str(HERE / "tool.py")


def program(name: str) -> str:
    """The path of a program of ``src``, compiled anew when its source is younger."""
    source, binary = HERE / "src" / f"{name}.c", BINARIES / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        BINARIES.mkdir(parents=True, exist_ok=True)
        new = BINARIES / f"{name}.{os.getpid()}"
        subprocess.run([*COMPILE, "-D_GNU_SOURCE", "-o", str(new), str(source)], check=True)
        new.replace(binary)
    return str(binary)


def tool_command(what: str, **options: Any) -> list[str]:
    """Runs ``survey`` or ``limits`` without Ansible and prints its result as JSON."""
    return [sys.executable, TOOL, what, json.dumps(options)]
