# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the standby takes for a payload, and that both ends of the wire mean the same by it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import socket
import threading
import typing as t
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _standby


def _load() -> ModuleType:
    path = Path(__file__).parents[4] / "roles" / "harden" / "files" / "standby.py"
    specification = importlib.util.spec_from_file_location("hostcare_standby_program", path)
    assert specification is not None
    assert specification.loader is not None
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    return program


program = _load()

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0="), min_size=1, max_size=20)


@given(st.binary(max_size=300))
def test_whatever_is_said_is_taken_or_refused(line: bytes) -> None:
    try:
        header = program.parse_header(line)
    except program.Refused:
        return
    assert 0 < header["size"] <= program.MAX_PAYLOAD


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    st.recursive(
        st.none() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
)
def test_only_a_size_and_texts_are_taken(size: t.Any, environment: t.Any) -> None:
    line = json.dumps({"size": size, "environment": environment}).encode()
    try:
        header = program.parse_header(line)
    except program.Refused:
        return
    assert isinstance(header["size"], int)
    assert not isinstance(header["size"], bool)
    assert all(isinstance(text, str) and "\0" not in name + text for name, text in header["environment"].items())


@given(st.binary(min_size=1, max_size=5000), st.dictionaries(NAMES, TEXTS, max_size=4), st.integers(1, 700))
def test_a_request_arrives_as_it_was_sent(source: bytes, environment: dict[str, str], chunk: int) -> None:
    """However the bytes are cut on their way."""
    here, there = socket.socketpair()
    header = json.dumps({"size": len(source), "environment": environment}).encode() + b"\n"
    sent = header + source

    def send() -> None:
        for start in range(0, len(sent), chunk):
            here.sendall(sent[start : start + chunk])

    sender = threading.Thread(target=send)
    with here, there:
        sender.start()
        request = program.Peer(there, 10.0).request()
        sender.join()
    assert (request.source, request.environment) == (source, environment)


# --- the controller's end ---


class Host:
    """The far end of a socket: says what it is given, and keeps what it is told."""

    def __init__(self, directory: Path, *said: bytes) -> None:
        self.path = str(directory / "s")
        self._said, self.told = said, b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve)

    @contextlib.contextmanager
    def serving(self) -> t.Iterator[str]:
        self._thread.start()
        yield self.path
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _address = self._listener.accept()
        with connection:
            connection.settimeout(10)
            for number, said in enumerate(self._said):
                connection.sendall(said)
                if number == 0:
                    self.told = connection.recv(1 << 16)


GREETING = b'{"standby": 1, "run_within": 5}\n'


def header(**changes: t.Any) -> bytes:
    return json.dumps({"rc": 0, "overdue": False, "stdout": 2, "stderr": 3, **changes}).encode() + b"\n"


def test_an_answer(tmp_path: Path) -> None:
    host = Host(tmp_path, GREETING, header() + b"ou", b"terr")  # cut anywhere
    with host.serving() as path:
        answer = _standby.ask(path, b"module", {"A": "\u00e9"}, 10)
    assert answer == (0, b"ou", b"ter", False)
    assert host.told == b'{"size": 6, "environment": {"A": "\\u00e9"}}\nmodule'


@pytest.mark.parametrize(
    "said, raised, words",
    [
        ([], _standby.Unavailable, "nothing answers at /run/hostcare-standby/socket on the host. Arm it with role"),
        ([b"SSH-2.0-x\r\n"], _standby.Unavailable, "is not a standby of this version. Harden the host again"),
        ([b'{"standby": 2, "run_within": 5}\n'], _standby.Unavailable, "is not a standby of this version"),
        ([b'{"standby": 1, "run_within": "long"}\n'], _standby.Unavailable, "is not a standby of this version"),
        ([b"[1]\n"], _standby.Unavailable, "is not a standby of this version"),
        ([GREETING, b'{"refused": "why"}\n'], _standby.Unavailable, "it refused the module: why"),
        ([GREETING], _standby.Lost, "the standby ended"),
        ([GREETING, b"no JSON\n"], _standby.Lost, "the standby ended"),
        ([GREETING, header(stdout="2")], _standby.Lost, "the standby ended"),
        ([GREETING, header(stdout=20) + b"ou"], _standby.Lost, "the answer of the standby is cut short"),
        ([GREETING, header(stdout=-1)], _standby.Lost, "larger than one may be"),
        ([GREETING, header(stderr=1 << 40)], _standby.Lost, "larger than one may be"),
        ([GREETING, header()[:20]], _standby.Lost, "the standby ended"),
    ],
)
def test_what_is_no_answer(tmp_path: Path, said: list[bytes], raised: type[Exception], words: str) -> None:
    """Before the module is handed over it can be sent again, after that not."""
    with Host(tmp_path, *said).serving() as path, pytest.raises(raised, match=re.escape(words)):
        _standby.ask(path, b"module", {}, 10)


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(_standby.Unavailable, match="the connection to it failed"):
        _standby.ask(str(tmp_path / "s"), b"module", {}, 1)


def test_both_ends_speak_of_one_version() -> None:
    assert program.VERSION == _standby.VERSION
