# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot, plan, apply: what `process_rlimit` does.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import os
import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import Process, ProcessTable
from .._kernel.rlimits import Limits, Rlimits, number_of
from .._process.guard import Guard
from .._process.selection import Matcher, Selector, Tree
from . import limits_plan
from .limits_plan import CHANGED, GONE, PROTECTED, REFUSED, SET, UNCHANGED, Decision, Powers, Target, Wish
from .limits_use import Use, descriptors_of
from .members import Names
from .psutil_table import PsutilTable, sysctl_by_name

_MOST_LISTED = 50
_MOST_PASSES = 5  # over processes that were born with the old limits meanwhile
_CAP_SYS_RESOURCE = 24  # include/uapi/linux/capability.h
_ORDER = (REFUSED, PROTECTED, CHANGED, UNCHANGED, GONE)

Entry = t.Dict[str, t.Any]
Identity = t.Tuple[int, int]


class Restoration(t.NamedTuple):
    """One entry of ``undo``: the limits to give back, and those that were set."""

    pid: int
    started: int
    old: Limits
    new: Limits


class Request(t.NamedTuple):
    """Checked. Either a selector or a list to restore."""

    wish: Wish
    selector: Selector | None = None
    protect: tuple[Selector, ...] = ()
    restore: tuple[Restoration, ...] = ()
    max_processes: int = 100
    include_containers: bool = False
    check_mode: bool = False


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: Entry
    problem: str
    diff: dict[str, str]


class Step(t.NamedTuple):
    """A process and what is decided about it; afterwards, what came of it."""

    process: Process
    before: Limits
    used: int | None
    decision: Decision


def run(request: Request, table: ProcessTable | None = None, rlimits: Rlimits | None = None) -> Outcome:
    """Raises Refused where nothing may be touched."""
    table = table or _table()
    table.check()
    return _Remedy(request, table, rlimits or Rlimits(table.root)).run()


def _table() -> ProcessTable:
    return ProcessTable() if os.uname().sysname == "Linux" else PsutilTable()


class _Remedy:
    def __init__(self, request: Request, table: ProcessTable, rlimits: Rlimits) -> None:
        self.started = time.monotonic()
        self.request = request
        self.wish = request.wish
        self.table = table
        self.rlimits = rlimits
        self.names = Names(table)
        self.use = Use(self.wish.resource, table, descriptors_of(table))
        self.steps: dict[Identity, Step] = {}
        self.lost = 0
        self.settled = False
        if not rlimits.can_set:
            raise Refused("this Python can set no limits of other processes: install psutil for it.")
        if number_of(self.wish.resource) is None:
            raise Refused(f"resource: this system has no limit {self.wish.resource}.")
        self.powers = Powers(_is_privileged(table.root), self._most())

    def run(self) -> Outcome:
        for _pass in range(1 if self.request.check_mode or self.request.restore else _MOST_PASSES):
            plan = self._restorations() if self.request.restore else self._plan()
            fresh = [step for step in plan if step.process.identity not in self.steps]
            for step in fresh:
                self.steps[step.process.identity] = step
            self.settled = bool(self.request.restore) or all(step.decision.outcome != CHANGED for step in fresh)
            if self.request.check_mode:
                break
            for step in fresh:
                if step.decision.outcome == CHANGED:
                    self.steps[step.process.identity] = self._apply(step)
            if self.settled:
                break
        return self._outcome()

    # --- what is ---

    def _most(self) -> int | None:
        if self.wish.resource != "nofile":
            return None
        if isinstance(self.table, PsutilTable):
            return sysctl_by_name("kern.maxfilesperproc")
        return self.table.number("sys", "fs", "nr_open")

    def _plan(self) -> list[Step]:
        selector = self.request.selector
        if selector is None:
            raise Refused("no selector was given: say which processes are meant.")
        processes = list(self.table.scan())
        matcher = Matcher(selector, self.table)
        tree = Tree(processes) if selector.needs_tree else None
        own = os.getpid()
        meant = [
            one
            for one in processes
            if one.pid != own and not one.is_dead and matcher.matches(one, tree) and matcher.confirms(one)
        ]
        if len(meant) < selector.min_count:
            return []
        if len(meant) > self.request.max_processes:
            raise Refused(
                f"{len(meant)} processes match, more than max_processes {self.request.max_processes} allows: "
                f"narrow the selector, or set max_processes to {len(meant)} or more if all of them are meant."
            )
        guard = self._guard(processes) if self.wish.change == SET else None
        steps = (self._step(process, guard) for process in meant if process.identity not in self.steps)
        return [step for step in steps if step is not None]

    def _guard(self, processes: t.Sequence[Process]) -> Guard:
        protect = [Matcher(selector, self.table) for selector in self.request.protect]
        return Guard(self.table, processes, protect, self.request.include_containers, os.getsid(0))

    def _step(self, process: Process, guard: Guard | None) -> Step | None:
        before = self.rlimits.get(process.pid, self.wish.resource)
        if before is None:
            self.lost += 1
            return None
        target = self._target(process, before, guard)
        return Step(process, before, target.used, limits_plan.decide(self.wish, target, self.powers))

    def _target(self, process: Process, before: Limits, guard: Guard | None) -> Target:
        foreign = "" if self.rlimits.may_set(process.pid, self.wish.resource) else self.names.user_and_unit(process)[0]
        guarded = ""
        if guard is not None:
            guarded = guard.reason(process) or (guard.reason_when_stopped(process) if guard.needs_cmdline else "") or ""
        return Target(before, self.use.of(process), foreign, guarded)

    def _restorations(self) -> list[Step]:
        steps = []
        for item in self.request.restore:
            process = self.table.read(item.pid)
            now = self.rlimits.get(item.pid, self.wish.resource)
            if process is None or process.start != item.started or process.is_dead or now is None:
                self.lost += 1
                continue
            if now not in (item.new, item.old):
                reason = f"somebody else has changed its limits meanwhile, to {_pair(now)}"
                steps.append(Step(process, now, None, Decision(PROTECTED, now, reason)))
                continue
            target = self._target(process, now, None)
            wish = self.wish._replace(soft=_word(item.old.soft), hard=_word(item.old.hard), change=SET)
            steps.append(Step(process, now, target.used, limits_plan.decide(wish, target, self.powers)))
        return steps

    # --- what is done ---

    def _apply(self, step: Step) -> Step:
        """Set and read back, with a look before and after whether it is still this very process."""
        wanted, before = step.decision.limits, step.before
        pid, resource = step.process.pid, self.wish.resource
        if not self._lives(step.process):
            return step._replace(decision=Decision(GONE, before, "it has ended"))
        try:
            self.rlimits.set(pid, resource, wanted)
        except ProcessLookupError:
            return step._replace(decision=Decision(GONE, before, "it has ended"))
        except OSError as error:
            reason = f"the kernel refused it ({error.strerror or errno.errorcode.get(error.errno or 0, str(error))})"
            return step._replace(decision=Decision(REFUSED, before, reason))
        now = self.rlimits.get(pid, resource)
        if now is None or not self._lives(step.process):
            return step._replace(decision=Decision(GONE, before, "it has ended"))
        if now != wanted:
            return step._replace(decision=Decision(REFUSED, now, f"read back as {_pair(now)}"))
        return step

    def _lives(self, process: Process) -> bool:
        now = self.table.read(process.pid)
        return now is not None and now.start == process.start

    # --- what is said ---

    def _outcome(self) -> Outcome:
        steps = sorted(self.steps.values(), key=lambda one: (_ORDER.index(one.decision.outcome), one.process.pid))
        counts = {outcome: sum(1 for one in steps if one.decision.outcome == outcome) for outcome in _ORDER}
        changed = [one for one in steps if one.decision.outcome == CHANGED]
        denied = self.table.denied
        result = {
            "changed": bool(changed),
            "resource": self.wish.resource,
            "matched": len(steps) + self.lost,
            "changed_processes": counts[CHANGED],
            "unchanged": counts[UNCHANGED],
            "refused": counts[REFUSED],
            "protected": counts[PROTECTED],
            "gone": counts[GONE] + self.lost,
            "processes": [self._entry(one) for one in steps[:_MOST_LISTED]],
            "undo": [self._undo(one) for one in changed],
            "converged": self.settled and not counts[REFUSED],
            "actions": self._actions(changed),
            "partial": bool(denied),
            "partial_reasons": [f"{denied} reads below {self.table.root} were denied: run as root"] if denied else [],
            "elapsed_ms": int((time.monotonic() - self.started) * 1000),
        }
        return Outcome(result, self._problem(steps, counts[REFUSED]), self._diff(changed))

    def _entry(self, step: Step) -> Entry:
        user, unit = self.names.user_and_unit(step.process)
        now = step.decision.limits
        return {
            "pid": step.process.pid,
            "name": step.process.name,
            "user": user,
            "unit": unit,
            "soft": limits_plan.text(step.before.soft),
            "hard": limits_plan.text(step.before.hard),
            "new_soft": limits_plan.text(now.soft),
            "new_hard": limits_plan.text(now.hard),
            "used": step.used,
            "outcome": step.decision.outcome,
            "reason": step.decision.reason,
        }

    def _undo(self, step: Step) -> Entry:
        return {
            "pid": step.process.pid,
            "started": step.process.start,
            "resource": self.wish.resource,
            "soft": limits_plan.text(step.before.soft),
            "hard": limits_plan.text(step.before.hard),
            "set_soft": limits_plan.text(step.decision.limits.soft),
            "set_hard": limits_plan.text(step.decision.limits.hard),
        }

    def _actions(self, changed: t.Sequence[Step]) -> list[str]:
        """One line for each pair of limits that some get."""
        groups: dict[str, int] = {}
        for step in changed:
            groups[_pair(step.decision.limits)] = groups.get(_pair(step.decision.limits), 0) + 1
        done = "would set" if self.request.check_mode else "set"
        return [f"{done} {self.wish.resource} of {count} processes to {pair}" for pair, count in groups.items()]

    def _problem(self, steps: t.Sequence[Step], refused: int) -> str:
        if refused:
            first = steps[0]
            whose = f"{first.process.pid} {first.process.name}"
            return f"{refused} of {len(steps)} processes keep their limits. {whose}: {first.decision.reason}."
        if not self.settled and not self.request.check_mode:
            return (
                "processes with the old limits are born faster than they can be changed: raise those of their parent."
            )
        return ""

    def _diff(self, changed: t.Sequence[Step]) -> dict[str, str]:
        def page(limits_of: t.Callable[[Step], Limits]) -> str:
            lines = (f"{one.process.pid} {one.process.name}: {_pair(limits_of(one))}\n" for one in changed)
            return "".join(lines)

        return {"before": page(lambda one: one.before), "after": page(lambda one: one.decision.limits)}


def _pair(limits: Limits) -> str:
    return f"soft {limits_plan.text(limits.soft)}, hard {limits_plan.text(limits.hard)}"


def _word(limit: int | None) -> limits_plan.Value:
    return limits_plan.UNLIMITED if limit is None else limit


def _is_privileged(root: str) -> bool:
    try:
        with open(f"{root}/self/status", encoding="ascii", errors="replace") as file:
            effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration, ValueError):
        return os.geteuid() == 0
    return bool(effective >> _CAP_SYS_RESOURCE & 1)
