# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The standby's socket: root's alone, one whole payload at a time, and open to the next whatever the last one did."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.hostcare.remediation.tests.support.cgroups import PidsCgroup
from ansible_collections.hostcare.remediation.tests.support.standby import Standby

pytestmark = pytest.mark.once

NOBODY = 65534
QUICK = ("--receive-within", "0.5", "--run-within", "1")
FINE = {"rc": 0, "overdue": False}


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    """The only process that its cgroup may have."""
    with PidsCgroup() as cell:
        cell.limit = 1
        with Standby(preexec=cell.enter, options=QUICK) as standby:
            yield standby


def serves(standby: Standby) -> bool:
    return standby.run("print('here')") == (FINE, "here\n", "")


def as_nobody(work: Callable[[], str]) -> str:
    """What it returns, in a child without any rights."""
    end, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(told, work().encode())
        except BaseException as error:
            os.write(told, repr(error).encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(end) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


# --- root's alone ---


def test_modes(standby: Standby) -> None:
    found = [(path.stat().st_uid, oct(path.stat().st_mode & 0o7777)) for path in (standby.path.parent, standby.path)]
    assert found == [(0, "0o700"), (0, "0o600")]


@pytest.mark.parametrize("directory, door", [(0o700, 0o600), (0o755, 0o600), (0o755, 0o666)])
def test_nobody_gets_nothing(standby: Standby, directory: int, door: int) -> None:
    """Whatever became of the modes: the kernel knows who connects."""
    standby.home.chmod(0o755)
    standby.path.parent.chmod(directory)
    standby.path.chmod(door)

    def connect() -> str:
        with standby.connect() as connection:
            connection.settimeout(10)
            return f"got {connection.recv(1)!r}"

    try:
        said = as_nobody(connect)
        assert said == "got b''" if door == 0o666 else "PermissionError" in said
        assert ("turned away a connection that is not root's" in standby.log) == (door == 0o666)
    finally:
        standby.path.parent.chmod(0o700)
        standby.path.chmod(0o600)
    assert serves(standby)


def test_a_directory_of_somebody_else_is_refused() -> None:
    standby = Standby()
    (standby.home / "run").mkdir(mode=0o755)
    with pytest.raises(RuntimeError, match="has to be a directory of root's with mode 0700"), standby:
        pass


# --- what it is told ---


@pytest.mark.parametrize(
    "sent, reason",
    [
        (b"GET / HTTP/1.1\r\n\r\n", "the header is not JSON"),
        (b"\xff\xfe\n", "the header is not JSON"),
        (b"[" * 100_000 + b"\n", "a header has at most"),
        (b"[" * 50_000 + b"\n", "the header is not JSON"),
        (b"[]\n", "the header has to have size and environment"),
        (b'{"size": 1}\n', "the header has to have size and environment"),
        (b'{"size": 1, "environment": {}, "user": 0}\n', "and nothing else"),
        (b'{"size": 0, "environment": {}}\n', "the size has to be"),
        (b'{"size": true, "environment": {}}\n', "the size has to be"),
        (b'{"size": 16777217, "environment": {}}\n', "the size has to be 1 to 16777216"),
        (b'{"size": 1, "environment": {"A": 1}}\n', "the environment has to be names with texts"),
        (b'{"size": 1, "environment": {"A=B": "1"}}\n', "the environment has to be names with texts"),
        (b'{"size": 1, "environment": {"A": "\\u0000"}}\n', "the environment has to be names with texts"),
        (b'{"size": 1, "environment": {}}\nxx', "more than the 1 bytes that were announced"),
        (b'{"size": 5, "environment": {}}\nx', "the request was not complete in time"),
        (b"", "the request was not complete in time"),
    ],
)
def test_what_is_no_payload_is_refused_with_the_reason(standby: Standby, sent: bytes, reason: str) -> None:
    before = standby.runs()
    with standby.connect() as connection, connection.makefile("rb") as stream:
        assert json.loads(stream.readline())["standby"] == 1
        connection.sendall(sent)
        assert reason in json.loads(stream.readline())["refused"]
    assert standby.runs() == before
    assert serves(standby)


def test_who_sends_a_byte_now_and_then_is_shown_out(standby: Standby) -> None:
    began = time.monotonic()
    with standby.connect() as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() - began < 20:
            connection.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() - began < 10
    assert serves(standby)


def test_many_who_only_wait_keep_nobody_out(standby: Standby) -> None:
    idle = [standby.connect() for _number in range(5)]
    assert serves(standby)
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("sent", [b"", b'{"size"', b'{"size": 9, "environment": {}}\nprint'], ids=["", "line", "half"])
def test_who_leaves_before_the_end_has_run_nothing(standby: Standby, sent: bytes) -> None:
    before = standby.runs()
    with standby.connect() as connection:
        connection.recv(1000)
        connection.sendall(sent)
    assert serves(standby)
    assert standby.runs() == before + 1


def test_who_leaves_while_it_runs_keeps_nobody_out(standby: Standby) -> None:
    source = b"import time; time.sleep(0.3); print('x' * 1000000)"
    with standby.connect() as connection:
        connection.recv(1000)
        connection.sendall(json.dumps({"size": len(source), "environment": {}}).encode() + b"\n" + source)
    assert serves(standby)
    assert "nobody takes the answer" in standby.log


# --- a run ---


def test_what_a_program_says_and_ends_with(standby: Standby) -> None:
    source = "import os, sys; print('out'); os.write(1, b'raw'); sys.stderr.write('err'); sys.exit(3)"
    header, stdout, stderr = standby.run(source)
    assert (header, sorted(stdout.split()), stderr) == ({"rc": 3, "overdue": False}, ["rawout"], "err")


@pytest.mark.parametrize(
    "source, rc, said",
    [
        ("raise SystemExit('why')", 1, "why\n"),
        ("raise SystemExit", 0, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("is not Python", 1, "SyntaxError"),
        ("\0", 1, "Error"),
    ],
)
def test_ends(standby: Standby, source: str, rc: int, said: str) -> None:
    header, _stdout, stderr = standby.run(source)
    assert header["rc"] == rc
    assert said in stderr
    assert serves(standby)


def test_nothing_of_one_run_is_left_for_the_next(standby: Standby) -> None:
    look = (
        "import os, sys, resource, signal, json\n"
        "print(json.dumps([os.getcwd(), os.getpriority(os.PRIO_PROCESS, 0), 'mine' in sys.modules, sys.path,"
        " os.environ.get('MINE'), resource.getrlimit(resource.RLIMIT_NOFILE), sorted(signal.pthread_sigmask(0, [])),"
        " os.umask(0o22), len(os.listdir('/proc/self/fd'))]))\n"
    )
    spoil = (
        "import os, sys, resource, signal\n"
        "sys.modules['mine'] = sys; os.chdir('/proc'); os.umask(0o77); os.nice(5); os.environ['MINE'] = 'x'\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); open('/dev/null'); sys.path.insert(0, '/tmp')\n"
        "sys.stdout.close(); os.close(2)\n"
    )
    before = standby.run(look)
    standby.run(spoil, {"MINE": "given"})
    assert standby.run(look) == before
    assert standby.run("import os; print(os.environ['MINE'])", {"MINE": "given"})[1] == "given\n"


def test_no_process_can_be_started(standby: Standby) -> None:
    _header, _stdout, stderr = standby.run("import os; os.fork()")
    assert "Resource temporarily unavailable" in stderr


def test_a_module_whose_time_is_over_ends_in_order(standby: Standby) -> None:
    source = "import time\ntry:\n    time.sleep(20)\nfinally:\n    print('woken')"
    assert standby.run(source) == ({"rc": 1, "overdue": True}, "woken\n", "")
    assert serves(standby)


def test_too_much_output_is_said(standby: Standby) -> None:
    header, stdout, stderr = standby.run("import sys\nfor _ in range(17): sys.stdout.write('x' * 1048576)")
    assert (header["rc"], stdout) == (1, "")
    assert "printed more than 16777216 bytes" in stderr


def test_one_that_does_not_end_at_all_is_replaced() -> None:
    """The answer is lost, the standby is not; who asked is told by the end of the connection."""
    source = "import time\nwhile True:\n    try:\n        time.sleep(20)\n    except BaseException:\n        pass"
    with Standby(options=(*QUICK, "--grace", "0.5")) as standby:
        with pytest.raises(ValueError, match="Expecting value"):
            standby.run(source)
        assert serves(standby)


def test_it_stays_the_same_process(standby: Standby) -> None:
    pids = {standby.run("import os; print(os.getpid())")[1] for _number in range(3)}
    assert pids == {f"{standby.pid}\n"}


def test_its_memory_is_locked_where_no_limit_could_turn_against_it() -> None:
    def lift() -> None:
        with contextlib.suppress(ValueError, OSError):  # root of a container may not
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    with Standby(preexec=lift) as standby:
        said = standby.run("print(open('/proc/self/status').read(), open('/proc/self/limits').read())")[1]
    unlimited = re.search(r"Max locked memory +unlimited", said) is not None
    locked = re.search(r"VmLck:\s+(\d+) kB", said)
    assert locked
    assert (int(locked[1]) > 10_000) == unlimited
