# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor tables as ``/proc`` shows them (proc_pid_fd(5), proc_pid_fdinfo(5)), and what kcmp(2) says of them.

A link is read and never followed: what it names may lie on a file system that hangs.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import os
import sys
import typing as t

from .errors import Refused

_CHUNK = 2048  # links that are held at once
_SPARSE_STATUS = 4096  # bytes of status up to its FDSize line
_KCMP_FILE = 0  # include/uapi/linux/kcmp.h
# arch/*/kernel/syscalls, by what 64-bit machines call themselves in uname(2)
_SYS_KCMP = {
    "x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272, "ppc64le": 354, "ppc64": 354, "s390x": 343,
}  # fmt: skip


class Holding(t.NamedTuple):
    """How many descriptors a process has; ``owner`` is its effective user, root where it is not dumpable (proc(5)).

    ``thread`` is another one that has the table, where the first has ended.
    """

    pid: int
    descriptors: int
    owner: int
    thread: int = 0

    @property
    def path(self) -> str:
        """The directory of the table below ``/proc``."""
        return f"{self.pid}/task/{self.thread}/fd" if self.thread else f"{self.pid}/fd"


class DescriptorTables:
    """The tables of one mounted ``/proc``. What is gone is left out; what is denied too, and counted."""

    def __init__(self, root: str = "/proc", has_sizes: bool | None = None) -> None:
        self.root = root
        self.denied = 0
        self.has_sizes = self._counts_for_us() if has_sizes is None else has_sizes

    def _counts_for_us(self) -> bool:
        """Since Linux 6.2 the size of the directory is the number of descriptors; before it is 0."""
        fd = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)  # so that this process has one at least
        try:
            return os.stat(f"{self.root}/self/fd").st_size > 0
        except OSError:
            return False
        finally:
            os.close(fd)

    def holding(self, pid: int | str) -> Holding | None:
        """None for a process that is gone, holds nothing, or whose table may not be counted."""
        path = f"{self.root}/{pid}/fd"
        thread = 0
        try:
            found = os.stat(path)
            count = found.st_size if self.has_sizes else len(os.listdir(path))
            if not count:
                thread, count = self._of_another_thread(pid)
        except OSError as error:
            self._note(error)
            return None
        return Holding(int(pid), count, found.st_uid, thread) if count else None

    def _of_another_thread(self, pid: int | str) -> tuple[int, int]:
        """A first thread that has ended shows an empty table; the others still have theirs."""
        tasks = f"{self.root}/{pid}/task"
        if os.stat(tasks).st_nlink <= 3:  # ".", ".." and one thread
            return 0, 0
        for tid in os.listdir(tasks):
            try:
                count = len(os.listdir(f"{tasks}/{tid}/fd"))
            except OSError as error:
                self._note(error)
                continue
            if count:
                return int(tid), count
        return 0, 0

    def links(self, holding: Holding, most: int) -> t.Iterator[tuple[list[bytes], list[bytes]]]:
        """Numbers and what they name, some thousand at a time. Of more than ``most`` every n-th number is read."""
        path = f"{self.root}/{holding.path}"
        try:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._note(error)
            return
        try:
            numbers = os.listdir(path.encode()) if holding.descriptors <= most else self._every_nth(holding, most)
            for start in range(0, len(numbers), _CHUNK):
                yield _read_links(directory, numbers[start : start + _CHUNK])
        except OSError as error:
            self._note(error)
        finally:
            os.close(directory)

    def _every_nth(self, holding: Holding, most: int) -> list[bytes]:
        """Spread over the whole table: what leaks is at its end."""
        size = max(self._table_size(holding), holding.descriptors)
        step = -(-size // max(1, most))
        return [b"%d" % number for number in range(0, size, step)]

    def _table_size(self, holding: Holding) -> int:
        """All numbers are below it."""
        status = self.read(f"{holding.path[:-3]}/status", _SPARSE_STATUS) or b""
        at = status.find(b"\nFDSize:")
        return int(status[at + 8 :].split(None, 1)[0]) if at >= 0 else 0

    def info(self, holding: Holding, number: bytes | int) -> bytes | None:
        """What the kernel tells of a descriptor without a look at its object."""
        fd = number if isinstance(number, int) else int(number)
        return self.read(f"{holding.path}info/{fd}")

    def namespace(self, pid: int, kind: str) -> str | None:
        try:
            return os.readlink(f"{self.root}/{pid}/ns/{kind}")
        except OSError as error:
            self._note(error)
            return None

    def lines(self, path: str) -> t.Iterator[bytes]:
        """The lines of a file below the root, one by one: a table of sockets may have a million."""
        try:
            with open(f"{self.root}/{path}", "rb", buffering=1 << 15) as file:
                yield from file
        except OSError as error:
            self._note(error)

    def read(self, path: str, most: int = 1 << 20) -> bytes | None:
        try:
            fd = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._note(error)
            return None
        try:
            return b"".join(_parts(fd, most))
        except OSError as error:
            self._note(error)
            return None
        finally:
            os.close(fd)

    def numbers(self, path: str) -> list[int]:
        """The integers in a file such as ``sys/fs/file-nr``; none where it cannot be read."""
        try:
            return [int(word) for word in (self.read(path) or b"").split()]
        except ValueError:
            return []

    def _note(self, error: OSError) -> None:
        """EACCES makes a result partial, want of descriptors or memory would make it wrong; the rest means gone."""
        if isinstance(error, PermissionError):
            self.denied += 1
        elif error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise Refused(
                f"{self.root} cannot be read for want of a file descriptor or memory ({error.strerror}): "
                "raise fs.file-max or the limit of the login, or free memory, then run again."
            ) from None


def _read_links(directory: int, numbers: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    readlink = os.readlink
    try:
        return numbers, [readlink(number, dir_fd=directory) for number in numbers]
    except FileNotFoundError:
        pass
    kept, links = [], []
    for number in numbers:
        try:
            links.append(readlink(number, dir_fd=directory))
        except FileNotFoundError:
            continue
        kept.append(number)
    return kept, links


def _parts(fd: int, most: int) -> t.Iterator[bytes]:
    while most > 0:
        part = os.read(fd, min(most, 1 << 16))
        if not part:
            return
        most -= len(part)
        yield part


class Kcmp:
    """kcmp(2): whether two descriptors stand for one open file description. Takes the right to trace both."""

    def __init__(self) -> None:
        self.calls = 0
        self._syscall: t.Callable[..., int] | None = None
        number = _SYS_KCMP.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
        try:
            import ctypes
        except ImportError:  # some builds of Python come without it
            return
        if number is None or not sys.platform.startswith("linux"):
            return
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.argtypes = [ctypes.c_long] * 6
        self._syscall.restype = ctypes.c_long
        self._number = number

    @property
    def works(self) -> bool:
        """Not without CONFIG_KCMP, nor where a seccomp filter takes it away."""
        own = os.getpid()
        try:
            fd = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return self.order((own, fd), (own, fd)) == 0
        finally:
            os.close(fd)

    def order(self, one: tuple[int, int], other: tuple[int, int]) -> int | None:
        """0 for the same description, 1 and 2 for before and after it in an order of the kernel's own, else None.

        Each is the number of a process and that of its descriptor.
        """
        if self._syscall is None:
            return None
        self.calls += 1
        result = self._syscall(self._number, one[0], other[0], _KCMP_FILE, one[1], other[1])
        return result if result in (0, 1, 2) else None
