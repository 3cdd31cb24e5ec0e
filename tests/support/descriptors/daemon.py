# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons that hold descriptors, as services do: daemon.py KIND ... Each says "ready" (a server: "ready PORT").

leak KIND EVERY            opens one of the kind every so many seconds and forgets it: pipe, eventfd, epoll, inotify,
                           udp, socket, memfd, deleted (a log file that was rotated away), file (one again and again)
close_wait                 a server that keeps the sockets its peers have closed
spread WORKERS SHARED KIND EVERY
                           opens as many eventfds as shared, forks the workers, and each leaks a little
busy [KIND EVERY]          a server that does its work: a thread, a pipe, a temporary file, an eventfd for each request;
                           and one that leaks one of a kind with every so many requests
flicker                    opens ever other numbers of everything for a moment, beside what it keeps
idle NUMBER                holds as many pipes, files, eventfds and sockets each, and does nothing
museum NUMBER              holds as many of every kind, with sockets of every family and state, and does nothing
mail NUMBER                sends as many descriptors to itself, closes them, and never receives them
mapped NUMBER              maps as many files and closes them
hung DIRECTORY             holds a file and a deleted one on a file system that has stopped answering (hanging.py)
twins PATH                 opens the path and forks; the child waits in another network namespace
hungry FILE                opens until it may not, writes how many into the file, and tries again, for ever
breeder EVERY LIFE         forks a worker every so many seconds, each of which lives so long
hang_up PORT EVERY         a client that goes away at once
load PORT MOST             clients of busy: ever more, then fewer, then more again
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

USER_OF_INOTIFY = 61234
KEPT: list[object] = []
REQUESTS = itertools.count()


def say(line: str = "ready") -> None:
    print(line, flush=True)


def open_one(kind: str) -> object:
    """A new descriptor, or two; nothing of it is ever closed."""
    if kind == "pipe":
        return os.pipe()
    if kind == "eventfd":
        return os.eventfd(0)
    if kind == "epoll":
        return select.epoll()
    if kind == "inotify":
        # Each user of the machine has a few, and root's are used by the systemd of every container.
        os.setuid(USER_OF_INOTIFY)
        return ctypes.CDLL(None).inotify_init1(0)
    if kind == "memfd":
        return os.memfd_create("leak")
    if kind == "udp":
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        return one
    if kind == "socket":
        return socket.socket()
    if kind == "deleted":
        return rotated_log()
    if kind == "file":
        return os.open("/etc/passwd", os.O_RDONLY)
    raise SystemExit(f"no such kind: {kind}")


def rotated_log() -> int:
    fd, path = tempfile.mkstemp(prefix="access.log.", dir=os.environ.get("LOGS", "/var/tmp"))
    os.write(fd, b"x" * 65536)
    os.unlink(path)
    return fd


def leak(kind: str, every: str) -> None:
    say()
    while True:
        KEPT.append(open_one(kind))
        time.sleep(float(every))


def listening() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0), backlog=256)
    say(f"ready {server.getsockname()[1]}")
    return server


def close_wait() -> None:
    server = listening()
    while True:
        peer, _address = server.accept()
        peer.recv(1)
        KEPT.append(peer)  # and never closes it


def spread(workers: str, shared: str, kind: str, every: str) -> None:
    KEPT.extend(os.eventfd(0) for _one in range(int(shared)))
    parent = os.getpid()
    for _worker in range(int(workers)):
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(float(every) * (0.5 + random.random()))
                KEPT.append(open_one(kind))
            os._exit(0)
    say()
    signal.pause()


def busy(kind: str = "", every: str = "1") -> None:
    server = listening()
    while True:
        peer, _address = server.accept()
        threading.Thread(target=serve, args=(peer, kind, int(every)), daemon=True).start()


def serve(peer: socket.socket, kind: str, every: int) -> None:
    """Requests of one connection until it ends."""
    with peer, contextlib.suppress(OSError):
        while peer.recv(64):
            if kind and next(REQUESTS) % every == 0:
                KEPT.append(open_one(kind))
            with tempfile.TemporaryFile() as spool, open("/etc/passwd", "rb") as page:
                ends, event = os.pipe(), os.eventfd(0)
                spool.write(page.read())
                time.sleep(random.random() / 20)
                for fd in (*ends, event):
                    os.close(fd)
            peer.sendall(b"done")


def flicker() -> None:
    for _one in range(100):
        KEPT.extend(open_one(kind) for kind in ("pipe", "eventfd"))
    say()
    while True:
        moment = [
            open_one(kind) for kind in ("eventfd", "memfd", "file", "deleted") for _one in range(random.randint(5, 60))
        ]
        time.sleep(random.random() / 5)
        for fd in moment:
            os.close(fd)  # type: ignore[arg-type]


def idle(number: str) -> None:
    for _one in range(int(number)):
        KEPT.extend(open_one(kind) for kind in ("pipe", "file", "eventfd", "udp", "deleted"))
    say()
    signal.pause()


def museum(number: str) -> None:
    for _one in range(int(number)):
        KEPT.extend(
            open_one(kind) for kind in ("pipe", "eventfd", "epoll", "udp", "socket", "memfd", "deleted", "file")
        )
        KEPT.append(socket.socketpair())
        KEPT.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
        KEPT[-1].bind((0, 0))  # type: ignore[attr-defined]
        listener = socket.create_server(("127.0.0.1", 0))
        for closes in (False, True):
            client = socket.create_connection(listener.getsockname())
            KEPT.append(listener.accept()[0])
            if closes:
                client.close()
            KEPT.append(client)
        KEPT.append(listener)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(f"\0hostcare-{os.getpid()}-{_one}")
        unix.listen()
        KEPT.append(unix)
    KEPT.append(open_one("inotify"))
    say()
    signal.pause()


def mail(number: str) -> None:
    left = int(number)
    while left:
        pair = socket.socketpair()
        fds = [os.open("/etc/passwd", os.O_RDONLY) for _one in range(min(left, 250))]
        socket.send_fds(pair[0], [b"x"], fds)
        for fd in fds:
            os.close(fd)
        KEPT.append(pair)
        left -= len(fds)
    say()
    signal.pause()


def mapped(number: str) -> None:
    libc = ctypes.CDLL(None)
    for _one in range(int(number)):
        with open("/etc/passwd", "rb") as file:  # mmap.mmap would keep a descriptor of its own
            libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file.fileno(), ctypes.c_long(0))  # PROT_READ, MAP_PRIVATE
    say()
    signal.pause()


def hung(directory: str) -> None:
    ctypes.CDLL(None).unshare(0x00020000)  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hanging.py")
    server = subprocess.Popen([sys.executable, script, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    if server.stdout.readline() != b"ready\n":
        say("unable")
        return
    KEPT.extend(os.open(os.path.join(directory, "log"), os.O_RDWR) for _one in range(2))
    os.unlink(os.path.join(directory, "log"))
    server.stdin.write(b"hang\n")
    server.stdin.flush()
    time.sleep(0.2)
    say()
    signal.pause()


def twins(path: str) -> None:
    KEPT.append(os.open(path, os.O_RDONLY))
    server = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        ctypes.CDLL(None).unshare(0x40000000)  # CLONE_NEWNET
        KEPT.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        KEPT[-1].bind(("0.0.0.0", 5353))  # type: ignore[attr-defined]
        KEPT.append(socket.create_server(("0.0.0.0", 4444)))
        say(f"ready {server.getsockname()[1]}")
    signal.pause()


def hungry(file: str) -> None:
    say()
    while True:
        with contextlib.suppress(OSError):
            while True:
                KEPT.append(os.open("/dev/null", os.O_RDONLY))
        os.close(KEPT.pop())  # type: ignore[arg-type]
        with contextlib.suppress(OSError):  # where it has more than it may have by now
            told = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(told, b"%d" % len(KEPT))
            os.close(told)
        time.sleep(0.02)


def breeder(every: str, life: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    say()
    while True:
        if os.fork() == 0:
            time.sleep(float(life))
            os._exit(0)
        time.sleep(float(every))


def hang_up(port: str, every: str) -> None:
    say()
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port))) as peer:
            peer.sendall(b"x")
        time.sleep(float(every))


def load(port: str, most: str) -> None:
    """A tide of connections, each with some requests."""
    threads: list[threading.Thread] = []
    say()
    while True:
        threads = [one for one in threads if one.is_alive()]
        tide = (1 + random.random() + time.monotonic() % 10 / 5) / 4
        while len(threads) < int(most) * tide:
            threads.append(threading.Thread(target=visit, args=(int(port),), daemon=True))
            threads[-1].start()
        time.sleep(0.02)


def visit(port: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
        for _request in range(random.randint(1, 20)):
            peer.sendall(b"GET")
            peer.recv(64)
            time.sleep(random.random() / 10)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        globals()[sys.argv[1]](*sys.argv[2:])
