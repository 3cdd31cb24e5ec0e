# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# This file is private to the collection and may change at any time.

"""The way to a host without one free process slot: a channel of the live ssh connection to the host's standby.

sshd starts a process for a session, though none for a forwarded channel. The standby (role harden) was started before
the trouble and runs the module in its own process. Its program says what goes over the wire.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import typing as t
from collections.abc import Callable, Iterator, Mapping

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _session

SOCKET = "/run/hostcare-standby/socket"
VERSION = 1

_CONTROL_WITHIN = 10.0  # for the ssh that tells the master: it talks to a process on this machine
_GREETING_WITHIN = 5.0  # at least; one that runs another module keeps who comes next waiting
_SEND_WITHIN = 30.0
_BEYOND = 60.0  # for an answer, after the time that the standby gives a module
_MAX_LINE = 64 * 1024
_MAX_OUTPUT = 16 * 1024 * 1024
_LONGEST_PATH = 100  # of a socket: 104 bytes on some controllers (sun_path, unix(4))


class Unavailable(Exception):
    """Nothing of the module has run; the text says why, and the next step."""


class Lost(Exception):
    """The module was handed over and no whole answer came back: it may have acted."""


class Answer(t.NamedTuple):
    rc: int
    stdout: bytes
    stderr: bytes
    overdue: bool


def run(command: Callable[..., list[bytes]], module: bytes, environment: Mapping[str, str], patience: float) -> Answer:
    """``command`` makes an ssh command line for the host of the words it is given; ``patience`` is for a busy one."""
    with forwarded(command) as path:
        return ask(path, module, environment, max(patience, _GREETING_WITHIN))


@contextlib.contextmanager
def forwarded(command: Callable[..., list[bytes]]) -> Iterator[str]:
    """A socket on this machine that leads to the standby's, in a directory that is the user's alone."""
    directory = tempfile.mkdtemp(prefix="hostcare-")
    if len(directory) + len("/s") > _LONGEST_PATH:
        os.rmdir(directory)
        directory = tempfile.mkdtemp(prefix="hostcare-", dir="/tmp")
    path = f"{directory}/s"
    way = ["-L", f"{path}:{SOCKET}"]
    try:
        _tell_master(command("-O", "forward", *way), path)
        try:
            yield path
        finally:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                _control(command("-O", "cancel", *way))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _tell_master(words: list[bytes], path: str) -> None:
    try:
        done = _control(words)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"ssh could not be told to forward ({error})") from error
    if done.returncode or not os.path.exists(path):
        said = _session.reason(done.stderr.decode(errors="replace"))
        raise Unavailable(
            f"ssh has no live connection that could forward to it ({said}). "
            "Keep one open (ControlMaster, ControlPersist) before the trouble: a fresh one needs process slots"
        )


def _control(words: list[bytes]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_CONTROL_WITHIN)


def ask(path: str, module: bytes, environment: Mapping[str, str], patience: float) -> Answer:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(patience)
            connection.connect(path)
            stream = connection.makefile("rb")
            greeting = _greeting(stream.readline(_MAX_LINE))
        except TimeoutError:
            raise Unavailable(f"it is busy with another run and did not answer within {patience:g} s") from None
        except OSError as error:
            raise Unavailable(f"the connection to it failed ({error})") from error
        header = json.dumps({"size": len(module), "environment": dict(environment)})
        refusal: OSError | None = None
        try:
            connection.settimeout(_SEND_WITHIN)
            connection.sendall(header.encode("ascii") + b"\n" + module)
        except OSError as error:  # it runs nothing that is not complete, and may have said why it turned this away
            refusal = error
        connection.settimeout(greeting["run_within"] + _BEYOND)
        return _answer(stream.read, stream.readline, refusal)


def _greeting(line: bytes) -> dict[str, float]:
    if not line:
        raise Unavailable(
            f"nothing answers at {SOCKET} on the host. Arm it with role hostcare.remediation.harden (control standby), "
            "log in as root, and let sshd forward to sockets (AllowStreamLocalForwarding)"
        )
    greeting = _parsed(line)
    within = greeting.get("run_within")
    if greeting.get("standby") != VERSION or not isinstance(within, (int, float)):
        raise Unavailable(
            f"what answers at {SOCKET} is not a standby of this version. Harden the host again with this collection"
        )
    return {"run_within": float(within)}


def _answer(read: Callable[[int], bytes], readline: Callable[[int], bytes], refusal: OSError | None) -> Answer:
    try:
        header = _parsed(readline(_MAX_LINE))
        if "refused" in header:
            raise Unavailable(f"it refused the module: {header['refused']}")
        if refusal is not None:
            raise Unavailable(f"the module could not be sent to it ({refusal})") from refusal
        rc, overdue, sizes = header["rc"], header["overdue"], (header["stdout"], header["stderr"])
        if not all(0 <= size <= _MAX_OUTPUT for size in sizes):
            raise Lost("the answer of the standby is larger than one may be")
        stdout, stderr = (read(size) for size in sizes)
    except (OSError, KeyError, TypeError) as error:
        if refusal is not None:
            raise Unavailable(f"the module could not be sent to it ({refusal})") from error
        raise Lost("the standby ended") from error
    if (len(stdout), len(stderr)) != sizes:
        raise Lost("the answer of the standby is cut short")
    return Answer(int(rc), stdout, stderr, bool(overdue))


def _parsed(line: bytes) -> dict[str, t.Any]:
    """Empty for what is no JSON object."""
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
