# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Run every kind of test as a target of the Makefile, say where it is and how long it took, and sum up.

A set-up that fails ends it; a test that fails does not, so that one run shows all there is to mend.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

from environments import ROOT


class Step(NamedTuple):
    target: str
    what: str
    needed_by_the_rest: bool = False


# The quick ones first: most mistakes show within seconds.
STEPS = (
    Step("packages", "Debian packages", needed_by_the_rest=True),
    Step("venv", "virtual environments", needed_by_the_rest=True),
    Step("lint", "ruff, yamllint, ansible-lint, changelog"),
    Step("types", "mypy strict"),
    Step("unit", "unit tests on the oldest and the newest Python"),
    Step("sanity", "ansible-test sanity with each ansible-core"),
    Step("build", "build the collection and import it"),
    Step("integration", "integration tests with each ansible-core"),
    Step("testhosts-images", "base images of the test hosts"),
    Step("molecule", "Molecule on real hosts with each ansible-core"),
    Step("benchmark", "benchmark, 5 tries a scenario"),
    Step("triage", "assess this machine"),
)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main(make: str) -> int:
    started = time.monotonic()
    rows = []
    for number, step in enumerate(STEPS, 1):
        begun = time.monotonic()
        print(f"=== [{number}/{len(STEPS)}] {step.target}: {step.what} (at {clock(begun - started)})", flush=True)
        command = [make, "--no-print-directory", step.target]
        if step.target == "benchmark":
            # The slots have a test of their own; one try shows a peer that has not come by its speed.
            command += ["TRIES=5", "ARGS=--peer-tries 1 --part storms listing"]
        passed = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode == 0
        rows.append((step, passed, time.monotonic() - begun))
        if step.needed_by_the_rest and not passed:
            print(f"=== {step.target} failed, and nothing can be tested without it")
            break
    print("=== summary")
    for step, passed, took in rows:
        print(f"{'passed' if passed else 'FAILED':8}{step.target:18}{clock(took):>7}  {step.what}")
    failures = [step.target for step, passed, _took in rows if not passed]
    total = clock(time.monotonic() - started)
    if failures:
        print(f"FAILED: {', '.join(failures)} ({total})")
    else:
        print(f"all {len(rows)} steps passed ({total})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "make"))
