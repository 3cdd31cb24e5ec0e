# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The C programs of the bench, compiled when first asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "src"
BINARIES = Path(__file__).resolve().parents[3] / ".work" / "bin"
# Static: they start in a millisecond, and run inside any container.
COMPILE = ("gcc", "-std=gnu11", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror")


def program(name: str) -> str:
    """The path of a program of ``src``, compiled anew when a source is younger."""
    source, binary = SOURCES / f"{name}.c", BINARIES / name
    youngest = max(path.stat().st_mtime for path in (source, *SOURCES.glob("*.h")))
    if not binary.exists() or binary.stat().st_mtime < youngest:
        BINARIES.mkdir(parents=True, exist_ok=True)
        new = BINARIES / f"{name}.{os.getpid()}"
        subprocess.run([*COMPILE, "-D_GNU_SOURCE", "-o", str(new), str(source)], check=True)
        new.replace(binary)
    return str(binary)
