# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the sockets of processes with the tables of the network namespace each process is in.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t
from array import array
from bisect import bisect_left

from .._kernel.descriptors import DescriptorTables
from . import sockets
from .contents import Contents
from .sockets import Row

_BATCH = 65_536  # sockets that are looked for in one reading of the tables
_MOST_NAMED = 250  # sockets in no table that are asked one by one, in all
_PROTOCOL = "system.sockprotoname"
_BITS = 24
_MASK = (1 << _BITS) - 1
_PARTS = 4

Rows = t.Dict[Row, int]


class Joiner:
    """Feed it all contents, then `join`: ``rows`` has the sockets of each process, and their contents the kinds."""

    def __init__(self, tables: DescriptorTables) -> None:
        self._tables = tables
        self._namespaces: dict[str | None, list[Contents]] = {}
        self._named = 0
        self.rows: dict[int, Rows] = {}

    def add(self, contents: Contents) -> None:
        if contents.sockets:
            namespace = self._tables.namespace(contents.pid, "net")
            self._namespaces.setdefault(namespace, []).append(contents)

    def join(self, deadline: float) -> None:
        """Past the deadline (monotonic seconds) no further table is read, and what is left has no row."""
        for members in self._namespaces.values():
            for batch in _batches(members):
                wanted = _Wanted(batch)
                self._find(members, wanted, deadline)
                for others in self._namespaces.values():
                    if wanted.left and others is not members:  # made in one namespace, used in another
                        self._find(others, wanted, deadline)
                self._name(wanted)

    def _find(self, members: list[Contents], wanted: _Wanted, deadline: float) -> None:
        """What the namespace of these processes has in its tables."""
        alive = next((one.pid for one in members if self._tables.namespace(one.pid, "net")), None)
        for name in sockets.TABLES if alive is not None else ():
            if not wanted.left or time.monotonic() > deadline:
                return
            table = sockets.table(name)
            counts = wanted.look_up(table, self._tables.lines(f"{alive}/net/{name}"))
            for packed, count in counts.items():
                self._add(wanted.members[packed >> _BITS], table.rows[packed & _MASK], count)

    def _name(self, wanted: _Wanted) -> None:
        """What is in no table: neither bound nor connected, of a family without a table, or closed by now."""
        for contents, inode in wanted.not_found():
            row = self._named_row(contents, inode)
            self._add(contents, row, 1)
            if contents.tokens is not None:
                contents.tokens.setdefault(row.kind, array("q")).append(inode)

    def _named_row(self, contents: Contents, inode: int) -> Row:
        self._named += 1
        if self._named > _MOST_NAMED:
            return sockets.UNKNOWN
        number = contents.socket_numbers[contents.sockets.index(inode)]
        try:
            name = os.getxattr(f"{self._tables.root}/{contents.pid}/fd/{number}", _PROTOCOL)
        except (OSError, AttributeError):
            return sockets.UNKNOWN
        return sockets.of_name(name.rstrip(b"\0").decode("ascii", "replace"))

    def _add(self, contents: Contents, row: Row, count: int) -> None:
        rows = self.rows.setdefault(contents.pid, {})
        rows[row] = rows.get(row, 0) + count
        contents.counts[row.kind] = contents.counts.get(row.kind, 0) + count


class _Wanted:
    """Inodes of sockets and whose they are, in 9 bytes each: sorted parts, to be searched by halves."""

    def __init__(self, members: t.Sequence[Contents]) -> None:
        self.members = members
        self._pairs = array("Q")
        self._bounds = [0]
        for part in range(_PARTS):
            self._pairs.extend(sorted(inode << _BITS | index for inode, index in _every(members, part)))
            self._bounds.append(len(self._pairs))
        self._found = bytearray(len(self._pairs))
        self.left = len(self._pairs)

    def look_up(self, table: sockets.Table, lines: t.Iterable[bytes]) -> dict[int, int]:
        """How many sockets each process has in each row: the index of the process and of the row in one integer."""
        counts: dict[int, int] = {}
        pairs, found, bounds, left = self._pairs, self._found, self._bounds, self.left
        for raw, row in table.entries(lines):
            try:
                inode = int(raw)
            except ValueError:  # a path that forged a line
                continue
            first, part = inode << _BITS, inode % _PARTS
            end = bounds[part + 1]
            at = bisect_left(pairs, first, bounds[part], end)
            while at < end and pairs[at] - first <= _MASK and not found[at]:
                found[at] = 1
                left -= 1
                index = pairs[at] & _MASK
                packed = index << _BITS | row
                counts[packed] = counts.get(packed, 0) + 1
                tokens = self.members[index].tokens
                if tokens is not None:
                    tokens.setdefault(table.rows[row].kind, array("q")).append(inode)
                at += 1
        self.left = left
        return counts

    def not_found(self) -> t.Iterator[tuple[Contents, int]]:
        """Process and inode of each that no table had."""
        for pair, was_found in zip(self._pairs, self._found):
            if not was_found:
                yield self.members[pair & _MASK], pair >> _BITS


def _every(members: t.Sequence[Contents], part: int) -> t.Iterator[tuple[int, int]]:
    """Inodes and the index of their process; a part at a time, since sorting takes four times the room."""
    for index, one in enumerate(members):
        for inode in one.sockets:
            if inode % _PARTS == part:
                yield inode, index


def _batches(members: list[Contents]) -> t.Iterator[list[Contents]]:
    batch: list[Contents] = []
    size = 0
    for contents in members:
        if batch and size + len(contents.sockets) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(contents)
        size += len(contents.sockets)
    if batch:
        yield batch
