# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Build the virtual environments below .work, each once: environments.py core|lint|unit|automation|triage|importer ...

An environment is complete when its stamp holds the digest of what it was asked for; anything else is built anew.
What this machine's interpreters cannot serve is left out, and said.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from interpreters import Interpreter, discover

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / ".work"
STAMP = ".complete"

# The Pythons each ansible-core supports on a controller, the one to test with first.
CORES = {
    "2.16": ("3.11", "3.10", "3.12"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.21": ("3.14", "3.13", "3.12"),
}


class Environment(NamedTuple):
    name: str
    interpreter: Interpreter
    requirements: str

    @property
    def directory(self) -> Path:
        return WORK / f"venv-{self.name}"

    @property
    def digest(self) -> str:
        wanted = [self.interpreter.path, self.interpreter.version, *read_requirements(self.requirements)]
        return hashlib.sha256("\n".join(wanted).encode()).hexdigest()

    @property
    def complete(self) -> bool:
        try:
            return (self.directory / STAMP).read_text() == self.digest
        except OSError:
            return False


def read_requirements(name: str) -> list[str]:
    lines = []
    for line in (HERE / name).read_text().splitlines():
        if line.startswith("-r "):
            lines += read_requirements(line[3:].strip())
        elif line and not line.startswith("#"):
            lines.append(line)
    return lines


def say(text: str) -> None:
    print(text, flush=True)


def core_environments(found: Sequence[Interpreter]) -> list[Environment]:
    by_version = {interpreter.version: interpreter for interpreter in found}
    environments = []
    for core, supported in CORES.items():
        usable = [by_version[version] for version in supported if version in by_version]
        if usable:
            environments.append(Environment(core, usable[0], f"requirements-core-{core}.txt"))
        else:
            say(f"left out: ansible-core {core}, which needs one of Python {', '.join(supported)}")
    return environments


def newest(found: Sequence[Interpreter], name: str, oldest: str) -> list[Environment]:
    """One environment on the newest interpreter, if that is new enough for its tools."""
    limit = tuple(int(part) for part in oldest.split("."))
    usable = [interpreter for interpreter in found if interpreter.key >= limit]
    if not usable:
        say(f"left out: the {name} environment, which needs Python {oldest} or later")
        return []
    return [Environment(name, usable[-1], f"requirements-{name}.txt")]


def unit_environments(found: Sequence[Interpreter]) -> list[Environment]:
    ends = [found[0]] if len(found) == 1 else [found[0], found[-1]]
    return [Environment(f"unit-{python.version}", python, "requirements-unit.txt") for python in ends]


KINDS: dict[str, Callable[[Sequence[Interpreter]], list[Environment]]] = {
    "core": core_environments,
    "lint": lambda found: newest(found, "lint", "3.11"),
    "unit": unit_environments,
    "automation": lambda found: newest(found, "automation", "3.10"),
    "triage": lambda found: newest(found, "triage", "3.10"),
    "importer": lambda found: newest(found, "importer", "3.11"),
    "docs": lambda found: newest(found, "docs", "3.12"),
}


def build(environment: Environment) -> None:
    started = time.monotonic()
    shutil.rmtree(environment.directory, ignore_errors=True)
    python = str(environment.directory / "bin" / "python")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    for command in (
        [environment.interpreter.path, "-m", "venv", str(environment.directory)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
         str(HERE / environment.requirements)],
    ):  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: failed\n{done.stdout.decode(errors='replace')}")
    (environment.directory / STAMP).write_text(environment.digest)
    say(f"built {environment.directory.relative_to(ROOT)} on Python {environment.interpreter.version}"
        f" in {time.monotonic() - started:.0f} s")  # fmt: skip


def link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink() or os.readlink(path) != target:
        temporary = path.with_name(path.name + ".new")
        temporary.symlink_to(target)
        temporary.replace(path)


def record_matrix(environments: Sequence[Environment]) -> None:
    """What the other targets read: one line for each core, the newest last; venv-newest leads there."""
    lines = [f"{one.name} {one.interpreter.version} {one.directory.relative_to(ROOT)}\n" for one in environments]
    (WORK / "matrix").write_text("".join(lines))
    link(WORK / "venv-newest", environments[-1].directory.name)


def main(kinds: Sequence[str]) -> str | None:
    WORK.mkdir(exist_ok=True)
    # The tree in the place where Ansible and Python look for a collection.
    link(WORK / "collections" / "ansible_collections" / "hostcare" / "remediation", "../../../..")
    found = discover()
    if not found:
        return "no Python 3.8 or later that can make virtual environments: on Debian, apt-get install python3-venv"
    wanted: dict[str, Environment] = {}
    for kind in kinds:
        environments = KINDS[kind](found)
        wanted.update((environment.name, environment) for environment in environments)
        if not environments:
            return f"nothing to build for {kind!r} with Python {', '.join(one.version for one in found)}"
    missing = [environment for environment in wanted.values() if not environment.complete]
    if missing:
        say(f"building {len(missing)} virtual environments: {', '.join(one.name for one in missing)}")
        with ThreadPoolExecutor(max_workers=2) as workers:
            list(workers.map(build, missing))
    if "core" in kinds:
        record_matrix([environment for environment in wanted.values() if environment.name in CORES])
    return None


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[1:]) <= set(KINDS):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
