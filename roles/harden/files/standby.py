# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standby: runs a module of hostcare.remediation on a host that has no process slot left, not even one.

It was started before the trouble and waits on a socket that only root can open. sshd connects a forwarded channel to it
without a fork. It runs one payload, what Ansible would send to a Python on standard input, in its own process, sends
back what that printed, and becomes a new Python by exec(2), which takes no slot. It starts nothing and writes no file.

The wire, JSON lines and bytes: {"standby": 1, "run_within": S} -> {"size": N, "environment": {}} and N bytes ->
{"rc": C, "overdue": false, "stdout": N, "stderr": M} and N + M bytes, or {"refused": "why"}: then nothing has run.

usage: python3 -IB standby.py [--receive-within S] [--run-within S] SOCKET
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import time
import traceback
import types
import typing as t

VERSION = 1
MAX_HEADER = 64 * 1024
MAX_PAYLOAD = 16 * 1024 * 1024
MAX_OUTPUT = 16 * 1024 * 1024
SEND_WITHIN = 30.0
WAITING = 16

# What the modules import, read now, while files can be read: the rest comes with a payload.
PRELOADED = """
    __future__ ast atexit base64 bisect bz2 calendar collections.abc copy csv ctypes.util dataclasses datetime decimal
    difflib email.message email.utils encodings.ascii encodings.idna encodings.latin_1 encodings.utf_8 enum errno fcntl
    fnmatch functools gc glob grp gzip hashlib heapq importlib.abc importlib.machinery importlib.metadata
    importlib.resources importlib.util inspect io ipaddress itertools json.decoder json.encoder linecache locale logging
    logging.handlers lzma math mmap operator pathlib pkgutil platform posixpath pwd queue random re runpy select
    selectors shlex shutil string subprocess syslog tarfile tempfile textwrap threading tokenize traceback unicodedata
    urllib.parse uuid warnings weakref zipfile zipimport zlib encodings.cp437 distro psutil selinux systemd.journal
"""

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4  # include/uapi/asm-generic/mman.h


class Refused(Exception):
    """The request is not run; the text says why."""


class Overdue(BaseException):
    """The module has had its time. Not an Exception: what a module does at its end is done, and it ends."""


class Request(t.NamedTuple):
    source: bytes
    environment: dict[str, str]


class Answer(t.NamedTuple):
    rc: int
    stdout: bytes
    stderr: bytes
    overdue: bool = False


# --- the wire ---


class Peer:
    """One connection, with an end of its own to waiting: who holds it open keeps nobody out for long."""

    def __init__(self, connection: socket.socket, within: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + within
        self._read = b""

    def request(self) -> Request:
        header = parse_header(self._line())
        return Request(self._bytes(header["size"]), header["environment"])

    def _line(self) -> bytes:
        while b"\n" not in self._read and len(self._read) <= MAX_HEADER:
            self._more()
        line, _newline, self._read = self._read.partition(b"\n")
        if len(line) > MAX_HEADER:
            raise Refused(f"a header has at most {MAX_HEADER} bytes")
        return line

    def _bytes(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        if len(self._read) > size:
            raise Refused(f"more than the {size} bytes that were announced")
        return self._read

    def _more(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Refused("the request was not complete in time")
        self._connection.settimeout(left)
        try:
            more = self._connection.recv(1 << 18)
        except socket.timeout:
            raise Refused("the request was not complete in time") from None
        if not more:
            raise Refused("the peer left before the request was complete")
        self._read += more


def parse_header(line: bytes) -> dict[str, t.Any]:
    """Only what is exactly as it has to be: a size within bounds, and an environment of texts."""
    try:
        header = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused("the header is not JSON") from None
    if not isinstance(header, dict) or set(header) != {"size", "environment"}:
        raise Refused("the header has to have size and environment, and nothing else")
    size, environment = header["size"], header["environment"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_PAYLOAD:
        raise Refused(f"the size has to be 1 to {MAX_PAYLOAD}")
    if not isinstance(environment, dict) or not all(map(_is_setting, environment.items())):
        raise Refused("the environment has to be names with texts")
    return header


def _is_setting(item: tuple[str, t.Any]) -> bool:
    name, value = item
    return bool(name) and "=" not in name and isinstance(value, str) and "\0" not in name + value


def line(content: dict[str, t.Any]) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"


def is_root(connection: socket.socket) -> bool:
    """Who made the connection, as the kernel noted it then (SO_PEERCRED, unix(7))."""
    form = struct.Struct("3i")
    _pid, uid, _gid = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return bool(uid == 0)


# --- one run ---


def run(request: Request, within: float, grace: float, expire: t.Callable[[], None]) -> Answer:
    """The payload, as `python3 <payload` would run it. ``expire`` is called when it does not end on `Overdue` within
    ``grace``."""
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    before = [os.dup(fd) for fd in (1, 2)]
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.update(request.environment)
    rc, overdue = 1, False
    try:
        with deadline(within, grace, expire):
            rc = execute(request.source)
    except Overdue:
        overdue = True
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for saved, fd in zip(before, (1, 2)):
            os.dup2(saved, fd)
    if os.fstat(out).st_size > MAX_OUTPUT:
        return Answer(1, b"", f"The module printed more than {MAX_OUTPUT} bytes.\n".encode())
    return Answer(rc, os.pread(out, MAX_OUTPUT, 0), os.pread(err, MAX_HEADER, 0), overdue)


def execute(source: bytes) -> int:
    """As the program of this process: its exit code."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [""]
    try:
        exec(compile(source, "<stdin>", "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except Overdue:
        raise
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def deadline(within: float, grace: float, expire: t.Callable[[], None]) -> t.Iterator[None]:
    """`Overdue` is raised where the module is; if it goes on nevertheless, ``expire`` is called."""
    rings = []

    def ring(_number: int, _frame: t.Any) -> None:
        rings.append(1)
        if len(rings) > 1:
            expire()
        raise Overdue

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, within, grace)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# --- the resident ---


class Standby:
    def __init__(self, options: argparse.Namespace, listener: socket.socket) -> None:
        self.options, self.listener = options, listener
        # What a run may leave behind in a process, though not in a new program.
        self.environment = dict(os.environ)
        self.priority = os.getpriority(os.PRIO_PROCESS, 0)
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)

    def serve(self) -> t.NoReturn:
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError as error:
                log(f"cannot accept a connection: {error}")
                time.sleep(1)
                continue
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        """One payload, after which this is a new process image; who sends none changes nothing."""
        if not is_root(connection):
            log("turned away a connection that is not root's")
            return
        try:
            connection.settimeout(self.options.receive_within)
            connection.sendall(line({"standby": VERSION, "run_within": self.options.run_within}))
            request = Peer(connection, self.options.receive_within).request()
        except Refused as refusal:
            log(f"refused a request: {refusal}")
            self._send(connection, line({"refused": str(refusal)}))
            return
        except OSError as error:
            log(f"lost a connection: {error}")
            return
        began = time.monotonic()
        answer = run(request, self.options.run_within, self.options.grace, self._start_afresh)
        log(f"ran a module of {len(request.source)} bytes: rc {answer.rc}, {time.monotonic() - began:.1f} s")
        sizes = {"stdout": len(answer.stdout), "stderr": len(answer.stderr)}
        header = line({"rc": answer.rc, "overdue": answer.overdue, **sizes})
        self._send(connection, header + answer.stdout + answer.stderr)
        connection.close()
        self._start_afresh()

    @staticmethod
    def _send(connection: socket.socket, content: bytes) -> None:
        connection.settimeout(SEND_WITHIN)
        try:
            connection.sendall(content)
        except OSError as error:
            log(f"nobody takes the answer: {error}")

    def _start_afresh(self) -> t.NoReturn:
        """The listening socket stays open across it, so that nobody who waits is lost."""
        with contextlib.suppress(OSError, ValueError):
            os.setpriority(os.PRIO_PROCESS, 0, self.priority)
            resource.setrlimit(resource.RLIMIT_NOFILE, self.files)
        os.set_inheritable(self.listener.fileno(), True)
        own = self.options
        within = [f"--receive-within={own.receive_within}", f"--run-within={own.run_within}", f"--grace={own.grace}"]
        words = [sys.executable, "-IB", own.program, *within, f"--listener={self.listener.fileno()}", own.socket]
        os.execve(sys.executable, words, self.environment)


def listen(path: str) -> socket.socket:
    """Below a directory that is root's alone, whoever made it."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o077:
        raise SystemExit(f"{directory} has to be a directory of root's with mode 0700: remove it and start again.")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(WAITING)
    return listener


def stay_in_memory() -> None:
    """Under a limit on locked memory an allocation or the growth of the stack could fail later, while a module acts as a
    user without the right to exceed it: then rather no lock."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT):
            log(f"its memory is not locked: {os.strerror(ctypes.get_errno())}")


def preload() -> None:
    for name in PRELOADED.split():
        with contextlib.suppress(ImportError):  # not every Python has each
            importlib.import_module(name)


def log(text: str) -> None:
    """Never waits for who should read it."""
    with contextlib.suppress(OSError):
        os.write(2, f"hostcare-standby: {text}\n".encode(errors="replace"))


def main() -> t.NoReturn:
    parser = argparse.ArgumentParser(description="Runs modules of hostcare.remediation without a process slot.")
    parser.add_argument("--receive-within", type=float, default=30.0, metavar="S", help="seconds for a request")
    parser.add_argument("--run-within", type=float, default=900.0, metavar="S", help="seconds for a module")
    parser.add_argument("--grace", type=float, default=10.0, metavar="S", help="seconds for it to end in order then")
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    parser.add_argument("socket", help="path of the socket, in a directory of root's with mode 0700")
    options = parser.parse_args()
    options.program = os.path.abspath(__file__)
    if os.geteuid() != 0:
        raise SystemExit("The standby has to run as root.")
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir("/")
    os.umask(0o022)
    os.set_blocking(2, False)
    if options.listener is None:
        listener = listen(options.socket)
    else:
        listener = socket.socket(fileno=options.listener)
        listener.set_inheritable(False)
    preload()
    stay_in_memory()
    Standby(options, listener).serve()


if __name__ == "__main__":
    main()
