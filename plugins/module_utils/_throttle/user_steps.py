# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lower RLIMIT_NPROC of all that is meant, and give it back, also to who was born meanwhile.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import Process, ProcessTable
from .._kernel.rlimits import Limits
from .._process.guard import Guard
from .._process.selection import Matcher, Tree
from .planning import FAILED, GONE, LEFT_ALONE, RELEASED, Decision
from .records import Member, Record
from .report import Step
from .users import Users

_MOST_PASSES = 5  # over processes that were born with the old limit meanwhile


def is_meant(process: Process, tree: Tree, matcher: Matcher, guard: Guard) -> bool:
    """Whether it matches, its command line included where one is asked for, and is not protected."""
    if not matcher.matches(process, tree if matcher.selector.needs_tree else None) or not matcher.confirms(process):
        return False
    reason = guard.reason(process)
    if reason is None and (guard.needs_cmdline or matcher.selector.cmdline_regex is not None):
        reason = guard.reason_when_stopped(process)
    return reason is None


class UserSteps:
    def __init__(self, table: ProcessTable, users: Users) -> None:
        self.table = table
        self.users = users

    def cap(self, step: Step, matcher: Matcher, guard: Guard, remember: t.Callable[[Record], None]) -> None:
        """Pass after pass until one finds nobody over the limit; each pass is remembered before it changes anything."""
        record, limit = step.decision.record, step.decision.limit
        if record is None or limit is None:
            return
        touched = 0
        for _pass in range(_MOST_PASSES):
            everybody = list(self.table.scan())
            members = self.users.members(self._meant(everybody, int(record.name), matcher, guard))
            jobs = self._jobs(record, members, everybody, limit)
            if not jobs:
                reason = f"{touched} processes: {step.decision.reason}" if touched else step.decision.reason
                step.decision = step.decision._replace(record=record, reason=reason)
                step.seen = self.users.look(int(record.name), members, everybody)
                return
            known = {(member.pid, member.start): member for member in record.members}
            known.update({(old.pid, old.start): old for _member, old in jobs})
            record = record._replace(members=tuple(known.values()))
            try:
                remember(record)
                obstacles = [
                    self.users.put(now, self.users.capped(Limits(old.soft, old.hard), limit)) for now, old in jobs
                ]
            except Refused as refusal:
                if not touched:
                    raise
                obstacles = [str(refusal)]
            for obstacle in filter(None, obstacles):
                step.decision = Decision(FAILED, obstacle, step.decided.value, record)
                return
            touched += len(jobs)
        reason = "processes with the old limit are born faster than they can be capped: run again"
        step.decision = Decision(FAILED, reason, limit, record)

    def _jobs(
        self, record: Record, members: t.Sequence[Member], everybody: t.Sequence[Process], limit: int
    ) -> list[tuple[Member, Member]]:
        """Who has not the limit it should have, and what it had before any of this."""
        before = {(member.pid, member.start): old for member, old in self.users.holders(record, everybody)}
        jobs = []
        for member in members:
            old = before.get((member.pid, member.start), Limits(member.soft, member.hard))
            if Limits(member.soft, member.hard) != self.users.capped(old, limit):
                jobs.append((member, Member(member.pid, member.start, *old)))
        return jobs

    def _meant(self, everybody: t.Sequence[Process], uid: int, matcher: Matcher, guard: Guard) -> list[Process]:
        tree = Tree(everybody)
        return [
            one
            for one in everybody
            if not one.is_dead and self.users.real_uid(one) == uid and is_meant(one, tree, matcher, guard)
        ]

    def release(self, record: Record, now: float, keeps_history: bool) -> Step:
        """What would be given back to whom."""
        everybody = list(self.table.scan())
        holders = self.users.holders(record, everybody)
        living = {process.identity for process in everybody if not process.is_dead}
        holding = {(member.pid, member.start) for member, _old in holders}
        others = [member for member in record.members if (member.pid, member.start) in living - holding]
        foreign = sum(1 for member in self._now(others) if member not in record.members)
        reason = f"{len(holders)} processes have their old limit"
        if foreign:
            reason += f"; {foreign} that somebody else has changed keep theirs"
        past = record._replace(in_force=False, ended=now, members=()) if keeps_history else None
        outcome = RELEASED if holders else LEFT_ALONE if foreign else GONE
        if outcome == GONE:
            reason = "its processes have ended, or have their old limit already"
        seen = self.users.look(int(record.name), [member for member, _old in holders], everybody)
        return Step(seen, seen, Decision(outcome, reason, record.old, past, write=bool(holders)), record)

    def _now(self, members: t.Sequence[Member]) -> list[Member]:
        wanted = {(member.pid, member.start) for member in members}
        return self.users.members(one for one in self.table.scan() if one.identity in wanted)

    def give_back(self, step: Step) -> bool:
        """Whether it failed for any."""
        record = t.cast(Record, step.record)
        obstacles = []
        for member, old in self.users.holders(record, list(self.table.scan())):
            obstacle = self.users.put(member, old)
            if obstacle:
                obstacles.append(obstacle)
        if obstacles:
            step.decision = Decision(FAILED, f"{obstacles[0]}: it is still remembered", step.decided.value, record)
        return bool(obstacles)
