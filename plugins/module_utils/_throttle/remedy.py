# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot, plan, apply: what `spawn_throttle` does.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._kernel import clock
from .._kernel.errors import Refused
from .._kernel.processes import Process, ProcessTable
from .._kernel.rlimits import Rlimits
from .._process.guard import Guard
from .._process.journal import Journal
from .._process.selection import Matcher, Selector
from .._process.snapshot import Judgement, check_sight
from . import planning, scopes
from .meaning import Meant
from .planning import FAILED, GONE, THROTTLED, Decision, Seen
from .records import CGROUP, UNIT, USER, Memory, Record, Records
from .report import Outcome, Report, Step
from .request import RESTART, Request
from .restarts import Restarts
from .user_steps import UserSteps, is_meant
from .users import Users

_SETTLING = 0.5  # seconds in which systemd, once it has read, sets what it read


def run(request: Request, proc_root: str = "/proc", directory: str | None = None, root: str = "") -> Outcome:
    """Raises Refused where nothing may be done; ``directory`` is where throttles are remembered, ``root`` stands before
    the paths of systemd."""
    table = ProcessTable(proc_root)
    table.check()
    session = os.getsid(0)
    journal = Journal.of_host(proc_root)
    lock = -1 if request.check_mode else journal.lock(proc_root)  # of rogue_process too, which sets pids.max as well
    try:
        place = directory or os.path.dirname(journal.path)
        memory = Memory(place, os.stat(f"{proc_root}/self/ns/pid").st_ino, journal.boot)
        return _Remedy(request, table, memory, session, Restarts(table, root)).run()
    except OSError as error:
        raise Refused(
            f"the kernel refused a call ({error}): what was throttled so far is remembered. Free what it lacks, such "
            "as descriptors or memory, then run again."
        ) from error
    finally:
        if lock >= 0:
            os.close(lock)


class _Remedy:
    """One run."""

    def __init__(self, request: Request, table: ProcessTable, memory: Memory, session: int, restarts: Restarts) -> None:
        self.started = time.monotonic()
        self.request = request
        self.table = table
        self.memory = memory
        self.session = session
        self.now = clock.now(f"{table.root}/sys/kernel/random/boot_id")
        self.pids = scopes.Pids(table)
        self.restarts = restarts
        self.users = Users(table, Rlimits(table.root))
        self.records: Records = memory.load()
        self.report = Report(request, table, memory.path, self.now)

    def run(self) -> Outcome:
        if self.request.state == "throttled":
            steps = self._throttles()
            meant = {step.decided.key for step in steps}
            due = [
                record for key, record in self.records.items() if record.is_due(self.now.uptime) and key not in meant
            ]
            releases = self._releases(due, keeps_history=True)
            forgotten: list[Record] = []
        else:
            steps, due, forgotten = [], *self._meant_to_end()
            releases = self._releases(due, keeps_history=self.request.only_due)
            self.report.matched = len(due)
            self._chose("memory", f"what {self.memory.path} remembers")
        self.report.steps = steps + releases
        if not self.request.check_mode:
            self._apply(steps, releases, forgotten)
        else:
            for step in self.report.steps:
                self._remember(step)
        self.report.in_force = [record for record in self.records.values() if self._stands(record)]
        return self.report.render(self.started)

    def _stands(self, record: Record) -> bool:
        if record.kind == USER or not record.in_force:
            return record.in_force
        if record.kind == UNIT:
            return self.restarts.look(record.name).value is not None
        seen = scopes.look(self.pids, record.name)
        return seen is not None and seen.inode == record.inode

    # --- what is meant ---

    def _throttles(self) -> list[Step]:
        if self.request.method == RESTART:
            return self._unit_steps(t.cast(Selector, self.request.selector))
        victims = self._victims(t.cast(Selector, self.request.selector))
        if victims is None:
            return []
        found = scopes.Found([], "not asked for")
        if self.request.method != "rlimit":
            found = scopes.survey(self.pids, self.matcher.selector, victims, self._is_harmless)
        if found.directories:
            self._chose("cgroup", "each cgroup that is meant holds nothing else")
            return [step for step in map(self._cgroup_step, found.directories) if step is not None]
        if not victims:
            self._chose("none", f"nothing that may be touched matches{found.obstacle and ': '}{found.obstacle}")
            return []
        if not found.obstacle:
            self._chose("none", "what matched has ended meanwhile")
            return []
        obstacle = self.users.obstacle(victims) if self.request.method != "cgroup" else "not asked for"
        if obstacle:
            raise Refused(
                f"the spawning of the {len(victims)} processes that match cannot be capped. cgroup: {found.obstacle}. "
                f"rlimit: {obstacle}. Name a unit or cgroup that holds nothing else, or narrow the selector."
            )
        self._chose("rlimit", f"cgroup: {found.obstacle}")
        return [self._user_step(uid, processes) for uid, processes in self.users.by_uid(victims).items()]

    def _unit_steps(self, selector: Selector) -> list[Step]:
        units = self.restarts.check(selector)
        self.report.matched = len(units)
        self._chose(*((RESTART, "asked for") if units else ("none", "systemd has no such unit")))
        return [self._step(self._unit(unit)) for unit in units]

    def _unit(self, unit: str) -> Seen:
        """A drop-in that nobody remembers is ours to write anew. So is one that systemd was never told of, since the
        run before this one died."""
        seen = self.restarts.look(unit)
        record = self.records.get(seen.key)
        stands = record is not None and record.in_force and self.restarts.is_read(unit)
        return seen if stands else seen._replace(value=None)

    def _victims(self, selector: Selector) -> list[Process] | None:
        """Who is meant and not protected; None where they are fewer than it takes. Raises Refused over the brake."""
        request = self.request
        self.matcher = Matcher(selector, self.table)
        check_sight(self.table, self.matcher)
        self.everybody = list(self.table.scan())
        protect = [Matcher(one, self.table) for one in request.protect]
        self.guard = Guard(self.table, self.everybody, protect, request.include_containers, self.session)
        snapshot = Judgement(self.table, self.matcher, self.guard, self.everybody, reads_cmdlines=True).of(False, ())
        self.report.protected = snapshot.protected
        if any(process.pid == 1 for process, _reason in snapshot.protected):
            raise Refused("the selector matches PID 1, so it matches everything: name the unit or user that spawns.")
        count = self.report.matched = len(snapshot.victims)
        if count < selector.min_count:
            self._chose("none", f"{count} match, fewer than min_count {selector.min_count}")
            return None
        if count > request.max_processes:
            raise Refused(
                f"{count} processes match, more than max_processes {request.max_processes} allows: nothing was "
                f"touched. Narrow the selector, or set max_processes to {count} or more if all are meant."
            )
        return snapshot.victims

    def _chose(self, method: str, reason: str) -> None:
        self.report.method, self.report.method_reason = method, reason

    def _is_harmless(self, pid: int) -> bool:
        """Of one that was not in the pass: it is gone, or meant too, or ends, which takes it out of its cgroup before
        it is out of the table. 0 stands for those of other PID namespaces."""
        process = self.table.read(pid) if pid else None
        if process is None:
            return pid != 0
        self.guard.tree.add(process)
        if is_meant(process, self.guard.tree, self.matcher, self.guard):
            return True
        return self.table.is_ending(process)

    def _cgroup_step(self, directory: str) -> Step | None:
        seen = scopes.look(self.pids, directory)
        return None if seen is None else self._step(seen)

    def _user_step(self, uid: int, processes: t.Sequence[Process]) -> Step:
        return self._step(self.users.look(uid, self.users.members(processes), self.everybody))

    def _step(self, seen: Seen) -> Step:
        record = self.records.get(seen.key)
        uptime, boot = self.now.uptime, self.memory.boot
        decision = planning.throttle(seen, record, self.request.limit, self.request.delays, uptime, boot)
        if decision.record is not None and record is not None and record.in_force and seen.kind == USER:
            decision = decision._replace(record=decision.record._replace(members=record.members))
        return Step(seen, seen, decision)

    def _meant_to_end(self) -> tuple[list[Record], list[Record]]:
        """The throttles to release, and the histories to forget."""
        selection = Meant(self.request.selector, self.table)
        meant = [record for record in self.records.values() if selection.has(record)]
        if self.request.only_due:
            return [record for record in meant if record.is_due(self.now.uptime)], []
        return [record for record in meant if record.in_force], [record for record in meant if not record.in_force]

    def _releases(self, records: t.Sequence[Record], keeps_history: bool) -> list[Step]:
        steps = []
        for record in records:
            if record.kind == CGROUP:
                seen = scopes.look(self.pids, record.name)
                decision = planning.release(seen, record, self.now.uptime, keeps_history)
                old = record.old if seen is None else seen.value
                before = seen or Seen(CGROUP, record.name, record.inode, old, 0)
                steps.append(Step(before, before, decision, record))
            elif record.kind == UNIT:
                unit = self.restarts.look(record.name)
                decision = planning.release(unit, record, self.now.uptime, keeps_history)
                steps.append(Step(unit, unit, decision, record))
            else:
                steps.append(self._user_steps().release(record, self.now.uptime, keeps_history))
        return steps

    def _user_steps(self) -> UserSteps:
        return UserSteps(self.table, self.users)

    # --- what is done ---

    def _apply(self, steps: t.Sequence[Step], releases: t.Sequence[Step], forgotten: t.Sequence[Record]) -> None:
        """Releases are written before they are forgotten, throttles are remembered before they are written: a run that
        dies in between leaves what the next one finds."""
        before = dict(self.records)
        for record in forgotten:
            del self.records[record.key]
        for step in releases:
            self._release(step)
        self._tell()
        changes = [step for step in steps if step.decision.outcome == THROTTLED]
        for step in changes:
            self._remember(step)
        if self.records != before:
            self._save(bool(changes))
        for step in changes:
            if step.decided.kind == CGROUP:
                self._cap(step)
            elif step.decided.kind == UNIT:
                self._delay(step)
            else:
                self._user_steps().cap(step, self.matcher, self.guard, self._resave)
        self._tell()
        undone = [step for step in changes if step.decision.outcome != THROTTLED and step.decided.kind != USER]
        for step in undone:
            self._restore(step, before)
        if undone:
            self._save(False)

    def _tell(self) -> None:
        """While systemd reads its configuration it sets pids.max of all its units anew: what is throttled stays so."""
        if self.restarts.is_told:
            return
        capped = [record for record in self.records.values() if record.kind == CGROUP and record.in_force]
        ours = [record for record in capped if not self._is_as_before(record)]
        self.restarts.tell()
        until = time.monotonic() + _SETTLING
        while ours and time.monotonic() < until:
            for record in filter(self._is_as_before, ours):
                scopes.put(record.name, record.value)
            time.sleep(0.02)

    def _is_as_before(self, record: Record) -> bool:
        """Whether a cgroup has the limit again that it had before it was throttled."""
        seen = scopes.look(self.pids, record.name)
        return seen is not None and seen.inode == record.inode and seen.value == record.old

    def _remember(self, step: Step) -> None:
        if step.decision.record is None:
            self.records.pop(step.decided.key, None)
        else:
            self.records[step.decided.key] = step.decision.record

    def _restore(self, step: Step, before: Records) -> None:
        """A limit that was not set leaves no record but the one that was."""
        old = before.get(step.decided.key)
        if old is None:
            self.records.pop(step.decided.key, None)
        else:
            self.records[step.decided.key] = old

    def _resave(self, record: Record) -> None:
        self.records[record.key] = record
        self._save(True)

    def _save(self, throttles: bool) -> None:
        try:
            self.memory.save(self.records, self.now.uptime)
        except OSError as error:
            why = f"{self.memory.path} cannot be written ({error.strerror})"
            if throttles and self.request.delays.release_after:
                raise Refused(
                    f"{why}, so no later run would know when to release: nothing was throttled. Free room in "
                    f"{self.memory.directory}, or leave out release_after."
                ) from None
            left = "what is throttled is not remembered; limit_before says what to put back"
            self.report.warnings.append(f"{why}: {left if throttles else 'it still names what is released'}")

    def _cap(self, step: Step) -> None:
        decision = step.decision
        if decision.write and decision.limit is not None and not scopes.put(step.decided.name, decision.limit):
            outcome, reason = FAILED, f"{scopes.LIMIT} did not become {decision.limit}: is the file system read-only?"
            if scopes.look(self.pids, step.decided.name) is None:
                outcome, reason = GONE, "it went away meanwhile"
            step.decision = Decision(outcome, reason, step.decided.value, None)
        step.seen = scopes.look(self.pids, step.decided.name) or step.decided

    def _delay(self, step: Step) -> None:
        record = t.cast(Record, step.decision.record)
        lasting = None if record.release_at is None else record.release_at - record.since
        obstacle = self.restarts.put(record.name, lasting)
        if obstacle:
            step.decision = Decision(FAILED, obstacle, step.decided.value, None)
        step.seen = self.restarts.look(record.name)

    def _release(self, step: Step) -> None:
        record = t.cast(Record, step.record)
        if record.kind == USER:
            failed = self._user_steps().give_back(step)
        elif record.kind == UNIT:
            obstacle = self.restarts.take_back(record.name)  # also where it is gone: systemd may not know that
            failed = bool(obstacle)
            if failed:
                step.decision = Decision(FAILED, f"{obstacle}: it is still remembered", step.decided.value, record)
            step.seen = self.restarts.look(record.name)
        else:
            failed = step.decision.write and not scopes.put(record.name, step.decision.limit)
            if failed and scopes.look(self.pids, record.name) is None:
                failed = False
                step.decision = step.decision._replace(outcome=GONE, reason="it went away meanwhile")
            elif failed:
                reason = f"{scopes.LIMIT} did not become {planning.text(step.decision.limit)}: it is still remembered"
                step.decision = Decision(FAILED, reason, step.decided.value, record)
            step.seen = scopes.look(self.pids, record.name) or step.decided
        if not failed:
            self._remember(step)
