# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Run every kind of test as a target of the Makefile, say where it is and how long it took, and sum up.

A set-up that fails ends it; a test that fails does not, so that one run shows all there is to mend. What waits (hosts
that boot, storms, daemons) runs in two lanes, and what only computes in a third one, which gives way to them; what is
measured runs alone. A step that runs beside another keeps all it says in a log; what tells of its failures is shown at
the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from environments import ROOT, WORK

LOGS = WORK / "test"
# Seconds between two words on how far a step is; who reads a file of it needs them less often.
HEARTBEAT = 60.0 if sys.stdout.isatty() else 240.0
# Of a step that failed, so many lines are shown, and so many characters of each.
TELLING_LINES = 30
TELLING_WIDTH = 400
# What names the place in a log, and what says that something failed there: pytest, ansible, Molecule, linters, make.
PLACE = re.compile(r"^(PLAY|TASK|HANDLER) \[|Running \S+ > |^={3,} .* ={3,}$|^_{3,} .* _{3,}$")
TELLING = re.compile(
    r"^(FAILED|ERROR) (?!- RETRYING)|^E   +\S|^(fatal|failed): \[|^\[?(ERROR|CRITICAL)\b|^make.*\*\*\*|\berror: |"
    r"^\S+:\d+:\d+: [A-Z]+\d+|^ERROR: |^WARNING: .*treated as"
)


class Step(NamedTuple):
    target: str
    what: str
    arguments: tuple[str, ...] = ()


class Lane:
    """Steps one after the other, beside those of the other lanes; ``nice`` as of nice(1)."""

    def __init__(self, *steps: Step, nice: int = 0) -> None:
        self.steps = steps
        self.nice = nice


class Outcome(NamedTuple):
    step: Step
    passed: bool
    seconds: float


SET_UP = (
    Step("packages", "Debian packages"),
    Step("venv", "virtual environments"),
)
# The quick ones first: most mistakes show within seconds.
LANES = (
    Lane(
        Step("lint", "ruff, yamllint, ansible-lint, changelog"),
        Step("types", "mypy strict"),
        Step("build", "build the collection and import it"),
        Step("docs", "docs site, with warnings as errors"),
        Step("sanity", "ansible-test sanity with each ansible-core"),
        nice=5,
    ),
    Lane(
        Step("testhosts-images", "base images of the test hosts"),
        Step("molecule", "Molecule on real hosts with each ansible-core"),
    ),
    Lane(
        Step("unit", "unit tests on the oldest and the newest Python"),
        Step("integration", "integration tests with each ansible-core"),
    ),
)
ALONE = (
    # Ours beside the limit; the peers take their turns in `make benchmark`. The slots have a test of their own.
    Step(
        "benchmark",
        "benchmark of the storms, 5 tries a scenario",
        ("TRIES=5", "ARGS=--peer-tries 0 --part storms"),
    ),
    Step("triage", "assess this machine"),
)


TOTAL = len(SET_UP) + sum(len(lane.steps) for lane in LANES) + len(ALONE)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass
class Run:
    """All steps of one run: what is known of each, and one voice for those that run at once."""

    make: str
    started: float = field(default_factory=time.monotonic)
    begun: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    voice: threading.Lock = field(default_factory=threading.Lock)

    def say(self, text: str) -> None:
        print(f"{clock(time.monotonic() - self.started):>6}  {text}", flush=True)

    def step(self, step: Step, log: Path | None = None, nice: int = 0) -> bool:
        """Run it, into a log that is shown at its end, or straight into the output of this run."""
        with self.voice:
            self.begun += 1
            self.say(f"=== [{self.begun}/{TOTAL}] {step.target}: {step.what}")
        begun = time.monotonic()
        command = ["nice", "-n", str(nice), self.make, "--no-print-directory", step.target, *step.arguments]
        with log.open("wb") if log else contextlib.nullcontext() as output:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            passed = (self._watch(process, step, log) if log else process.wait()) == 0
        outcome = Outcome(step, passed, time.monotonic() - begun)
        with self.voice:
            self.outcomes.append(outcome)
            self.say(f"=== {step.target}: {'passed' if passed else 'FAILED'} in {clock(outcome.seconds)}")
        return passed

    def _watch(self, process: subprocess.Popen[bytes], step: Step, log: Path) -> int:
        """Wait for its end, and tell now and then how far it is."""
        while True:
            try:
                return process.wait(HEARTBEAT)
            except subprocess.TimeoutExpired:
                with self.voice:
                    self.say(f"    {step.target}: {last_line(log)}")

    def lane(self, lane: Lane) -> None:
        for step in lane.steps:
            self.step(step, LOGS / f"{step.target}.log", lane.nice)

    def everything(self) -> None:
        for step in SET_UP:
            if not self.step(step):
                self.say(f"=== {step.target} failed, and nothing can be tested without it")
                return
        LOGS.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max_workers=len(LANES)) as lanes:
            list(lanes.map(self.lane, LANES))
        for step in ALONE:
            self.step(step)

    def summary(self) -> int:
        print("=== summary")
        for step, passed, seconds in self.outcomes:
            print(f"{'passed' if passed else 'FAILED':8}{step.target:18}{clock(seconds):>7}  {step.what}")
        failures = [step.target for step, passed, _seconds in self.outcomes if not passed]
        total = clock(time.monotonic() - self.started)
        if failures:
            for target in failures:
                show_failures(target)
            print(f"FAILED: {', '.join(failures)} ({total})")
        else:
            print(f"all {len(self.outcomes)} steps passed ({total})")
        return 1 if failures else 0


def show_failures(target: str) -> None:
    """The last lines of its log that tell what failed, each below the place where it did."""
    log = LOGS / f"{target}.log"
    if not log.exists():
        return
    telling: deque[tuple[str, str]] = deque(maxlen=TELLING_LINES)
    place = shown = ""
    with log.open(errors="replace") as lines:
        for line in lines:
            if TELLING.search(line):
                telling.append((place, line))
            elif PLACE.search(line):
                place = line
    print(f"--- {target}, from {log.relative_to(ROOT)}:")
    for place, line in telling or [("", last_line(log))]:
        if place != shown:
            print(place.rstrip()[:TELLING_WIDTH])
            shown = place
        print(f"    {line.rstrip()[:TELLING_WIDTH]}")


def last_line(log: Path) -> str:
    """The last words of a step, as far as they fit into a line."""
    with log.open("rb") as output:
        output.seek(max(0, output.seek(0, os.SEEK_END) - 4096))
        lines = [line.strip() for line in output.read().decode(errors="replace").splitlines()]
    return next((line[:110] for line in reversed(lines) if line and "RETRYING" not in line), "")


def main(make: str) -> int:
    run = Run(make)
    run.everything()
    return run.summary()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "make"))
