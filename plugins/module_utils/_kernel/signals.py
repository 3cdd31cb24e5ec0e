# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that reach the process that was judged and no other: pidfd, whole group, whole user.

Sources: pidfd_open(2), pidfd_send_signal(2), kill(2), setresuid(2).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import os
import signal
import typing as t

from .processes import Process, ProcessTable

# The same on every architecture since the tables were unified (Linux 5.1), alpha aside.
_SYS_PIDFD_SEND_SIGNAL = 424
_SYS_PIDFD_OPEN = 434

SENT = "sent"
GONE = "gone"
DENIED = "denied"


def _syscall(number: int, *arguments: int) -> int:
    try:
        import ctypes
    except ImportError:  # some builds of Python come without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _pidfd_open(pid: int) -> int:
    return _syscall(_SYS_PIDFD_OPEN, pid, 0)


def _pidfd_send_signal(pidfd: int, number: int) -> None:
    _syscall(_SYS_PIDFD_SEND_SIGNAL, pidfd, number, 0, 0)


# Python 3.9 has both; musl builds and Python 3.8 do not.
pidfd_open: t.Callable[[int], int] = getattr(os, "pidfd_open", _pidfd_open)
pidfd_send_signal: t.Callable[[int, int], None] = getattr(signal, "pidfd_send_signal", _pidfd_send_signal)


class Signaller:
    """Sends to processes by identity. Without pidfd (before Linux 5.3) a last look before kill(2) narrows the race."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self.uses_pidfd = self._has_pidfd()

    @staticmethod
    def _has_pidfd() -> bool:
        try:
            pidfd = pidfd_open(os.getpid())
        except OSError:
            return False
        try:
            pidfd_send_signal(pidfd, 0)
            return True
        except OSError:
            return False
        finally:
            os.close(pidfd)

    def send(self, process: Process, number: int) -> str:
        """SENT, GONE or DENIED. A zombie takes the signal too and stays what it is.

        Read after the pidfd was opened, the start time proves that the pidfd is of this very process.
        """
        try:
            pidfd = pidfd_open(process.pid) if self.uses_pidfd else -1
        except OSError as error:
            return _outcome(error)
        try:
            found = self.table.read(process.pid)
            if found is None or found.start != process.start:
                return GONE
            if pidfd < 0:
                os.kill(process.pid, number)
            else:
                pidfd_send_signal(pidfd, number)
            return SENT
        except OSError as error:
            return _outcome(error)
        finally:
            if pidfd >= 0:
                os.close(pidfd)

    def send_open(self, fd: int, process: Process, number: int) -> str:
        """As `send`, by the descriptor of `ProcessTable.open`, which names the process for as long as it is held."""
        try:
            if self.uses_pidfd:
                pidfd_send_signal(fd, number)
            elif self.table.reread(fd) is None:
                return GONE
            else:
                os.kill(process.pid, number)
            return SENT
        except OSError as error:
            return _outcome(error)


def _outcome(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return DENIED
    if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
        return GONE
    raise error


def send_to_group(pgid: int, number: int) -> str:
    """One call for the whole process group; it reaches children that are being forked at that moment."""
    try:
        os.killpg(pgid, number)
        return SENT
    except OSError as error:
        return _outcome(error)


def can_assume_users() -> bool:
    """Root of the initial kind: all three uids are 0 and may be changed (CAP_SETUID, CAP_KILL)."""
    if os.getresuid() != (0, 0, 0):
        return False
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration, ValueError):
        return False
    return bool(effective >> 5 & 1 and effective >> 7 & 1)


def send_to_user(uid: int, number: int) -> str:
    """Assume the uid, kill(-1), take root back through the saved uid.

    Atomic against fork(2) and needs no scan. The kernel spares the caller and PID 1. Reaches what has the uid as
    real or saved uid, nested PID namespaces included.
    """
    os.setresuid(uid, uid, 0)
    try:
        os.kill(-1, number)
        return SENT
    except OSError as error:
        return _outcome(error)
    finally:
        os.setresuid(0, 0, 0)
