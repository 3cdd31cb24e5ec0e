# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look, plan, look again, and remove what nobody can be using: what `sysv_ipc` does.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import gc
import os
import time
import typing as t

from .._kernel import sysv_ipc
from .._kernel.errors import Refused
from .._kernel.sysv_ipc import GONE, SEMAPHORES, SHARED_MEMORY, TOUCHED, Object, Touch
from . import report
from .look import Host, Judged, Look, Settled, alike, look, settled
from .report import MOST_LISTED, Describer
from .selection import Selection
from .verdict import IN_USE, Case

_PORTION = 64
_LONGEST_OBSERVATION = 600.0
_VANISHED = "it vanished"
CHANGED_BETWEEN = "it changed between two looks, so somebody uses it"
CHANGED_AT_LAST = "it changed right before it was to be removed, so somebody uses it"
_NOUNS = {
    SEMAPHORES: ("array", "arrays"),
    SHARED_MEMORY: ("segment", "segments"),
    sysv_ipc.MESSAGE_QUEUES: ("queue", "queues"),
}


class Options(t.NamedTuple):
    """The request, checked. Times in seconds."""

    selection: Selection
    verdicts: frozenset[str] = frozenset(["orphaned"])
    min_age: float = 10.0
    observe: float = 1.0
    discard_messages: bool = False
    max_removals: int = 1000
    time_budget: float = 20.0
    check_mode: bool = False


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: dict[str, t.Any]
    problem: str


class Plan(t.NamedTuple):
    """What goes, and what stays with the reason why, empty where its verdict says it. What ``vanished`` was removed by
    somebody else."""

    doomed: list[Judged]
    kept: list[tuple[Judged, str]]
    vanished: int = 0


def plan(judged: t.Iterable[Judged], options: Options, now: float) -> Plan:
    """Pure."""
    doomed: list[Judged] = []
    kept: list[tuple[Judged, str]] = []
    vanished = 0
    for one in judged:
        reason = _spared(one, options, now)
        if one.case.touch is GONE:
            vanished += len(one.members)
        elif reason is None:
            doomed.append(one)
        else:
            kept.append((one, reason))
    return Plan(doomed, kept, vanished)


def _spared(one: Judged, options: Options, now: float) -> str | None:
    """Why it is kept, empty where its verdict says it all, None where it goes."""
    case, verdict, _members = one
    if verdict.verdict not in options.verdicts or verdict.verdict == IN_USE:
        return ""
    if not case.is_private and not case.is_named:
        return "it has a key, and neither id nor key names it"
    age = now - case.facts.ctime
    if age < -1:
        return "its time lies in the future, so its age is not known"
    if age < options.min_age:
        return "it is younger than min_age"
    if case.facts.messages and not options.discard_messages:
        return "it holds unread messages"
    return None


def confirm(first: Plan, second: t.Iterable[Judged], options: Options, now: float) -> Plan:
    """What goes by the first look and by the second, unchanged in between. Pure."""
    again: dict[str, dict[int, Judged]] = {kind: {} for kind in sysv_ipc.KINDS}
    for one in second:
        again[one.case.facts.kind].update(dict.fromkeys((member.id for member in one.members), one))
    doomed: list[Judged] = []
    kept = list(first.kept)
    vanished = first.vanished
    for one in first.doomed:
        listed = again[one.case.facts.kind]
        met = [id(listed.get(member.id)) for member in one.members]
        for _id, members in alike(met, one.members):
            found = listed.get(members[0].id)
            if found is None or found.case.touch is GONE:
                vanished += len(members)
                continue
            still = found._replace(members=members)
            reason = _spared(found, options, now) if _is_same(one.case, found.case) else CHANGED_BETWEEN
            if reason is None:
                doomed.append(still)
            else:
                kept.append((still, reason))
    return Plan(doomed, kept, vanished)


def _is_same(before: Case, after: Case) -> bool:
    return before.touch == after.touch and before.facts.trace == after.facts.trace


def check(options: Options) -> None:
    """Refuse what is unsafe before anything is looked at."""
    chosen = options.selection
    if not (chosen.uids or chosen.ids or chosen.keys):
        raise Refused(
            "no owner, id or key was given, so every object of the host would be meant: give at least one of them. "
            "service only says who could hold them."
        )
    if not 0 <= options.observe <= _LONGEST_OBSERVATION:
        raise Refused(f"observe: {options.observe:g} s is out of range: give 0s to {_LONGEST_OBSERVATION / 60:g}m.")
    if options.max_removals < 0:
        raise Refused(f"max_removals: {options.max_removals} is less than none: give 0 or more.")


def run(options: Options, record: t.Callable[[str], object] = lambda _line: None, host: Host | None = None) -> Outcome:
    """``record`` is told what goes before it goes. Raises Refused where nothing may be done."""
    gc.disable()  # thousands of small records and no cycle among them: collecting would only cost time
    started = time.monotonic()
    check(options)
    host = host or Host.here()
    try:
        remedy = Removal(options, host, record)
        problem = remedy.run()
    except OSError as error:
        raise Refused(
            f"{error.filename or 'the kernel'} cannot be read ({error.strerror}): free what it lacks, such as "
            "descriptors or memory, then run again."
        ) from error
    return Outcome(remedy.render(time.monotonic() - started), problem)


class Removal:
    """One run of `sysv_ipc`."""

    def __init__(self, options: Options, host: Host, record: t.Callable[[str], object]) -> None:
        self.options = options
        self.host = host
        self.record = record
        self.removed: list[Judged] = []
        self.refused = 0
        self.plan = Plan([], [])

    def run(self) -> str:
        """The problem, empty where all went well."""
        options = self.options
        self.seen = self._look()
        self.matched = self.seen.matched
        self.plan = plan(self.seen.judged, options, self.seen.world.clock.now)
        count = _total(self.plan.doomed)
        if count > options.max_removals:
            raise Refused(
                f"{count} objects would be removed, more than max_removals={options.max_removals}: nothing was "
                "touched. Look at them with sysv_ipc_info, then raise max_removals."
            )
        if self.plan.doomed:
            time.sleep(options.observe)
            # Each is looked at once more before it goes; a run that only checks has to do it here.
            known = None if options.check_mode else settled(self.plan.doomed, self.seen)
            self.seen = self._look(known)
            self.plan = confirm(self.plan, self.seen.judged, options, self.seen.world.clock.now)
        if options.check_mode:
            self.removed = self.plan.doomed
        elif self.plan.doomed:
            self._apply()
        if self.refused:
            return (
                f"{self.refused} objects may not be removed by this user: run as root (become: true), in a container "
                "with CAP_SYS_ADMIN."
            )
        return ""

    def _look(self, known: Settled | None = None) -> Look:
        return look(self.host, self.options.selection, self.options.time_budget, known)

    def _apply(self) -> None:
        first = [member.id for one in self.plan.doomed for member in one.members[:_PORTION]][:_PORTION]
        self.record(f"removing {_counted(self.plan.doomed)}: {', '.join(map(str, first))}")
        for one in self.plan.doomed:
            fates: dict[str | None, list[Object]] = {}
            for start in range(0, len(one.members), _PORTION):
                self._remove(one.case, one.members[start : start + _PORTION], fates)
            self.plan = self.plan._replace(vanished=self.plan.vanished + len(fates.pop(_VANISHED, ())))
            removed = fates.pop(None, [])
            if removed:
                self.removed.append(one._replace(members=removed))
            self.plan.kept.extend((one._replace(members=members), str(reason)) for reason, members in fates.items())

    def _remove(self, case: Case, members: t.Sequence[Object], fates: dict[str | None, list[Object]]) -> None:
        """Each after one more look at it: at an array itself, at the table for the others. The fate of what was removed
        is None."""
        if case.facts.kind == SEMAPHORES:
            problems = self.host.calls.remove_untouched(members, t.cast(Touch, case.touch))
        else:
            problems = self._remove_unmoved(case, members)
        if not any(problems):
            fates.setdefault(None, []).extend(members)
            return
        for member, problem in zip(members, problems):
            fates.setdefault(self._fate(problem), []).append(member)

    def _remove_unmoved(self, case: Case, members: t.Sequence[Object]) -> list[int]:
        now = {found.id: found.facts.trace for found in self.host.tables.read(case.facts.kind) or ()}
        problems = []
        for member in members:
            if member.id not in now:
                problems.append(errno.EIDRM)
            elif now[member.id] != case.facts.trace:
                problems.append(TOUCHED)
            else:
                problems.append(self.host.calls.remove(member))
        return problems

    def _fate(self, problem: int) -> str | None:
        if not problem:
            return None
        if problem in (errno.EIDRM, errno.EINVAL):
            return _VANISHED
        if problem == TOUCHED:
            return CHANGED_AT_LAST
        self.refused += 1
        return f"the kernel refused to remove it ({os.strerror(problem)})"

    def render(self, elapsed: float) -> dict[str, t.Any]:
        options, describer = self.options, Describer(self.seen)
        objects: t.Mapping[str, t.Sequence[Object]] = self.seen.objects
        if self.removed and not options.check_mode:
            objects = {kind: self.host.tables.read(kind) or [] for kind in options.selection.kinds}
        kinds = [kind for kind in sysv_ipc.KINDS if kind in options.selection.kinds]
        gaps = report.gaps(self.seen, self.host.processes)
        clock = self.seen.world.clock
        return {
            "changed": bool(self.removed),
            "state": "absent",
            "matched": self.matched,
            "removed": describer.entries(((one, "") for one in self.removed), MOST_LISTED),
            "removed_total": _total(self.removed),
            "removed_groups": describer.groups((one, "") for one in self.removed),
            "kept": describer.entries(self.plan.kept, MOST_LISTED),
            "kept_total": _total(one for one, _reason in self.plan.kept),
            "kept_groups": describer.groups(self.plan.kept),
            "vanished": self.plan.vanished,
            "freed": report.freed(self.removed),
            "limits": describer.limits(kinds, objects, self.host.tables.root),
            "converged": not options.check_mode and not self.refused,
            "clock_step": round(clock.step, 1),
            "sight": self.seen.world.sight,
            "actions": self._actions(),
            "partial": bool(gaps),
            "partial_reasons": gaps,
            "elapsed_ms": int(elapsed * 1000),
        }

    def _actions(self) -> list[str]:
        if not self.removed:
            return []
        return [f"{'would remove' if self.options.check_mode else 'removed'} {_counted(self.removed)}"]


def _total(judged: t.Iterable[Judged]) -> int:
    return sum(len(one.members) for one in judged)


def _counted(judged: t.Sequence[Judged]) -> str:
    """``30 arrays of www-data and 1 array of root``."""
    names = report.Names()
    counts: dict[tuple[str, int], int] = {}
    for one in judged:
        key = (one.case.facts.kind, one.case.facts.uid)
        counts[key] = counts.get(key, 0) + len(one.members)
    parts = [
        f"{count} {_NOUNS[kind][count != 1]} of {names[uid]}"
        for (kind, uid), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_LISTED]
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
