# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files some process has open, asked of the kernel without opening a process's files.

A write lease (fcntl(2), F_SETLEASE) is granted only while nobody else on the machine has the file open, in whatever
namespace. It takes CAP_LEASE, which containers lack, and a file system that knows leases; where it is denied, the links
in ``/proc/PID/fd`` are read, not followed, and compared by name: the path before the name depends on who looks.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import fcntl
import os
import signal
import typing as t

from .._kernel.processes import ProcessTable

_PROBE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Openers:
    """Answers for files of one directory; ``blind`` says why some could not be told about, and counted as in use."""

    def __init__(self, proc_root: str = "/proc", leases: bool = True) -> None:
        self.table = ProcessTable(proc_root)
        self.leases = leases
        self.blind = ""

    def among(self, directory: int, names: t.Sequence[str]) -> set[str]:
        """Those of the names that are in use, or may be. A name that is gone is not in use."""
        in_use: set[str] = set()
        unknown: set[str] = set()
        # Should somebody open the file while the lease is held, the kernel sends SIGIO, which would end us.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            for name in names:
                answer = _is_open(directory, name) if self.leases else None
                if answer is None:
                    unknown.add(name)
                elif answer:
                    in_use.add(name)
        finally:
            signal.signal(signal.SIGIO, before)
        return in_use | self._linked(unknown) if unknown else in_use

    def _linked(self, names: set[str]) -> set[str]:
        """Those that a link of some process ends in; all of them where not every process can be seen."""
        denied = self.table.denied
        if self.table.hides_others():
            self.blind = "/proc hides the processes of others (hidepid)"
            return names
        found = set()
        for pid in self.table.pids():
            if pid == str(os.getpid()):
                continue
            for target in self._links(pid):
                last = target.rpartition("/")[2]
                if last in names:
                    found.add(last)
        if self.table.denied > denied:
            self.blind = "the open files of some processes may not be seen (CAP_SYS_PTRACE)"
            return names
        return found

    def _links(self, pid: str) -> t.Iterator[str]:
        directory = f"{self.table.root}/{pid}/fd"
        try:
            numbers = os.listdir(directory)
        except PermissionError:
            self.table.denied += 1
            return
        except OSError:
            return  # it has ended
        for number in numbers:
            try:
                yield os.readlink(f"{directory}/{number}")
            except PermissionError:
                self.table.denied += 1
            except OSError:
                continue


def _is_open(directory: int, name: str) -> bool | None:
    """None where the kernel does not tell."""
    try:
        fd = os.open(name, _PROBE, dir_fd=directory)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True  # somebody holds a lease
    except OSError:
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)
    return False
