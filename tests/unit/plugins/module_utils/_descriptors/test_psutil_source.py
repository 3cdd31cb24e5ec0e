# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider for systems without /proc, run for real here and compared with the one for /proc."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import procstat, request, survey
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.procstat import Descriptor
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.psutil_source import PsutilSource
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.psutil_table import (
    PsutilTable,
    sysctl_by_name,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse as parse_selector
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping, state_of, wait_for

FREEBSD = {"kern.openfiles": 1234, "kern.maxfiles": 5000, "kern.maxfilesperproc": 4500}


@contextlib.contextmanager
def holder() -> t.Iterator[int]:
    """A child with some of each that psutil can tell, all its own; yields its number."""
    told, tell = os.pipe()

    def life() -> None:
        os.closerange(3, tell)
        held: list[t.Any] = [os.open("/etc/passwd", os.O_RDONLY) for _one in range(3)]
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.create_connection(listener.getsockname())
        held += [listener, client, listener.accept()[0], *socket.socketpair(), *os.pipe()]
        os.write(tell, b"x")
        signal.pause()

    with sleeping(life=life) as child:
        os.read(told, 1)
        wait_for(lambda: state_of(child.pid) == "S", "it waits")
        yield child.pid
    os.close(told)
    os.close(tell)


def by_both(**options: t.Any) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    wanted = request.Request(**options)
    return survey.run(wanted), survey.run(wanted, PsutilSource(wanted, FREEBSD.get))


def test_both_give_the_same_keys_and_counts() -> None:
    with holder() as pid:
        selector = parse_selector({"pid": [pid]})
        by_proc, by_psutil = by_both(selector=selector, group_by="exe")
        assert (by_proc["source"], by_psutil["source"]) == ("proc", "psutil")
        assert by_proc.keys() == by_psutil.keys()
        for part in ("host", "groups", "processes", "users"):
            one, other = (found[part] for found in (by_proc, by_psutil))
            if isinstance(one, list):
                assert len(one) == len(other) == 1
                one, other = one[0], other[0]
            assert one.keys() == other.keys(), part
        (one,), (other,) = by_proc["processes"], by_psutil["processes"]
        for key in ("pid", "name", "user", "descriptors", "soft_limit", "hard_limit", "share", "exe", "verdict"):
            assert one[key] == other[key], key


def test_both_see_the_same_connections() -> None:
    with holder() as pid:
        one, other = (found["processes"][0] for found in by_both(selector=parse_selector({"pid": [pid]})))
        tcp = [[row for row in found["sockets"] if row["protocol"] == "tcp"] for found in (one, other)]
        assert sorted(map(json.dumps, tcp[0])) == sorted(map(json.dumps, tcp[1]))
        assert sum(row["count"] for row in tcp[0]) == 3


def test_what_psutil_cannot_tell_is_other() -> None:
    with holder() as pid:
        _one, found = by_both(selector=parse_selector({"pid": [pid]}))
        process = found["processes"][0]
        kinds = {kind["kind"]: kind["count"] for kind in process["kinds"]}
        assert sum(kinds.values()) == process["descriptors"]
        assert kinds["file"] >= 3
        assert kinds["other"] >= 2  # the pipe


def test_the_whole_host_is_counted_alike() -> None:
    with holder() as pid:
        by_proc, by_psutil = by_both(top=100000, max_links=0)
        counts = [{one["pid"]: one["descriptors"] for one in found["processes"]} for found in (by_proc, by_psutil)]
        assert counts[0][pid] == counts[1][pid]
        both = counts[0].keys() & counts[1].keys()
        assert len(both) > len(counts[0]) * 0.8
        assert by_psutil["host"] == {
            **by_psutil["host"],
            "descriptions": 1234,
            "descriptions_limit": 5000,
            "share": 0.2468,
            "max_per_process": 4500,
        }


def test_growth_is_seen_here_too() -> None:
    told, tell = os.pipe()

    def life() -> None:
        signal.signal(signal.SIGALRM, lambda *_: kept.append(os.open("/etc/passwd", os.O_RDONLY)))
        kept: list[int] = []
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        os.write(tell, b"x")
        while True:
            signal.pause()

    with sleeping(life=life) as child:
        os.read(told, 1)
        wanted = request.Request(samples=2, interval=1.0, selector=parse_selector({"pid": [child.pid]}))
        found = survey.run(wanted, PsutilSource(wanted, FREEBSD.get))["processes"][0]
        assert found["growth"] > 20
        assert found["seconds_left"] > 0
    os.close(told)
    os.close(tell)


def test_groups_are_programs_where_there_are_no_units() -> None:
    with holder() as pid:
        _one, found = by_both(selector=parse_selector({"pid": [pid]}))
        assert found["groups"][0]["key"] == os.path.realpath(sys.executable)


class TestTable:
    def test_it_reads_what_proc_says(self) -> None:
        with sleeping(b"a name") as child:
            seen = PsutilTable().read(child.pid)
            assert seen is not None
            assert seen._replace(start=0, flags=0, state="", tty=0) == child._replace(start=0, flags=0, state="", tty=0)

    def test_its_ages_are_those_of_proc(self) -> None:
        with sleeping() as child:
            table = PsutilTable()
            seen = table.read(child.pid)
            assert seen is not None
            assert abs(table.age(seen) - ProcessTable().age(child)) < 2

    def test_what_has_gone(self) -> None:
        with sleeping() as child:
            pass
        table = PsutilTable()
        assert table.read(child.pid) is None
        assert table.status(child.pid) is None
        assert table.exe(child.pid) is None
        assert table.cmdline(child.pid) is None
        assert table.descriptors(child.pid) is None

    def test_program_and_arguments(self) -> None:
        table = PsutilTable()
        assert table.exe(os.getpid()) == os.path.realpath(sys.executable)
        assert table.cmdline(os.getpid())
        assert str(os.getpid()) in table.pids()

    def test_without_psutil_it_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psutil", None)
        with pytest.raises(Refused, match="install psutil"):
            PsutilTable()


def test_linux_has_no_such_sysctl() -> None:
    assert sysctl_by_name("kern.openfiles") is None


# The form of usr.bin/procstat/procstat_files.c of FreeBSD 14.
PROCSTAT = {
    "__version": "1",
    "procstat": {
        "files": {
            "701": {
                "process_id": 701,
                "command": "app",
                "files": [
                    {"fd": "text", "fd_type": "vnode", "vode_type": "regular", "path": "/usr/local/bin/app"},
                    {"fd": "cwd", "fd_type": "vnode", "vode_type": "directory", "path": "/"},
                    {"fd": 0, "fd_type": "vnode", "vode_type": "character", "path": "/dev/null"},
                    {"fd": 3, "fd_type": "vnode", "vode_type": "regular", "path": "/var/log/app.log"},
                    {"fd": 4, "fd_type": "kqueue", "protocol": "-", "path": "-"},
                    {"fd": 5, "fd_type": "socket", "protocol": "TCP", "path": "10.0.0.1:80 10.0.0.2:4711"},
                    {"fd": 6, "fd_type": "pipe", "path": "-"},
                    {"fd": 7, "fd_type": "eventfd", "path": "-"},
                    {"fd": 8, "fd_type": "shm", "path": "-"},
                    {"fd": 9, "fd_type": "pts", "path": "/dev/pts/0"},
                ],
            },
            "702": {"process_id": 702, "command": "idle", "files": []},
        }
    },
}


def test_procstat_tells_all_kinds() -> None:
    found = procstat.parse(json.dumps(PROCSTAT).encode())
    assert found == {
        701: [
            Descriptor(0, "device", "/dev/null"),
            Descriptor(3, "file", "/var/log/app.log"),
            Descriptor(4, "kqueue", ""),
            Descriptor(5, "socket", "10.0.0.1:80 10.0.0.2:4711"),
            Descriptor(6, "pipe", ""),
            Descriptor(7, "eventfd", ""),
            Descriptor(8, "shm", ""),
            Descriptor(9, "device", "/dev/pts/0"),
        ],
        702: [],
    }


@pytest.mark.parametrize("raw", [b"", b"procstat: usage", b"[]", b"{}", b'{"procstat": {"files": 7}}', b"\xff\xfe"])
def test_what_is_not_procstat_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match="leave out the option procstat"):
        procstat.parse(raw)


def test_where_procstat_is_missing_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refused, match="cannot be run"):
        procstat.read()


def test_the_kinds_of_procstat_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with holder() as pid:
        monkeypatch.setattr(
            procstat, "read", lambda: {pid: [Descriptor(3, "kqueue", ""), Descriptor(4, "file", "/x/y")]}
        )
        wanted = request.Request(selector=parse_selector({"pid": [pid]}), procstat=True)
        found = survey.run(wanted, PsutilSource(wanted, FREEBSD.get))["processes"][0]
        kinds = {kind["kind"]: kind["count"] for kind in found["kinds"]}
        assert kinds["kqueue"] == 1
        assert found["files"] == [{"prefix": "/x", "count": 1}]
        assert sum(kinds.values()) == found["descriptors"]
