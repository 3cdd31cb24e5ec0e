# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one process holds, gathered link by link.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import collections
import operator
import typing as t
from array import array
from itertools import compress

from . import kinds
from .deleted import EXISTS, UNKNOWN, File

_MOST_KNOWN = 4096  # links whose kind is remembered
_SPECIAL = (kinds.DELETED, kinds.INOTIFY, kinds.IO_URING)  # that are looked at more closely
_PATHS = (kinds.FILE, kinds.DEVICE)
_MOST_DELETED = 2000  # deleted files of one process that are asked for their size

_NO_NUMBERS, _NO_HASHES = array("I"), array("q")

Tokens = t.Dict[str, "array[int]"]


class Contents:
    """``tokens`` stand for what is open, by kind: what two readings of a process share has stayed open in between.

    Kept small, for there may be thousands: sockets by inode and number, all others by number and the hash of the link.
    """

    __slots__ = (
        "counts", "deleted", "deleted_unknown", "hashes", "is_thinned", "numbers", "pid", "prefixes", "repeated",
        "seen", "socket_numbers", "sockets", "special", "tokens", "total",
    )  # fmt: skip

    def __init__(self, pid: int, total: int, with_tokens: bool = False, is_thinned: bool = False) -> None:
        self.pid = pid
        self.total = total
        self.is_thinned = is_thinned  # only a part of the links is read
        self.seen = 0
        self.counts: dict[str, int] = {}
        self.sockets = array("Q")
        self.socket_numbers = array("I")
        self.numbers = array("I")
        self.hashes = array("q")
        self.prefixes: dict[bytes, int] = {}
        self.special: t.Sequence[tuple[str, int, bytes]] = ()  # kind, number and link
        self.deleted: t.Sequence[File] = ()
        self.deleted_unknown = 0
        self.repeated = 0  # descriptors of files that the process had open already
        self.tokens: Tokens | None = {} if with_tokens else None

    @property
    def scale(self) -> float:
        """How many descriptors each one that was looked at stands for."""
        return self.total / self.seen if self.seen and self.is_thinned else 1.0

    def drop_numbers(self) -> None:
        """They are needed only to compare it with others."""
        self.numbers, self.hashes = _NO_NUMBERS, _NO_HASHES

    def put(self, kind: str, number: int, link: bytes) -> None:
        """One descriptor whose kind is known already."""
        self.seen += 1
        self._count(kind, link, 1)
        if self.tokens is not None:
            self.tokens.setdefault(kind, array("q")).append(hash(b"%d%s" % (number, link)))

    def fill_up(self, total: int) -> None:
        """Descriptors of which only the number is known."""
        if total > self.seen:
            self._count(kinds.OTHER, b"", total - self.seen)
            self.seen = total

    def _count(self, kind: str, link: bytes, count: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.add_path(kind, link, count)

    def add_path(self, kind: str, link: bytes, count: int) -> None:
        """Files are counted by directory too."""
        if kind == kinds.FILE:
            prefix = kinds.prefix_of(link)
            self.prefixes[prefix] = self.prefixes.get(prefix, 0) + count

    def judge_deleted(self, ask: t.Callable[[int, bytes], File | str]) -> None:
        """Learn the sizes; a file whose name only ends in the kernel's mark is moved to where it belongs."""
        named = [(number, link) for kind, number, link in self.special if kind == kinds.DELETED]
        files = {}
        self.deleted_unknown = len(named[_MOST_DELETED:])
        for number, link in named[:_MOST_DELETED]:
            answer = ask(number, kinds.path_of_deleted(link))
            if isinstance(answer, File):
                files[answer.device, answer.inode] = answer
            elif answer == EXISTS:
                self.counts[kinds.DELETED] -= 1
                self._count(kinds.FILE, link, 1)
            else:
                self.deleted_unknown += answer == UNKNOWN
        self.deleted = tuple(files.values())


class Gatherer:
    """Fills `Contents` from links, one process after the other."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    def gather(self, contents: Contents, parts: t.Iterable[tuple[list[bytes], list[bytes]]]) -> None:
        """``parts`` are numbers and links, as `DescriptorTables.links` yields them."""
        paths: set[int] = set()
        for numbers, links in parts:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            contents.seen += len(links)
            sockets = [link[:8] == b"socket:[" for link in links]
            if True in sockets:
                others = list(map(operator.not_, sockets))
                contents.sockets.extend([int(link[8:-1]) for link in compress(links, sockets)])
                contents.socket_numbers.extend(map(int, compress(numbers, sockets)))
                self._add(contents, list(compress(numbers, others)), list(compress(links, others)), paths)
            else:
                self._add(contents, numbers, links, paths)

    def _add(self, contents: Contents, numbers: list[bytes], links: list[bytes], paths: set[int]) -> None:
        """All but sockets."""
        contents.numbers.extend(map(int, numbers))
        contents.hashes.extend(map(hash, links))
        known, counts, is_special = self._known, contents.counts, False
        for link, count in collections.Counter(links).items():
            kind = kinds.PIPE if link[:6] == b"pipe:[" else known.get(link)
            if kind is None:
                kind = known[link] = kinds.kind_of(link)
            counts[kind] = counts.get(kind, 0) + count
            if kind in _PATHS:
                contents.add_path(kind, link, count)
                contents.repeated += count - (hash(link) not in paths)
                paths.add(hash(link))
            elif kind in _SPECIAL:
                is_special = True
        if is_special or contents.tokens is not None:
            self._add_numbers(contents, numbers, links)

    def _add_numbers(self, contents: Contents, numbers: list[bytes], links: list[bytes]) -> None:
        special = []
        for number, link in zip(numbers, links):
            kind = kinds.PIPE if link[:6] == b"pipe:[" else self._known[link]
            if kind in _SPECIAL:
                special.append((kind, int(number), link))
            if contents.tokens is not None:
                contents.tokens.setdefault(kind, array("q")).append(hash(number + link))
        contents.special = (*contents.special, *special)
