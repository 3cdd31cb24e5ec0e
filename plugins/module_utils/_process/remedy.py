# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot, plan, apply: what `rogue_process` does for each of its states.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import time
import typing as t

from .._kernel import signals
from .._kernel.errors import Refused, Unproven
from .._kernel.processes import ProcessTable
from . import plan as planning
from . import scopes, thawing
from .evidence import MISSING, collect
from .freezing import Freezer
from .guard import Guard
from .journal import Journal, Memory
from .killing import Killer
from .pausing import Pause
from .report import Report
from .selection import Matcher, Selector
from .snapshot import Judgement, check_reach, check_sight

_MOST_KEPT = 4096  # files of processes that stay open between two looks
_SHARE_KEPT = 16  # and no more than this part of what the host may still open: others need some
_RESERVE = 3  # descriptors kept back, so that waking never fails for want of one


class Options(t.NamedTuple):
    """The request, checked. Times in seconds."""

    state: str
    selector: Selector | None
    protect: tuple[Selector, ...] = ()
    method: str = "auto"
    max_victims: int = 500
    timeout: float = 30.0
    grace_period: float = 10.0
    signals: tuple[int, ...] = (signal.SIGTERM,)
    evidence: int = 5
    zombies: str = "report"
    include_containers: bool = False
    check_mode: bool = False


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: dict[str, t.Any]
    problem: str
    warnings: list[str]


def run(options: Options, proc_root: str = "/proc") -> Outcome:
    """Raises Refused where nothing may be done; whatever was stopped is awake again then."""
    gc.disable()  # thousands of small records and no cycle among them: collecting would only cost time
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    table = ProcessTable(proc_root)
    table.check()
    try:
        return _run(options, table, Journal.of_host(proc_root))
    except OSError as error:
        raise Refused(
            f"the kernel refused a call ({error}): whatever was stopped has been woken. Free what it lacks, such as "
            "descriptors or memory, then run again."
        ) from error


def _run(options: Options, table: ProcessTable, journal: Journal) -> Outcome:
    report = Report(table, options.state)
    session = os.getsid(0)
    with contextlib.ExitStack() as alone, contextlib.ExitStack() as reserve:
        alone.callback(table.let_go)
        if not options.check_mode:
            alone.enter_context(_precedence(table.root))
            lock = journal.lock(table.root)
            alone.callback(os.close, lock)
            for _spare in range(_RESERVE):
                reserve.callback(os.close, os.dup(lock))
        if options.state == "thawed":
            problem = thawing.run(table, journal, options.selector, options.check_mode, report)
        elif options.selector is None:
            raise Refused("no selector was given: say which processes are meant.")
        else:
            problem = Remedy(options, options.selector, table, journal, report, reserve, session).run()
    return Outcome(report.render(), problem, report.warnings)


class Remedy:
    """One run of frozen, terminated or killed."""

    def __init__(
        self,
        options: Options,
        selector: Selector,
        table: ProcessTable,
        journal: Journal,
        report: Report,
        reserve: contextlib.ExitStack,
        session: int,
    ) -> None:
        self.kinds = scopes.kinds(selector, options.method)
        self.session = session
        self.reserve = reserve
        self.options = options
        self.table = table
        self.journal = journal
        self.memory = thawing.recall(table, journal)
        self.matcher = Matcher(selector, table)
        self.report = report

    def run(self) -> str:
        """The problem, empty where all went well."""
        options, report = self.options, self.report
        check_sight(self.table, self.matcher)
        room = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2, self.table.files_left() // _SHARE_KEPT)
        processes = self.table.keep(min(room, _MOST_KEPT))
        protect = [Matcher(selector, self.table) for selector in options.protect]
        self.guard = Guard(self.table, processes, protect, options.include_containers, self.session)
        judgement = Judgement(self.table, self.matcher, self.guard, processes, reads_cmdlines=options.check_mode)
        problem = ""
        if options.check_mode:
            self._decide(judgement)
            self._foresee()
        else:
            problem = self._apply(judgement)
            report.converged = not problem
        if options.zombies == "signal_parent":
            self._tell_parents()
        return problem

    def _decide(self, judgement: Judgement) -> None:
        """Raises Refused where the selection is unsafe or over the brake."""
        options, report = self.options, self.report
        self.snapshot = judgement.of(options.zombies == "kill_parent", self.kinds)
        self.plan = planning.make(self.snapshot, self.matcher.selector, options.method, options.max_victims)
        report.method, report.method_reason = self.plan.method, self.plan.reason
        report.matched = len(self.plan.victims)
        report.group(self.plan.victims, self.matcher.selector.reason)
        report.protected, report.zombies = self.snapshot.protected, self.snapshot.zombies

    def _foresee(self) -> None:
        """What a real run would report, as far as it can be known without one."""
        report, count = self.report, len(self.plan.victims)
        if not count:
            return
        if self.options.state == "frozen":
            others = [process for process in self.plan.victims if process.identity not in self.memory.processes]
            report.already_stopped = sum(1 for process in others if process.identity in self.snapshot.stopped)
            report.frozen = count - report.already_stopped
            report.changed = len(others) > report.already_stopped
        else:
            setattr(report, self.options.state, count)
            report.changed = True
        report.actions.append(f"would have {self.options.state} {count} processes by method {self.plan.method}")

    def _apply(self, judgement: Judgement) -> str:
        freezer = self._freezer(judgement)
        pause = Pause(self.table, self.options.timeout * 2)
        problem = "it did not get to an end"
        interruption = _Interruption()
        with interruption:
            try:
                self._hold(judgement, freezer)
                self._decide(judgement)
                freezer.keep_to(self.plan.scopes)
                problem = self._act(freezer, pause)
            except Unproven as error:
                problem = str(error)
                self.report.survivors += [(process, "it was let go") for process in freezer.held.values()]
            finally:
                interruption.ignore()
                self._settle_accounts(freezer, pause, keep=not problem and self.options.state == "frozen")
        return problem

    def _hold(self, judgement: Judgement, freezer: Freezer) -> None:
        """Freeze already what is to be ended, where a whole cgroup seems to be meant: standing still it is judged
        sooner, and it is let go where the plan says otherwise. What is over the brake is not touched."""
        options, selector, count = self.options, self.matcher.selector, len(judgement.candidates)
        is_allowed = selector.min_count <= count <= options.max_victims and options.state != "frozen"
        if is_allowed and "cgroup" in self.kinds:
            self.report.describer.learn_users(judgement.candidates)
            freezer.sweep(judgement.isolated())

    def _freezer(self, judgement: Judgement) -> Freezer:
        deadline = time.monotonic() + self.options.timeout
        freezer = Freezer(self.table, self.matcher, self.guard, self.journal, deadline, self.options.max_victims)
        freezer.stopped_before = set(judgement.stopped)
        freezer.frozen_by_us = frozenset(self.memory.cgroups)
        return freezer

    def _act(self, freezer: Freezer, pause: Pause) -> str:
        if self.plan.method == "none":
            freezer.proof = "the processes were counted in one pass"
            return ""
        check_reach(self.snapshot)
        if self.options.state == "frozen" and self.plan.victims:
            self.journal.open()
            if self.journal.problem:
                raise Refused(self.journal.problem + ": free room below /run first, or kill at once.")
        if self.plan.method == "pause":
            pause.begin()
            freezer.pause(pause.stopped_before)
        freezer.sweep(self.plan.scopes)
        freezer.settle()
        freezer.confirm()
        if self.options.state == "frozen" and self.journal.problem:
            raise Unproven(f"{self.journal.problem}: everything stopped was woken. Free room below /run first.")
        report, victims = self.report, list(freezer.held.values())
        report.evidence = collect(report.describer, victims, self.options.evidence)
        if report.evidence and MISSING:
            report.warnings.append(MISSING)
        if self.options.state != "frozen":
            return self._end(freezer)
        ours = [p for p in victims if p.identity not in freezer.stopped_before or p.identity in self.memory.processes]
        fresh = sum(1 for process in ours if process.identity not in self.memory.processes)
        report.frozen, report.already_stopped = len(ours), len(victims) - len(ours)
        report.changed = bool(fresh)
        if fresh:
            report.actions.append(f"froze {fresh} processes by method {self.plan.method} in {freezer.rounds} passes")
        return self._denied(freezer)

    def _end(self, freezer: Freezer) -> str:
        report = self.report
        if freezer.held:
            report.actions.append(
                f"froze {len(freezer.held)} processes by method {self.plan.method} in {freezer.rounds} passes"
            )
        killer = Killer(freezer)
        try:
            for number in self.options.signals if self.options.state == "terminated" else ():
                if freezer.held:
                    before = killer.terminated
                    killer.terminate(self.options.grace_period, self.options.timeout, number)
                    report.actions.append(f"{killer.terminated - before} ended on {signal.Signals(number).name}")
            if freezer.held:
                killer.kill(self.options.timeout)
                report.actions.append(f"killed {killer.killed} processes")
        finally:
            report.killed, report.terminated = killer.killed, killer.terminated
            report.changed = bool(killer.killed or killer.terminated)
            report.survivors += killer.survivors
        if killer.survivors:
            return f"{len(killer.survivors)} processes are still alive: {killer.survivors[0][1]}."
        return self._denied(freezer)

    @staticmethod
    def _denied(freezer: Freezer) -> str:
        if not freezer.denied:
            return ""
        return f"{len(freezer.denied)} victims may not be signalled by this user: run as root (become: true)."

    def _settle_accounts(self, freezer: Freezer, pause: Pause, keep: bool) -> None:
        """Wake what must not stay stopped, remember what must, and report what was found on the way."""
        report = self.report
        self.reserve.close()
        kept = Memory()
        if keep:
            ours = frozenset(identity for identity in freezer.held if identity not in freezer.stopped_before)
            kept = Memory(ours, cgroups=tuple(freezer.cgroups), limits=tuple(freezer.limits))
        else:
            report.thawed = freezer.thaw()
        pause.end(kept.processes)
        thawing.remember(self.table, self.journal, self.memory, kept)
        if self.journal.problem:
            report.warnings.append(self.journal.problem)
        report.rounds = freezer.rounds
        report.proof = freezer.proof
        known = {process.identity for process, _reason in report.protected}
        report.protected += [spared for identity, spared in freezer.spared.items() if identity not in known]
        known = {process.identity for process in report.zombies}
        report.zombies += [zombie for identity, zombie in freezer.zombies.items() if identity not in known]
        freezer.close()

    def _tell_parents(self) -> None:
        """SIGCHLD asks a parent to reap; it harms nobody."""
        signaller = signals.Signaller(self.table)
        for pid in {process.ppid for process in self.report.zombies}:
            parent = self.table.read(pid)
            if parent is not None:
                if not self.options.check_mode:
                    signaller.send(parent, signal.SIGCHLD)
                self.report.told.add(pid)


@contextlib.contextmanager
def _precedence(proc_root: str) -> t.Iterator[None]:
    """Ahead of the storm in the queue for the processor. The scheduler shares it among sessions first (autogroup,
    sched(7)), so leave that of the caller, which may be the storm's; a process group leader has to stay."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open(proc_root + "/self/autogroup", "w", encoding="utf-8") as file:
            file.write("-20")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


class _Interruption:
    """A lost connection or a caller's timeout ends the run in order: what is stopped is woken."""

    _SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def __enter__(self) -> None:
        self._old = [signal.signal(number, self._raise) for number in self._SIGNALS]

    def ignore(self) -> None:
        """From here on nothing may come between the host and being woken."""
        for number in self._SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def __exit__(self, *_error: object) -> None:
        for number, handler in zip(self._SIGNALS, self._old):
            signal.signal(number, handler)

    def _raise(self, number: int, _frame: object) -> None:
        self.ignore()
        raise Unproven(f"interrupted by {signal.Signals(number).name}: everything stopped was woken. Run again.")
