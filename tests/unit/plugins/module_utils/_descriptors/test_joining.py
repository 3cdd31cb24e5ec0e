# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real sockets of this process, joined with the tables of the kernel."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import joining
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.contents import Contents, Gatherer
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.joining import Joiner
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.sockets import Row
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.descriptors import DescriptorTables
from ansible_collections.hostcare.remediation.tests.unit.support.children import sleeping


def joined(pids: t.Sequence[int], with_tokens: bool = False, seconds: float = 20.0) -> tuple[Joiner, list[Contents]]:
    tables = DescriptorTables()
    joiner, found = Joiner(tables), []
    for pid in pids:
        holding = tables.holding(pid)
        assert holding is not None
        contents = Contents(pid, holding.descriptors, with_tokens)
        Gatherer().gather(contents, tables.links(holding, 1 << 20))
        joiner.add(contents)
        found.append(contents)
    joiner.join(time.monotonic() + seconds)
    return joiner, found


def rows() -> dict[Row, int]:
    return joined([os.getpid()])[0].rows.get(os.getpid(), {})


def newly(before: t.Mapping[Row, int]) -> dict[Row, int]:
    now = rows()
    return {row: count - before.get(row, 0) for row, count in now.items() if count != before.get(row, 0)}


@contextlib.contextmanager
def connected(family: int = socket.AF_INET, host: str = "127.0.0.1") -> t.Iterator[tuple[socket.socket, ...]]:
    """Listener, client and the accepted one."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client, listener.accept()[0] as accepted:
            yield listener, client, accepted


def test_tcp_both_ends_and_the_listener() -> None:
    before = rows()
    with connected() as (listener, _client, _accepted):
        port = listener.getsockname()[1]
        assert newly(before) == {
            Row("tcp", "inet", "LISTEN", "", port): 1,
            Row("tcp", "inet", "ESTABLISHED", "in", port, "127.0.0.1"): 1,
            # both ends are here, so the client's peer port is one that is listened on
            Row("tcp", "inet", "ESTABLISHED", "out", port, "127.0.0.1"): 1,
        }


def test_what_the_peer_has_closed_waits() -> None:
    before = rows()
    with connected() as (listener, client, _accepted):
        port = listener.getsockname()[1]
        client.close()
        found = newly(before)
        assert found[Row("tcp", "inet", "CLOSE_WAIT", "in", port, "127.0.0.1")] == 1
        _joiner, (contents,) = joined([os.getpid()], with_tokens=True)
        assert contents.counts["CLOSE_WAIT"] == 1
        assert contents.tokens is not None
        assert len(contents.tokens["CLOSE_WAIT"]) == 1


def test_ipv6() -> None:
    before = rows()
    try:
        with connected(socket.AF_INET6, "::1") as (listener, _client, _accepted):
            port = listener.getsockname()[1]
            assert newly(before)[Row("tcp", "inet6", "ESTABLISHED", "in", port, "::1")] == 1
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_udp_unix_and_netlink(tmp_path: Path) -> None:
    before = rows()
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "sock"))
        unix.listen()
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(tmp_path / "sock"))
        stack.enter_context(unix.accept()[0])
        stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)).bind((0, 0))
        assert newly(before) == {
            Row("udp", "inet", "UNCONN", "", udp.getsockname()[1]): 1,
            Row("unix", "unix", "LISTEN", "", None, str(tmp_path / "sock")): 1,
            Row("unix", "unix", "CONNECTED", "in", None, str(tmp_path / "sock")): 1,
            Row("unix", "unix", "CONNECTED", "out", None, ""): 1,
            Row("netlink", "netlink", ""): 1,
        }


def test_what_is_in_no_table_is_asked_for_its_protocol() -> None:
    before = rows()
    with socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM):
        assert newly(before) == {Row("tcp", "inet", "UNBOUND"): 1, Row("udp", "inet6", "UNBOUND"): 1}


def test_very_many_of_them_are_not_all_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows()
    monkeypatch.setattr(joining, "_MOST_NAMED", 2)
    with contextlib.ExitStack() as stack:
        for _one in range(5):
            stack.enter_context(socket.socket())
        assert newly(before) == {Row("tcp", "inet", "UNBOUND"): 2, Row("", "", ""): 3}


def test_a_path_of_many_lines_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows()
    with socket.socket(socket.AF_UNIX) as honest, socket.socket(socket.AF_UNIX) as hostile:
        honest.bind(str(tmp_path / "honest"))
        inode = os.fstat(honest.fileno()).st_ino
        monkeypatch.chdir(tmp_path)
        hostile.bind(f"x\nffff: 00000002 00000000 00010000 0001 01 {inode} forged"[:100])
        hostile.listen()
        found = newly(before)
        assert sum(found.values()) == 2
        assert {row.peer.partition("\n")[0] for row in found} <= {str(tmp_path / "honest"), "forged", "x"}


@pytest.mark.parametrize("batch", [1, 3, 1 << 16])
def test_in_batches_it_is_the_same(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(), sleeping() as one, sleeping() as other:
        pids = [os.getpid(), one.pid, other.pid]
        expected = joined(pids)[0].rows
        monkeypatch.setattr(joining, "_BATCH", batch)
        assert joined(pids)[0].rows == expected
        assert expected[one.pid] == expected[other.pid]  # all inherited


def test_past_its_time_a_socket_has_no_row() -> None:
    with connected():
        joiner, (contents,) = joined([os.getpid()], seconds=-1.0)
        assert sum(joiner.rows[os.getpid()].values()) == len(contents.sockets)
        assert all(row.state in ("", "UNBOUND") for row in joiner.rows[os.getpid()])


def test_a_process_that_has_gone_by_then() -> None:
    tables = DescriptorTables()
    joiner = Joiner(tables)
    with connected(), sleeping() as child:
        holding = tables.holding(child.pid)
        assert holding is not None
        contents = Contents(child.pid, holding.descriptors)
        Gatherer().gather(contents, tables.links(holding, 1 << 20))
        joiner.add(contents)
    joiner.join(time.monotonic() + 5)
    assert set(joiner.rows[child.pid]) == {Row("", "", "")}
