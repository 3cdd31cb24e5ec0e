# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of objects as kernels print them, and the calls on real ones."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import sysv_ipc
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import (
    CHANGED,
    DENIED,
    GONE,
    KINDS,
    MESSAGE_QUEUES,
    NO_TIME,
    SEMAPHORES,
    SHARED_MEMORY,
    TOUCHED,
    Calls,
    Object,
    Tables,
    Touch,
)
from ansible_collections.hostcare.remediation.tests.unit.support import arrays
from ansible_collections.hostcare.remediation.tests.unit.support.arrays import in_namespace, needs_root
from ansible_collections.hostcare.remediation.tests.unit.support.children import NOBODY, sleeping, state_of, wait_for

SEM = b"""\
       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime
         0          5   600          1    33    33     0     0 1763724610 1763724600
         0          6   600          1    33    33     0     0 1763724610 1763724600
-889275714    1638407   640          4   999   999   999   999          0 1763720000
"""
SHM = (
    b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
    b"      atime      dtime      ctime                   rss                  swap\n"
    b"   5432001          3  1600                    56   123   456      6   999   999   999   999"
    b" 1763720001 1763720002 1763720000                  4096                     0\n"
)
MSG = b"""\
       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime
         0          0   600           5          1   777     0  1000  1000  1000  1000 1763720009          0 1763720000
"""


class TestTables:
    def test_arrays(self) -> None:
        first, second, keyed = Tables().parse(SEMAPHORES, SEM)
        assert (first.id, first.key, keyed.id, keyed.key) == (5, 0, 1638407, -889275714)
        facts = first.facts
        assert (facts.uid, facts.cuid, facts.mode, facts.nsems) == (33, 0, 0o600, 1)
        assert (facts.ctime, facts.used) == (1763724600, 1763724610)
        assert second.facts is facts, "lines that say the same are one"
        assert keyed.facts.nsems == 4

    def test_memory(self) -> None:
        (only,) = Tables().parse(SHARED_MEMORY, SHM)
        facts = only.facts
        assert (facts.bytes, facts.attached, facts.pids, facts.mode) == (56, 6, (123, 456), 0o1600)
        assert facts.used == 1763720002

    def test_what_moves_without_use_is_no_trace(self) -> None:
        swapped = SHM.replace(b"  4096                     0", b"     0                  4096")
        before, after = (Tables().parse(SHARED_MEMORY, raw)[0].facts for raw in (SHM, swapped))
        assert before.trace == after.trace
        used = SHM.replace(b"1763720002", b"1763720003")
        assert Tables().parse(SHARED_MEMORY, used)[0].facts.trace != before.trace

    def test_queues(self) -> None:
        (only,) = Tables().parse(MESSAGE_QUEUES, MSG)
        facts = only.facts
        assert (facts.bytes, facts.messages, facts.pids, facts.used) == (5, 1, (777, 0), 1763720009)

    def test_columns_that_are_not_known_yet(self) -> None:
        head, *lines = SEM.rstrip(b"\n").split(b"\n")
        raw = b"\n".join([head + b"  novel", *(line + b"  7" for line in lines)])
        assert [one.facts.uid for one in Tables().parse(SEMAPHORES, raw)] == [33, 33, 999]
        old = SHM.replace(b"                   rss                  swap", b"")
        old = old.replace(b"                  4096                     0", b"")
        assert Tables().parse(SHARED_MEMORY, old)[0].facts.ctime == 1763720000

    def test_numbers_of_64_bits(self) -> None:
        late = SEM.replace(b"1763724600", b"%d" % (1 << 40))
        assert Tables().parse(SEMAPHORES, late)[0].facts.ctime == 1 << 40

    @pytest.mark.parametrize(
        "content",
        ["", "\n", "id key\n", "key semid\n1 2\n", "key semid perms\n1 2 600\n", SEM.decode().replace("600", "x")],
    )
    def test_another_form_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "sysvipc").mkdir()
        (tmp_path / "sysvipc/sem").write_text(content)
        with pytest.raises(Refused, match="not known here"):
            Tables(str(tmp_path)).read(SEMAPHORES)

    def test_a_kernel_without_any(self, tmp_path: Path) -> None:
        assert [Tables(str(tmp_path)).read(kind) for kind in KINDS] == [None, None, None]
        assert sysv_ipc.settings(str(tmp_path)) == {}
        assert sysv_ipc.namespace("ipc", "self", str(tmp_path)) is None

    @given(st.sampled_from(KINDS), st.binary(max_size=300))
    def test_whatever_the_file_says(self, kind: str, raw: bytes) -> None:
        head = {SEMAPHORES: SEM, SHARED_MEMORY: SHM, MESSAGE_QUEUES: MSG}[kind].split(b"\n")[0]
        for content in (raw, head + b"\n" + raw):
            try:
                Tables().parse(kind, content)
            except (KeyError, ValueError, IndexError):  # what `read` turns into a refusal
                continue


def test_the_settings_of_this_machine() -> None:
    found = sysv_ipc.settings()
    assert set(found) == {
        "SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI", "SHMMNI", "SHMALL", "SHMMAX", "MSGMNI", "MSGMNB", "MSGMAX",
    }  # fmt: skip
    with open("/proc/sys/kernel/sem", encoding="ascii") as file:
        assert file.read().split() == [str(found[name]) for name in ("SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI")]


def seen(kind: str = SEMAPHORES) -> dict[int, Object]:
    return {found.id: found for found in Tables().read(kind) or ()}


def touch_of(identifier: int) -> t.Any:
    return Calls().touches([seen()[identifier]])[identifier]


@needs_root
class TestCalls:
    def test_who_touched_which_semaphore(self) -> None:
        def work() -> t.Any:
            fresh, used, many = arrays.array(), arrays.array(value=1), arrays.array(3, value=7)
            arrays.operate(many, -1, 1)
            return [touch_of(number) for number in (fresh, used, many)], os.getpid()

        (fresh, used, many), pid = in_namespace(work)
        assert (fresh.pids, fresh.waiters, fresh.values) == ((0,), 0, 0)
        assert (used.pids, used.values) == ((pid,), None), "who changes the value is named"
        assert many.pids == (pid, pid, pid)
        assert many.values[:6] == b"\x07\0\x06\0\x07\0"

    def test_who_sleeps_on_it(self) -> None:
        def work() -> t.Any:
            number = arrays.array()
            with sleeping(b"waiter", life=lambda: arrays.operate(number, -1)) as child:
                wait_for(lambda: state_of(child.pid) == "S" and touch_of(number).waiters, "the child sleeps")
                minus = touch_of(number)
            other = arrays.array(value=1)
            with sleeping(b"waiter", life=lambda: arrays.operate(other, 0)):
                wait_for(lambda: touch_of(other).waiters, "the child waits for zero")
                zero = touch_of(other)
            return minus, zero

        minus, zero = in_namespace(work)
        assert (minus.waiters, minus.pids) == (1, (0,)), "a sleeper is named by nothing but the count"
        assert zero.waiters == 1

    def test_thousands(self) -> None:
        def work() -> t.Any:
            made = [arrays.array(value=1) for _number in range(2500)]
            found = Calls().touches(list(seen().values()))
            return made == sorted(found), {touch.pids for touch in found.values() if isinstance(touch, Touch)}

        complete, pids = in_namespace(work, "250 32000 32 32000")
        assert complete
        assert len(pids) == 1

    def test_time_that_is_over(self) -> None:
        def work() -> t.Any:
            single, many = arrays.array(), arrays.array(3)
            found = Calls().touches(list(seen().values()), time.monotonic() - 1)
            return found == {single: NO_TIME, many: NO_TIME}

        assert in_namespace(work)

    def test_one_that_vanishes(self) -> None:
        def work() -> t.Any:
            made = [arrays.array(), arrays.array(3), arrays.array()]
            listed = seen()
            for number in made[:2]:
                arrays.remove(number)
            calls = Calls()
            found = calls.touches(list(listed.values()))
            again = [calls.remove(listed[number]) for number in made]
            return [found[number] is GONE for number in made], again

        vanished, again = in_namespace(work)
        assert vanished == [True, True, False]
        assert [number in (errno.EINVAL, errno.EIDRM) for number in again] == [True, True, False]

    def test_an_identifier_is_not_given_again_at_once(self) -> None:
        """What a removed array was called names nothing."""

        def work() -> t.Any:
            first = arrays.array()
            listed = seen()[first]
            arrays.remove(first)
            second = arrays.array()
            return first != second, Calls().touches([listed])[first] is GONE

        assert in_namespace(work) == (True, True)

    def test_without_the_right_to_look(self) -> None:
        def work() -> t.Any:
            made = [arrays.array(value=1), arrays.array(2, value=1)]
            listed = seen()
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            calls = Calls()
            found = calls.touches(list(listed.values()))
            return [found[number] is DENIED for number in made], calls.remove(listed[made[0]])

        assert in_namespace(work) == ([True, True], errno.EPERM)

    @pytest.mark.parametrize("nsems", [1, 2])
    def test_removed_if_it_is_as_it_was(self, nsems: int) -> None:
        def work() -> t.Any:
            touched, same = arrays.array(nsems, value=1), arrays.array(nsems, value=1)
            calls, table = Calls(), seen()
            listed = [table[touched], table[same]]
            before = calls.touches(listed)[touched]
            assert isinstance(before, Touch)
            with sleeping(b"other", life=lambda: arrays.operate(touched, 1, nsems - 1) or time.sleep(60)):
                wait_for(lambda: touch_of(touched).pids != before.pids, "the child touches it")
                done = calls.remove_untouched(listed, before)
            return done, list(seen()) == [touched], calls._unseen(touched) is CHANGED

        assert in_namespace(work) == ([TOUCHED, 0], True, True)

    @pytest.mark.parametrize("nsems", [1, 2])
    def test_each_is_looked_at_when_its_turn_comes(self, nsems: int) -> None:
        """While the first is removed, one after it is removed by somebody else, and one is slept on."""

        def work() -> t.Any:
            made = [arrays.array(nsems, value=1) for _one in range(4)]
            calls, table = Calls(), seen()
            listed = [table[number] for number in made]
            touch = calls.touches(listed)[made[0]]
            assert isinstance(touch, Touch)
            with contextlib.ExitStack() as at_the_end:

                def ask(identifier: int, number: int, what: int) -> int:
                    answer = int(kernel(identifier, number, what))
                    if what == sysv_ipc._IPC_RMID and identifier == made[0]:
                        arrays.remove(made[2])
                        waiter = sleeping(b"waiter", life=lambda: arrays.operate(made[3], -2, nsems - 1))
                        at_the_end.enter_context(waiter)
                        wait_for(lambda: touch_of(made[3]).waiters, "the child sleeps on it")
                    return answer

                kernel, calls._ask = calls._ask, ask
                return calls.remove_untouched(listed, touch)

        first, second, gone, slept_on = in_namespace(work)
        assert (first, second, slept_on) == (0, 0, TOUCHED)
        assert gone in (errno.EINVAL, errno.EIDRM)

    def test_a_removal_that_is_denied_is_not_tried_again(self) -> None:
        def work() -> t.Any:
            made = [arrays.array(value=1, mode=0o666) for _one in range(2)]
            calls, table = Calls(), seen()
            touch = calls.touches([table[made[0]]])[made[0]]
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            tried = []

            def noting(kernel: t.Any) -> t.Any:
                return lambda identifier, *what: (tried.append((identifier, what[-1])), kernel(identifier, *what))[1]

            calls = Calls()
            calls._ask, calls._semctl = noting(calls._ask), noting(calls._semctl)
            assert isinstance(touch, Touch)
            done = calls.remove_untouched([table[number] for number in made], touch)
            return done, [number for number, what in tried if what == sysv_ipc._IPC_RMID] == made

        assert in_namespace(work) == ([errno.EPERM, errno.EPERM], True)

    def test_removing(self) -> None:
        def work() -> t.Any:
            made = {SEMAPHORES: arrays.array(), SHARED_MEMORY: arrays.segment(), MESSAGE_QUEUES: arrays.queue()}
            arrays.send(made[MESSAGE_QUEUES])
            calls = Calls()
            results = [calls.remove(seen(kind)[number]) for kind, number in made.items()]
            return results, [seen(kind) for kind in KINDS]

        assert in_namespace(work) == ([0, 0, 0], [{}, {}, {}])

    def test_memory_that_is_attached_goes_with_its_last_user(self) -> None:
        def work() -> t.Any:
            number = arrays.segment()
            arrays.attach(number)
            Calls().remove(seen(SHARED_MEMORY)[number])
            return seen(SHARED_MEMORY)[number].facts

        facts = in_namespace(work)
        assert facts.attached == 1
        assert facts.mode & sysv_ipc.SHM_DEST


class TestWithout:
    def test_ctypes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *rest: t.Any, **more: t.Any) -> t.Any:
            if name == "ctypes":
                raise ImportError(name)
            return real(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(Refused, match="no ctypes"):
            Calls()

    def test_the_functions_of_the_c_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ctypes

        monkeypatch.setattr(ctypes, "PyDLL", lambda *_rest, **_more: object())
        with pytest.raises(Refused, match="no System V IPC"):
            Calls()
