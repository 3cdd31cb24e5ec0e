# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of pids cgroups made of plain files, as v1, v2 and both have it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import Process
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process


class PidsTree:
    """A /proc of files, and the tree in which the pids controller is."""

    def __init__(self, directory: Path, version: int) -> None:
        self.tree = ProcTree(directory / "proc")
        self.top = directory / "cg"
        self.top.mkdir()
        self.version = version  # 3: v1, with a v2 tree beside it; 0: none
        kind = "cgroup2 none rw" if version == 2 else "cgroup none rw,pids"
        lines = [f"1 1 0:1 / {self.top} rw - {kind}"] if version else []
        if version == 3:  # hybrid: v2 beside it, without the controller
            (directory / "v2").mkdir()
            lines.append(f"2 1 0:2 / {directory / 'v2'} rw - cgroup2 none rw")
        self.tree.write("self/mountinfo", "\n".join(lines) + "\n")

    def cgroup(self, path: str, limit: str = "max", members: t.Sequence[Process] = ()) -> str:
        directory = self.top / path
        for at in (directory, *directory.parents):
            if at == self.top:
                break
            at.mkdir(parents=True, exist_ok=True)
            if not (at / "pids.max").exists():
                (at / "pids.max").write_text("max\n")
                (at / "pids.current").write_text("0\n")
                (at / "cgroup.procs").write_text("")
        (directory / "pids.max").write_text(limit + "\n")
        (directory / "pids.current").write_text(f"{len(members)}\n")
        (directory / "cgroup.procs").write_text("".join(f"{one.pid}\n" for one in members))
        return str(directory)

    def add(self, pid: int, path: str, **changes: t.Any) -> Process:
        return self.tree.add(process(pid, **changes), cgroup=self.line(path))

    def line(self, path: str) -> bytes:
        """What /proc/PID/cgroup says; systemd names units in a v1 hierarchy of its own."""
        v1 = f"8:pids:/{path}\n1:name=systemd:/{path}\n"
        text = {0: "", 1: v1, 2: f"0::/{path}\n", 3: v1 + "0::/x\n"}[self.version]
        return text.encode("utf-8", "surrogateescape")
