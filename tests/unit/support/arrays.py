# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real semaphores, memory and queues, in an IPC namespace of their own."""

from __future__ import annotations

import ctypes
import os
import struct
import typing as t

import pytest

from ansible_collections.hostcare.remediation.tests.unit.support.children import Result, in_child

_CLONE_NEWIPC = 0x08000000
_SETVAL = 16
_CREATE = 0o1000
_libc = ctypes.CDLL(None, use_errno=True)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to have an IPC namespace of one's own")


def _call(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def in_namespace(work: t.Callable[[], Result], sem: str = "250 32000 32 128", seconds: float = 60.0) -> Result:
    """What ``work`` returns in a child with an IPC namespace that has nothing in it, and that ``kernel.sem``."""

    def inside() -> Result:
        _call(_libc.unshare(_CLONE_NEWIPC))
        with open("/proc/sys/kernel/sem", "w", encoding="ascii") as file:
            file.write(sem)
        return work()

    return in_child(inside, seconds)


def array(nsems: int = 1, key: int = 0, value: int | None = None, mode: int = 0o600) -> int:
    made = _call(_libc.semget(key, nsems, _CREATE | mode))
    if value is not None:
        for number in range(nsems):
            _call(_libc.semctl(made, number, _SETVAL, value))
    return made


def operate(identifier: int, change: int, number: int = 0, flags: int = 0) -> None:
    """semop(2)."""
    _call(_libc.semop(identifier, ctypes.create_string_buffer(struct.pack("Hhh", number, change, flags)), 1))


def segment(size: int = 4096, key: int = 0) -> int:
    return _call(_libc.shmget(key, ctypes.c_size_t(size), _CREATE | 0o600))


def attach(identifier: int) -> int:
    _libc.shmat.restype = ctypes.c_ssize_t
    return _call(_libc.shmat(identifier, None, 0))


def queue(key: int = 0) -> int:
    return _call(_libc.msgget(key, _CREATE | 0o600))


def send(identifier: int, message: bytes = b"hello") -> None:
    buffer = ctypes.create_string_buffer(struct.pack("l", 1) + message)
    _call(_libc.msgsnd(identifier, buffer, ctypes.c_size_t(len(message)), 0))


def remove(identifier: int) -> None:
    """An array."""
    _call(_libc.semctl(identifier, 0, 0))


def allow_all(identifier: int) -> None:
    """Let every user read and change the array: IPC_SET, with the structure that the C library filled."""
    ipc_set, ipc_stat = 1, 2
    status = ctypes.create_string_buffer(512)
    _call(_libc.semctl(identifier, 0, ipc_stat, status))
    # struct ipc_perm of 64-bit Linux: key, uid, gid, cuid, cgid, mode
    struct.pack_into("I", status, 20, 0o666)
    _call(_libc.semctl(identifier, 0, ipc_set, status))
