# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The crontabs of a host as they are: read once, with what their daemon makes of each.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import typing as t

from .._kernel import filesystems
from .._kernel.errors import Refused
from .._kernel.filesystems import Found, Spot, Unsafe
from . import acceptance
from .acceptance import ANACRON, SYSTEM, USERS, Crontab
from .daemons import Daemon, Survey
from .dialect import Dialect

MOST_BYTES = 8 << 20  # of one crontab

CHANGED, UNCHANGED, IGNORED, REFUSED, MISSING = "changed", "unchanged", "ignored", "refused", "missing"

_DIRECTORIES = ("/etc/cron.d", "/usr/local/etc/cron.d")
# The others open whatever has the name of a crontab.
_REGULAR_ONLY = ("vixie", "cronie", "debian", "systemd_cron")


class Item(t.NamedTuple):
    """One crontab. ``status`` is empty where it was read and its daemon reads it too."""

    crontab: Crontab
    dialect: Dialect | None
    status: str = ""
    reason: str = ""
    found: Found | None = None
    has_room: bool = True
    denied: bool = False


class Accounts:
    """Who exists: the local users, then whoever else the host knows, which may mean to ask a server."""

    def __init__(self, root: str) -> None:
        self._local: dict[str, int] = {}
        self._asks = root == "/"
        with contextlib.suppress(OSError), open(root.rstrip("/") + "/etc/passwd", "rb") as file:
            for line in file.read().split(b"\n"):
                fields = line.split(b":")
                if len(fields) > 3 and fields[2].isdigit():
                    self._local[os.fsdecode(fields[0])] = int(fields[2])

    def uid(self, name: str) -> int | None:
        if name not in self._local and self._asks:
            try:
                self._local[name] = pwd.getpwnam(name).pw_uid
            except (KeyError, ValueError, UnicodeError):
                return None
        return self._local.get(name)

    def exists(self, name: bytes) -> bool:
        return self.uid(os.fsdecode(name)) is not None


class Discovery:
    """Finds and reads. ``root`` stands before every path, so that another tree can be looked at."""

    def __init__(self, survey: Survey, root: str = "/") -> None:
        self.survey = survey
        self.root = root
        self.accounts = Accounts(root)

    def cron(self) -> Daemon | None:
        """The one daemon. Raises Refused where there are several, or one that is not understood."""
        if len(self.survey.crons) > 1:
            names = " and ".join(f"{daemon.name} ({daemon.program})" for daemon in self.survey.crons)
            raise Refused(f"more than one cron daemon is here: {names}. Say with dialect which one reads the crontabs.")
        daemon = self.survey.crons[0] if self.survey.crons else None
        if daemon is not None and daemon.dialect is None:
            raise Refused(
                f"the cron daemon is {daemon.name} ({daemon.program}), whose tables this module cannot read. "
                f"Use its own means, or leave system and users out of scope."
            )
        return daemon

    def by_scope(self, scope: t.Collection[str]) -> list[Item]:
        cron = self.cron() if {SYSTEM, USERS} & set(scope) else None
        found: list[Item] = []
        if SYSTEM in scope:
            paths = ["/etc/crontab", *(path for directory in _DIRECTORIES for path in self._list(directory))]
            found += [self.item(Crontab(path, SYSTEM), cron) for path in paths if self._is_there(path)]
        if USERS in scope and cron is not None and cron.spool:
            found += [self.item(Crontab(path, USERS), cron) for path in self._list(cron.spool)]
        if ANACRON in scope and self._is_there("/etc/anacrontab"):
            found.append(self.item(Crontab("/etc/anacrontab", ANACRON), self.survey.anacron))
        return found

    def by_paths(self, paths: t.Iterable[str], is_anacron: bool) -> list[Item]:
        found = []
        for path in dict.fromkeys(paths):
            place = self._place(path, is_anacron)
            daemon = self.survey.anacron if place == ANACRON else self.cron()
            found.append(self.item(Crontab(path, place), daemon))
        return found

    def _place(self, path: str, is_anacron: bool) -> str:
        if is_anacron or os.path.basename(path) == "anacrontab":
            return ANACRON
        spools = {daemon.spool for daemon in self.survey.crons}
        return USERS if os.path.dirname(path) in spools else SYSTEM

    def item(self, crontab: Crontab, daemon: Daemon | None) -> Item:
        """The crontab, judged by all but the wish of the user."""
        if daemon is None or daemon.dialect is None:
            what = "anacron" if crontab.place == ANACRON else "cron daemon"
            return Item(crontab, None, IGNORED, f"no {what} was found that reads it; dialect names one")
        dialect = daemon.dialect
        if crontab.place == USERS:
            crontab = crontab._replace(uid=self.accounts.uid(crontab.name))
        skipped = self._skipped(crontab, daemon)
        if skipped:
            return Item(crontab, dialect, IGNORED, f"{dialect.title} does not read it: {skipped}")
        try:
            with filesystems.locate(crontab.path, self.root) as spot:
                return self._read(crontab, daemon, dialect, spot)
        except Unsafe as unsafe:
            return Item(crontab, dialect, REFUSED, str(unsafe))
        except OSError as error:
            return self._unreadable(crontab, dialect, error)

    @staticmethod
    def _skipped(crontab: Crontab, daemon: Daemon) -> str | None:
        if crontab.place == SYSTEM:
            if daemon.name == "busybox":
                return "it reads the crontabs of users only"
            if daemon.name == "vixie" and os.path.dirname(crontab.path) in _DIRECTORIES:
                return "it knows no such directory"
        return acceptance.ignored_name(daemon.name, crontab, daemon.options)

    def _read(self, crontab: Crontab, daemon: Daemon, dialect: Dialect, spot: Spot) -> Item:
        crontab = crontab._replace(through_link=spot.through_link)
        try:
            found = filesystems.read(spot, MOST_BYTES)
        except Unsafe as unsafe:
            is_odd = "not a regular file" in str(unsafe)
            is_ignored = is_odd and (daemon.name in _REGULAR_ONLY or "directory" in str(unsafe))
            return Item(crontab, dialect, IGNORED if is_ignored else REFUSED, str(unsafe))
        crontab = crontab._replace(facts=found.facts)
        reason = acceptance.ignored_facts(daemon.name, crontab, daemon.options)
        if reason:
            return Item(crontab, dialect, IGNORED, f"{dialect.title} does not read it: {reason}", found)
        lines = dialect.read(found.raw)
        reason = acceptance.ignored_content(dialect, crontab, lines, self.accounts.exists)
        if reason:
            return Item(crontab, dialect, IGNORED, f"{dialect.title} ignores the whole file: {reason}", found)
        doubt = acceptance.doubt(dialect, lines)
        owners = {0, os.geteuid(), *([crontab.uid] if crontab.uid is not None else [])}
        reason = doubt or filesystems.obstacle(spot, found.facts, owners)
        if reason is None and b"\0" in found.raw:
            reason = "it holds NUL bytes, which daemons read in different ways"
        has_room = spot.has_room(len(found.raw) + filesystems.PAGE)
        return Item(crontab, dialect, REFUSED if reason else "", reason or "", found, has_room)

    @staticmethod
    def _unreadable(crontab: Crontab, dialect: Dialect, error: OSError) -> Item:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Item(crontab, dialect, MISSING, "it is not there")
        if error.errno == errno.ELOOP:
            return Item(crontab, dialect, IGNORED, "its symbolic link leads nowhere")
        reason = f"it cannot be read ({error.strerror})"
        return Item(crontab, dialect, REFUSED, reason, denied=isinstance(error, PermissionError))

    def _list(self, directory: str) -> list[str]:
        try:
            names = os.listdir(self.root.rstrip("/") + directory)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return []
            raise Refused(f"{directory} cannot be listed ({error.strerror}): run as root (become: true).") from None
        return [f"{directory}/{name}" for name in sorted(names) if name != filesystems.DRAFT]

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(self.root.rstrip("/") + path)
