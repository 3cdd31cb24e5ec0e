# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""file_descriptor_info on real kernel objects, compared with lsof, lsfd, psutil; and where something is in the way."""

from __future__ import annotations

import collections
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import DescriptorTables
from ansible_collections.hostcare.remediation.tests.support.descriptors import (
    DAEMON,
    Field,
    by_key,
    kinds,
    program,
    tool_command,
)

pytestmark = pytest.mark.once

LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
NUMBER = 7  # of each in the museum
UNDER_PSUTIL = "import json, psutil; print(json.dumps({p.pid: p.num_fds() for p in psutil.process_iter()}))"


# --- agrees with others ---


class Museum:
    """One process with some of every kind, and what each peer says of it."""

    def __init__(self, field: Field) -> None:
        field.daemon("museum.service", "museum", NUMBER)
        self.field = field
        self.report = field.survey(top=1000)
        self.group = by_key(self.report["groups"])["museum.service"]
        (self.pid,) = self.group["members"]

    def lsof(self) -> list[dict[str, str]]:
        """Of each descriptor its fields, by their letters."""
        found: list[dict[str, str]] = []
        for line in self.field.output("lsof", "-nP", "-w", "-F", "ftnT", "-p", str(self.pid)).splitlines():
            if line[0] == "f":
                found.append({})
            if found:
                found[-1][line[:4] if line[0] == "T" else line[0]] = line[1:]
        return [one for one in found if one["f"].isdigit()]

    def lsfd(self) -> list[dict[str, str]]:
        raw = self.field.output("lsfd", "-J", "-o", "PID,ASSOC,TYPE,NAME", "-p", str(self.pid))
        return [one for one in json.loads(raw)["lsfd"] if str(one["assoc"]).isdigit()]


@pytest.fixture(scope="module")
def museum() -> Iterator[Museum]:
    with Field() as field:
        yield Museum(field)


def test_the_count_is_that_of_lsof_lsfd_and_psutil(museum: Museum) -> None:
    by_psutil = json.loads(museum.field.output(sys.executable, "-c", UNDER_PSUTIL))
    counts = {len(museum.lsof()), len(museum.lsfd()), by_psutil[str(museum.pid)], museum.group["descriptors"]}
    assert len(counts) == 1, counts


def test_all_of_the_host_are_counted_as_psutil_does(museum: Museum) -> None:
    by_psutil = json.loads(museum.field.output(sys.executable, "-c", UNDER_PSUTIL))
    still = {int(pid): count for pid, count in by_psutil.items() if count}
    seen = {one["pid"]: one["descriptors"] for one in museum.field.survey(top=1000)["processes"]}
    both = still.keys() & seen.keys()
    assert museum.pid in both
    assert {pid: still[pid] for pid in both} == {pid: seen[pid] for pid in both}
    assert len(still.keys() ^ seen.keys()) <= 4, "the two tools themselves, and what starts them"


def test_the_kinds_are_those_of_lsof(museum: Museum) -> None:
    ours = kinds(museum.group)
    types = collections.Counter(one["t"] for one in museum.lsof())
    names = [one.get("n", "") for one in museum.lsof() if one["t"] in ("a_inode", "0000")]
    assert ours["pipe"] == types["FIFO"] == 2 * NUMBER + 2
    assert ours["file"] + ours["deleted"] + ours["memfd"] == types["REG"]
    assert ours["device"] == types["CHR"]
    for kind, name in (("eventfd", "[eventfd"), ("epoll", "[eventpoll"), ("inotify", "inotify")):
        assert ours[kind] == sum(name in one for one in names) >= 1, kind
    sockets = ours["connection"] + ours["CLOSE_WAIT"] + ours["socket"]
    assert sockets == sum(types[one] for one in ("IPv4", "IPv6", "unix", "netlink", "sock"))


def test_the_states_are_those_of_lsof(museum: Museum) -> None:
    tcp = [one for one in museum.lsof() if one["t"] == "IPv4" and "TST=" in one]
    states = collections.Counter(one["TST="].removeprefix("ST=") for one in tcp)
    assert states == {"LISTEN": NUMBER, "ESTABLISHED": 2 * NUMBER, "CLOSE_WAIT": NUMBER}
    assert kinds(museum.group)["CLOSE_WAIT"] == states["CLOSE_WAIT"]
    assert kinds(museum.group)["connection"] == states["ESTABLISHED"] + 2 * NUMBER  # and the socket pairs


def test_the_kinds_are_those_of_lsfd(museum: Museum) -> None:
    ours = kinds(museum.group)
    rows = museum.lsfd()
    types = collections.Counter(one["type"] for one in rows)
    assert ours["pipe"] == types["FIFO"]
    assert ours["device"] == types["CHR"]
    assert ours["connection"] + ours["CLOSE_WAIT"] + ours["socket"] == types["SOCK"]
    deleted = [one for one in rows if one["type"] == "REG" and str(one["name"]).endswith("(deleted)")]
    assert ours["deleted"] + ours["memfd"] == len(deleted) == 2 * NUMBER


def test_sockets_have_their_families(museum: Museum) -> None:
    rows = museum.field.survey(pid=[museum.pid])["processes"][0]["sockets"]
    assert len(rows) == 10, "as many as are returned"
    assert {row["family"] for row in rows} <= {"inet", "unix", "netlink"}
    by_state = {(row["protocol"], row["state"]): row["count"] for row in rows}
    assert by_state["tcp", "UNBOUND"] == NUMBER
    assert by_state["unix", "CONNECTED"] == 2 * NUMBER
    assert by_state["netlink", ""] == NUMBER


def test_before_linux_6_2_it_counts_the_same(museum: Museum) -> None:
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1])\n"
        f"DescriptorTables = importlib.import_module({DescriptorTables.__module__!r}).DescriptorTables\n"
        "print(*(DescriptorTables(has_sizes=sizes).holding(int(sys.argv[2])).descriptors for sizes in (True, False)))\n"
    )
    paths = str(Path(DAEMON).parents[3] / ".work" / "collections"), str(museum.pid)
    sizes, listed = museum.field.output(sys.executable, "-c", code, *paths).split()
    assert sizes in (listed, "0")
    assert int(listed) == museum.group["descriptors"]


# --- what no descriptor tells ---


def here() -> dict[str, Any]:
    """On the machine itself: no namespace can see all open files. Whatever else it holds, every socket is looked at."""
    command = tool_command("survey", max_links=1 << 20)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout)["host"])


@pytest.mark.parametrize("what, number", [("mail", 5000), ("mapped", 3000)])
def test_what_no_descriptor_stands_for_is_reported(what: str, number: int) -> None:
    """In flight, or mapped and closed. Others may work on the machine, so the number is large, and another look is
    taken where they came in between."""
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        pytest.skip("these tests run in a PID namespace, which cannot see the whole machine")
    part = {"mail": "in_flight", "mapped": "mapped"}[what]
    looks = []
    for _look in range(3):
        before = here()
        with subprocess.Popen([sys.executable, DAEMON, what, str(number)], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                after = here()
            finally:
                process.kill()
        looks.append([after[key] - before[key] for key in ("unattributed", part)])
        if looks[-1] == pytest.approx([number, number], rel=0.3):
            return
    pytest.fail(f"{number} were expected to be unattributed and {part}: {looks}")


def test_inherited_descriptions_count_once() -> None:
    """A crowd of 50 that share 505 descriptors, and one of 50 that have 40 each of their own."""
    with Field() as field:
        field.crowd("shared.service", 50, 505, "shared")
        field.crowd("own.service", 50, 40)
        groups = by_key(field.survey(top=100, max_links=200000)["groups"])
        shared, own = groups["shared.service"], groups["own.service"]
        assert shared["descriptors"] > 50 * 505
        assert 505 <= shared["distinct"] <= 505 + 10
        assert own["descriptors"] > 50 * 40
        assert own["distinct"] == pytest.approx(own["descriptors"], abs=10)


# --- what is in the way ---


def test_a_file_system_that_hangs_does_not_hang_the_survey(tmp_path: Path) -> None:
    with Field() as field:
        try:
            field.daemon("hung.service", "hung", tmp_path)
        except AssertionError:
            pytest.skip("this machine has no FUSE")
        started = time.monotonic()
        group = by_key(field.survey(samples=2, interval="1s", top=100)["groups"])["hung.service"]
        assert time.monotonic() - started < 15
        assert kinds(group)["deleted"] == group["deleted"]["unknown"] == 2
        assert group["deleted"]["bytes"] == 0
        stat = (
            f"for fd in /proc/{group['worst']['pid']}/fd/*; do case $(readlink $fd) in *deleted*)"
            " exec stat -L $fd;; esac; done"
        )
        asking = field.arena.start(["sh", "-c", stat])
        time.sleep(2)
        assert asking.poll() is None, "it did not hang"  # not even to be killed, before the arena ends


def test_sockets_of_other_network_namespaces(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with Field() as field:
        field.daemon("twins.service", "twins", tmp_path / "f")
        processes = [one for one in field.survey(top=100)["processes"] if one["unit"] == "twins.service"]
        parent, child = sorted(processes, key=lambda one: one["pid"])
        rows = {(row["protocol"], row["state"], row["port"]) for row in child["sockets"]}
        own = {row["port"] for row in parent["sockets"] if row["state"] == "LISTEN"}
        assert ("udp", "UNCONN", 5353) in rows
        assert ("tcp", "LISTEN", 4444) in rows
        # inherited from the parent, so made in the namespace of the parent
        assert {port for protocol, state, port in rows if state == "LISTEN"} == own | {4444}
        assert not {5353, 4444} & own


HOSTILE = ("a -> b", "new\nline", "x (deleted)", "socket:[1]", "pipe:[1]", "tab\t\x1b[2J", "\udcff\udcfe", "-rf")


def test_names_that_lie(tmp_path: Path) -> None:
    """Files, a UNIX socket and processes with hostile names; the result is plain text, and true."""
    code = (
        "import os, signal, socket, sys\n"
        "kept = []\n"
        "for name in os.listdir(b'.'):\n"
        "    kept.append(os.open(os.path.join(name, b'kept'), os.O_CREAT | os.O_RDWR))\n"
        "    kept.append(os.open(os.path.join(name, b'gone'), os.O_CREAT | os.O_RDWR))\n"
        "    os.write(kept[-1], b'x' * 4096)\n"
        "    os.unlink(os.path.join(name, b'gone'))\n"
        "unix = socket.socket(socket.AF_UNIX)\n"
        "unix.bind('n\\nffff: 00000002 00000000 00010000 0001 01 1 forged')\n"
        "unix.listen()\n"
        "open('/proc/self/comm', 'wb').write(b'x) Z 1\\n\\xff')\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    for name in HOSTILE:
        (tmp_path / name).mkdir()
    with Field() as field:
        field.start("liar.service", "env", "-C", str(tmp_path), sys.executable, "-c", code)
        report = field.survey(top=100)
        group = by_key(report["groups"])["liar.service"]
        (process,) = [one for one in report["processes"] if one["unit"] == "liar.service"]
        assert process["name"] == "x) Z 1\n\\xff"
        assert kinds(process)["deleted"] == process["deleted"]["files"] == len(HOSTILE)
        assert group["deleted"]["bytes"] == 4096 * len(HOSTILE)
        assert kinds(process)["file"] == len(HOSTILE)
        assert len([row for row in process["sockets"] if row["state"] == "LISTEN"]) == 1
        json.dumps(report).encode("utf-8")


@pytest.mark.parametrize("hidden", [False, True], ids=["seen", "hidepid"])
def test_a_user_without_rights_sees_counts_and_is_told_what_is_missing(hidden: bool) -> None:
    with Field() as field:
        field.daemon("idle.service", "idle", 10)
        user = ["setpriv", "--reuid", "news", "--regid", "news", "--clear-groups", "/usr/bin/python3"]
        tool = shlex.join([*user, *tool_command("survey", top=100)[1:]])
        proc = "mount -o remount,hidepid=2 /proc && " if hidden else ""
        report = json.loads(field.output("unshare", "--mount", "sh", "-c", f"{proc} exec {tool}"))
        assert report["partial"]
        said = " ".join(report["partial_reasons"])
        if hidden:
            assert "hidepid" in said
            assert "idle.service" not in by_key(report["groups"])
            return
        assert "may not be seen: run as root" in said
        if os.stat("/proc/self/fd").st_size:  # since Linux 6.2 everybody may count
            group = by_key(report["groups"])["idle.service"]
            assert group["descriptors"] > 60
            assert (group["kinds"], group["distinct"]) == ([], None)


@pytest.mark.parametrize(
    "preparation, said",
    [
        ("mount -t tmpfs none /proc", "mount -t proc"),
        ("mount --bind /proc/self /proc", "mount -t proc"),
        ("ulimit -n 3", "descriptor"),
    ],
)
def test_what_cannot_be_read_is_refused(preparation: str, said: str) -> None:
    with Field() as field:
        script = f"{preparation} && exec {shlex.join(tool_command('survey'))}"
        done = field.arena.run(["unshare", "--mount", "sh", "-c", script])
        if done.returncode:  # not even Python can start without descriptors: no result, and no wrong one
            assert b"Error 24" in done.stderr or b"Too many open files" in done.stderr, done.stderr
            return
        assert said in json.loads(done.stdout)["refused"]


def test_a_million_descriptors_are_counted_in_time() -> None:
    """As many as the limits of this machine allow, in processes that share them: looked at in part, and said so."""
    each = min(LIMIT - 100, 20000)
    processes = min(1_000_000 // each, 50)
    with Field() as field:
        field.start("huge.service", program("fdcrowd"), str(processes), str(each), "shared")
        report = field.survey(top=10, cost=True)
        group = by_key(report["groups"])["huge.service"]
        assert group["descriptors"] >= processes * each
        assert report["host"]["looked_at"] <= 100_000 + 1000
        assert report["elapsed_ms"] < 10_000
        assert report["partial"] == (processes * each > 100_000)
        if report["partial"]:
            assert any("max_links" in reason for reason in report["partial_reasons"])
        biggest = report["processes"][0]
        assert sum(kinds(biggest).values()) == pytest.approx(biggest["descriptors"], rel=0.02)
        assert kinds(biggest)["eventfd"] == pytest.approx(each * 4 / 20, rel=0.3)


def test_the_module_does_not_write_or_fork(tmp_path: Path) -> None:
    """Over its whole run with samples; ansible-core's own part is in test_lean_no_forks.py."""
    log = tmp_path / "calls"
    command = ["strace", "-f", "-qq", "-e", "trace=%process,openat,statx,newfstatat", "-o", str(log)]
    subprocess.run(
        [*command, *tool_command("survey", pid=[os.getpid()], samples=2, interval="0.2s")],
        stdout=subprocess.PIPE,
        check=True,
    )
    calls = log.read_text().splitlines()
    assert not [line for line in calls if re.search(r"\b(fork|vfork|clone|clone3)\(", line)]
    assert not [line for line in calls if "O_CREAT" in line or "O_WRONLY" in line or "O_RDWR" in line]


def test_no_kcmp_is_said() -> None:
    """A Python without ctypes, or a filter that takes the call away, as containers have it."""
    with Field() as field:
        field.crowd("shared.service", 5, 100, "shared")
        _python, *arguments = tool_command("survey", top=100)
        code = (
            "import runpy, sys\n"
            "sys.modules['ctypes'] = None\n"
            f"sys.argv = {arguments!r}\n"
            f"runpy.run_path({arguments[0]!r}, run_name='__main__')\n"
        )
        report = json.loads(field.output(sys.executable, "-c", code))
        assert report["host"]["distinct_by"] == "inode"
        assert report["host"]["unattributed"] is None
        assert by_key(report["groups"])["shared.service"]["distinct"] <= 110
