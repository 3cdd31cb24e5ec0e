# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a descriptor is, from the link that ``/proc`` shows for it (proc_pid_fd(5)). Pure.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os

# A socket is one of three: its peer has gone and it was not closed, it has a peer, or neither.
CLOSE_WAIT, CONNECTION, SOCKET = "CLOSE_WAIT", "connection", "socket"
PIPE, FILE, DELETED, DEVICE, MEMFD = "pipe", "file", "deleted", "device", "memfd"
EVENTFD, INOTIFY, IO_URING = "eventfd", "inotify", "io_uring"
OTHER = "other"

_KERNEL_NAMES = {"eventpoll": "epoll"}
_NAMESPACES = frozenset(("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"))
_DELETED_MARK = b" (deleted)"
_NOT_DEVICES = (b"/dev/shm/", b"/dev/mqueue/", b"/dev/hugepages/")
_LEVELS = 3  # of a path, by which files are counted together


def kind_of(link: bytes) -> str:
    """Of anything but a socket the whole truth; of a socket only its table knows more."""
    if link.startswith(b"/"):
        return _kind_of_path(link)
    head, _colon, rest = link.partition(b":")
    if head == b"anon_inode":
        return _kernel_name(rest)
    name = _plain(head)
    return "namespace" if name in _NAMESPACES else (FILE if name.startswith("(unreachable)") else name)


def _kind_of_path(link: bytes) -> str:
    if link.endswith(_DELETED_MARK):
        return MEMFD if link.startswith(b"/memfd:") else DELETED
    if link.startswith(b"/dev/") and not link.startswith(_NOT_DEVICES):
        return DEVICE
    return "dmabuf" if link.startswith(b"/dmabuf:") else FILE


def _kernel_name(raw: bytes) -> str:
    """``[eventfd]``, ``inotify``, ``kvm-vcpu:3``."""
    name = _plain(raw.strip(b"[]").partition(b":")[0])
    return _KERNEL_NAMES.get(name, name)


def _plain(raw: bytes) -> str:
    """A word for people; what is none, the kernel did not write."""
    name = raw.decode("ascii", "replace")
    return name if name and len(name) <= 32 and name.isascii() and name.isprintable() else OTHER


def path_of_deleted(link: bytes) -> bytes:
    return link[: -len(_DELETED_MARK)]


def prefix_of(link: bytes) -> bytes:
    """The directory, at most `_LEVELS` deep."""
    return b"/".join(os.path.dirname(link).split(b"/")[: _LEVELS + 1]) or b"/"
