# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many open file descriptions stand behind many descriptors: what fork(2) hands on, or sendmsg(2) sends, is one.

The inode of a socket tells. All else is compared by kcmp(2) with what the parent, and the last of its children with the
same name, have under the same number, which is how fork hands it on; and so are the standard streams of a process with
each other. What was sent, or duplicated to another number, counts anew, so the result is rather too high than too low.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.descriptors import Kcmp
from .contents import Contents
from .members import Distinct, Member

KCMP, INODE = "kcmp", "inode"

_PROBES = 3  # that differ, and two processes share nothing
_INDEX_BITS = 24
_INDEX = (1 << _INDEX_BITS) - 1
_PARTS = 4
_STREAMS = 3


class Order:
    """Descriptors, each a process and a number, in kcmp's order, each description once."""

    def __init__(self, kcmp: Kcmp) -> None:
        self._kcmp = kcmp
        self._sorted: list[tuple[int, int]] = []

    def is_new(self, place: tuple[int, int]) -> bool:
        """Whether none before stands for the same description; what has gone meanwhile is new."""
        low, high = 0, len(self._sorted)
        while low < high:
            middle = (low + high) // 2
            answer = self._kcmp.order(place, self._sorted[middle])
            if answer == 0:
                return False
            if answer is None:
                if self._kcmp.order(place, place) is None:
                    return True
                del self._sorted[middle]  # that one has gone
                high -= 1
            elif answer == 1:
                high = middle
            else:
                low = middle + 1
        self._sorted.insert(low, place)
        return True


class Identities:
    """Counts descriptions over the contents of a sample."""

    def __init__(self, kcmp: Kcmp, members: t.Mapping[int, Member]) -> None:
        self._kcmp = kcmp
        self._compares = kcmp.works
        self._members = members
        self._total = 0
        self._groups: dict[str, int] = {}

    def count(self, contents: t.Sequence[Contents]) -> Distinct:
        for one in contents:
            group = self._members[one.pid].group
            self._total += one.seen
            self._groups[group] = self._groups.get(group, 0) + one.seen
        self._join_sockets(contents)
        self._join_relatives(contents)
        return Distinct(self._total, self._groups, KCMP if self._compares else INODE)

    def _join(self, group: str, others: str) -> None:
        """A descriptor of ``group`` stands for the same as one of ``others``."""
        self._total -= 1
        if group == others:
            self._groups[group] -= 1

    # --- sockets ---

    def _join_sockets(self, contents: t.Sequence[Contents]) -> None:
        """In parts, since sorting takes four times the room."""
        for part in range(_PARTS):
            last, groups = -1, set()
            for packed in sorted(
                inode << _INDEX_BITS | index
                for index, one in enumerate(contents)
                for inode in one.sockets
                if inode % _PARTS == part
            ):
                group = self._members[contents[packed & _INDEX].pid].group
                if packed >> _INDEX_BITS != last:
                    last, groups = packed >> _INDEX_BITS, {group}
                    continue
                self._total -= 1
                self._groups[group] -= group in groups
                groups.add(group)

    # --- all others ---

    def _join_relatives(self, contents: t.Sequence[Contents]) -> None:
        """Parents before children, siblings in the order of their birth."""
        seen: dict[int, Contents] = {}
        siblings: dict[tuple[int, str], Contents] = {}
        for one in sorted(contents, key=lambda each: (self._members[each.pid].started, each.pid)):
            member = self._members[one.pid]
            family = (member.parent, member.name)
            joined: set[int] = set()
            for relative in (siblings.get(family), seen.get(member.parent)):
                if relative is not None:
                    joined |= self._join_two(one, relative, joined)
            self._join_streams(one, joined)
            seen[one.pid] = siblings[family] = one

    def _join_two(self, one: Contents, relative: Contents, joined: set[int]) -> set[int]:
        common = [number for number in _common(one, relative) if number not in joined]
        probes = common[:: max(1, len(common) // _PROBES)][:_PROBES]
        if not any(self._is_same(one.pid, number, relative.pid, number) for number in probes):
            return set()
        found = {number for number in common if self._is_same(one.pid, number, relative.pid, number)}
        group, others = self._members[one.pid].group, self._members[relative.pid].group
        for _number in found:
            self._join(group, others)
        return found

    def _join_streams(self, one: Contents, joined: set[int]) -> None:
        """Input, output and errors of a daemon are often one."""
        group = self._members[one.pid].group
        streams = [place for place in zip(one.numbers[:_STREAMS], one.hashes[:_STREAMS]) if place[0] < _STREAMS]
        for index, (number, link) in enumerate(streams):
            if number not in joined and any(
                link == earlier_link and self._is_same(one.pid, number, one.pid, earlier)
                for earlier, earlier_link in streams[:index]
            ):
                self._join(group, group)

    def _is_same(self, pid: int, number: int, other: int, other_number: int) -> bool:
        return not self._compares or self._kcmp.order((pid, number), (other, other_number)) == 0


def _common(one: Contents, other: Contents) -> list[int]:
    """The numbers under which both have the same link. The kernel lists numbers in their order."""
    if one.numbers == other.numbers:
        return [number for number, mine, its in zip(one.numbers, one.hashes, other.hashes) if mine == its]
    theirs = dict(zip(other.numbers, other.hashes))
    return [number for number, link in zip(one.numbers, one.hashes) if theirs.get(number) == link]
