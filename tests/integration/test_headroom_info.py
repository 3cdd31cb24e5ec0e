# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""headroom_info beside what others say of the same host, under a large load, and with next to nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.tests.benchmark import survey
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT, Controller
from ansible_collections.hostcare.remediation.tests.support.storm.arena import Arena

MODULE = "hostcare.remediation.headroom_info"
LOCAL = {"ansible_connection": "local"}
NOBODY = 65123  # of whom there is no other process


def said(*command: str) -> int:
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()[-1])


@pytest.mark.once
@pytest.mark.parametrize("name", ["kernel.pid_max", "kernel.threads-max"])
def test_limits_are_those_of_sysctl(name: str) -> None:
    report = resources.report(10, 20.0, only=["process_slots"])
    (limit,) = (one for one in report["resources"] if one["limit_name"] == name)
    assert limit["limit"] == said("sysctl", "-n", name)


@pytest.mark.once
def test_processes_are_those_of_ps() -> None:
    """In a host that is still."""
    with Arena(slots=400) as arena:
        arena.bomb("crowd", "--count", "200", name="crowd")
        arena.wait_population(200)
        inside = arena.run(["ps", "-e", "--no-headers"]).stdout.splitlines()
        report = resources.report(10, 20.0, str(arena.proc), only=["process_slots"], way=_at(arena))
    assert report["process_table"]["processes"] == len(inside) - 1, "ps counts itself"
    (limit,) = (one for one in report["resources"] if one["limit_name"] == "kernel.pid_max")
    assert limit["holders"][0]["name"] == "crowd"
    assert limit["holders"][0]["used"] >= 200


FILL = """
import os, time
def grow():
    while True:
        try:
            if os.fork() == 0:
                time.sleep(60)
        except OSError:
            break
if {uid}:
    import resource
    resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))
    os.setresuid({uid}, {uid}, {uid})
print("ready", flush=True)
input()
grow()
print("full", flush=True)
time.sleep(60)
"""


@pytest.mark.once
@pytest.mark.parametrize(
    "uid, outer, inner, limited_by, at_most",
    [(0, 12, 30, "pids.max", 12), (0, None, 9, "pids.max", 9), (NOBODY, None, 40, "RLIMIT_NPROC", 20)],
)
def test_a_pool_gets_what_the_reserve_says_and_no_more(
    uid: int, outer: int | None, inner: int, limited_by: str, at_most: int
) -> None:
    """In real groups, one in the other: it is let loose, and stops exactly there."""
    with PidsCgroup() as outside, outside.nested() as inside:
        outside.limit, inside.limit = outer, inner
        program = [sys.executable, "-c", FILL.format(uid=uid)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(program, preexec_fn=inside.enter, start_new_session=True, **pipes) as filler:
            assert filler.stdout is not None
            assert filler.stdin is not None
            assert filler.stdout.readline() == "ready\n"
            before = _pool_of(outside, inside)
            filler.stdin.write("\n")
            filler.stdin.flush()
            assert filler.stdout.readline() == "full\n"
            after = _pool_of(outside, inside)
            for pid in inside.processes():
                os.kill(pid, signal.SIGKILL)
    assert (before["used"], before["at_most"], before["limited_by"]) == (1, at_most, limited_by)
    assert (after["used"], after["at_most"]) == (at_most, at_most)


def _pool_of(*groups: PidsCgroup) -> dict[str, t.Any]:
    reserve = resources.report(1000, 20.0, only=["process_slots"])["reserve"]
    (pool,) = [one for one in reserve["pools"] if any(one["scope"].endswith(group.path.name) for group in groups)]
    return dict(pool)


def _at(arena: Arena) -> resources.Way:
    """Another's /proc, which a host in use would be refused for."""

    class Table(resources.ProcessTable):
        def check(self) -> None:
            pass

    return resources.Way(lambda: Table(str(arena.proc)), resources.RESOURCES, names_suspects=False)


@pytest.mark.once
def test_a_full_host_takes_little_time() -> None:
    """The short form of `make benchmark`."""
    rows = survey.measure(1000, 2000, 20_000, 2)
    costs = {row["resource"]: row["ms"] for row in rows}
    assert costs.keys() >= {"process_table", *resources.NAMES, "all"}
    assert costs["all"] < survey.BUDGET_MS


@pytest.mark.parametrize("descriptors", [8, 20])
def test_with_a_handful_of_descriptors(controller: Controller, descriptors: int) -> None:
    python = f"/bin/sh -c 'ulimit -n {descriptors}; exec /usr/bin/python3'"
    answer = controller.play({**LOCAL, "ansible_python_interpreter": python}, {MODULE: {}}).only
    assert answer.status == "ok", answer.data
    assert not [entry for entry in answer.data["coverage"] if not entry["read"]]


@pytest.mark.once
def test_growth_is_seen() -> None:
    """Sixty processes between the two samples, in a host where nothing else happens."""
    program = "; ".join((
        f"import json, sys; sys.path.insert(0, {str(ROOT / '.work' / 'collections')!r})",
        f"from {resources.__name__} import report",
        "print(json.dumps(report(10, 20.0, only=['process_slots'], samples=2, interval=4.0)))",
    ))  # fmt: skip
    with Arena(slots=400) as arena:
        arena.start(["sh", "-c", "sleep 2; for number in $(seq 60); do sleep 30 & done; wait"])
        said = json.loads(arena.run([sys.executable, "-c", program]).stdout)
    growths = {one["limit_name"]: one["growth"] for one in said["resources"] if one["scope"] == "host"}
    assert growths["kernel.pid_max"]["per_minute"] > 100
    assert 0 < growths["kernel.pid_max"]["full_in_s"] < 600


@pytest.mark.parametrize(
    "options, words",
    [
        ({"interval": "0"}, "interval: 0 s is out of range"),
        ({"interval": "11m"}, "interval: 660 s is out of range"),
        ({"time_budget": "soon"}, "time_budget: 'soon' is not a duration"),
        ({"resources": ["everything"]}, "value of resources must be one or more of"),
        ({"samples": 3}, "value of samples must be one of"),
    ],
)
def test_nonsense_is_refused(controller: Controller, options: dict[str, t.Any], words: str) -> None:
    variables = {**LOCAL, "ansible_python_interpreter": "/usr/bin/python3"}
    answer = controller.play(variables, {MODULE: options}).only
    assert answer.status == "failed"
    assert words in answer.data["msg"]
    assert "Traceback" not in str(answer.data)
