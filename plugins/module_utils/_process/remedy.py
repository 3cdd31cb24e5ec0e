# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot, plan, apply: what `rogue_process` does for frozen, terminated and killed.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import signal
import time
import typing as t

from .._kernel import signals
from .._kernel.errors import Refused, Unproven
from .._kernel.processes import Process, ProcessTable
from . import plan as planning
from . import scopes, thawing
from .evidence import Describer, collect
from .freezing import Freezer
from .guard import Guard
from .journal import Journal, Memory
from .killing import Killer
from .pausing import Pause
from .selection import Matcher, Selector, Tree

_MOST_LISTED = 50


class Options(t.NamedTuple):
    """The request, checked. Times in seconds."""

    state: str
    selector: t.Optional[Selector]
    protect: t.Tuple[Selector, ...] = ()
    method: str = "auto"
    max_victims: int = 500
    timeout: float = 30.0
    grace_period: float = 10.0
    evidence: int = 5
    zombies: str = "report"
    include_containers: bool = False
    check_mode: bool = False


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: t.Dict[str, t.Any]
    problem: str
    warnings: t.List[str]


def run(options: Options, proc_root: str = "/proc") -> Outcome:
    """Raises Refused where nothing may be done; whatever was stopped is awake again then."""
    table = ProcessTable(proc_root)
    table.check()
    journal = Journal.of_host(proc_root)
    if options.state == "thawed":
        return Outcome(*thawing.run(table, journal, options.selector, options.check_mode))
    if options.selector is None:
        raise Refused("no selector was given: say which processes are meant.")
    return Remedy(options, options.selector, table, journal).run()


class Remedy:
    """One run: reads, decides, acts, reports."""

    def __init__(self, options: Options, selector: Selector, table: ProcessTable, journal: Journal) -> None:
        self.started = time.monotonic()
        self.options = options
        self.selector = selector
        self.table = table
        self.journal = journal
        self.memory = journal.load()
        self.describer = Describer(table)
        self.matcher = Matcher(selector, table)
        self.warnings: list[str] = []
        self.actions: list[str] = []
        self.counts = dict.fromkeys(("frozen", "thawed", "terminated", "killed", "already_stopped"), 0)
        self.survivors: list[tuple[Process, str]] = []
        self.evidence: list[dict[str, t.Any]] = []
        self.told: set[int] = set()
        self.rounds = 0
        self.proof = ""

    def run(self) -> Outcome:
        processes = list(self.table.scan())
        self.guard = Guard(
            self.table,
            processes,
            [Matcher(selector, self.table) for selector in self.options.protect],
            self.options.include_containers,
        )
        self.snapshot = self._judge(processes)
        self._check_sight()
        self.plan = planning.make(self.snapshot, self.selector, self.options.method, self.options.max_victims)
        self.groups = self.describer.groups((process, self._reason_to_match()) for process in self.plan.victims)
        self._warn_of_protected()
        problem = ""
        if self.options.check_mode:
            self._foresee()
        elif self.plan.victims:
            problem = self._apply()
        else:
            self.proof = "one pass over the process table"
        if self.options.zombies == "signal_parent":
            self._tell_parents()
        return Outcome(self._report(problem), problem, self.warnings)

    def _judge(self, processes: list[Process]) -> planning.Snapshot:
        victims: list[Process] = []
        protected: list[tuple[Process, str]] = []
        zombies: list[Process] = []
        others: list[Process] = []
        tree = self.guard.tree if self.selector.needs_tree else None
        for process in processes:
            if not self.matcher.matches(process, tree) or (self.options.check_mode and not self._confirmed(process)):
                others.append(process)
            elif process.is_dead:
                zombies.append(process)
            else:
                reason = self.guard.reason(process)
                if reason is None:
                    victims.append(process)
                else:
                    protected.append((process, reason))
                    others.append(process)
        if self.options.zombies == "kill_parent":
            self._condemn_parents(zombies, processes, victims, protected)
        return planning.Snapshot(
            victims,
            protected,
            zombies,
            frozenset(process.identity for process in processes if process.is_stopped),
            scopes.survey(self.table, victims, others, self._is_victim) if self.options.method != "scan" else [],
            os.getpid(),
            signals.can_assume_users(),
        )

    def _confirmed(self, process: Process) -> bool:
        """Check mode stops nothing, so it reads the command lines of running processes."""
        return process.is_dead or self.matcher.confirms(process)

    def _is_victim(self, pid: int) -> bool:
        process = self.table.read(pid)
        if process is None or process.is_dead:
            return True
        tree = Tree(self.table.scan()) if self.selector.needs_tree else None
        return self.matcher.matches(process, tree) and self.guard.reason(process) is None

    def _condemn_parents(
        self,
        zombies: list[Process],
        processes: list[Process],
        victims: list[Process],
        protected: list[tuple[Process, str]],
    ) -> None:
        parents = {process.ppid for process in zombies} - {process.pid for process in victims}
        for process in processes:
            if process.pid in parents and process.pid != 1:
                reason = self.guard.reason(process)
                if reason is None:
                    self.matcher.also.add(process.identity)
                    victims.append(process)
                else:
                    protected.append((process, reason))

    def _check_sight(self) -> None:
        """Refuse what this user can neither see whole nor signal."""
        if os.geteuid() == 0:
            return
        own = self.selector.uids == frozenset([os.getuid()])
        if self.table.hides_others() and not own:
            raise Refused(
                "/proc hides the processes of other users (hidepid): run as root (become: true), or select your own user only."
            )
        foreign = sum(1 for process in self.snapshot.victims if process.owner != os.geteuid())
        if foreign and not self.options.check_mode:
            raise Refused(f"{foreign} of the victims belong to other users, who may not be signalled: run as root (become: true).")

    def _warn_of_protected(self) -> None:
        for group in self.describer.groups(self.snapshot.protected)[:3]:
            self.warnings.append(
                f"{group['count']} {group['name']} of {group['user']} match and are left alone: {group['reason']}"
            )

    def _reason_to_match(self) -> str:
        given = [name for name, value in zip(Selector._fields, self.selector) if value]
        return "meets " + ", ".join(_CRITERION_NAMES.get(name, name) for name in given)

    def _foresee(self) -> None:
        """The same result as a real run would give, as far as it can be known without one."""
        count = len(self.plan.victims)
        if not count:
            return
        stopped = sum(1 for process in self.plan.victims if process.identity in self.snapshot.stopped)
        if self.options.state == "frozen":
            ours = sum(1 for process in self.plan.victims if process.identity in self.memory.processes)
            self.counts["frozen"] = count - stopped + ours
            self.counts["already_stopped"] = stopped - ours
        else:
            self.counts[self.options.state] = count
        self.actions.append(f"would have {self.options.state} {count} processes by method {self.plan.method}")

    def _apply(self) -> str:
        self.journal.open()
        if self.journal.problem and self.options.state == "frozen":
            raise Refused(self.journal.problem + ": free room below /run first, or kill at once.")
        pause = Pause(self.table, self.options.timeout * 2) if self.plan.method == "pause" else None
        freezer = self._freezer()
        finished = False
        _leave_session()
        try:
            with _interruptible():
                if pause is not None:
                    pause.begin()
                    freezer.stopped_before |= pause.stopped_before
                    freezer.paused = True
                problem = self._act(freezer)
                finished = True
                return problem
        except Unproven as error:
            self.survivors += [(process, "it was let go") for process in freezer.held.values()]
            return str(error)
        finally:
            self.rounds, self.proof = freezer.rounds, freezer.proof if finished else ""
            if pause is not None:
                if self.options.state == "frozen" and finished:
                    pause.keep = frozenset(freezer.held)
                pause.end()
            self._settle_accounts(freezer, keep=finished and self.options.state == "frozen")

    def _freezer(self) -> Freezer:
        deadline = time.monotonic() + self.options.timeout
        freezer = Freezer(self.table, self.matcher, self.guard, self.journal, deadline, self.options.max_victims)
        freezer.stopped_before = set(self.snapshot.stopped)
        freezer.frozen_by_us = frozenset(self.memory.cgroups)
        return freezer

    def _act(self, freezer: Freezer) -> str:
        freezer.freeze(self.plan.scopes)
        freezer.confirm()
        self.actions.append(f"froze {len(freezer.held)} processes by method {self.plan.method} in {freezer.rounds} passes")
        victims = list(freezer.held.values())
        self.evidence, missing = collect(self.describer, victims, self.options.evidence)
        if missing:
            self.warnings.append(missing)
        if self.options.state == "frozen":
            ours = [p for p in victims if p.identity not in freezer.stopped_before or p.identity in self.memory.processes]
            self.counts["frozen"] = len(ours)
            self.counts["already_stopped"] = len(victims) - len(ours)
            self.newly = sum(1 for process in ours if process.identity not in self.memory.processes)
            return self._denied(freezer)
        return self._end(freezer)

    def _end(self, freezer: Freezer) -> str:
        killer = Killer(freezer, time.monotonic() + self.options.timeout)
        try:
            if self.options.state == "terminated":
                killer.terminate(self.options.grace_period)
                self.actions.append(f"{killer.terminated} ended on SIGTERM")
                killer.deadline = time.monotonic() + self.options.timeout
                freezer.deadline = killer.deadline
                freezer.settle()
                freezer.confirm()
            else:
                freezer.deadline = killer.deadline
            if freezer.held:
                killer.kill()
                self.actions.append(f"killed {killer.killed} processes")
        finally:
            self.counts["killed"], self.counts["terminated"] = killer.killed, killer.terminated
        self.survivors += killer.survivors
        if killer.survivors:
            return f"{len(killer.survivors)} processes are still alive: {killer.survivors[0][1]}."
        return self._denied(freezer)

    @staticmethod
    def _denied(freezer: Freezer) -> str:
        if not freezer.denied:
            return ""
        return f"{len(freezer.denied)} victims may not be signalled by this user: run as root (become: true)."

    def _settle_accounts(self, freezer: Freezer, keep: bool) -> None:
        """Wake what must not stay stopped; remember what must."""
        for process, reason in freezer.spared.values():
            if all(process.identity != known.identity for known, _why in self.snapshot.protected):
                self.snapshot.protected.append((process, reason))
        known = {process.identity for process in self.snapshot.zombies}
        self.snapshot.zombies.extend(z for identity, z in freezer.zombies.items() if identity not in known)
        kept: Memory = Memory()
        if keep:
            ours = {i for i in freezer.held if i not in freezer.stopped_before}
            kept = Memory(frozenset(ours), cgroups=tuple(freezer.cgroups), limits=tuple(freezer.limits))
        else:
            self.counts["thawed"] = freezer.thaw()
        thawing.remember(self.table, self.journal, self.memory, kept)
        if self.journal.problem:
            self.warnings.append(self.journal.problem)

    def _tell_parents(self) -> None:
        """SIGCHLD asks a parent to reap; it harms nobody."""
        signaller = signals.Signaller(self.table)
        for pid in {process.ppid for process in self.snapshot.zombies}:
            parent = self.table.read(pid)
            if parent is None:
                continue
            if not self.options.check_mode:
                signaller.send(parent, signal.SIGCHLD)
            self.told.add(pid)

    def _report(self, problem: str) -> dict[str, t.Any]:
        state = self.options.state
        changed = bool(self.told) or (
            bool(self.counts["killed"] or self.counts["terminated"])
            if state != "frozen"
            else bool(self.counts["frozen"]) if self.options.check_mode else bool(getattr(self, "newly", 0))
        )
        return {
            "changed": changed,
            "state": state,
            "method": self.plan.method,
            "method_reason": self.plan.reason,
            "rounds": self.rounds,
            "converged": not problem and not self.options.check_mode,
            "proof": self.proof,
            "matched": len(self.plan.victims),
            **self.counts,
            "groups": self.groups[:_MOST_LISTED],
            "protected": self.describer.groups(self.snapshot.protected)[:_MOST_LISTED],
            "survivors": [self._survivor(*survivor) for survivor in self.survivors[:_MOST_LISTED]],
            "survivors_total": len(self.survivors),
            "zombies": self._zombies(),
            "evidence": self.evidence,
            "actions": self.actions,
            "partial": bool(self.table.denied),
            "partial_reasons": [f"{self.table.denied} reads below /proc were denied: run as root"] if self.table.denied else [],
            "elapsed_ms": int((time.monotonic() - self.started) * 1000),
        }

    def _survivor(self, process: Process, reason: str) -> dict[str, t.Any]:
        found = self.table.read(process.pid) or process
        return {
            "pid": process.pid,
            "name": process.name,
            "user": self.describer.user(process),
            "state": found.state,
            "reason": reason,
        }

    def _zombies(self) -> dict[str, t.Any]:
        counts: dict[int, int] = {}
        for process in self.snapshot.zombies:
            now = self.table.read(process.pid)
            if now is not None and now.start == process.start:
                counts[now.ppid] = counts.get(now.ppid, 0) + 1
        parents = []
        for pid, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LISTED]:
            parent = self.table.read(pid)
            parents.append(
                {
                    "pid": pid,
                    "name": parent.name if parent else "",
                    "user": self.describer.user(parent) if parent else "",
                    "unit": self.describer.unit(parent) if parent else "",
                    "zombies": count,
                    "told": pid in self.told,
                }
            )
        return {"total": sum(counts.values()), "parents": parents}


_CRITERION_NAMES = {
    "names": "name",
    "exes": "exe",
    "uids": "user",
    "units": "unit",
    "cgroups": "cgroup",
    "pids": "pid",
}


def _leave_session() -> None:
    """The scheduler shares the processor among sessions (autogroup, sched(7)): apart from a storm's session there is more."""
    try:
        os.setsid()
    except OSError:
        pass  # a group leader stays where it is


class _interruptible:  # noqa: N801
    """A lost connection or a timeout of the caller ends the run in order: what is stopped is woken."""

    _SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def __enter__(self) -> None:
        self.old = [signal.signal(number, self._raise) for number in self._SIGNALS]

    def __exit__(self, *_error: object) -> None:
        for number, handler in zip(self._SIGNALS, self.old):
            signal.signal(number, handler)

    @staticmethod
    def _raise(number: int, _frame: object) -> None:
        raise Unproven(f"interrupted by {signal.Signals(number).name}: everything stopped was woken. Run again.")
