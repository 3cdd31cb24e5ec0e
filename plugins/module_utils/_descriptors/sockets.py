# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tables of a network namespace say of sockets (proc_pid_net(5)). Pure.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import struct
import typing as t

from . import kinds

# include/net/tcp_states.h
_STATES = {
    b"01": "ESTABLISHED", b"02": "SYN_SENT", b"03": "SYN_RECV", b"04": "FIN_WAIT1", b"05": "FIN_WAIT2",
    b"06": "TIME_WAIT", b"07": "CLOSE", b"08": kinds.CLOSE_WAIT, b"09": "LAST_ACK", b"0A": "LISTEN", b"0B": "CLOSING",
    b"0C": "SYN_RECV",
}  # fmt: skip
_STATES_OF_OTHERS = {b"01": "ESTABLISHED", b"07": "UNCONN"}
_LISTEN = b"0A"
_UNIX_LISTENS = 0x10000  # __SO_ACCEPTCON, include/linux/net.h
_UNIX_STATES = {b"01": "UNCONNECTED", b"02": "CONNECTING", b"03": "CONNECTED", b"04": "DISCONNECTING"}
UNBOUND = "UNBOUND"  # in no table: it was made, and neither bound nor connected

_INET = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
TABLES = (*_INET, "unix", "netlink", "packet")
_FEW_PEERS = 2000  # told apart; a service with more has one peer, the world
_ANY = b"*"
_Key = t.Tuple[bytes, ...]


class Row(t.NamedTuple):
    """Sockets that are alike. ``port`` is the service's: the own one where the peer came in, else that of the peer."""

    protocol: str
    family: str
    state: str
    direction: str = ""
    port: int | None = None
    peer: str = ""

    @property
    def kind(self) -> str:
        if self.state == kinds.CLOSE_WAIT:
            return kinds.CLOSE_WAIT
        has_peer = bool(self.direction) and self.protocol in ("tcp", "unix")
        return kinds.CONNECTION if has_peer else kinds.SOCKET


UNKNOWN = Row("", "", "")


class Table:
    """One table: ``entries`` gives each inode and the number of its row in ``rows``."""

    inode_column = 0

    def __init__(self, name: str) -> None:
        self.protocol = name.rstrip("6")
        self.family = name
        self.rows: list[Row] = []
        self._numbers: dict[_Key, int] = {}

    def entries(self, lines: t.Iterable[bytes]) -> t.Iterator[tuple[bytes, int]]:
        lines = iter(lines)
        next(lines, None)  # the heading
        column, key_of, known = self.inode_column, self._key, self._numbers
        for line in lines:
            fields = line.split(None, column + 1)
            if len(fields) > column:
                key = key_of(fields)
                number = known.get(key)
                yield fields[column], self._number(key) if number is None else number

    def _number(self, key: _Key) -> int:
        if len(self._numbers) >= _FEW_PEERS:
            key = self._shortened(key)
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(self._row(*key))
        return self._numbers[key]

    def _key(self, fields: list[bytes]) -> _Key:
        """What tells rows apart."""
        del fields
        return ()

    def _shortened(self, key: _Key) -> _Key:
        """The same without the peer."""
        return key

    def _row(self, *_key: bytes) -> Row:
        return Row(self.protocol, self.family, "")


class Netlink(Table):
    inode_column = 9


class Packet(Table):
    inode_column = 8


class Inet(Table):
    """tcp, udp, raw and icmp have one form. Listening sockets come first."""

    inode_column = 9

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.family = "inet6" if name.endswith("6") else "inet"
        self._listening: set[bytes] = set()

    def _key(self, fields: list[bytes]) -> _Key:
        """State, own port where it is the service's, peer."""
        _number, local, remote, state = fields[:4]
        own = local[-4:]
        if remote[-4:] == b"0000" and not remote[:-5].strip(b"0"):
            if state == _LISTEN:
                self._listening.add(own)
            return (state, own, b"")
        if own in self._listening:
            return (state, own, remote[:-5])
        return (state, b"", remote)

    def _shortened(self, key: _Key) -> _Key:
        state, own, peer = key
        return (state, own, peer and _ANY + peer[-5:] if not own else peer and _ANY)

    def _row(self, *key: bytes) -> Row:
        state, own, peer = key
        names = _STATES if self.protocol == "tcp" else _STATES_OF_OTHERS
        name = names.get(state, "")
        if not peer:
            return Row(self.protocol, self.family, name, "", int(own, 16) or None)
        if own:
            return Row(self.protocol, self.family, name, "in", int(own, 16), address(peer))
        return Row(self.protocol, self.family, name, "out", int(peer[-4:], 16), address(peer[:-5]))


class Unix(Table):
    """A socket that was accepted has the path of the one that listens; the one that connected has none.

    A path can hold a newline, and so what looks like a line of its own: who asks takes the first of each inode.
    """

    inode_column = 6

    def _key(self, fields: list[bytes]) -> _Key:
        return (fields[3], fields[5], fields[7] if len(fields) > 7 else b"")

    def _shortened(self, key: _Key) -> _Key:
        return (*key[:2], key[2] and _ANY)

    def _row(self, *key: bytes) -> Row:
        flags, state, path = key
        name = _UNIX_STATES.get(state, "")
        try:
            if int(flags, 16) & _UNIX_LISTENS:
                name = "LISTEN"
        except ValueError:
            name = ""
        direction = ("in" if path else "out") if name == "CONNECTED" else ""
        return Row("unix", "unix", name, direction, None, path.rstrip(b"\n").decode("utf-8", "backslashreplace"))


def table(name: str) -> Table:
    """A parser for one of TABLES."""
    if name in _INET:
        return Inet(name)
    return {"unix": Unix, "netlink": Netlink, "packet": Packet}[name](name)


def address(raw: bytes) -> str:
    """Words of 32 bits in the order of this machine, in hexadecimal. An IPv4 address within IPv6 is shown as such."""
    import socket

    if raw == _ANY:
        return "*"
    try:
        packed = b"".join(struct.pack("=I", int(raw[at : at + 8], 16)) for at in range(0, len(raw), 8))
        if packed[:12] == b"\0" * 10 + b"\xff\xff":
            packed = packed[12:]
        return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    except (ValueError, struct.error, OSError):
        return "?"


def of_name(name: str) -> Row:
    """From what the kernel calls the protocol of a socket that is in no table (``system.sockprotoname``)."""
    word = name.lower()
    protocol = word[:-2] if word.endswith("v6") else word.partition("-")[0]
    family = protocol if protocol in ("unix", "netlink", "packet") else ""
    if protocol in ("tcp", "udp", "udplite", "raw", "ping", "sctp", "mptcp"):
        family = "inet6" if word.endswith("v6") else "inet"
    return Row(protocol, family, UNBOUND)
