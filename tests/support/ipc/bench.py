# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holders are processes of a C program, as a service and as another service of the same user, and a real PostgreSQL.

To be used in a process that has an IPC namespace to itself.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    SEMAPHORES,
    SHARED_MEMORY,
    Calls,
    Object,
    Tables,
    Touch,
)
from ansible_collections.hostcare.remediation.tests.support.storm.programs import BINARIES, COMPILE

HERE = Path(__file__).resolve().parent
SERVICE, OTHER_SERVICE = "hc-svc", "hc-other"
APP, OTHER = 54321, 54322  # users that nobody else on the machine is
OTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
_POSTGRES = "postgres"


class Holder(NamedTuple):
    """``array`` is what its first line names: an identifier, or for ``reborn`` its number."""

    life: str
    process: subprocess.Popen[str]
    array: int

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def program(name: str) -> str:
    """The path of a program of ``src``, compiled anew when its source is younger."""
    source, binary = HERE / "src" / f"{name}.c", BINARIES / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        BINARIES.mkdir(parents=True, exist_ok=True)
        new = BINARIES / f"{name}.{os.getpid()}"
        subprocess.run([*COMPILE, "-D_GNU_SOURCE", "-o", str(new), str(source)], check=True)
        new.replace(binary)
    return str(binary)


class Bench:
    """At the end everything dies that has this IPC namespace but the process itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in (SERVICE, OTHER_SERVICE):
            (directory / name).symlink_to(program("holder"))
        self.holders: list[Holder] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_exception: object) -> None:
        own = os.stat("/proc/self/ns/ipc").st_ino
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and int(entry) != os.getpid() and os.stat(f"/proc/{entry}/ns/ipc").st_ino == own:
                    os.kill(int(entry), signal.SIGKILL)

    def start(self, life: str, *words: object, name: str = SERVICE, uid: int = APP, wrap: Sequence[str] = ()) -> Holder:
        command = [*wrap, str(self.directory / name), life, str(uid), *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, f"{life}: it said nothing"
        holder = Holder(life, process, int(said))
        self.holders.append(holder)
        return holder

    def leave(self, life: str, **how: Any) -> int:
        """An array whose holder is killed."""
        holder = self.start(life, **how)
        holder.kill()
        self.holders.remove(holder)
        return holder.array

    def reuse(self, array: int, uid: int) -> Holder:
        """A living process gets the number of the dead one that touched the array last."""
        touch = Calls().touches([arrays()[array]])[array]
        assert isinstance(touch, Touch)
        holder = self.start("reborn", touch.pids[0], name=OTHER_SERVICE, uid=uid)
        assert holder.array == touch.pids[0]
        return holder


class Postgres:
    """A server with nothing but a socket in its own directory."""

    def __init__(self, directory: Path) -> None:
        """A directory that its user may reach."""
        user = pwd.getpwnam(_POSTGRES)
        self.data = directory / "data"
        self.data.mkdir()
        for made in (directory, self.data):
            os.chown(made, user.pw_uid, user.pw_gid)
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
        self._as = ["setpriv", f"--reuid={_POSTGRES}", f"--regid={_POSTGRES}", "--init-groups"]
        self._run([f"{programs}/initdb", "-D", str(self.data), "-A", "trust", "--no-sync"])
        self.process = subprocess.Popen(
            [*self._as, f"{programs}/postgres", "-D", str(self.data), "-k", str(self.data), "-c", "listen_addresses="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.1)

    def _run(self, command: list[str]) -> None:
        subprocess.run([*self._as, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def answers(self) -> bool:
        done = subprocess.run(
            [*self._as, "psql", "-h", str(self.data), "-Atc", "select 42", "postgres"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        return done.stdout == "42\n"


def arrays(kind: str = SEMAPHORES) -> dict[int, Object]:
    return {found.id: found for found in Tables().read(kind) or ()}


def segments() -> dict[int, Object]:
    return arrays(SHARED_MEMORY)


def rounds(count: int, wrap: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """What so many runs of the remedy did, in a process of their own that ``wrap`` may put into other namespaces."""
    command = [*wrap, sys.executable, str(HERE / "tool.py"), str(count), json.dumps(options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))
