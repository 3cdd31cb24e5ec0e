# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups, v1, v2 and hybrid, behind one face: members, freeze, kill, pids.max.

Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst and cgroup-v1/pids.rst.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import os
import re
import typing as t

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(t.NamedTuple):
    """A mounted hierarchy; ``root`` is the cgroup that its mount point shows."""

    point: str
    root: str

    def directory(self, path: str) -> str | None:
        """Where the cgroup ``path`` of ``/proc/PID/cgroup`` is found, None where this mount does not show it."""
        if path == "/.." or path.startswith("/../"):
            return None
        if self.root != "/":
            if path != self.root and not path.startswith(self.root + "/"):
                return None
            path = path[len(self.root) :]
        return self.point + path.rstrip("/")


def parse_mounts(mountinfo: str) -> dict[str, Mount]:
    """Controller -> mount from ``/proc/self/mountinfo``; the v2 tree is the key ``""``."""
    mounts: dict[str, Mount] = {}
    for line in mountinfo.split("\n"):
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(kind) < 3:
            continue
        controllers = {"cgroup2": [""], "cgroup": kind[-1].split(",")}.get(kind[0], [])
        mount = Mount(_unescape(fields[4]), _unescape(fields[3]))
        for controller in controllers:
            if mount.root == "/" or controller not in mounts or mounts[controller].root != "/":
                mounts[controller] = mount  # one that shows all is not hidden by one that shows a part
    return mounts


def _unescape(path: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), path)


class Hierarchies:
    """The hierarchies that this process can see."""

    def __init__(self, proc_root: str = "/proc") -> None:
        try:
            with open(proc_root + "/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                mounts = parse_mounts(file.read())
        except OSError:
            mounts = {}
        self.mounts = {name: mount for name, mount in mounts.items() if os.path.isdir(mount.point)}

    def directory(self, controller: str, cgroups: dict[str, str]) -> str | None:
        """Where a process's cgroup is: in the tree of ``controller``, or in v2 if only there it has one of its own."""
        found = [name for name in (controller, "") if name in self.mounts and name in cgroups]
        found.sort(key=lambda name: cgroups[name] == "/")
        return self.mounts[found[0]].directory(cgroups[found[0]]) if found else None

    def top(self, directory: str) -> str:
        """The mount point above a directory: the end of every way up."""
        points = [mount.point for mount in self.mounts.values() if (directory + "/").startswith(mount.point + "/")]
        return max(points, key=len, default=directory)


def ancestors(directory: str, top: str) -> t.Iterator[str]:
    """The directory and all above it, the mount point not included."""
    while directory != top and directory.startswith(top + "/"):
        yield directory
        directory = os.path.dirname(directory)


def members(directory: str) -> set[int] | None:
    """Every process in the subtree; None where it cannot be known (gone, unreadable, or a threaded cgroup)."""
    found: set[int] = set()
    for parent, _children, files in os.walk(directory):
        if "cgroup.procs" not in files:
            continue
        try:
            with open(parent + "/cgroup.procs", encoding="utf-8") as file:
                found.update(int(line) for line in file)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                continue
            return None
    return found if os.path.isdir(directory) else None


def read(directory: str, name: str) -> str | None:
    try:
        with open(directory + "/" + name, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def write(directory: str, name: str, value: str) -> bool:
    """One value in one write(2); False where the file is missing, read-only or refuses it."""
    try:
        fd = os.open(directory + "/" + name, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, value.encode("ascii"))
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def has(directory: str, name: str) -> bool:
    return os.access(directory + "/" + name, os.W_OK)


def is_frozen(directory: str) -> bool:
    """Frozen by itself or through a parent, and wholly: freezing takes the kernel a moment."""
    events = read(directory, "cgroup.events")
    if events is not None:
        return "frozen 1" in events.splitlines()
    return read(directory, "freezer.state") == "FROZEN"


def can_freeze(directory: str) -> bool:
    return has(directory, "cgroup.freeze") or has(directory, "freezer.state")


def set_frozen(directory: str, frozen: bool) -> bool:
    """Ask for it; `is_frozen` tells when it has come true."""
    if has(directory, "cgroup.freeze"):
        return write(directory, "cgroup.freeze", "1" if frozen else "0")
    return write(directory, "freezer.state", "FROZEN" if frozen else "THAWED")


def kill(directory: str) -> bool:
    """SIGKILL for the whole subtree at once, racing forks included (v2, Linux 5.14)."""
    return write(directory, "cgroup.kill", "1")


def number(directory: str, name: str) -> int | None:
    """A limit or a count; None for ``max`` and for a file that cannot be read."""
    value = read(directory, name)
    return int(value) if value is not None and value.isdigit() else None
