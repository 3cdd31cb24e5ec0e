# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file of a maildrop is to go, and who put it there: judged file by file, in bounded memory.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import bisect
import itertools
import os
import stat
import typing as t

from .openers import Openers
from .spool import DIRECTORY

CHUNK = 4096  # entries held at a time
_WINDOW_BITS = 16
WINDOW = 1 << _WINDOW_BITS  # entries that are put in order at a time, at some 120 bytes each

# Why a file is kept.
FOREIGN = "foreign"
REQUEUED = "requeued"
SUBMITTER = "submitter"
YOUNG = "young"
INCOMPLETE = "incomplete"
CHANGED = "changed"
UNDELETABLE = "undeletable"

UNKNOWN = -1  # the owner of a file that was not looked at

_GOES = ""
_DOUBTFUL = "doubtful"  # to be removed, unless a process still writes it
_READY = 0o100700  # a regular file that its owner may do anything with: complete (mail_open_ok.c)
_READY_BITS = 0o170700

AGES = ("from the future", "under 1m", "1m to 1h", "1h to 1d", "1d to 7d", "over 7d")
_AGE_LIMITS = (0.0, 60.0, 3600.0, 86400.0, 604800.0)


class Rules(t.NamedTuple):
    """What is to be removed. ``latest`` is the latest time of modification; no ``submitters`` means all.

    ``account`` asks who sent it and when, beside that.
    """

    mail_owner: int
    submitters: frozenset[int] = frozenset()
    latest: float | None = None
    incomplete: str = "abandoned"
    keep_requeued: bool = True
    account: bool = True

    @property
    def take_a_look(self) -> bool:
        """False where the kind of a directory entry is all that counts."""
        asked = self.submitters or self.latest is not None or self.incomplete != "all"
        return bool(self.account or self.keep_requeued or asked)


# A file that is to be removed: name, owner, time of modification, blocks of 512 bytes, length. A plain tuple, which a
# million of them can be made of.
Victim = t.Tuple[str, int, float, int, int]


class Sifted(t.NamedTuple):
    """What became of one chunk of names; those that were gone are in neither."""

    victims: list[Victim]
    kept: list[tuple[str, str]]


def verdict(facts: os.stat_result, rules: Rules) -> str:
    """Why a file is kept, or that it goes."""
    mode = facts.st_mode
    uid = facts.st_uid
    if facts.st_nlink != 1 or not stat.S_ISREG(mode):
        return FOREIGN
    if uid == rules.mail_owner and rules.keep_requeued:
        return REQUEUED
    if rules.submitters and uid not in rules.submitters:
        return SUBMITTER
    if rules.latest is not None and facts.st_mtime > rules.latest:
        return YOUNG
    if mode & _READY_BITS == _READY or rules.incomplete == "all":
        return _GOES
    return _DOUBTFUL if rules.incomplete == "abandoned" else INCOMPLETE


Entry = t.Tuple[str, bool]  # a name, and whether it is a regular file, as far as readdir(3) knows


def chunks(directory: int) -> t.Iterator[list[Entry]]:
    """The entries of a directory, at most `CHUNK` at a time, each `WINDOW` in the order of the inodes on disk: the file
    system then reads and writes each block of inodes once."""
    own = os.open(".", DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(own) as entries:
            while True:
                window = _Window(itertools.islice(entries, WINDOW))
                if not window.order:
                    return
                for start in range(0, len(window.order), CHUNK):
                    yield window.entries(start, start + CHUNK)
                del window  # before the next one is made
    finally:
        os.close(own)


class _Window:
    """Entries in little memory: the names, and of each a number that holds its inode, its place and its kind."""

    def __init__(self, entries: t.Iterator[os.DirEntry[str]]) -> None:
        self._names: list[str] = []
        self.order: list[int] = []
        for some in iter(lambda: list(itertools.islice(entries, CHUNK)), []):
            first = len(self._names)
            self._names += [entry.name for entry in some]
            self.order += [
                (entry.inode() << _WINDOW_BITS | place) << 1 | entry.is_file(follow_symlinks=False)
                for place, entry in enumerate(some, first)
            ]
        self.order.sort()

    def entries(self, start: int, end: int) -> list[Entry]:
        names, places = self._names, (1 << _WINDOW_BITS) - 1
        return [(names[number >> 1 & places], bool(number & 1)) for number in self.order[start:end]]


def names(directory: int) -> t.Iterator[list[str]]:
    for chunk in chunks(directory):
        yield [name for name, _is_file in chunk]


def count(directory: int) -> int:
    own = os.open(".", DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(own) as entries:
            return sum(1 for _entry in entries)
    finally:
        os.close(own)


class Judge:
    """Applies the rules to entries of a directory."""

    def __init__(self, rules: Rules, openers: Openers) -> None:
        self.rules = rules
        self.openers = openers

    def sift(self, directory: int, entries: t.Iterable[Entry]) -> Sifted:
        if not self.rules.take_a_look:
            return _by_kind(entries)
        sifted, doubtful = _by_facts(directory, (name for name, _is_file in entries), self.rules)
        if doubtful:
            # What was incomplete, and then open nowhere, is abandoned, or else complete by now.
            in_use = self.openers.among(directory, doubtful)
            sifted.kept.extend((name, INCOMPLETE) for name in doubtful if name in in_use)
            rest, _none = _by_facts(
                directory, (name for name in doubtful if name not in in_use), self.rules._replace(incomplete="all")
            )
            sifted.victims.extend(rest.victims)
            sifted.kept.extend(rest.kept)
        return sifted


def _by_kind(entries: t.Iterable[Entry]) -> Sifted:
    victims: list[Victim] = []
    kept = []
    for name, is_file in entries:
        if is_file:
            victims.append((name, UNKNOWN, 0.0, 0, 0))
        else:
            kept.append((name, FOREIGN))
    return Sifted(victims, kept)


def _by_facts(directory: int, names: t.Iterable[str], rules: Rules) -> tuple[Sifted, list[str]]:
    """And those that are doubtful."""
    victims: list[Victim] = []
    kept: list[tuple[str, str]] = []
    doubtful: list[str] = []
    look = os.lstat
    for name in names:
        try:
            facts = look(name, dir_fd=directory)
        except FileNotFoundError:
            continue
        reason = verdict(facts, rules)
        if not reason:
            victims.append((name, facts.st_uid, facts.st_mtime, facts.st_blocks, facts.st_size))
        elif reason == _DOUBTFUL:
            doubtful.append(name)
        else:
            kept.append((name, reason))
    return Sifted(victims, kept), doubtful


class Tally:
    """Counts of what is removed and of what is kept."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.files = 0
        self.bytes = 0  # on disk
        self.length = 0
        self.accounted = True
        self.kept: dict[str, int] = {}
        self.examples: dict[str, str] = {}
        self._groups: dict[tuple[int, int], list[int]] = {}

    def remove(self, victims: t.Iterable[Victim]) -> None:
        groups, now, limits, place = self._groups, self.now, _AGE_LIMITS, bisect.bisect_right
        files = length = on_disk = 0
        for _name, uid, mtime, blocks, size in victims:
            key = (uid, place(limits, now - mtime))
            group = groups.get(key)
            if group is None:
                group = groups[key] = [0, 0]
                self.accounted = self.accounted and uid != UNKNOWN
            group[0] += 1
            group[1] += blocks
            files += 1
            on_disk += blocks
            length += size
        self.files += files
        self.bytes += 512 * on_disk
        self.length += length

    def keep(self, kept: t.Iterable[tuple[str, str]]) -> None:
        for name, reason in kept:
            self.kept[reason] = self.kept.get(reason, 0) + 1
            self.examples.setdefault(reason, name)

    def by_uid(self) -> list[tuple[int, int, int]]:
        """Owner, files and bytes on disk, most files first."""
        return sorted(self._sums(0), key=lambda row: (-row[1], row[0]))

    def by_age(self) -> list[tuple[int, int, int]]:
        """Index into `AGES`, files and bytes on disk."""
        return sorted(self._sums(1))

    def _sums(self, part: int) -> list[tuple[int, int, int]]:
        sums: dict[int, tuple[int, int]] = {}
        for key, (files, blocks) in self._groups.items() if self.accounted else ():
            before = sums.get(key[part], (0, 0))
            sums[key[part]] = (before[0] + files, before[1] + 512 * blocks)
        return [(key, files, size) for key, (files, size) in sums.items()]
