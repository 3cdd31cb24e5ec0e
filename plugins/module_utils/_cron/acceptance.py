# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a daemon does not read, and which lines in the others do not say what they seem to.

Sources: process_crontab() and load_user() of ISC cron 4.1, cronie 1.7 and Debian's cron 3.0pl1; load_crontab() of
busybox; systemd-crontab-generator.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from . import entries
from .dialect import Dialect
from .document import ASSIGNMENT, BAD, BLANK, JOB, UNSEEN, Line

SYSTEM = "system"
USERS = "users"
ANACRON = "anacron"

_SYSTEM_CRONTAB = "crontab"  # /etc/crontab: no daemon looks at its name
_RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+\Z")
# With the option -l: names of the Linux Standard Base, without what dpkg leaves behind.
_LSB = re.compile(r"_?([a-z0-9_.]+-)+[a-z0-9]+\Z")
_LSB_LEFT_BEHIND = re.compile(r"[a-z0-9-].*dpkg-(old|dist)\Z")
_LSB_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*\Z")

_DEBIAN_LINES = 10004  # MAX_TAB_LINES and the header of crontab(1)
_CRONIE_GARBAGE = 32768
_CRONIE_ASSIGNMENTS = 1000
_CRONIE_ENTRIES = 10000
_BUSYBOX_LINES = {True: 65534, False: 255}  # for root and for others

_PACKAGES = "/var/lib/dpkg/status"
_LOOKS_LIKE_MAILTO = re.compile(rb"[ \t]*(export[ \t]+)?[\"']?MAILTO[\"']?[ \t]*=")


class Crontab(t.NamedTuple):
    """What is known of a file besides its content. ``uid`` is that of the user it is named after."""

    path: str
    place: str
    facts: os.stat_result | None = None
    uid: int | None = None
    through_link: bool = False

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def has_users(self) -> bool:
        """Each job names its user."""
        return self.place == SYSTEM


def ignored_name(dialect: str, crontab: Crontab, options: t.Collection[str] = ()) -> str | None:
    """Why a daemon does not read a file of this name."""
    name = crontab.name
    if crontab.place == ANACRON or (crontab.place == SYSTEM and os.path.dirname(crontab.path).endswith("/etc")):
        return None
    if crontab.place == USERS and crontab.uid is None:
        return f"there is no user {name}"
    if dialect == "busybox":
        return "a name with a dot is skipped" if "." in name else None
    if name.startswith("."):
        return "a name with a leading dot is skipped"
    if dialect == "cronie":
        unwanted = name.startswith("#") or name.endswith(("~", ".rpmsave", ".rpmorig", ".rpmnew"))
        return "names like this one are skipped" if unwanted or name == ".cron.hostname" else None
    if dialect == "debian" and crontab.place == SYSTEM:
        if "-l" in options:
            wanted = not _LSB_LEFT_BEHIND.match(name) if _LSB.match(name) else _LSB_PLAIN.match(name)
        else:
            wanted = _RUN_PARTS.match(name)
        return None if wanted else "names may hold only letters, digits, underscores and hyphens"
    if dialect == "systemd_cron":
        unwanted = "~" in name or ".dpkg-" in name or (crontab.place == USERS and "." in name)
        return "names like this one are skipped" if unwanted else None
    return None


def ignored_facts(dialect: str, crontab: Crontab, options: t.Collection[str] = ()) -> str | None:
    """Why a daemon does not read a file with this owner, mode and number of names."""
    facts = crontab.facts
    if facts is None or dialect in ("anacron", "freebsd", "systemd_cron"):
        return None
    mode = stat.S_IMODE(facts.st_mode)
    is_users = crontab.place == USERS
    if dialect == "busybox":
        return None if facts.st_uid == 0 else f"it belongs to uid {facts.st_uid}, not to root"
    if dialect == "cronie" and "-p" in options:
        return None
    if facts.st_uid != 0 and not (is_users and facts.st_uid == crontab.uid):
        return f"it belongs to uid {facts.st_uid}"
    if crontab.through_link and (dialect == "vixie" or (dialect == "debian" and is_users)):
        return "it is a symbolic link"
    if dialect == "cronie":
        if mode & 0o7533 != 0o400:
            return f"its mode is {mode:04o}: nobody but the owner may write to it, and nobody may execute it"
        return f"it has {facts.st_nlink} names (hard links)" if is_users and facts.st_nlink != 1 else None
    if (dialect == "vixie" or is_users) and mode != 0o600:
        return f"its mode is {mode:04o} and not 0600"
    if mode & 0o022:
        return f"its mode is {mode:04o}: nobody but the owner may write to it"
    return f"it has {facts.st_nlink} names (hard links)" if facts.st_nlink != 1 else None


def ignored_content(
    dialect: Dialect, crontab: Crontab, lines: t.Sequence[Line], is_user: t.Callable[[bytes], bool]
) -> str | None:
    """Why a daemon reads nothing of a file with this content, where it is certain."""
    if dialect.name == "debian":
        return _debian(crontab, lines, is_user)
    if dialect.name == "cronie" and crontab.place == USERS:
        return _cronie(lines)
    return None


def doubt(dialect: Dialect, lines: t.Sequence[Line]) -> str | None:
    """Why it cannot be told whether the daemon reads the file."""
    bare = next((line for line in lines if line.bare), None) if dialect.dies_of_bare else None
    if bare is None:
        return None
    return (
        f"line {bare.number} has nothing after its equals sign, for which {dialect.title} before 3.0pl1-187 ignores "
        f"the whole file, and its version is not in {_PACKAGES}"
    )


def _debian(crontab: Crontab, lines: t.Sequence[Line], is_user: t.Callable[[bytes], bool]) -> str | None:
    for line in lines:
        if line.kind == UNSEEN:
            return f"line {line.number} has no newline at its end"
        if line.kind in (JOB, BAD):
            reason = entries.problem(line.raw.rstrip(b"\n"), crontab.has_users, is_user)
            if reason:
                return f"line {line.number}: {reason}"
    last = max((line.number for line in lines if line.kind != BLANK), default=0)
    return f"it has more than {_DEBIAN_LINES - 4} lines" if last >= _DEBIAN_LINES else None


def _cronie(lines: t.Sequence[Line]) -> str | None:
    garbage = assignments = jobs = 0
    for line in lines:
        if line.kind == BLANK:
            garbage += len(line.raw)
        else:
            garbage += len(line.raw) - len(line.raw.lstrip(b" \t")) + 1
        if garbage > _CRONIE_GARBAGE:
            return f"more than {_CRONIE_GARBAGE} bytes of comments come before line {line.number}"
        if line.kind != BLANK:
            garbage = 0
        assignments += line.kind == ASSIGNMENT
        jobs += line.kind in (JOB, BAD)
    if assignments > _CRONIE_ASSIGNMENTS:
        return f"it has more than {_CRONIE_ASSIGNMENTS} assignments"
    return f"it has more than {_CRONIE_ENTRIES} entries" if jobs > _CRONIE_ENTRIES else None


def seen(dialect: Dialect, crontab: Crontab, lines: t.Sequence[Line]) -> list[Line]:
    """The lines a daemon gets to: busybox stops at some number of them."""
    if dialect.name != "busybox":
        return list(lines)
    most = _BUSYBOX_LINES[crontab.name == "root"] - 1
    said = 0
    for index, line in enumerate(lines):
        said += line.kind != BLANK
        if said > most:
            return list(lines[:index])
    return list(lines)


def warnings(dialect: Dialect, crontab: Crontab, lines: t.Sequence[Line]) -> list[str]:
    """Lines that a daemon does not take as they were meant. They are left as they are: mending them may start a job."""
    found = []
    if lines and lines[0].raw.startswith(b"\xef\xbb\xbf"):
        found.append(f"line 1 begins with a byte order mark: to {dialect.title} it is part of the first word")
    for line in lines:
        if line.kind == UNSEEN:
            what = _unseen(dialect, line)
            found.append(f"line {line.number} has no newline at its end: {dialect.title} does not see {what} in it")
        elif line.kind in (JOB, BAD) and _LOOKS_LIKE_MAILTO.match(line.raw):
            found.append(f"line {line.number} looks like MAILTO, but {dialect.title} does not take it for that")
    hidden = [line for line in lines[len(seen(dialect, crontab, lines)) :] if line.kind != BLANK]
    if hidden:
        found.append(f"{dialect.title} does not read on from line {hidden[0].number}: the file is too long for it")
    return found


def _unseen(dialect: Dialect, line: Line) -> str:
    if _LOOKS_LIKE_MAILTO.match(line.raw):
        return "the MAILTO"
    return "the job" if dialect.classify(line.raw, dialect)[0] == JOB else "what is"
