# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was stopped, remembered on a tmpfs before it is stopped, so that the module's own death loses nothing.

A text file, one fact a line, only ever appended to while a remedy runs:

    boot ID/START                the boot, and the start of PID 1, that all the other lines belong to
    process PID START            stopped by us
    stopped PID START            found stopped before a sweep: never to be woken
    user UID | group PGID        a sweep: everything of it in state T, but for the lines above, is ours
    cgroup DIRECTORY             frozen by us
    limit DIRECTORY VALUE        pids.max as it was

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable

Identity = t.Tuple[int, int]


class Memory(t.NamedTuple):
    """A journal read back."""

    processes: frozenset[Identity] = frozenset()
    stopped: frozenset[Identity] = frozenset()
    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    cgroups: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == Memory(stopped=self.stopped)


def parse(content: str, boot: str) -> Memory:
    """Lines of another boot, and a last line cut short by a crash, count for nothing."""
    words = [line.split(" ") for line in content.split("\n")[:-1]]
    if not words or words[0] != ["boot", boot]:
        return Memory()

    def identities(kind: str) -> frozenset[Identity]:
        return frozenset((int(line[1]), int(line[2])) for line in words if line[0] == kind and len(line) == 3)

    def numbers(kind: str) -> frozenset[int]:
        return frozenset(int(line[1]) for line in words if line[0] == kind and len(line) == 2)

    return Memory(
        identities("process"),
        identities("stopped"),
        numbers("user"),
        numbers("group"),
        tuple(dict.fromkeys(" ".join(line[1:]) for line in words if line[0] == "cgroup")),
        tuple((" ".join(line[1:-1]), line[-1]) for line in words if line[0] == "limit"),
    )


class Journal:
    """The file of one PID namespace. ``problem`` says why nothing is remembered where that is so."""

    def __init__(self, directory: str, namespace: int, boot: str) -> None:
        self.path = os.path.join(directory, f"frozen-{namespace}")
        self.boot = boot
        self.problem: str | None = None
        self._fd = -1

    @classmethod
    def of_host(cls, proc_root: str = "/proc") -> Journal:
        """``/run/hostcare`` for root, the user's own runtime directory for others."""
        with open(proc_root + "/sys/kernel/random/boot_id", encoding="utf-8") as file:
            boot = file.read().strip()
        # The number of a PID namespace is used again, the start of its PID 1 is not.
        init = ProcessTable(proc_root).read(1)
        boot += f"/{init.start if init else 0}"
        base = "/run" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}"
        return cls(os.path.join(base, "hostcare"), os.stat(proc_root + "/self/ns/pid").st_ino, boot)

    @staticmethod
    def lock(proc_root: str = "/proc") -> int:
        """Keep a second run away from the same processes; the lock ends with this process, and takes no room anywhere.

        Raises Refused where another run is at work.
        """
        fd = os.open(proc_root + "/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Refused(
                "another run is at work on the processes of this host: wait for it, then run again."
            ) from None
        except OSError:
            pass  # a kernel that locks no namespace files (gVisor): the lock of the roles remains
        return fd

    def load(self) -> Memory:
        """What is remembered. Raises Refused where the file may have been written by somebody else."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return Memory()
        except OSError as error:
            raise Refused(f"{self.path} cannot be read ({error.strerror}): remove it if it is not yours.") from None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise Refused(f"{self.path} is not a private file of this user: it is not trusted; remove it.")
            with os.fdopen(os.dup(fd), encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                return parse(file.read(), self.boot)
        except (ValueError, IndexError):
            raise Refused(
                f"{self.path} is damaged: wake what is stopped by hand (ps -eo pid,stat,comm), then remove it."
            ) from None
        finally:
            os.close(fd)

    def open(self) -> None:
        """Ready for `note`, which does this by itself. A tmpfs without room leaves ``problem`` set instead."""
        if self._fd >= 0 or self.problem:
            return
        directory = os.path.dirname(self.path)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            found = os.lstat(directory)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise Refused(f"{directory} is not a private directory of this user: it is not trusted; remove it.")
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
            first = f"boot {self.boot}\n".encode("ascii")
            if os.pread(self._fd, len(first), 0) == first:
                self._drop_cut_line()
            else:
                os.ftruncate(self._fd, 0)
                self._write(first)
        except OSError as error:
            self.problem = f"{self.path} cannot be written ({error.strerror}): what is stopped is not remembered"

    def _drop_cut_line(self) -> None:
        """A crash may have come in the middle of the last line."""
        content = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        os.ftruncate(self._fd, content.rfind(b"\n") + 1)

    def note(self, kind: str, *words: object) -> None:
        self.open()
        line = " ".join([kind, *map(str, words)]) + "\n"
        self._write(line.encode("utf-8", "surrogateescape"))

    def _write(self, raw: bytes) -> None:
        if self._fd < 0:
            return
        try:
            if os.write(self._fd, raw) == len(raw):
                return
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._drop_cut_line()
        except OSError as refusal:
            error = refusal
        if not self.problem:
            self.problem = f"{self.path} cannot be written ({error.strerror}): what is stopped is not remembered"

    def replace(self, memory: Memory) -> None:
        """Forget all but ``memory``; an empty one removes the file."""
        self.close()
        try:
            if memory.is_empty:
                os.unlink(self.path)
                return
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = f"{self.path} cannot be removed ({error.strerror}): it still names what is gone"
            return
        draft = self.path + ".new"
        lines = [f"boot {self.boot}"]
        lines += [f"process {pid} {start}" for pid, start in sorted(memory.processes)]
        lines += [f"stopped {pid} {start}" for pid, start in sorted(memory.stopped)]
        lines += [f"user {uid}" for uid in sorted(memory.users)] + [f"group {pgid}" for pgid in sorted(memory.groups)]
        lines += [f"cgroup {path}" for path in memory.cgroups] + [f"limit {path} {old}" for path, old in memory.limits]
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("\n".join(lines) + "\n")
            os.rename(draft, self.path)
        except OSError as error:
            self.problem = f"{self.path} cannot be rewritten ({error.strerror}): it still names what is gone"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
