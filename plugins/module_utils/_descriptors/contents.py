# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one process holds, gathered link by link.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import collections
import typing as t
from array import array

from . import kinds
from .deleted import EXISTS, UNKNOWN, File

_MOST_KNOWN = 4096  # links whose kind is remembered
_SPECIAL = (kinds.DELETED, kinds.INOTIFY, kinds.IO_URING)  # that are looked at more closely
_MOST_DELETED = 2000  # deleted files of one process that are asked for their size

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
        self.special: dict[str, list[tuple[int, bytes]]] = {}
        self.deleted: dict[tuple[int, int], File] = {}
        self.deleted_unknown = 0
        self.repeated = 0  # descriptors of files that the process had open already
        self.tokens: Tokens | None = {} if with_tokens else None

    @property
    def scale(self) -> float:
        """How many descriptors each one that was looked at stands for."""
        return self.total / self.seen if self.seen and self.is_thinned else 1.0

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
        if kind == kinds.FILE:
            prefix = kinds.prefix_of(link)
            self.prefixes[prefix] = self.prefixes.get(prefix, 0) + count

    def judge_deleted(self, ask: t.Callable[[int, bytes], File | str]) -> None:
        """Learn the sizes; a file whose name only ends in the kernel's mark is moved to where it belongs."""
        named = self.special.get(kinds.DELETED, [])
        self.deleted_unknown = len(named[_MOST_DELETED:])
        for number, link in named[:_MOST_DELETED]:
            answer = ask(number, kinds.path_of_deleted(link))
            if isinstance(answer, File):
                self.deleted[answer.device, answer.inode] = answer
            elif answer == EXISTS:
                self.counts[kinds.DELETED] -= 1
                self._count(kinds.FILE, link, 1)
            else:
                self.deleted_unknown += answer == UNKNOWN


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
            held = [(int(link[8:-1]), int(number)) for number, link in zip(numbers, links) if link[:8] == b"socket:["]
            contents.sockets.extend([inode for inode, _number in held])
            contents.socket_numbers.extend([number for _inode, number in held])
            if not held:
                self._add(contents, numbers, links, paths)
            elif len(held) < len(links):
                others = [(number, link) for number, link in zip(numbers, links) if link[:8] != b"socket:["]
                self._add(contents, [number for number, _link in others], [link for _number, link in others], paths)

    def _add(self, contents: Contents, numbers: list[bytes], links: list[bytes], paths: set[int]) -> None:
        """All but sockets."""
        contents.numbers.extend(map(int, numbers))
        contents.hashes.extend(map(hash, links))
        known, special = self._known, False
        for link, count in collections.Counter(links).items():
            kind = kinds.PIPE if link[:6] == b"pipe:[" else known.get(link)
            if kind is None:
                kind = known[link] = kinds.kind_of(link)
            contents._count(kind, link, count)
            special = special or kind in _SPECIAL
            if kind in (kinds.FILE, kinds.DEVICE):
                contents.repeated += count - (hash(link) not in paths)
                paths.add(hash(link))
        if special or contents.tokens is not None:
            for number, link in zip(numbers, links):
                kind = kinds.PIPE if link[:6] == b"pipe:[" else known[link]
                if kind in _SPECIAL:
                    contents.special.setdefault(kind, []).append((int(number), link))
                if contents.tokens is not None:
                    contents.tokens.setdefault(kind, array("q")).append(hash(number + link))
