# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Find the Python interpreters of this machine: on PATH, of pyenv, of uv, below /opt."""

from __future__ import annotations

import glob
import os
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

# Asked of every candidate: a shim names the real interpreter behind it.
QUESTION = """
import sys
if sys.implementation.name == "cpython":
    import ensurepip, venv
    print("%d.%d" % sys.version_info[:2], sys.executable)
"""
CALLABLE = re.compile(r"python3(\.\d+)?$")
OLDEST = (3, 8)


class Interpreter(NamedTuple):
    version: str
    path: str

    @property
    def key(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))


def directories() -> Iterator[str]:
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    shims = os.path.join(pyenv, "shims")
    # A shim only leads to what the versions directory holds anyway, and takes ten times as long to answer.
    yield from (entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry != shims)
    yield from sorted(glob.glob(os.path.join(pyenv, "versions", "*", "bin")))
    yield from sorted(glob.glob(os.path.expanduser("~/.local/share/uv/python/*/bin")))
    yield from sorted(glob.glob("/opt/python*/bin"))
    yield from ("/usr/local/bin", "/usr/bin")


def candidates() -> Iterator[str]:
    seen: set[str] = set()
    for directory in directories():
        # A virtual environment's python is a link to one that is wanted by its own path.
        if os.path.exists(os.path.join(directory, os.pardir, "pyvenv.cfg")):
            continue
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            path = os.path.join(directory, name)
            real = os.path.realpath(path)
            if CALLABLE.match(name) and real not in seen and os.access(path, os.X_OK):
                seen.add(real)
                yield path


def ask(path: str) -> Interpreter | None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYENV_VERSION"))}
    try:
        answer = subprocess.run(
            [path, "-c", QUESTION],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = answer.stdout.decode().split(None, 1)
    return Interpreter(words[0], words[1].strip()) if len(words) == 2 else None


def discover() -> list[Interpreter]:
    """One interpreter for each minor version from 3.8 on that can make virtual environments, oldest first."""
    found: dict[str, Interpreter] = {}
    for path in candidates():
        interpreter = ask(path)
        if interpreter and interpreter.key >= OLDEST:
            found.setdefault(interpreter.version, interpreter)
    return sorted(found.values(), key=lambda interpreter: interpreter.key)


def with_real_directories_first() -> str:
    """A PATH for tools that look for pythonX.Y by name and are misled by shims."""
    first = [os.path.dirname(interpreter.path) for interpreter in discover()]
    rest = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(first + [entry for entry in rest if not entry.endswith("/shims")]))


if __name__ == "__main__":
    for known in discover():
        print(known.version, known.path)
