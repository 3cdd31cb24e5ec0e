# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups for the bench, on v1, v2 and hybrid machines: made under a unique name, removed to the last one.

Written apart from the product's own cgroup code, which it serves to test.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "hostcare-storm-"
_numbers = itertools.count(1)


def hierarchies() -> dict[str, Path]:
    """Controller -> mount point; the v2 tree is "unified", systemd's own v1 tree "systemd"."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _separator, after = line.partition(" - ")
        point, (kind, _source, options) = Path(before.split()[4]), after.split()
        if kind == "cgroup2":
            found["unified"] = point
        elif kind == "cgroup":
            found.update((option.replace("name=", ""), point) for option in options.split(","))
    return found


def pids_hierarchy() -> Path:
    """The mount point of the tree that limits the number of processes."""
    found = hierarchies()
    if "pids" in found:
        return found["pids"]
    unified = found.get("unified")
    if unified and "pids" in (unified / "cgroup.controllers").read_text().split():
        if "pids" not in (unified / "cgroup.subtree_control").read_text().split():
            (unified / "cgroup.subtree_control").write_text("+pids")
        return unified
    raise RuntimeError("no pids controller on this machine: a bomb has nothing to be held by")


class Grounds:
    """The bench's own corner of each hierarchy it uses; a cgroup is one directory in each of them."""

    def __init__(self, use: list[str]) -> None:
        sweep()
        self.name = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        found = hierarchies()
        points = [pids_hierarchy()] + [found[name] for name in use if name in found]
        self.roots = [point / self.name for point in dict.fromkeys(points)]
        self._pids_on_v2 = self.pids_root.parent == found.get("unified")
        for root in self.roots:
            root.mkdir()

    @property
    def pids_root(self) -> Path:
        return self.roots[0]

    def make(self, name: str) -> list[Path]:
        """The directories of the cgroup ``name``, which may be a path such as ``system.slice/rogue.service``."""
        for root in self.roots:
            at = root
            for part in Path(name).parts:
                if self._pids_on_v2 and root == self.pids_root:
                    (at / "cgroup.subtree_control").write_text("+pids")
                at /= part
                at.mkdir(exist_ok=True)
        return [root / name for root in self.roots]

    def pids(self, name: str = "") -> Path:
        return self.pids_root / name

    def unified(self, name: str = "") -> Path | None:
        """The v2 directory of a cgroup, where this machine has a v2 tree."""
        found = hierarchies().get("unified")
        return found / self.name / name if found and found / self.name in self.roots else None

    def names(self) -> list[str]:
        """The outermost cgroups made here."""
        return [path.name for path in self.pids_root.iterdir() if path.is_dir()]

    def population(self, name: str = "") -> int:
        """Processes and threads of the subtree, zombies that nobody has reaped included."""
        return int((self.pids(name) / "pids.current").read_text())

    def members(self, name: str = "") -> list[int]:
        """Every process of the subtree, by its number outside."""
        found: list[int] = []
        for directory in _walk(self.pids(name)):
            try:
                found += [int(line) for line in (directory / "cgroup.procs").read_text().split()]
            except FileNotFoundError:
                continue
        return found

    def thaw(self) -> None:
        """A frozen task of a v1 freezer does not even die of SIGKILL."""
        for root in self.roots:
            for directory in _walk(root):
                for file, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                    if (directory / file).exists():
                        (directory / file).write_text(value)

    def remove(self) -> None:
        for root in self.roots:
            _remove(root, time.monotonic() + 10)


def sweep() -> None:
    """Remove what a killed run of the bench left behind: its namespaces died with it, its directories did not."""
    for place in {*hierarchies().values(), Path(tempfile.gettempdir())}:
        for directory in place.glob(PREFIX + "*"):
            owner = directory.name[len(PREFIX) :].split("-")[0]
            if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                with contextlib.suppress(OSError):
                    for file in directory.glob("innocent-*"):
                        file.unlink()
                    _remove(directory, 0)


def _walk(root: Path) -> Iterator[Path]:
    for parent, _children, _files in os.walk(root):
        yield Path(parent)


def _remove(root: Path, deadline: float) -> None:
    """Children first. A cgroup stays busy for the moment its last tasks take to leave it."""
    for directory in sorted(_walk(root), key=lambda path: len(path.parts), reverse=True):
        while True:
            try:
                directory.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
