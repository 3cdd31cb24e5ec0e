# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of sockets, as the kernel writes them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import sockets
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.sockets import Row

little = pytest.mark.skipif(
    sys.byteorder != "little", reason="the addresses below are as a little-endian kernel has them"
)

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 f0 100 0 0 10 0
   1: 0100007F:1F90 0500000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 101 1 f0 20 4 30 10 -1
   2: 0100007F:1F90 0500000A:D432 08 00000000:00000000 00:00000000 00000000     0        0 102 1 f0 20 4 30 10 -1
   3: 0100007F:1F90 0600000A:D433 08 00000000:00000000 00:00000000 00000000     0        0 103 1 f0 20 4 30 10 -1
   4: 0100007F:C350 0700000A:1538 01 00000000:00000000 00:00000000 00000000     0        0 104 1 f0 20 4 30 10 -1
   5: 0100007F:1F90 0500000A:D440 06 00000000:00000000 03:00000AB8 00000000     0        0 0 3 f0
"""


def read(name: str, raw: bytes) -> dict[bytes, Row]:
    table = sockets.table(name)
    return {inode: table.rows[number] for inode, number in table.entries(raw.splitlines(keepends=True))}


@little
def test_tcp() -> None:
    assert read("tcp", TCP) == {
        b"100": Row("tcp", "inet", "LISTEN", "", 8080),
        b"101": Row("tcp", "inet", "ESTABLISHED", "in", 8080, "10.0.0.5"),
        b"102": Row("tcp", "inet", "CLOSE_WAIT", "in", 8080, "10.0.0.5"),
        b"103": Row("tcp", "inet", "CLOSE_WAIT", "in", 8080, "10.0.0.6"),
        b"104": Row("tcp", "inet", "ESTABLISHED", "out", 5432, "10.0.0.7"),
        b"0": Row("tcp", "inet", "TIME_WAIT", "in", 8080, "10.0.0.5"),
    }


@little
def test_tcp6_and_an_ipv4_address_in_it() -> None:
    mapped = b"0000000000000000FFFF00000500000A"
    line = b"1: " + mapped + b":1F90 " + mapped + b":D431 01 0:0 0:0 0 0 0 7 1\n"
    assert read("tcp6", b"heading\n" + line)[b"7"] == Row("tcp", "inet6", "ESTABLISHED", "out", 0xD431, "10.0.0.5")
    local = b"00000000000000000000000001000000"
    line = b"1: " + local + b":1F90 " + local + b":0001 08 0:0 0:0 0 0 0 8 1\n"
    assert read("tcp6", b"heading\n" + line)[b"8"].peer == "::1"


@little
def test_udp_has_no_state_of_its_own() -> None:
    lines = (
        b"heading\n"
        b" 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0 5 2 f0 0\n"
        b" 2: 0100007F:C350 0100007F:0035 01 0:0 0:0 0 0 0 6 2 f0 0\n"
    )
    assert read("udp", lines) == {
        b"5": Row("udp", "inet", "UNCONN", "", 53),
        b"6": Row("udp", "inet", "ESTABLISHED", "out", 53, "127.0.0.1"),
    }


UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
ffff9c5a: 00000002 00000000 00010000 0001 01 200 /run/app.sock
ffff9c5b: 00000003 00000000 00000000 0001 03 201 /run/app.sock
ffff9c5c: 00000003 00000000 00000000 0001 03 202
ffff9c5d: 00000002 00000000 00000000 0002 01 203 @abstract name
"""


def test_unix() -> None:
    assert read("unix", UNIX) == {
        b"200": Row("unix", "unix", "LISTEN", "", None, "/run/app.sock"),
        b"201": Row("unix", "unix", "CONNECTED", "in", None, "/run/app.sock"),
        b"202": Row("unix", "unix", "CONNECTED", "out", None, ""),
        b"203": Row("unix", "unix", "UNCONNECTED", "", None, "@abstract name"),
    }


def test_a_path_with_a_newline_forges_a_line_and_no_more() -> None:
    forged = UNIX + b"ffff9c5e: 00000002 00000000 00010000 0001 01 204 /x\nffff: 0 0 0 0 03 200 /forged\n"
    table = sockets.table("unix")
    numbers = [inode for inode, _number in table.entries(forged.splitlines(keepends=True))]
    assert numbers.index(b"200") < len(numbers) - 1  # who looks it up takes the first


def test_netlink_and_packet() -> None:
    netlink = b"sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n000000: 0 1 0 0 0 0 2 0 300\n"
    assert read("netlink", netlink) == {b"300": Row("netlink", "netlink", "")}
    packet = b"sk RefCnt Type Proto Iface R Rmem User Inode\n0000: 3 3 0003 2 1 0 0 301\n"
    assert read("packet", packet) == {b"301": Row("packet", "packet", "")}


@pytest.mark.parametrize(
    "row, kind",
    [
        (Row("tcp", "inet", "CLOSE_WAIT", "in", 1, "x"), "CLOSE_WAIT"),
        (Row("tcp", "inet", "CLOSE_WAIT", "out", 1, "x"), "CLOSE_WAIT"),
        (Row("tcp", "inet", "ESTABLISHED", "in", 1, "x"), "connection"),
        (Row("tcp", "inet", "SYN_SENT", "out", 1, "x"), "connection"),
        (Row("tcp", "inet", "LISTEN", "", 1), "socket"),
        (Row("unix", "unix", "CONNECTED", "out"), "connection"),
        (Row("unix", "unix", "LISTEN"), "socket"),
        (Row("udp", "inet", "ESTABLISHED", "out", 53, "x"), "socket"),
        (sockets.of_name("TCP"), "socket"),
        (sockets.UNKNOWN, "socket"),
    ],
)
def test_a_socket_is_one_of_three(row: Row, kind: str) -> None:
    assert row.kind == kind


@pytest.mark.parametrize(
    "name, row",
    [
        ("TCP", Row("tcp", "inet", "UNBOUND")),
        ("TCPv6", Row("tcp", "inet6", "UNBOUND")),
        ("UDP", Row("udp", "inet", "UNBOUND")),
        ("UNIX-STREAM", Row("unix", "unix", "UNBOUND")),
        ("NETLINK", Row("netlink", "netlink", "UNBOUND")),
        ("AF_VSOCK", Row("af_vsock", "", "UNBOUND")),
    ],
)
def test_what_is_in_no_table_has_the_name_of_its_protocol(name: str, row: Row) -> None:
    assert sockets.of_name(name) == row


@little
def test_of_very_many_peers_the_rest_is_one() -> None:
    peers = (b" 1: 0100007F:1F90 %08X:D431 01 0:0 0:0 0 0 0 %d 1\n" % (one, 1000 + one) for one in range(1, 5001))
    table = sockets.table("tcp")
    found = [table.rows[number] for _inode, number in table.entries([*TCP.splitlines(keepends=True)[:2], *peers])]
    assert len(table.rows) <= 2002
    assert found[-1] == Row("tcp", "inet", "ESTABLISHED", "in", 8080, "*")
    assert sum(row.peer == "*" for row in found) > 2900


@given(st.sampled_from(sockets.TABLES), st.lists(st.binary(max_size=200), max_size=20))
def test_no_line_is_a_fault(name: str, lines: list[bytes]) -> None:
    table = sockets.table(name)
    found = list(table.entries([b"heading\n", *lines]))
    assert len(found) <= len(lines)


@given(st.binary(max_size=64))
def test_no_address_is_a_fault(raw: bytes) -> None:
    assert sockets.address(raw).isprintable()
