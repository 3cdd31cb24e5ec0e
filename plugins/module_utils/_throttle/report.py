# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run returns: every key of the module's RETURN, in every state and mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from .._kernel import clock
from .._kernel.processes import Process, ProcessTable, unit_of
from .._kernel.processes import text as printable
from .._process.evidence import Describer
from . import planning
from .planning import FAILED, LEFT_ALONE, RELEASED, THROTTLED, UNCHANGED, Decision, Seen, lower, text
from .records import CGROUP, USER, Record
from .request import Request

_MOST_LISTED = 50
_ORDER = (FAILED, LEFT_ALONE, THROTTLED, RELEASED, UNCHANGED, planning.GONE)

Entry = t.Dict[str, t.Any]


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: Entry
    problem: str
    warnings: list[str]
    diff: dict[str, str]


class Step:
    """One target: how it was when it was decided about, how it is now, and what was decided or came of it."""

    def __init__(self, decided: Seen, seen: Seen, decision: Decision, record: Record | None = None) -> None:
        self.decided = decided
        self.seen = seen
        self.decision = decision
        self.record = record  # of a release: what is released

    @property
    def changed(self) -> bool:
        return self.decision.outcome == THROTTLED or (self.decision.outcome == RELEASED and self.decision.write)


class Report:
    """Filled while a run goes on; `render` makes the result of it."""

    def __init__(self, request: Request, table: ProcessTable, memory: str, now: clock.Moment) -> None:
        self.memory = memory
        self.request = request
        self.table = table
        self.now = now
        self.describer = Describer(table)
        self.method = "none"
        self.method_reason = ""
        self.matched = 0
        self.steps: list[Step] = []
        self.protected: list[tuple[Process, str]] = []
        self.in_force: list[Record] = []
        self.warnings: list[str] = []

    def render(self, started: float) -> Outcome:
        steps = sorted(self.steps, key=lambda step: (_ORDER.index(step.decision.outcome), step.decided.name))
        failed = [step for step in steps if step.decision.outcome == FAILED]
        changed = [step for step in steps if step.changed]
        denied = self.table.denied
        protected = self.describer.groups(self.protected)
        for group in protected[:3]:
            self.warnings.append("{count} {name} of {user} match and are left alone: {reason}".format(**group))
        for step in steps:
            if step.decision.outcome == LEFT_ALONE:
                self.warnings.append(f"{self._name(step)}: {step.decision.reason}")
        result = {
            "changed": bool(changed),
            "state": self.request.state,
            "method": self.method,
            "method_reason": self.method_reason,
            "matched": self.matched,
            "throttled": sum(1 for step in steps if step.decision.outcome == THROTTLED),
            "released": sum(1 for step in steps if step.decision.outcome == RELEASED),
            "targets": [self._entry(step) for step in steps[:_MOST_LISTED]],
            "targets_total": len(steps),
            "in_force": len(self.in_force),
            "next_release_in": self._next(),
            "release_commands": self._commands(steps),
            "protected": protected[:_MOST_LISTED],
            "converged": not failed and not (self.request.check_mode and changed),
            "actions": [self._action(step) for step in changed][:_MOST_LISTED],
            "partial": bool(denied),
            "partial_reasons": [f"{denied} reads below {self.table.root} were denied: run as root"] if denied else [],
            "elapsed_ms": int((time.monotonic() - started) * 1000),
        }
        problem = ""
        if failed:
            problem = f"{len(failed)} of {len(steps)} failed. {self._name(failed[0])}: {failed[0].decision.reason}."
        return Outcome(result, problem, self.warnings, self._diff(changed))

    def _name(self, step: Step) -> str:
        if step.decided.kind != USER:
            return printable(step.decided.name)
        return f"user {self.describer.user_name(int(step.decided.name))}"

    def _entry(self, step: Step) -> Entry:
        decision, seen = step.decision, step.seen
        record = decision.record if decision.record is not None and decision.record.in_force else None
        effective, where = (decision.limit, seen.name)
        if lower(seen.ceiling, effective):
            effective, where = seen.ceiling, seen.ceiling_at
        lasting = None if record is None or record.release_at is None else max(0.0, record.release_at - self.now.uptime)
        wall = self.now.wall - self.now.uptime
        return {
            "kind": seen.kind,
            "target": self._name(step),
            "unit": printable(unit_of(seen.name)) if seen.kind != USER else "",
            "outcome": decision.outcome,
            "reason": decision.reason,
            "limit_before": text(step.decided.value),
            "limit": text(decision.limit),
            "effective_limit": text(effective),
            "effective_at": printable(where) if seen.kind == CGROUP else self._name(step),
            "current": seen.current,
            "refused_forks": seen.refused_forks,
            "repeats": record.repeats if record else 0,
            "exhausted": bool(record and record.release_after and record.release_at is None),
            "since": clock.utc(wall + record.since) if record else None,
            "release_at": None if record is None or record.release_at is None else clock.utc(wall + record.release_at),
            "release_in": None if lasting is None else int(lasting + 0.999),
        }

    def _next(self) -> int | None:
        ends = [record.release_at for record in self.in_force if record.release_at is not None]
        return int(max(0.0, min(ends) - self.now.uptime) + 0.999) if ends else None

    def _commands(self, steps: t.Sequence[Step]) -> list[str]:
        records = [step.decision.record for step in steps if step.decision.record is not None]
        commands = [planning.release_command(record, self.memory, self.now) for record in records]
        # a path that is no text cannot be handed on as text
        return [one for one in commands if one is not None and one == printable(one)][:_MOST_LISTED]

    def _action(self, step: Step) -> str:
        would = "would have " if self.request.check_mode else ""
        return f"{would}{step.decision.outcome} {self._name(step)}: {step.decision.reason}"

    def _diff(self, changed: t.Sequence[Step]) -> dict[str, str]:
        def page(limit_of: t.Callable[[Step], str]) -> str:
            return "".join(f"{self._name(step)}: {limit_of(step)}\n" for step in changed)

        return {
            "before": page(lambda step: text(step.decided.value)),
            "after": page(lambda step: text(step.decision.limit)),
        }
