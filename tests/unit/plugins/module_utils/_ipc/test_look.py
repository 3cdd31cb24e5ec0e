# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs over real objects, in IPC namespaces of their own, with every way to fork closed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import info, removal
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.look import Host
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import parse
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    MESSAGE_QUEUES,
    SEMAPHORES,
    SHARED_MEMORY,
    Calls,
    Tables,
)
from ansible_collections.hostcare.remediation.tests.unit.support import arrays
from ansible_collections.hostcare.remediation.tests.unit.support.arrays import in_namespace, needs_root
from ansible_collections.hostcare.remediation.tests.unit.support.children import NOBODY, in_child, sleeping

APP = 1_000_000 + os.getpid()  # a user that nobody else on this machine is, another run of this test included
Result = t.Dict[str, t.Any]


def ids(kind: str = SEMAPHORES) -> list[int]:
    return sorted(found.id for found in Tables().read(kind) or ())


def remove(check_mode: bool = False, record: t.Any = lambda _line: None, **given: t.Any) -> Result:
    chosen = {"kind": [SEMAPHORES], "owner": [str(APP)], "service": {"name": ["hostcare-no-one"]}, "bystanders": []}
    options = {name: given.pop(name) for name in list(given) if name in removal.Options._fields}
    asked = removal.Options(
        parse({**chosen, **given}), check_mode=check_mode, **{"observe": 0, "min_age": 0, **options}
    )
    outcome = removal.run(asked, record)
    return {**outcome.result, "problem": outcome.problem}


def left_behind(make: t.Callable[[], t.Any], uid: int = APP) -> t.Any:
    """What a process of that user makes, and dies."""

    def life() -> t.Any:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return make()

    return in_child(life)


_HOLDER = """
import os, signal, sys
sys.path[:] = {path!r}
from ansible_collections.hostcare.remediation.tests.unit.support import arrays
open("/proc/self/comm", "w").write("hostcare-holder")
os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})
{make}
print("ready", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def holding(make: str) -> t.Iterator[subprocess.Popen[bytes]]:
    """A living process of that user, with memory of its own, that makes something and sleeps."""
    code = _HOLDER.format(path=sys.path, uid=APP, make=make)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield holder
        finally:
            os.kill(holder.pid, signal.SIGKILL)


@needs_root
class TestArrays:
    def test_orphans_go_and_the_innocent_stay(self) -> None:
        def work() -> t.Any:
            mine = arrays.array(value=1)  # of root
            orphans = [left_behind(lambda: arrays.array(value=1)), left_behind(arrays.array)]
            before = ids()
            time.sleep(2.2)
            with holding("arrays.array(value=1)"):
                live = sorted(set(ids()) - set(before))
                would = remove(check_mode=True)
                untouched = ids()
                forbid_forks()
                did = remove()
                again = remove()
                return mine, orphans, live, would, untouched, did, again, ids()

        mine, orphans, live, would, untouched, did, again, after = in_namespace(work)
        assert after == sorted([mine, *live])
        assert untouched == sorted([mine, *orphans, *live]), "check mode touches nothing"
        for result in (would, did):
            assert result["changed"]
            assert (result["matched"], result["removed_total"], result["kept_total"]) == (3, 2, 1)
            assert [entry["id"] for entry in result["removed"]] == sorted(orphans)
            assert {entry["verdict"] for entry in result["removed"]} == {"orphaned"}
            assert [(entry["id"], entry["verdict"]) for entry in result["kept"]] == [(live[0], "in_use")]
            assert result["freed"] == {"SEMMNI": 2, "SEMMNS": 2, "SHMMNI": 0, "SHMALL": 0, "MSGMNI": 0}
        assert (would["converged"], did["converged"]) == (False, True)
        assert would.keys() == did.keys()
        assert did["limits"][0]["used"] == 2
        assert not again["changed"]
        assert again["removed_total"] == 0

    def test_what_is_in_use_is_not_removed_by_any_option(self) -> None:
        def work() -> t.Any:
            with holding("arrays.array(value=1)"):
                (live,) = ids()
                return remove(id=[live], verdicts=frozenset(["orphaned", "unknown", "in_use"])), ids() == [live]

        result, lives = in_namespace(work)
        assert lives
        assert result["kept"][0]["verdict"] == "in_use"

    def test_the_record_comes_first(self) -> None:
        def work() -> t.Any:
            orphan = left_behind(lambda: arrays.array(value=1))
            told: list[t.Any] = []
            remove(record=lambda line: told.append((line, ids() == [orphan])))
            return orphan, told, ids()

        orphan, told, after = in_namespace(work)
        assert told == [(f"removing 1 array of {APP}: {orphan}", True)]
        assert after == []

    @pytest.mark.parametrize("moment", ["between", "at last"])
    @pytest.mark.parametrize("event", ["removed", "touched", "used as before"])
    def test_what_moves_meanwhile_stays(self, moment: str, event: str) -> None:
        """Between the looks, and after the second one."""

        def work() -> t.Any:
            moving = left_behind(lambda: arrays.array(value=1))
            orphan = left_behind(lambda: arrays.array(value=1))

            def happen(_what: object) -> None:
                if event == "removed":
                    arrays.remove(moving)
                elif event == "touched":
                    left_behind(lambda: arrays.operate(moving, 1))
                else:  # the value is what it was; who touched it is not
                    left_behind(lambda: (arrays.operate(moving, 1), arrays.operate(moving, -1)))

            if moment == "between":
                removal.time = Moment(happen)  # type: ignore[attr-defined, assignment]
            result = remove(record=happen if moment == "at last" else lambda _line: None)
            return orphan, moving, result, ids()

        orphan, moving, result, after = in_namespace(work)
        assert [entry["id"] for entry in result["removed"]] == [orphan]
        if event == "removed":
            assert (after, result["vanished"], result["kept"]) == ([], 1, [])
        else:
            assert after == [moving]
            assert [entry["id"] for entry in result["kept"]] == [moving]
            assert "it changed" in result["kept"][0]["reason"]

    def test_one_that_is_touched_meanwhile_tells_of_the_others(self) -> None:
        """Long after anybody used them: an old daemon of another user turns out to be one who does."""

        def work() -> t.Any:
            trigger, first = 0, 1  # in a namespace of its own, arrays are counted from 0
            assert arrays.array(value=0) == trigger

            def life() -> None:
                arrays.operate(trigger, -1)
                arrays.operate(first, 1)
                time.sleep(60)

            with sleeping(b"hc-daemon", life=life):
                made = [left_behind(lambda: arrays.array(value=1)) for _one in range(2)]
                assert made[0] == first
                time.sleep(4.2)

                def happen(_seconds: float) -> None:
                    arrays.operate(trigger, 1)
                    time.sleep(0.3)

                removal.time = Moment(happen)  # type: ignore[attr-defined, assignment]
                return made, remove(), ids()

        made, result, after = in_namespace(work)
        assert after == [0, *made]
        assert result["removed"] == []

    def test_one_made_meanwhile_stays(self) -> None:
        def work() -> t.Any:
            left_behind(lambda: arrays.array(value=1))
            made: list[int] = []
            removal.time = Moment(lambda _s: made.append(left_behind(arrays.array)))  # type: ignore[attr-defined, assignment]
            result = remove()
            return result, made, ids()

        result, made, after = in_namespace(work)
        assert result["removed_total"] == 1
        assert after == made

    def test_the_brake(self) -> None:
        def work() -> t.Any:
            for _number in range(3):
                left_behind(lambda: arrays.array(value=1))
            with pytest.raises(Refused, match="3 objects would be removed, more than max_removals=2"):
                remove(max_removals=2)
            before = len(ids())
            remove(max_removals=3)
            return before, len(ids())

        assert in_namespace(work) == (3, 0)

    def test_an_array_with_a_key_goes_only_by_name(self) -> None:
        def work() -> t.Any:
            left_behind(lambda: arrays.array(key=0x5EED, value=1))
            return [remove()["removed_total"], remove(key=["0x5eed"])["removed_total"]]

        assert in_namespace(work) == [0, 1]

    def test_young_ones_stay(self) -> None:
        def work() -> t.Any:
            left_behind(lambda: arrays.array(value=1))
            return [remove(min_age=60)["kept"][0]["reason"], remove()["removed_total"]]

        assert in_namespace(work) == ["it is younger than min_age", 1]

    def test_without_rights(self) -> None:
        """A user who may see the table and nothing more."""

        def work() -> t.Any:
            left_behind(lambda: arrays.array(value=1))
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            return remove(), len(ids())

        result, count = in_namespace(work)
        assert count == 1
        assert result["partial"]
        assert result["kept"][0]["reason"] == "it may not be read by this user"

    def test_with_the_right_to_look_and_not_to_remove(self) -> None:
        def work() -> t.Any:
            def make() -> int:
                number = arrays.array(value=1)
                arrays.allow_all(number)
                return number

            left_behind(make)
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            return remove(), len(ids())

        result, count = in_namespace(work)
        assert count == 1
        assert "run as root" in result["problem"], result["kept"][0]["reasons"]
        assert not result["converged"]
        assert "refused to remove" in result["kept"][0]["reason"]

    def test_a_bystander_of_the_same_user(self) -> None:
        def work() -> t.Any:
            with sleeping(b"hostcare-php", uid=APP):
                time.sleep(1.1)
                left_behind(lambda: arrays.array(value=1))
                kept = remove()
                removed = remove(bystanders=[{"name": ["hostcare-php"]}])
            return kept["kept"][0], removed["removed_total"]

        kept, removed = in_namespace(work)
        assert kept["verdict"] == "unknown"
        assert [holder["name"] for holder in kept["holders"]] == ["hostcare-php"]
        assert removed == 1


@needs_root
class TestMemoryAndQueues:
    def test_memory(self) -> None:
        def work() -> t.Any:
            orphan = left_behind(lambda: arrays.segment(5000))
            time.sleep(2.2)
            with holding("arrays.attach(arrays.segment())"):
                result = remove(kind=[SHARED_MEMORY])
                return orphan, result, ids(SHARED_MEMORY)

        orphan, result, after = in_namespace(work)
        assert [entry["id"] for entry in result["removed"]] == [orphan]
        assert len(after) == 1
        assert result["kept"][0]["reason"] == "processes have it attached"
        assert result["freed"]["SHMMNI"] == 1
        assert result["freed"]["SHMALL"] == 2

    def test_queues(self) -> None:
        def work() -> t.Any:
            def unread() -> int:
                number = arrays.queue()
                arrays.send(number)
                return number

            empty, full = left_behind(arrays.queue), left_behind(unread)
            first = remove(kind=[MESSAGE_QUEUES])
            second = remove(kind=[MESSAGE_QUEUES], discard_messages=True)
            return empty, full, first, second, ids(MESSAGE_QUEUES)

        empty, full, first, second, after = in_namespace(work)
        assert [entry["id"] for entry in first["removed"]] == [empty]
        assert [(entry["id"], entry["reason"]) for entry in first["kept"]] == [(full, "it holds unread messages")]
        assert [entry["id"] for entry in second["removed"]] == [full]
        assert second["freed"]["MSGMNI"] == 1
        assert after == []


@needs_root
class TestInfo:
    def test_every_kind_is_told_with_its_verdict(self) -> None:
        def work() -> t.Any:
            left_behind(lambda: (arrays.array(value=1), arrays.segment(), arrays.queue()))
            time.sleep(2.2)
            with holding("arrays.array(2, value=1); arrays.attach(arrays.segment())"):
                forbid_forks()
                kinds = {"kind": list(info.KINDS), "owner": [str(APP)], "bystanders": []}
                return info.survey(parse(kinds), 50, 20.0)

        found = in_namespace(work)
        assert {total["kind"]: (total["objects"], total["in_use"], total["orphaned"]) for total in found["totals"]} == {
            "semaphores": (2, 1, 1),
            "shared_memory": (2, 1, 1),
            "message_queues": (1, 0, 1),
            "posix_semaphores": (0, 0, 0),
            "posix_shared_memory": (0, 0, 0),
            "posix_message_queues": (0, 0, 0),
        }
        assert [entry["verdict"] for entry in found["objects"]] == ["orphaned"] * 3 + ["in_use"] * 2
        attached = next(entry for entry in found["objects"] if entry["attached"])
        assert [holder["name"] for holder in attached["holders"]] == ["hostcare-holder"]
        used = {limit["limit_name"]: limit["used"] for limit in found["limits"]}
        assert (used["SEMMNI"], used["SEMMNS"], used["SEMMSL"], used["SHMMNI"], used["MSGMNI"]) == (2, 3, 2, 2, 1)

    def test_the_lost_blank(self) -> None:
        def work() -> t.Any:
            return info.survey(parse({"kind": [SEMAPHORES], "bystanders": []}), 50, 20.0)

        found = in_namespace(work, "25032000 32 512")
        assert [odd["proposal"] for odd in found["settings"]] == ["250 32000 32 512"]
        assert {limit["limit_name"] for limit in found["limits"] if limit["binding"]} == {"SEMMNS"}

    def test_top_bounds_what_is_listed_and_not_what_is_counted(self) -> None:
        def work() -> t.Any:
            for _number in range(5):
                left_behind(lambda: arrays.array(value=1))
            return info.survey(parse({"kind": [SEMAPHORES], "bystanders": []}), 2, 20.0)

        found = in_namespace(work)
        assert (len(found["objects"]), found["matched"]) == (2, 5)

    def test_time_that_is_over(self) -> None:
        def work() -> t.Any:
            left_behind(lambda: arrays.array(value=1))
            return info.survey(parse({"kind": [SEMAPHORES], "bystanders": []}), 2, 0.0)

        found = in_namespace(work)
        assert found["partial"]
        assert found["totals"][0]["unknown"] == 1


def test_a_kernel_without_system_v_ipc(tmp_path: Path) -> None:
    host = Host(ProcessTable(), Tables(str(tmp_path)), Calls())
    with pytest.raises(Refused, match="no System V IPC"):
        info.survey(parse({"kind": [SEMAPHORES], "bystanders": []}), 5, 20.0, host)
    with pytest.raises(Refused, match="no System V IPC"):
        removal.run(removal.Options(parse({"kind": [SEMAPHORES], "owner": ["0"], "bystanders": []})), host=host)


class Moment:
    """Stands in for the module `time`: something happens while others sleep."""

    def __init__(self, happen: t.Callable[[float], object]) -> None:
        self.sleep = happen
        self.monotonic = time.monotonic


def forbid_forks() -> None:
    """In a child, for good."""

    def refuse(*_arguments: object, **_options: object) -> t.NoReturn:
        raise AssertionError("somebody tried to fork")

    import threading

    for place, name in [(os, "fork"), (os, "posix_spawn"), (os, "system"), (os, "popen"), (subprocess, "Popen"),
                        (threading.Thread, "start")]:  # fmt: skip
        setattr(place, name, refuse)
