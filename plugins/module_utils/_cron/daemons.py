# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cron daemon reads the crontabs of this host: found among its processes, then its programs, without a fork.

A program is known by what is in it, since most are called cron or crond.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import mmap
import os
import re
import typing as t

from .._kernel.processes import ProcessTable, text
from .dialect import DIALECTS, Dialect

_NO_DAEMON: tuple[str, str, str | None] = ("", "", None)

_NAMES = (b"cron", b"crond", b"fcron", b"busybox", b"bcron-sched")
_PROGRAMS = (
    "/usr/sbin/cron", "/usr/sbin/crond", "/sbin/crond", "/usr/bin/crond", "/usr/sbin/fcron", "/usr/local/sbin/cron",
    "/usr/sbin/bcron-sched",
)  # fmt: skip
_GENERATORS = tuple(
    f"{directory}/systemd/system-generators/systemd-crontab-generator" for directory in ("/usr/lib", "/lib", "/etc")
)
_ANACRON = ("/usr/sbin/anacron", "/sbin/anacron", "/usr/bin/anacron")
_PACKAGES = "/var/lib/dpkg/status"
# Where distributions keep the options that the daemon is started with.
_OPTIONS = (
    "/etc/sysconfig/crond",
    "/etc/default/cron",
    "/etc/default/crond",
    "/etc/default/cronie",
    "/etc/conf.d/crond",
)
_MOST_OPTIONS = 65536

# The order matters: cronie and Debian's cron name Paul Vixie too.
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"BusyBox v", "busybox", "the program is busybox"),
    (b"dillon's cron", "dcron", "the program names itself Dillon's cron"),
    (b"fcrontab", "fcron", "the program names fcrontab"),
    (b"cronie", "cronie", "the program names itself cronie"),
    (b"this crontab file will be ignored", "debian", "the program ignores whole crontabs, as Debian's does"),
    (b"Paul Vixie", "vixie", "the program names Paul Vixie, and neither cronie nor Debian"),
)
_KNOWS_NOBODY = b"Empty MAILTO set"  # anacron of cronie; the original, which Debian has, lacks it
_TAKES_BARE_SINCE = 187  # Debian's cron 3.0pl1-187 takes MAILTO= for an assignment

_SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/cron/tabs", "/var/spool/cron")


class Daemon(t.NamedTuple):
    """``name`` is that of a dialect, or of a daemon for which there is none."""

    name: str
    program: str | None
    pid: int | None
    reason: str
    spool: str | None = None
    options: frozenset[str] = frozenset()
    dialect: Dialect | None = None


class Survey(t.NamedTuple):
    """What reads the crontabs, and what reads anacron's; more than one of the former is for the user to decide."""

    crons: tuple[Daemon, ...]
    anacron: Daemon | None

    @property
    def all(self) -> list[Daemon]:
        return [*self.crons, *([self.anacron] if self.anacron else [])]


def survey(table: ProcessTable, root: str, named: str = "auto") -> Survey:
    """``named`` is the dialect that the user says the daemon has."""
    options = _options(root)
    running = _running(table) if named == "auto" and os.path.exists(table.root + "/stat") else []
    generator = next((path for path in _GENERATORS if _exists(root, path)), None)
    if generator and (_exists(root, "/run/systemd/system") or not running):
        reason = "its generator is installed" + (", and systemd runs" if _exists(root, "/run/systemd/system") else "")
        running.append(Daemon("systemd_cron", generator, None, reason, _SPOOLS[0]))
    found = running or _installed(root)
    if os.uname().sysname == "FreeBSD" and named == "auto":
        found = [Daemon("freebsd", None, None, "this is FreeBSD", "/var/cron/tabs")]
    if named not in ("auto", "anacron"):
        known = next((daemon for daemon in found if daemon.name == named), None)
        found = [known or Daemon(named, None, None, "dialect names it")]
    crons = tuple(_with_dialect(daemon, root)._replace(options=options) for daemon in found)
    return Survey(crons, _anacron(root, crons, named))


def _running(table: ProcessTable) -> list[Daemon]:
    """One of each kind: the one that started first is the daemon, the others are its children."""
    here = _namespace(table, 1)
    kinds: dict[str, tuple[str, str, str | None] | None] = {}
    found: dict[str, Daemon] = {}
    candidates = [process for process in table.scan() if process.comm in _NAMES and not process.is_dead]
    for process in sorted(candidates, key=lambda process: process.start):
        exe = table.exe(process.pid)
        if exe is None or _namespace(table, process.pid) != here:
            continue
        if exe not in kinds:
            kinds[exe] = _identify(f"{table.root}/{process.pid}/exe")
        name, reason, spool = kinds[exe] or ("", "", None)
        if name == "busybox":
            spool = _working_directory(table, process.pid)
            if process.comm != b"crond" and os.path.basename(spool) != "crontabs":
                continue  # another applet
        if name and name not in found:
            program = text(exe.replace(" (deleted)", ""))
            found[name] = Daemon(name, program, process.pid, f"runs as process {process.pid}; {reason}", spool)
    return list(found.values())


def _working_directory(table: ProcessTable, pid: int) -> str:
    """busybox crond goes to the crontabs that it was told to read."""
    try:
        path, top = (os.readlink(f"{table.root}/{pid}/{link}") for link in ("cwd", "root"))
    except OSError:
        return _SPOOLS[0]
    return path[len(top) :] if path.startswith(top.rstrip("/") + "/") and top != "/" else path


def _namespace(table: ProcessTable, pid: int) -> str | None:
    """The PID namespace: a container's daemon reads the crontabs of its container."""
    try:
        return os.readlink(f"{table.root}/{pid}/ns/pid")
    except OSError:
        return None


def _installed(root: str) -> list[Daemon]:
    found: dict[str, Daemon] = {}
    for path in _PROGRAMS:
        if not _exists(root, path):
            continue
        name, reason, spool = _identify(root.rstrip("/") + path) or _NO_DAEMON
        if name and name not in found:
            found[name] = Daemon(name, path, None, f"is installed and does not run; {reason}", spool)
    return list(found.values())


def _identify(path: str) -> tuple[str, str, str | None] | None:
    """The kind of a program, how it was told, and the spool that it names."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for mark, name, reason in _MARKS:
                if content.find(mark) >= 0:
                    named = (path for path in _SPOOLS if content.find(path.encode() + b"\0") >= 0)
                    # Debian's and busybox's name it in two parts, or beside others; the old ones as they were built
                    return name, reason, _SPOOLS[0] if name in ("debian", "busybox") else next(named, None)
    except (OSError, ValueError):  # gone, not to be read, or empty
        return None
    return None


def _anacron(root: str, crons: t.Sequence[Daemon], named: str) -> Daemon | None:
    path = next((path for path in _ANACRON if _exists(root, path)), None)
    if path is not None:
        return _original_or_not(root, path)
    if named == "anacron":
        return Daemon("anacron", None, None, "dialect names it", dialect=DIALECTS["anacron"])
    return next((daemon for daemon in crons if daemon.name == "systemd_cron"), None)


def _original_or_not(root: str, path: str) -> Daemon:
    knows = False
    try:
        with open(root.rstrip("/") + path, "rb") as file:
            knows = _KNOWS_NOBODY in file.read(1 << 22)
    except OSError:
        pass
    reason = "is installed; it mails to nobody where MAILTO is empty" if knows else (
        "is installed; it is the original one, which calls sendmail even where MAILTO is empty"
    )  # fmt: skip
    return Daemon("anacron", path, None, reason, dialect=DIALECTS["anacron"]._replace(knows_nobody=knows))


def _with_dialect(daemon: Daemon, root: str) -> Daemon:
    dialect = DIALECTS.get(daemon.name)
    if daemon.name == "debian" and dialect is not None:
        revision = debian_revision(root)
        takes = revision is None or revision >= _TAKES_BARE_SINCE
        dialect = dialect._replace(takes_bare=takes, reads_bare=takes, dies_of_bare=revision is None)
    return daemon._replace(dialect=dialect, spool=daemon.spool or _existing_spool(root))


def debian_revision(root: str) -> int | None:
    """The revision of the installed package cron, from the package database (deb-version(7))."""
    try:
        with open(root.rstrip("/") + _PACKAGES, "rb") as file:
            content = file.read()
    except OSError:
        return None
    at = content.find(b"\nPackage: cron\n") + 1 or (1 if content.startswith(b"Package: cron\n") else 0)
    if not at:
        return None
    version = re.search(rb"^Version: (?:\d+:)?3\.0pl1-(\d+)", content[at - 1 : content.find(b"\n\n", at)], re.MULTILINE)
    return int(version.group(1)) if version else None


def _options(root: str) -> frozenset[str]:
    """The words that start with a minus sign in the files that distributions keep the options in."""
    words: set[str] = set()
    for path in _OPTIONS:
        try:
            with open(root.rstrip("/") + path, "rb") as file:
                content = file.read(_MOST_OPTIONS)
        except OSError:
            continue
        for line in content.splitlines():
            if not line.lstrip().startswith(b"#"):
                words.update(text(word) for word in re.findall(rb"(?<![\w-])-[A-Za-z]\b", line))
    return frozenset(words)


def _existing_spool(root: str) -> str | None:
    return next((path for path in _SPOOLS if _exists(root, path)), None)


def _exists(root: str, path: str) -> bool:
    return os.path.exists(root.rstrip("/") + path)
