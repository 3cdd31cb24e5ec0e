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

_FEW, _STEP = 16, 16  # of more than so many every so many-th is compared
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
    """Counts descriptions over the contents of a sample, as they come: parents before their children, and those in the
    order of their birth."""

    def __init__(self, kcmp: Kcmp, members: t.Mapping[int, Member]) -> None:
        self._kcmp = kcmp
        self._compares = kcmp.works
        self._members = members
        self._parents = {member.parent for member in members.values()}
        self._total = 0
        self._groups: dict[str, int] = {}
        self._seen: dict[int, Contents] = {}
        self._siblings: dict[tuple[int, str], Contents] = {}

    def add(self, one: Contents) -> None:
        """Compare it with its relatives at once, for processes end; what no other will be compared with is dropped."""
        member = self._members[one.pid]
        self._total += one.seen
        self._groups[member.group] = self._groups.get(member.group, 0) + one.seen
        family = (member.parent, member.name)
        sibling = self._siblings.get(family)
        joined: set[int] = set()
        for relative in (sibling, self._seen.get(member.parent)):
            if relative is not None:
                joined |= self._join_two(one, relative, joined)
        self._join_streams(one, joined)
        self._siblings[family] = one
        if one.pid in self._parents:
            self._seen[one.pid] = one
        if sibling is not None and sibling.pid not in self._parents:
            sibling.drop_numbers()

    def count(self, contents: t.Sequence[Contents]) -> Distinct:
        """The sum over all that was added, of which these are the sockets."""
        self._join_sockets(contents)
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

    def _join_two(self, one: Contents, relative: Contents, joined: set[int]) -> set[int]:
        common = _common(one, relative)
        if joined:
            common = [number for number in common if number not in joined]
        found = set(self._shared(one.pid, relative.pid, common))
        group, others = self._members[one.pid].group, self._members[relative.pid].group
        for _number in found:
            self._join(group, others)
        return found

    def _shared(self, pid: int, relative: int, numbers: list[int]) -> t.Iterator[int]:
        """Of many, some are compared, and those between two of which the same is true are taken to be like them: what
        fork handed on, and what was opened since, lie together."""
        known: dict[int, bool] = {}

        def same(at: int) -> bool:
            if at not in known:
                known[at] = self._is_same(pid, numbers[at], relative, numbers[at])
            return known[at]

        last = len(numbers) - 1
        if not any(same(at) for at in sorted({0, last // 2, last}) if last >= 0):
            return
        marks = sorted({*range(0, last, 1 if last < _FEW else _STEP), *known, last})
        for start, end in zip(marks, [*marks[1:], last + 1]):
            low, high = start, end  # like the start up to low, like the end from high on
            while high - low > 1 and end <= last and same(start) != same(end):
                middle = (low + high) // 2
                low, high = (middle, high) if same(middle) == same(start) else (low, middle)
            yield from numbers[start:high] if same(start) else numbers[high:end]

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
