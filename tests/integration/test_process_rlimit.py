# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""process_rlimit on live services: what they can do afterwards, whom it leaves alone, and what it may not do."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.descriptors import DAEMON, Field
from ansible_collections.hostcare.remediation.tests.support.slots import Login

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CAP_SYS_RESOURCE = 24
WITHOUT_IT = ("setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource")
MODULE = "hostcare.remediation.process_rlimit"


def has_the_capability() -> bool:
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> CAP_SYS_RESOURCE & 1)


def limits_in(field: Field, unit: str) -> dict[int, str]:
    """By prlimit(1), of all that live in a unit."""
    pids = [task.inside for task in field.arena.living(unit)]
    found = {}
    for pid in pids:
        said = field.output("prlimit", "--pid", str(pid), "--nofile", "--noheadings", "--raw", "-o", "SOFT,HARD")
        if said.strip():
            found[pid] = said.strip()
    return found


def soon(true: Any, what: str, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.once
def test_a_service_goes_on_without_a_restart(tmp_path: Path) -> None:
    """It fails with EMFILE, its limit is raised while it lives, and it opens more; its neighbour keeps its own."""
    with Field() as field:
        for unit in ("app", "twin"):
            limit = ("prlimit", "--nofile=100:1000", "--")
            field.daemon(f"{unit}.service", "hungry", tmp_path / unit, prefix=limit)

        def held(unit: str) -> int:
            with contextlib.suppress(OSError, ValueError):
                return int((tmp_path / unit).read_text())
            return 0

        soon(lambda: held("app") > 80 and held("twin") > 80, "both are full")
        assert field.survey(unit=["app.service"])["verdict"] == "near_limit"
        before = limits_in(field, "app.service")
        raised = field.limits(unit=["app.service"], soft="500")
        assert (raised["changed_processes"], raised["converged"], raised["problem"]) == (1, True, "")
        soon(lambda: held("app") > 480, "it opens more")
        assert 80 < held("twin") < 100
        assert list(limits_in(field, "app.service").values()) == ["500 1000"]
        assert limits_in(field, "app.service").keys() == before.keys(), "it was restarted"
        assert not field.limits(unit=["app.service"], soft="500")["changed"]
        # to take it back would leave it with more than it may have
        refused = field.limits(restore=raised["undo"])
        assert (refused["refused"], refused["changed"]) == (1, False)
        assert "allow_below_use" in refused["problem"]
        assert field.limits(restore=raised["undo"], allow_below_use=True)["changed_processes"] == 1
        assert list(limits_in(field, "app.service").values()) == ["100 1000"]


@pytest.mark.once
def test_workers_that_are_born_meanwhile_get_it_too() -> None:
    with Field() as field:
        field.daemon("web.service", "breeder", 0.004, 1.0, prefix=("prlimit", "--nofile=100:1000", "--"))
        field.daemon("twin.service", "breeder", 0.1, 1.0, prefix=("prlimit", "--nofile=100:1000", "--"))
        soon(lambda: len(field.arena.living("web.service")) > 30, "workers")
        raised = field.limits(unit=["web.service"], soft="700", max_processes=5000)
        assert raised["converged"], raised["problem"]
        found: dict[int, str] = {}

        def met() -> int:
            found.update(limits_in(field, "web.service"))
            return len(found)

        # prlimit(1) is slow: on a busy machine a look meets few of them alive
        soon(lambda: met() > 20, "workers that were born since", 60)
        assert set(found.values()) == {"700 1000"}
        assert set(limits_in(field, "twin.service").values()) == {"100 1000"}


@pytest.mark.once
def test_without_the_capability_it_says_what_it_may_not() -> None:
    with Field() as field:
        field.daemon("app.service", "idle", 1, prefix=("prlimit", "--nofile=100:1000", "--"))
        for check in (True, False):
            refused = field.limits(*WITHOUT_IT, unit=["app.service"], soft="2000", check_mode=check)
            assert (refused["refused"], refused["changed"], refused["converged"]) == (1, False, False)
            assert "raising its hard limit of 1000 takes CAP_SYS_RESOURCE" in refused["problem"]
            assert "give soft: hard" in refused["problem"]
        assert list(limits_in(field, "app.service").values()) == ["100 1000"]
        raised = field.limits(*WITHOUT_IT, unit=["app.service"], soft="hard")
        assert (raised["changed_processes"], raised["problem"]) == (1, "")
        assert list(limits_in(field, "app.service").values()) == ["1000 1000"]


@pytest.mark.once
def test_with_the_capability_the_hard_limit_is_taken_along() -> None:
    if not has_the_capability():
        pytest.skip("root lacks CAP_SYS_RESOURCE here, so no hard limit can be raised")
    with Field() as field:
        field.daemon("app.service", "idle", 1, prefix=("prlimit", "--nofile=100:1000", "--"))
        raised = field.limits(unit=["app.service"], soft="2000")
        assert (raised["changed_processes"], raised["problem"]) == (1, "")
        assert list(limits_in(field, "app.service").values()) == ["2000 2000"]
        most = Path("/proc/sys/fs/nr_open").read_text().strip()
        field.limits(unit=["app.service"], hard="max")
        assert list(limits_in(field, "app.service").values()) == [f"2000 {most}"]


@pytest.mark.once
def test_nobody_may_have_more_than_nr_open() -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    with Field() as field:
        field.daemon("app.service", "idle", 1)
        refused = field.limits(unit=["app.service"], soft=str(most + 1))
        assert f"over fs.nr_open, which is {most}" in refused["problem"]


@pytest.mark.once
def test_containers_are_not_lowered_unless_meant() -> None:
    with Field() as field:
        field.daemon("box.service", "idle", 1, prefix=("unshare", "--pid", "--fork", "--kill-child"))
        inside = {"name": ["python"], "unit": ["box.service"], "soft": "300", "change": "set"}
        name = field.arena.living("box.service")[-1].name
        spared = field.limits(**{**inside, "name": [name]})
        assert spared["protected"] >= 1, spared["processes"]
        assert "it is in a container" in str(spared["processes"])
        meant = field.limits(**{**inside, "name": [name]}, include_containers=True)
        assert meant["protected"] == 0
        assert meant["changed_processes"] >= 1


@pytest.mark.once
def test_a_user_may_raise_his_own_and_no_others() -> None:
    with Field() as field:
        user = ("setpriv", "--reuid", "games", "--regid", "games", "--clear-groups")
        limit = ("prlimit", "--nofile=100:1000", "--")
        field.start("own.service", *limit, *user, "/usr/bin/python3", DAEMON, "idle", "1")
        field.daemon("other.service", "idle", 1, prefix=limit)
        tool = ("env", "-i", "PATH=/usr/bin:/bin", *user)
        own = _by_system_python(field, *tool, unit=["own.service"], soft="hard")
        assert (own["changed_processes"], own["problem"]) == (1, "")
        other = _by_system_python(field, *tool, unit=["other.service"], soft="hard")
        assert (other["changed_processes"], other["refused"]) == (0, 1)
        assert "belongs to root" in other["problem"]


def _by_system_python(field: Field, *prefix: str, **options: Any) -> dict[str, Any]:
    """That of these tests may be out of reach for other users."""
    command = [*prefix, "/usr/bin/python3", str(Path(DAEMON).with_name("tool.py")), "limits", json.dumps(options)]
    return dict(json.loads(field.output(*command)))


# --- through ansible-core ---


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A process with a name of its own and a soft limit of 100."""
    name = f"hcl{uuid.uuid4().hex[:8]}"
    shutil.copy("/bin/sleep", tmp_path / name)
    process = subprocess.Popen([tmp_path / name, "300"], start_new_session=True)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (100, HARD))
    yield name, process.pid
    process.kill()
    process.wait()


def soft_of(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def test_check_run_again_and_undo(root: Login, sleeper: tuple[str, int]) -> None:
    name, pid = sleeper
    wanted = {MODULE: {"name": [name], "soft": "200"}}
    foreseen = root.play(wanted, live=True, arguments=["--check"]).only
    assert (foreseen.status, foreseen.data["changed"], soft_of(pid)) == ("ok", True, 100)
    assert [one["new_soft"] for one in foreseen.data["processes"]] == ["200"]
    done = root.play(wanted, live=True).only
    assert (done.status, done.data["changed"], soft_of(pid)) == ("ok", True, 200)
    assert done.data.keys() == foreseen.data.keys()
    assert root.play(wanted, live=True).only.data["changed"] is False
    undone = root.play({MODULE: {"restore": done.data["undo"]}}, live=True).only
    assert (undone.status, undone.data["changed"], soft_of(pid)) == ("ok", True, 100)


def test_a_refusal_is_a_failure_with_the_whole_result(root: Login, sleeper: tuple[str, int]) -> None:
    name, pid = sleeper
    failed = root.play({MODULE: {"name": [name], "soft": "1", "change": "set"}}, live=True).only
    assert (failed.status, soft_of(pid)) == ("failed", 100)
    assert "set allow_below_use" in failed.data["msg"]
    assert failed.data["processes"][0]["outcome"] == "refused"
    assert "Traceback" not in str(failed.data)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"name": ["x"]}, "neither soft nor hard"),
        ({"soft": "lots", "name": ["x"]}, "'lots' is no limit"),
        ({"soft": "1"}, "the selector is empty"),
        ({"soft": "1", "name": ["x"], "restore": [{"pid": 1}]}, "missing required arguments"),
    ],
)
def test_bad_input_is_refused(root: Login, options: dict[str, Any], said: str) -> None:
    failed = root.play({MODULE: options}, live=True).only
    assert failed.status == "failed"
    assert said in failed.data["msg"]
