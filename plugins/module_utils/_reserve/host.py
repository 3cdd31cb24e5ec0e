# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a host before anything is planned: plain data.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .arithmetic import Size
from .syntax import Text

PROTECTED_SLICE = "hostcare.slice"
NAME = "60-hostcare-harden.conf"
SYSTEM = "/etc/systemd/system"
PAM_SSHD, PAM_OURS = "/etc/pam.d/sshd", "/etc/pam.d/hostcare-sshd"
PAM_NICE = "/etc/security/hostcare-sshd.conf"
LIMITS = "/etc/security/limits.d/" + NAME
MAIN_CF, MASTER_CF = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
JOURNAL = "/etc/systemd/journald.conf.d/" + NAME
MANAGER_TASKS = "/etc/systemd/system.conf.d/60-hostcare-harden-slots.conf"
MANAGER_LIMITS = "/etc/systemd/system.conf.d/60-hostcare-harden-rlimits.conf"
SYSCTL_PID_MAX = "/etc/sysctl.d/60-hostcare-harden-pid_max.conf"
SYSCTL_IPC = "/etc/sysctl.d/60-hostcare-harden-ipc.conf"
APACHE_DIRECTORIES = ("/etc/apache2/conf-enabled", "/etc/httpd/conf.d")
APACHE_NAME = "zz-hostcare-harden.conf"


class File(t.NamedTuple):
    """A file as it is; ``content`` is None where it is no text."""

    content: str | None
    mode: int
    uid: int
    gid: int


class Pool(t.NamedTuple):
    """A cgroup directly below the root of the host, or a unit: its tasks and its limit."""

    name: str
    tasks: int
    limit: int | None


class Original(t.NamedTuple):
    """How a file was before it was first changed, None if it was not; and the digests of what we put there since."""

    path: str
    file: File | None
    written: tuple[str, ...]


class Store(t.NamedTuple):
    """What is kept for the way back. ``done`` is false while a run is at work, or if it died."""

    done: bool
    files: t.Mapping[str, Original]
    directories: tuple[str, ...]
    sysctls: t.Mapping[str, str]
    crontabs: str  # where cron_mailto saved them


EMPTY_STORE = Store(True, {}, (), {}, "")


class Host(t.NamedTuple):
    size: Size
    systemd: bool
    pids: bool
    pools: tuple[Pool, ...] = ()
    units: tuple[Pool, ...] = ()  # services, and users, by the names of their units
    cpu: bool = False  # whether its service manager can share out processors
    weights: t.Mapping[str, int] = {}  # of cgroups directly below the root, where the kernel has them
    kernel_threads: int = 0
    loose: int = 0  # processes that are in no unit
    users: t.Mapping[str, int] = {}
    accounts: frozenset[str] = frozenset()
    sysctls: t.Mapping[str, str] = {}
    semaphores: tuple[int, int, int] = (0, 0, 0)  # largest array, semaphores, arrays
    nofile_hard: int | None = None
    nproc_hard: int | None = None
    may_raise: bool = True
    may_nice: bool = False
    shares_users: bool = False  # RLIMIT_NPROC counts processes of other containers and of the machine, too
    nr_open: int = 1048576
    open_files: int = 0  # the most that one process has open
    files: t.Mapping[str, File] = {}
    directories: frozenset[str] = frozenset()
    unit_files: t.Mapping[str, t.Sequence[Text]] = {}
    manager_files: t.Sequence[Text] = ()
    journal_files: t.Sequence[Text] = ()
    limit_files: t.Sequence[Text] = ()
    sysctl_files: t.Sequence[Text] = ()
    sshd_files: t.Sequence[Text] = ()
    sshd_unit: str = ""
    sshd_cgroup: str = ""
    sshd_nice: int = 0
    pam_systemd: bool = False
    pam_limits: bool = False
    store: Store = EMPTY_STORE
    unread: tuple[str, ...] = ()
