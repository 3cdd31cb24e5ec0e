# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The documentation of the modules says what they take and what they return: no less, no more, and of which type."""

from __future__ import annotations

import importlib
import os
import re
import socket
import subprocess
import typing as t
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hostcare.remediation.plugins.action import batch, triage_report
from ansible_collections.hostcare.remediation.plugins.module_utils._cron import remedy as cron
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import limits_remedy, survey
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.limits_plan import Wish
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.request import Request
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import info, removal
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.look import Host
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import parse as ipc_parse
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import KINDS
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import remedy as maildrop
from ansible_collections.hostcare.remediation.plugins.module_utils._process import evidence
from ansible_collections.hostcare.remediation.plugins.module_utils._process.report import Report
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse as parse_selector
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.plan import plan
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.report import render_plan
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn import survey as spawn
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_report import Wanted, report
from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.mail import Spool
from ansible_collections.hostcare.remediation.tests.support.throttle_tool import run as throttle
from ansible_collections.hostcare.remediation.tests.unit.support import arrays
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child, sleeping
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import DEBIAN, asked, become
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree, process

COLLECTION = "hostcare.remediation."
MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "plugins" / "modules").glob("[a-z]*.py"))
TYPES = {"str": str, "int": int, "bool": bool, "float": (float, int), "list": list, "dict": dict}


def load(name: str) -> ModuleType:
    return importlib.import_module(f"ansible_collections.hostcare.remediation.plugins.modules.{name}")


def examples(name: str) -> list[dict[str, t.Any]]:
    return list(yaml.safe_load(load(name).EXAMPLES))


# What ansible-core reads in a result: "skipped" with anything in it makes a task one that was skipped.
RESERVED = frozenset({
    "skipped", "failed", "unreachable", "results", "exception", "warnings", "deprecations", "invocation", "diff",
    "ansible_facts", "ansible_stats", "add_host", "add_group", "finished", "started", "attempts", "ansible_job_id",
})  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_no_result_has_a_key_that_means_something_else_to_ansible(name: str) -> None:
    assert not set(documented(name)) & RESERVED


ACTIONS = {"batch": batch, "triage_report": triage_report}


class Asked(Exception):
    """Carries what the module asked `AnsibleModule` for."""


def specification(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    if name in ACTIONS:  # an action plugin is all there is to it
        return {"argument_spec": ACTIONS[name].ARGUMENTS, "supports_check_mode": True}

    def ask(**given: t.Any) -> t.NoReturn:
        raise Asked(given)

    module = load(name)
    monkeypatch.setattr(module, "AnsibleModule", ask)
    with pytest.raises(Asked) as asked:
        module.main()
    return dict(asked.value.args[0])


@pytest.mark.parametrize("name", MODULES)
def test_every_example_shows_the_module_and_has_a_name(name: str) -> None:
    tasks = examples(name)
    assert any(COLLECTION + name in task for task in tasks)
    assert all(task.get("name") for task in tasks)


def rendered(value: t.Any, option: dict[str, t.Any]) -> t.Any:
    """What a template makes is known in a run only; an empty list stands for a list."""
    is_template = isinstance(value, str) and value.startswith("{{")
    return [] if is_template and option.get("type") == "list" else value


@pytest.mark.parametrize("name", MODULES)
def test_the_module_accepts_the_arguments_of_its_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = specification(name, monkeypatch)
    names = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    spec = given["argument_spec"]
    validator = ArgumentSpecValidator(spec, **{key: given.get(key) for key in names})
    for task in examples(name):
        if COLLECTION + name in task:
            arguments = task[COLLECTION + name] or {}
            result = validator.validate({key: rendered(value, spec.get(key, {})) for key, value in arguments.items()})
            assert result.error_messages == [], task["name"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_check_mode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert specification(name, monkeypatch)["supports_check_mode"] is True


def differences(documented: dict[str, t.Any], value: t.Any, where: str) -> list[str]:
    """Between a ``contains`` of RETURN and a dictionary that was returned; null has no type."""
    found = [f"{where}.{key}: returned and not documented" for key in value.keys() - documented.keys()]
    found += [f"{where}.{key}: documented and not returned" for key in documented.keys() - value.keys()]
    for key in documented.keys() & value.keys():
        found += _of_one(documented[key], value[key], f"{where}.{key}")
    return found


def _of_one(documented: dict[str, t.Any], value: t.Any, where: str) -> list[str]:
    kind = documented["type"]
    if value is None:
        return []
    if not isinstance(value, TYPES[kind]) or (kind != "bool" and isinstance(value, bool)):
        return [f"{where}: {kind} is documented, {type(value).__name__} returned"]
    if kind == "dict":
        return differences(documented["contains"], value, where) if "contains" in documented else []
    if kind == "list":
        element = {"type": documented["elements"], **{k: v for k, v in documented.items() if k == "contains"}}
        if not value:
            return [f"{where}: nothing to compare with"]
        return [line for index, item in enumerate(value) for line in _of_one(element, item, f"{where}[{index}]")]
    return []


def documented(name: str) -> dict[str, t.Any]:
    return dict(yaml.safe_load(load(name).RETURN))


def test_what_rogue_process_returns() -> None:
    table = ProcessTable()
    report = Report(table, "killed")
    own = table.read(os.getpid())
    assert own is not None
    with sleeping() as child:
        report.group([child], "meets name")
        report.protected = [(own, "it is this module itself")]
        report.survivors = [(child, "it did not end in time")]
        report.zombies = [child]
        report.evidence = evidence.collect(report.describer, [child], 1)
        report.actions = ["killed 1 processes"]
        table.denied = 1
        returned = report.render()
    assert evidence.psutil is not None, "the whole evidence takes psutil"
    assert None not in returned["evidence"][0].values()
    assert isinstance(returned.pop("changed"), bool)
    assert differences(documented("rogue_process"), returned, "rogue_process") == []


def test_what_headroom_info_returns(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path / "proc", init=False)  # hidden, so that the view is partial
    for pid in range(100, 160):
        tree.add(process(pid, b"bomb", ppid=os.getpid(), pgid=100, sid=100), uid=54321, limit="100")
    tree.add(process(200, b"undead", state="Z", ppid=os.getpid()))
    mounts = f"1 1 0:1 / {tmp_path} rw - cgroup2 none rw\n2 1 0:2 / /srv rw - nfs4 server:/ rw\n"
    tree.write("self/mountinfo", mounts)
    (tmp_path / "user.slice").mkdir()
    (tmp_path / "user.slice" / "pids.max").write_text("90\n")
    (tmp_path / "user.slice" / "pids.current").write_text("61\n")
    returned = resources.report(10, 20.0, str(tree.root), samples=2, interval=0.1)
    assert {one["limit_name"] for one in returned["resources"]} == {
        "kernel.pid_max", "kernel.threads-max", "RLIMIT_NPROC", "pids.max",
    }  # fmt: skip
    assert differences(documented("headroom_info"), returned, "headroom_info") == []


def test_what_file_descriptor_info_returns(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log, socket.socket(), open("/etc/passwd", "rb"), sleeping() as child:
        log.write(b"x")
        os.unlink(log.name)
        with sleeping() as twin:
            selector = parse_selector({"pid": [child.pid, twin.pid]})
            returned = survey.run(Request(selector, samples=2, interval=0.2))
            returned["partial_reasons"] = survey.run(Request(selector, max_links=5))["partial_reasons"]
    assert differences(documented("file_descriptor_info"), returned, "file_descriptor_info") == []


def test_what_file_descriptor_info_returns_of_this_machine() -> None:
    found = differences(documented("file_descriptor_info"), survey.run(Request()), "file_descriptor_info")
    assert [line for line in found if not line.endswith("nothing to compare with")] == []


def test_what_process_rlimit_returns() -> None:
    table = ProcessTable()
    table.denied = 1
    with sleeping() as child:
        request = limits_remedy.Request(Wish("nofile", 77, change="set"), parse_selector({"pid": [child.pid]}))
        outcomes = [limits_remedy.run(request._replace(check_mode=check), table) for check in (True, False)]
    for outcome in outcomes:
        assert isinstance(outcome.result.pop("changed"), bool)
        assert differences(documented("process_rlimit"), outcome.result, "process_rlimit") == []
    assert outcomes[1].result["changed_processes"] == 1


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_spawn_throttle_returns(tmp_path: Path, check_mode: bool) -> None:
    """A throttle and its release return the same keys; together they leave no list empty."""
    options = {"limit": "5", "release_after": "1m", "pid": [os.getpid()], "check_mode": check_mode}
    with PidsCgroup() as cell, sleeping() as child:
        cell.add(child.pid)
        options["pid"] = [child.pid, os.getpid()]
        found = [throttle(str(tmp_path / "run"), {"state": state, **options}) for state in ("throttled", "released")]
    for returned in found:
        for key in ("problem", "warnings", "diff", "changed"):
            returned.pop(key)
        returned["partial_reasons"] = ["one"]
    assert found[0]["targets"][0]["outcome"] == "throttled"
    assert differences(documented("spawn_throttle"), found[0], "spawn_throttle") == []
    assert found[0].keys() == found[1].keys()


def test_what_spawn_info_returns() -> None:
    """A parent whose children fail, which is who is to blame, beside whatever else is born on this machine."""
    script = "while :; do (sleep 0.02; exit 1); done"
    with subprocess.Popen(["bash", "-c", script], start_new_session=True) as spawner:
        try:
            returned = spawn.run(spawn.Request(duration=2.0, top=50))
        finally:
            spawner.kill()
    assert [group for group in returned["groups"] if group["spawner"]], returned
    returned["partial_reasons"] = ["one"]
    missing = differences(documented("spawn_info"), returned, "spawn_info")
    assert [line for line in missing if not line.endswith("nothing to compare with")] == []


def test_what_headroom_info_returns_of_this_machine() -> None:
    returned = resources.report(10, 20.0)
    found = differences(documented("headroom_info"), returned, "headroom_info")
    assert [line for line in found if not line.endswith("nothing to compare with")] == []


def _objects_of_the_dead() -> None:
    arrays.array(value=1)
    arrays.array(key=0x5EED, value=1)
    arrays.segment()
    arrays.send(arrays.queue())


def _ipc(run: t.Callable[[Host], dict[str, t.Any]]) -> dict[str, t.Any]:
    """In an IPC namespace with objects that a dead process of the user left, and a living process of that user."""

    def work() -> dict[str, t.Any]:
        in_child(lambda: (os.setresuid(54321, 54321, 54321), _objects_of_the_dead())[1])
        with sleeping(uid=54321):
            host = Host.here()
            host.processes.denied = 1  # so that the view is partial
            return run(host)

    return arrays.in_namespace(work, "25032000 32 512")


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_sysv_ipc_returns(check_mode: bool) -> None:
    def run(host: Host) -> dict[str, t.Any]:
        asked = {"kind": list(KINDS), "owner": ["54321"], "bystanders": []}
        verdicts = frozenset(["unknown"])
        options = removal.Options(ipc_parse(asked), verdicts, min_age=0.0, observe=0.0, check_mode=check_mode)
        return removal.run(options, host=host).result

    returned = _ipc(run)
    assert isinstance(returned.pop("changed"), bool)
    assert returned["removed"], returned
    assert returned["kept"], returned
    found = differences(documented("sysv_ipc"), returned, "sysv_ipc")
    assert [line for line in found if not re.search(r"limits\[\d\]\.holders: nothing to compare", line)] == []


def test_what_sysv_ipc_info_returns(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "sysctl.conf").write_text("kernel.sem = 25032000 32 512\n")
    (tmp_path / "dev" / "shm").mkdir(parents=True)
    (tmp_path / "dev" / "shm" / "sem.left").write_bytes(b"x")

    def run(host: Host) -> dict[str, t.Any]:
        asked = {"kind": list(info.KINDS), "bystanders": []}
        return info.survey(ipc_parse(asked), 50, 20.0, host, str(tmp_path))

    returned = _ipc(run)
    found = differences(documented("sysv_ipc_info"), returned, "sysv_ipc_info")
    empty = [line for line in found if line.endswith("nothing to compare with")]
    assert [line for line in found if line not in empty] == []
    assert {line.split("]")[-1].split(":")[0] for line in empty} <= {".pids", ".holders"}, "of POSIX objects and limits"


def test_what_reserve_info_returns() -> None:
    """Before and after, and with something in the way: together they leave no list empty."""
    in_the_way = DEBIAN._replace(unread=("/etc/x cannot be read",), pids=False)
    hard = become(DEBIAN, plan(asked(), DEBIAN))
    found = [
        render_plan(plan(options, host), options, host, "/x")
        for options, host in (
            (asked(pid_max=65536), DEBIAN), (asked(pid_max=65536), in_the_way), (asked(state="reverted"), hard),
        )
    ]  # fmt: skip
    together = {key: next((one[key] for one in found if one[key]), found[0][key]) for key in found[0]}
    assert found[0].keys() == found[1].keys() == found[2].keys()
    together["size"] = {**together["size"], "outer_pids_max": 5}
    assert differences(documented("reserve_info"), together, "reserve_info") == []


def test_the_steps_of_a_batch_are_documented_as_they_are_checked() -> None:
    (steps,) = yaml.safe_load(load("batch").DOCUMENTATION)["options"].values()
    told = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in steps["suboptions"].items()
    }
    assert told == batch.STEP


def test_what_triage_report_returns() -> None:
    limit = {"resource": "inodes", "scope": "host", "limit_name": "inodes", "used": 99, "limit": 100, "free": 1}
    answers = {"a": {"resources": [{**limit, "share": 0.99, "incident": "x"}]}, "b": {"msg": "no"}}
    wanted = Wanted(metrics_directory="/nonexistent")
    returned = report(answers, Thresholds(), ["x"], wanted, datetime(2026, 11, 21, tzinfo=timezone.utc))
    assert differences(documented("triage_report"), returned, "triage_report") == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_postfix_maildrop_returns(tmp_path: Path, check_mode: bool) -> None:
    """Both states return the same keys; together they leave no list empty."""
    spool = Spool(tmp_path / "spool")
    spool.fill(5)
    spool.write("A240970", user="nobody")
    etc = str(spool.etc)
    given = {"config_directory": etc, "check_mode": check_mode, "archive": str(spool.archives), "swap": True}
    purged = maildrop.run(maildrop.Options("purged", **given)).result
    present = maildrop.run(maildrop.Options("present", config_directory=etc, check_mode=check_mode)).result
    assert purged["archive"] is not None
    assert purged.keys() == present.keys()
    together = {key: purged[key] or present[key] for key in purged}
    assert isinstance(together.pop("changed"), bool)
    found = differences(documented("postfix_maildrop"), together, "postfix_maildrop")
    empty = ["leftovers", "partial_reasons"]  # of runs that were cut short: their elements are strings
    assert sorted(found) == [f"postfix_maildrop.{key}: nothing to compare with" for key in empty]


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_cron_mailto_returns(tmp_path: Path, check_mode: bool) -> None:
    for name, content in (
        ("crontab", b"MAILTO=a\n* * * * * root x\nMAILTO=b\n* * * * * root y\n* * * * * root z"),
        ("cron.d/app", b"* * * * * root x\n"),
        ("passwd", b"root:x:0:0::/root:/bin/sh\n"),
    ):
        path = tmp_path / "etc" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    table = ProcTree(tmp_path / "proc").table

    def run(**changes: t.Any) -> dict[str, t.Any]:
        given = {"state": "present", "value": b"", "dialect": "systemd_cron", "scope": ("system",), **changes}
        report = cron.run(cron.Options(**given, check_mode=check_mode), str(tmp_path), table)
        return {**report.render(), "msg": report.problem}

    removed = run(state="absent", value=b"a")
    returned = run()
    returned["files"] = [
        {key: before[key] or after[key] for key in after}
        for before, after in zip(removed["files"], returned["files"], strict=True)
    ]
    assert isinstance(returned.pop("changed"), bool)
    assert returned.pop("msg") == ""
    found = differences(documented("cron_mailto"), returned, "cron_mailto")
    empty = [
        line for line in found if re.search(r"(\]\.(rewritten|removed|warnings)|partial_reasons): nothing to", line)
    ]
    assert [line for line in found if line not in empty] == []
