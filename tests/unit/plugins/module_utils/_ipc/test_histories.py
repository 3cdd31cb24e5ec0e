# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any history of a service: nothing that a living process knows is ever called orphaned.

A model of the kernel and of systemd plays histories that no test could wait for, such as a wall clock that is set by
hours, which is the whole machine's and cannot be had in a namespace. The code under test sees of them what it would see
of a host: a process table, the stamps of units, tables of arrays.
"""

from __future__ import annotations

import os
import typing as t

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import people as people_module
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.clock import Anchor, Clock, judge
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.lineage import Line
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.look import _named
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.people import People, Wanted
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.verdict import (
    ORPHANED,
    Case,
    Judge,
    World,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import (
    Process,
    ProcessTable,
    Status,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import SEMAPHORES, Facts, Touch
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import Matcher, parse

EXAMPLES = int(os.environ.get("HOSTCARE_HISTORIES", "300"))
HERTZ = 100
BOOT = 1_700_000_000.0  # what the wall clock said when the machine started
APP = 500
INIT, SHELL, OTHER = 1, 50, 60
SLICE = "/system.slice/"


class Proc:
    """A process as the kernel knows it, and the identifiers in its memory."""

    def __init__(self, pid: int, parent: int, start: float, **known: t.Any) -> None:
        self.pid, self.parent, self.start = pid, parent, start
        self.sid: int = known.get("sid", pid)
        self.comm: bytes = known.get("comm", b"svc")
        self.uid: int = known.get("uid", 0)
        self.path: str = known["path"]
        self.life: float = known.get("life", 0.0)  # when that of its unit began in which its line did
        self.knows: set[int] = set(known.get("knows", ()))
        self.seen: float | None = None


class Machine:
    """What happens, and what it leaves to be seen."""

    def __init__(self, with_other: bool = True) -> None:
        self.now = 100.0
        self.offset = BOOT
        self.stepped = False
        self.procs: dict[int, Proc] = {}
        self.arrays: dict[int, Facts] = {}
        self.touched: dict[int, int] = {}
        self.began: dict[str, float] = {}
        self.last_start = 0.0
        self._add(INIT, 0, 0.0, comm=b"systemd", path="/init.scope")
        for unit in ("init.scope", "session-1.scope", "other.service"):
            self.began[unit] = self.wall - 95
        self._add(SHELL, INIT, 5.0, comm=b"sh", path="/user.slice/user-0.slice/session-1.scope")
        self.procs[INIT].seen = self.procs[SHELL].seen = BOOT + 5
        if with_other:
            self._other()

    def _add(self, pid: int, parent: int, start: float, **known: t.Any) -> Proc:
        self.procs[pid] = Proc(pid, parent, start, **known)
        return self.procs[pid]

    def _other(self) -> None:
        """Another service with workers of the same user, whose array was last touched by a worker that is dead."""
        server = self._add(OTHER, INIT, 5.0, comm=b"other", path=SLICE + "other.service")
        self.create(server)
        self.give(server)
        self.fork(server)
        worker = self.procs[max(self.procs)]
        self.touch(worker)
        self.exit(worker)
        self.now += 50
        self.fork(server)
        self.drop(self.procs[max(self.procs)])

    @property
    def wall(self) -> float:
        return self.now + self.offset

    def _number(self) -> int:
        """The lowest that is neither a process nor a session: numbers are used again as soon as they can be."""
        taken = {proc.pid for proc in self.procs.values()} | {proc.sid for proc in self.procs.values()}
        return next(number for number in range(100, 1000) if number not in taken)

    def service(self) -> list[Proc]:
        return [proc for proc in self.procs.values() if proc.comm == b"svc"]

    # --- events ---

    def start(self, uid: int) -> None:
        """systemd starts the unit, whatever an earlier life of it left behind."""
        if any(proc.parent == INIT and proc.sid == proc.pid and proc.path.endswith("svc.service") for proc in
               self.service()):  # fmt: skip
            return
        self.began["svc.service"] = self.wall
        self.last_start = self.now
        self.now += 0.01
        self._add(self._number(), INIT, self.now, uid=uid, path=SLICE + "svc.service", life=self.last_start)

    def spawn(self, uid: int) -> None:
        """From a shell that lives."""
        self._add(self._number(), SHELL, self.now, uid=uid, sid=SHELL, path=self.procs[SHELL].path)

    def fork(self, proc: Proc) -> None:
        self._add(
            self._number(), proc.pid, self.now,
            comm=proc.comm, uid=proc.uid, sid=proc.sid, path=proc.path, knows=proc.knows, life=proc.life,
        )  # fmt: skip

    def detach(self, proc: Proc) -> None:
        """setsid(2). Not, in the first minutes of a unit, for what an earlier life of it left behind (lineage.py)."""
        if self.last_start == proc.life or proc.start > self.last_start + 120:
            proc.sid = proc.pid

    def drop(self, proc: Proc) -> None:
        proc.uid = APP

    def exit(self, proc: Proc) -> None:
        del self.procs[proc.pid]
        for child in self.procs.values():
            if child.parent == proc.pid:
                child.parent = INIT

    def create(self, proc: Proc) -> None:
        number = len(self.arrays)
        self.arrays[number] = Facts(SEMAPHORES, 0o600, proc.uid, proc.uid, int(self.wall), 0, b"", nsems=1)
        self.touched[number] = 0
        proc.knows.add(number)

    def give(self, proc: Proc) -> None:
        """To the user of its workers, as Apache does: IPC_SET stamps it."""
        for number in proc.knows:
            if proc.uid == 0:
                self.arrays[number] = self.arrays[number]._replace(uid=APP, ctime=int(self.wall))

    def touch(self, proc: Proc) -> None:
        for number in proc.knows:
            self.arrays[number] = self.arrays[number]._replace(used=int(self.wall))
            self.touched[number] = proc.pid

    def look_at(self, proc: Proc) -> None:
        proc.seen = proc.seen or self.wall

    def step(self, seconds: float) -> None:
        """The wall clock is set, once."""
        if not self.stepped:
            self.offset += seconds
            self.stepped = True

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Table(ProcessTable):
    """The process table of a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("/nowhere")
        self.machine = machine
        self.hertz = HERTZ

    def pids(self) -> list[str]:
        return [str(pid) for pid in self.machine.procs]

    def read(self, pid: int | str) -> Process | None:
        proc = self.machine.procs.get(int(pid))
        if proc is None:
            return None
        start = int(proc.start * HERTZ)
        return Process(proc.pid, proc.comm, "S", proc.parent, proc.sid, proc.sid, 0, 0, 1, start, proc.uid)

    def status(self, pid: int) -> Status | None:
        proc = self.machine.procs.get(pid)
        return None if proc is None else Status("S", proc.uid, proc.uid, proc.uid, 1, False, 0)

    def unit_path(self, pid: int) -> str:
        return self.machine.procs[pid].path


class Seen(People):
    """Times of files come from the machine, too."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        super().__init__(Table(machine))

    def _start_of_stack(self, pid: int) -> int:
        return sum(self.machine.procs[pid].comm)  # one for each program, as if each was executed once

    def _first_seen(self, pid: int) -> float | None:
        return self.machine.procs[pid].seen

    def _invocations(self) -> t.Iterator[float]:
        return iter(self.machine.began.values())

    def _unit_link(self, unit: str) -> float | None:
        return self.machine.began.get(unit)

    def clock(self, stamps: t.Iterable[int]) -> Clock:
        machine = self.machine
        return judge(machine.offset, machine.wall, [*self.anchors, Anchor(min(stamps, default=machine.wall), 0.0)])


def verdicts(machine: Machine, named: bool = True) -> dict[int, str]:
    people = Seen(machine)
    cases = {number: Case(facts, Touch((machine.touched[number],))) for number, facts in machine.arrays.items()}
    clock = people.clock(facts.ctime for facts in machine.arrays.values())
    users = frozenset(uid for facts in machine.arrays.values() for uid in (facts.uid, facts.cuid)) - {0}
    service = [Matcher(parse({"name": ["svc"]}), people.table)] if named else []
    matter = people.matter(
        Wanted(users, _named(people, clock, cases.values()), any(case.needs_root for case in cases.values())),
        clock,
        service,
        [],
    )
    found = Judge(World(matter, clock, has_service=named))
    return {number: found.judge(case).verdict for number, case in cases.items()}


def known(machine: Machine) -> set[int]:
    return {number for proc in machine.procs.values() for number in proc.knows}


WHO = st.integers(0, 7)
EVENTS = st.one_of(
    st.tuples(st.sampled_from(["fork", "exit", "create", "touch", "detach", "drop", "give", "look_at"]), WHO),
    st.tuples(st.sampled_from(["start", "spawn"]), st.sampled_from([0, APP])),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.5, 1.0, 3.0, 20.0, 150.0, 4000.0])),
)
STEP = st.tuples(st.just("step"), st.sampled_from([-86400.0, -7200.0, -30.0, -3.0, 30.0, 7200.0, 86400.0]))


def play(events: t.Sequence[tuple[str, t.Any]], with_other: bool = False) -> Machine:
    machine = Machine(with_other)
    for name, argument in events:
        if name in ("start", "spawn", "wait", "step"):
            getattr(machine, name)(argument)
        elif machine.service():
            alive = machine.service()
            getattr(machine, name)(alive[argument % len(alive)])
    return machine


def innocents(machine: Machine) -> set[int]:
    """Arrays that somebody knows and that were called orphaned."""
    wrong: set[int] = set()
    for named in (True, False):
        called = verdicts(machine, named)
        wrong |= {number for number in known(machine) if called[number] == ORPHANED}
    return wrong


Events = t.List[t.Tuple[str, t.Any]]

# A worker outlives its server, whose unit is started again.
OUTLIVES: Events = [
    ("start", 0), ("create", 0), ("touch", 0), ("give", 0), ("wait", 20.0), ("fork", 0), ("drop", 1), ("exit", 0),
    ("wait", 150.0), ("start", 0), ("wait", 3.0),
]  # fmt: skip
# That worker leaves a child to the new life of the unit, at once or late.
HEIR: Events = [*OUTLIVES, ("fork", 0), ("exit", 0), ("wait", 3.0)]
LATE_HEIR: Events = [*OUTLIVES, ("wait", 150.0), ("fork", 0), ("exit", 0), ("detach", 1), ("wait", 3.0)]
LATE_CHILD: Events = [("spawn", APP), ("create", 0), ("wait", 150.0), ("fork", 0), ("exit", 0)]


@given(st.lists(EVENTS, max_size=40), st.booleans())
@example(OUTLIVES, False)
@example(HEIR, False)
@example(LATE_HEIR, False)
@example(LATE_CHILD, False)
@example([], True)
@settings(max_examples=EXAMPLES)
def test_nothing_known_is_ever_orphaned(events: Events, with_other: bool) -> None:
    assert innocents(play(events, with_other)) == set()


@given(st.lists(EVENTS, max_size=25), STEP, st.lists(EVENTS, max_size=25))
@example([("start", 0), ("create", 0), ("wait", 3.0)], ("step", 7200.0), [("wait", 3.0)])
@example([("start", 0), ("create", 0), ("touch", 0), ("wait", 3.0)], ("step", 7200.0), [("wait", 3.0)])
@example([("start", 0), ("wait", 3.0)], ("step", -7200.0), [("create", 0), ("wait", 3.0)])
@settings(max_examples=EXAMPLES)
def test_nor_whatever_happens_to_the_clock(before: Events, step: tuple[str, float], after: Events) -> None:
    assert innocents(play([*before, step, *after])) == set()


@given(
    uid=st.sampled_from([0, APP]),
    life=st.lists(st.sampled_from(["touch", "give", "fork"]), max_size=4),
    alive=st.booleans(),
    way=st.sampled_from(["start", "spawn"]),
)
def test_what_a_dead_service_left_is_orphaned(uid: int, life: list[str], alive: bool, way: str) -> None:
    """Whether or not the service runs again, but for root's that nobody ever touched."""
    machine = Machine(with_other=False)
    machine.wait(10.0)
    getattr(machine, way)(uid)
    machine.wait(1.0)
    machine.create(machine.service()[0])
    for event in life:
        getattr(machine, event)(machine.service()[0])
    machine.wait(5.0)
    for proc in reversed(machine.service()):
        machine.exit(proc)
    machine.wait(3.0)
    if alive:
        getattr(machine, way)(uid)
        machine.create(machine.service()[0])
        machine.wait(3.0)
    called = verdicts(machine)
    untouched = uid == 0 and "touch" not in life
    assert called[0] == ("unknown" if untouched else ORPHANED)
    assert innocents(machine) == set()


def test_the_model_can_fail(monkeypatch: t.Any) -> None:
    """Without the rule for workers that outlive their server, one of them loses its array."""
    assert innocents(play(OUTLIVES)) == set()
    monkeypatch.setattr(people_module, "line", lambda _process, born, *_rest: Line(born, born))
    assert innocents(play(OUTLIVES)) == {0}
