# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the throttles that are remembered a selector means.

PRIVATE: may change in any release.
"""

from __future__ import annotations

from .._kernel import cgroups
from .._kernel.processes import ProcessTable
from .._process.selection import Matcher, Selector, Tree
from .records import CGROUP, UNIT, Record
from .scopes import names_cgroups_only


class Meant:
    """All of them without a selector. A cgroup is known by its path even when it is empty or gone."""

    def __init__(self, selector: Selector | None, table: ProcessTable) -> None:
        self.selector = selector
        self.identities: set[tuple[int, int]] = set()
        if selector is None or names_cgroups_only(selector):
            return
        everybody = list(table.scan())
        matcher, tree = Matcher(selector, table), Tree(everybody)
        self.identities = {
            process.identity for process in everybody if matcher.matches(process, tree) and matcher.confirms(process)
        }

    def has(self, record: Record) -> bool:
        if self.selector is None:
            return True
        if record.kind == UNIT:
            return record.name in self.selector.units and names_cgroups_only(self.selector)
        if record.kind == CGROUP:
            return self._names(record.name) or self._reaches(record.name)
        identities = {(member.pid, member.start) for member in record.members}
        return int(record.name) in self.selector.uids or not identities.isdisjoint(self.identities)

    def _names(self, directory: str) -> bool:
        selector = self.selector
        if selector is None or not names_cgroups_only(selector):
            return False
        by_unit = not selector.units.isdisjoint(directory.split("/"))
        return by_unit or any(f"{path}/" in f"{directory}/" for path in selector.cgroups)

    def _reaches(self, directory: str) -> bool:
        pids = {pid for pid, _start in self.identities}
        return bool(pids) and not pids.isdisjoint(cgroups.members(directory) or ())
