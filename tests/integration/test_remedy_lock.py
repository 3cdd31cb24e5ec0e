# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The lock of the host and its remedy budget, with real runs, a real full disk and a user without rights."""

from __future__ import annotations

import concurrent.futures
import json
import os
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import Controller, Result
from ansible_collections.hostcare.remediation.tests.support.mounts import empty, full
from ansible_collections.hostcare.remediation.tests.support.sshd import PrivateSshd

LOCK = "hostcare.remediation.remedy_lock"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}

Hold = t.Callable[..., Result]


@pytest.fixture
def lock(controller: Controller, tmp_path: Path) -> Hold:
    def run(state: str = "held", arguments: t.Sequence[str] = (), **options: t.Any) -> Result:
        given = {
            "state": state,
            "remedy": "test",
            "owner": "run 1",
            "lock_directory": str(tmp_path / "run"),
            "budget_directory": str(tmp_path / "lib"),
        }
        return controller.play(LOCAL, {LOCK: given | options}, arguments=arguments).only

    return run


@pytest.mark.once
def test_one_holds_and_the_other_is_told_who(lock: Hold) -> None:
    assert lock().data["changed"]
    assert not lock().data["changed"], "the same owner again changes nothing"
    refused = lock(owner="run 2")
    assert refused.status == "failed"
    assert refused.data["refused"]
    assert refused.data["holder"]["owner"] == "run 1"
    assert "held by run 1 for test since" in refused.data["msg"]
    assert lock("released").data["changed"]
    assert not lock("released").data["changed"]
    assert lock(owner="run 2").data["held"]


@pytest.mark.once
def test_the_budget_refuses_and_says_when_it_is_free_again(lock: Hold) -> None:
    for number in range(2):
        assert lock(owner=f"run {number}", max_remedies=2, window="1d").data["held"]
        lock("released", owner=f"run {number}")
    refused = lock(owner="run 3", max_remedies=2, window="1d")
    assert refused.data["verdict"] == "exhausted"
    assert 86000 < refused.data["budget"]["free_again_in"] <= 86401
    assert refused.data["budget"]["free_again_at"].endswith("Z")
    assert lock(owner="run 3", max_remedies=2, window="1s").data["held"], "those two are outside of this window"


@pytest.mark.once
def test_check_mode_says_the_same_and_writes_nothing(lock: Hold, tmp_path: Path) -> None:
    preview = lock(arguments=["--check"])
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "lib").exists()
    done = lock()
    assert preview.data.keys() == done.data.keys()
    for key in ("changed", "verdict", "reason", "actions"):
        assert preview.data[key] == done.data[key]


def test_diff_mode_shows_holder_and_budget(controller: Controller, tmp_path: Path) -> None:
    places = {"lock_directory": str(tmp_path / "run"), "budget_directory": str(tmp_path / "lib")}
    claim = {"state": "held", "remedy": "test", "owner": "run 1", **places}
    _lock, shown = controller.play(
        LOCAL,
        {LOCK: claim, "diff": True, "register": "lock"},
        {"ansible.builtin.debug": {"msg": "{{ lock.diff }}"}},
    ).results
    assert shown.data["msg"] == {
        "before": "lock held by: nobody\ntest remedies within the window: 0\n",
        "after": "lock held by: run 1 for test\ntest remedies within the window: 1\n",
    }


@pytest.mark.once
def test_a_lock_from_before_the_boot_is_taken_over(lock: Hold, tmp_path: Path) -> None:
    lock()
    file = tmp_path / "run" / "lock"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"boot_id": "an earlier one"}))
    taken = lock(owner="run 2")
    assert taken.data["held"]
    assert taken.data["taken_over_from"]["owner"] == "run 1"


@pytest.mark.once
def test_of_runs_at_the_same_moment_one_wins(tmp_path: Path) -> None:
    def run(number: int) -> Result:
        home = tmp_path / f"controller-{number}"
        home.mkdir()
        places = {"lock_directory": str(tmp_path / "run"), "budget_directory": str(tmp_path / "lib")}
        claim = {"state": "held", "remedy": "test", "owner": f"run {number}", **places}
        return Controller(home).play(LOCAL, {LOCK: claim}).only

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert sorted(result.data["verdict"] for result in results) == ["busy"] * 3 + ["taken"]


@pytest.fixture(scope="module")
def host_with_a_full_disk() -> Iterator[PrivateSshd]:
    with PrivateSshd(wrapper=empty("/run") + full("/mnt")) as sshd:
        yield sshd


@pytest.mark.once
def test_a_full_disk_keeps_the_budget_beside_the_lock(
    controller: Controller, host_with_a_full_disk: PrivateSshd
) -> None:
    host_vars = host_with_a_full_disk.inventory(persist=True)
    for number in range(2):
        claim = {"remedy": "test", "owner": f"run {number}", "max_remedies": 2, "budget_directory": "/mnt/hostcare"}
        held, released = controller.play(
            host_vars, {LOCK: claim | {"state": "held"}}, {LOCK: claim | {"state": "released"}}
        ).results
        assert held.data["held"], held.data
        assert held.data["budget"]["file"] == "/run/hostcare/budget-test.json"
        assert "No space left on device" in held.warnings
        assert released.data["changed"]
    claim = {
        "state": "held",
        "remedy": "test",
        "owner": "run 2",
        "max_remedies": 2,
        "budget_directory": "/mnt/hostcare",
    }
    assert controller.play(host_vars, {LOCK: claim}).only.data["verdict"] == "exhausted"


@pytest.mark.once
def test_a_user_without_rights_is_told_what_to_do(controller: Controller, tmp_path: Path) -> None:
    # /usr/bin/python3 becomes that user before it reads the module: no sudo, no second process.
    python = "/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/python3"
    places = {"lock_directory": str(tmp_path / "run"), "budget_directory": str(tmp_path / "lib")}
    claim = {"state": "held", "remedy": "test", "owner": "run 1", **places}
    os.chmod(tmp_path, 0o755)
    answer = controller.play(LOCAL | {"ansible_python_interpreter": python}, {LOCK: claim}).only
    assert answer.status == "failed"
    assert "set become: true (this ran as uid 65534)" in answer.data["msg"]


@pytest.mark.once
@pytest.mark.parametrize(
    "options, words",
    [
        ({"remedy": "../etc"}, "is not a name"),
        ({"remedy": ""}, "is not a name"),
        ({"owner": "  "}, "printable"),
        ({"owner": "a\nb"}, "printable"),
        ({"owner": "x" * 201}, "printable"),
        ({"window": "0s"}, "longer than 0"),
        ({"stale_after": "soon"}, "not a duration"),
        ({"max_remedies": -1}, "not between 0 and 200"),
    ],
)
def test_bad_input_is_refused_by_name(lock: Hold, options: dict[str, t.Any], words: str) -> None:
    answer = lock(**options)
    assert answer.status == "failed"
    assert words in answer.data["msg"]
    assert next(iter(options)) in answer.data["msg"]
