# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Run a command once with each ansible-core of the matrix: each_core.py integration|molecule [argument ...]

The environment variable CORES ("2.16 2.21") narrows the matrix. Each command finds its ansible-core first on PATH and
in HOSTCARE_ANSIBLE_BIN.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

from environments import ROOT, WORK

# Storms, daemons and time-outs let the processors wait: more tests at once than there are of them. The tests of a file
# share servers, and so stay together.
WORKERS = (os.cpu_count() or 1) + 1

COMMANDS = {
    "integration": ["python", "-m", "pytest", "tests/integration", f"--numprocesses={WORKERS}", "--dist=loadfile"],
    "molecule": ["molecule", "test"],
}

# The newest core runs everything. The older ones run what depends on the core: of the tests those that are not marked
# to run once, some as a sample; of the scenarios the one that proves how modules, role and playbook reach a host that
# is full, on one host. What the other scenarios try happens on the hosts, whichever core asked for it.
WITH_THE_NEWEST = {"integration": ["-m", "not sample"], "molecule": ["--all"]}
# Beside others on two processors a time-out may end what only waits for its turn: what failed is tried once more and
# alone, unless that is more than a few.
MOST_AGAIN = 5
TESTS_FAILED = 1  # of pytest, which ends with other codes where it could not run them all
FAILED_SCENARIO = re.compile(r"\[(\w+) > \w+\].*Executed: Failed")
DONE_SCENARIO = re.compile(r"\[(\w+) > cleanup\].*Executed: Successful")
SUITES = {"2.16": "bookworm", "2.19": "trixie"}
WITH_OLDER_ONES = {"integration": ["-m", "not once"], "molecule": ["--scenario-name", "process_storm"]}


def main(kind: str, arguments: list[str]) -> int:
    if os.geteuid() != 0:
        print(f"{kind} makes namespaces, cgroups and containers: run it as root")
        return 1
    matrix = [line.split() for line in (WORK / "matrix").read_text().splitlines()]
    newest = matrix[-1][0]
    chosen = os.environ.get("CORES", "").split() or [core for core, _version, _venv in matrix]
    failed = sorted(set(chosen) - {core for core, _version, _venv in matrix})
    for core in failed:
        print(f"{kind}: no environment for ansible-core {core} on this machine")
    for core, version, venv in matrix:
        if core not in chosen:
            continue
        programs = str(ROOT / venv / "bin")
        share = WITH_THE_NEWEST[kind] if core == newest else WITH_OLDER_ONES[kind]
        if {"--scenario-name", "--all"} & set(arguments):
            share = []
        command = [os.path.join(programs, COMMANDS[kind][0]), *COMMANDS[kind][1:], *share, *arguments]
        environment = dict(os.environ, HOSTCARE_ANSIBLE_BIN=programs, HOSTCARE_CORE=core)
        environment["PATH"] = os.pathsep.join((programs, os.environ["PATH"]))
        if kind == "molecule" and core in SUITES:
            environment.setdefault("TESTHOSTS", "hostcare-{0},{0}-ssh,{0}-operator,localhost".format(SUITES[core]))
        if not sys.stdout.isatty():
            environment.update(NO_COLOR="1", ANSIBLE_NOCOLOR="1", MOLECULE_COMMAND_BORDERS="false", COLUMNS="160")
        print(f"{kind} with ansible-core {core} on Python {version}", flush=True)
        started = time.monotonic()
        has_passed = KINDS[kind](command, environment)
        verdict = "passed" if has_passed else "FAILED"
        print(f"{kind} with ansible-core {core}: {verdict} in {time.monotonic() - started:.0f} s", flush=True)
        if not has_passed:
            failed.append(core)
    return 1 if failed else 0


def run(command: list[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def integration(command: list[str], environment: dict[str, str]) -> bool:
    record = WORK / "pytest" / "v" / "cache" / "lastfailed"  # pytest.ini says where
    if "--last-failed" not in command:
        record.unlink(missing_ok=True)  # of an earlier run, which is no matter of this one
    code = run(command, environment)
    if code != TESTS_FAILED:
        return code == 0
    failures = sorted(json.loads(record.read_text())) if record.exists() else []
    again = [*command, "--last-failed", "--last-failed-no-failures=none", "--numprocesses=0"]
    return is_worth_another_try(failures) and run(again, environment) == 0


def molecule(command: list[str], environment: dict[str, str]) -> bool:
    failed: set[str] = set()
    done: set[str] = set()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            failed.update(FAILED_SCENARIO.findall(line))
            done.update(DONE_SCENARIO.findall(line))
    if process.returncode == 0:
        return True
    run([command[0], "destroy"], environment)  # the hosts are as the failure has left them
    # A failure is the end of it all, so those after it are still to come.
    left = sorted(meant(command) - (done - failed))
    return is_worth_another_try(sorted(failed)) and all(
        run([command[0], "test", "--scenario-name", name], environment) == 0 for name in left
    )


def meant(command: list[str]) -> set[str]:
    """The scenarios that a command runs, but for the one that makes and removes the hosts of the others."""
    if "--scenario-name" in command:
        return {command[command.index("--scenario-name") + 1]}
    found = (ROOT / "extensions" / "molecule").glob("*/molecule.yml")
    return {path.parent.name for path in found} - {"default"}


def is_worth_another_try(failures: list[str]) -> bool:
    if not 0 < len(failures) <= MOST_AGAIN:
        return False
    print(f"failed beside others, and tried once more alone: {', '.join(failures)}", flush=True)
    return True


KINDS = {"integration": integration, "molecule": molecule}


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
