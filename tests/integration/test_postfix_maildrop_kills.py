# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""postfix_maildrop killed at any moment: each mail is in the queue, in an archive, or was to go without one."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import typing as t
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import remedy, removal
from ansible_collections.hostcare.remediation.tests.support.mail.spools import Spool, mount

pytestmark = pytest.mark.once

# More for a soak: HOSTCARE_KILLS=5000.
KILLS = int(os.environ.get("HOSTCARE_KILLS", "200"))
WAYS = [
    {"swap": swap, "archive": archive, "threads": threads}
    for swap, archive, threads in itertools.product([False, True], [False, True], [1, 2])
]


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    with mount(request.param, size="256M") as point:
        yield point


@pytest.fixture(autouse=True)
def two_threads_also_for_a_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_SLOW", 0.0)
    monkeypatch.setattr(removal, "_MANY", 32)
    monkeypatch.setattr(removal, "_BATCH", 16)


class Field:
    """A spool with mail that is to go and mail that is to stay, and what became of each."""

    def __init__(self, base: Path, doomed: int) -> None:
        self.spool = Spool(base)
        self.doomed = {f"{number:05X}24097": b"mail %d\n" % number * (1 + number % 50) for number in range(doomed)}
        self.innocent = {f"A{number:04X}24097": b"innocent %d\n" % number for number in range(max(3, doomed // 20))}
        for name, content in self.doomed.items():
            self.spool.write(name, content)
        for number, (name, content) in enumerate(self.innocent.items()):
            self.spool.write(name, content, user=("daemon", "nobody")[number % 2])

    def options(self, state: str = "purged", archive: bool = False, **more: t.Any) -> remedy.Options:
        given: dict[str, t.Any] = {"config_directory": str(self.spool.etc), **more}
        if state == "purged":
            given.update(submitters=("root",), archive=str(self.spool.archives) if archive else None)
        return remedy.Options(state, **given)

    def queue(self) -> Counter[bytes]:
        """Every content in the maildrop and in what was put aside."""
        places = [self.spool.maildrop, *self.spool.path.glob("maildrop.hostcare-swap-*")]
        return Counter(path.read_bytes() for place in places if place.exists() for path in place.iterdir())

    def maildrop(self) -> Counter[bytes]:
        return Counter(path.read_bytes() for path in self.spool.maildrop.iterdir())

    def archives(self) -> list[Path]:
        return sorted(self.spool.archives.glob("*.tar.gz")) if self.spool.archives.exists() else []

    def archived(self) -> Counter[bytes]:
        found: Counter[bytes] = Counter()
        for path in self.archives():
            with tarfile.open(path) as tar:
                found.update(tar.extractfile(member).read() for member in tar)  # type: ignore[union-attr]
        return found

    def check(self, archived: bool) -> None:
        """After a death: nothing is lost, nothing is there twice but what is in an archive as well."""
        queue = self.queue()
        for content in self.innocent.values():
            assert queue[content] == 1, "an innocent is lost"
        assert set(queue) <= {*self.innocent.values(), *self.doomed.values()}
        assert max(queue.values()) == 1, "a mail is there twice"
        if archived:
            missing = set(self.doomed.values()) - set(queue) - set(self.archived())
            assert not missing, f"{len(missing)} mails are neither in the queue nor in an archive"

    def check_end(self, archived: bool) -> None:
        """After the run that follows."""
        assert self.maildrop() == Counter(self.innocent.values())
        assert self.spool.aside() == []
        assert not list(self.spool.archives.glob("*.part")) if self.spool.archives.exists() else True
        if archived:
            assert set(self.archived()) == set(self.doomed.values())


def child(options: remedy.Options, trace: t.Callable[[], None] | None = None) -> int:
    """The module's work in a process that may be killed."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        if trace is not None:
            trace()
        outcome = remedy.run(options)
        status = 1 if outcome.problem else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def finish(options: remedy.Options) -> dict[str, t.Any]:
    outcome = remedy.run(options)
    assert outcome.problem == ""
    assert outcome.result["converged"] is True, outcome.result
    return outcome.result


def duration(options: remedy.Options) -> float:
    started = time.monotonic()
    os.waitpid(child(options), 0)
    return time.monotonic() - started


def fields(disk: Path, doomed: int) -> Iterator[Field]:
    while True:
        base = Path(tempfile.mkdtemp(dir=disk))
        yield Field(base, doomed)
        shutil.rmtree(base)


# --- at random moments ---


def test_killed_at_random_moments_nothing_is_lost(disk: Path) -> None:
    chance = random.Random(int(hashlib.sha256(str(disk).encode()).hexdigest()[:8], 16))
    ground = fields(disk, 150)
    times = [duration(next(ground).options(**way)) for way in WAYS]
    dead = tries = 0
    while dead < KILLS // 2:  # on each of the two file systems
        number = dead % len(WAYS)
        field, way = next(ground), WAYS[number]
        started = time.monotonic()
        pid = child(field.options(**way))
        time.sleep(chance.uniform(0, times[number]))
        os.kill(pid, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
            dead += 1
        else:
            times[number] = min(times[number], time.monotonic() - started)  # it was at its end before
        field.check(way["archive"])
        finish(field.options(**way))
        field.check_end(way["archive"])
        tries += 1
        assert tries < 5 * KILLS, "most came to their end before"


# --- at every step that changes anything ---

STEPS = frozenset({
    "open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.chmod", "os.chown", "os.utime",
    "os.scandir", "os.truncate", "os.setxattr", "os.listdir", "fcntl.flock", "fcntl.fcntl", "fcntl.ioctl",
    "ctypes.dlsym",
})  # fmt: skip


def die_at(step: int) -> t.Callable[[], None]:
    """SIGKILL before the step of that number is taken."""

    def trace() -> None:
        left = [step]

        def hook(event: str, _arguments: tuple[t.Any, ...]) -> None:
            if event in STEPS:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return trace


def deaths(ground: Iterator[Field], options: t.Callable[[Field], remedy.Options]) -> Iterator[Field]:
    """A field for each step, after the module died there; until a run gets through."""
    for step, field in enumerate(ground):
        given = options(field)
        status = os.waitpid(child(given, die_at(step)), 0)[1]
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            assert step > 20
            return
        yield field


@pytest.mark.parametrize("swap", [False, True], ids=["in place", "swap"])
@pytest.mark.parametrize("archive", [False, True], ids=["bare", "archive"])
def test_killed_at_every_step_nothing_is_lost(disk: Path, swap: bool, archive: bool) -> None:
    way = {"swap": swap, "archive": archive, "threads": 1}
    for field in deaths(fields(disk, 6), lambda field: field.options(**way)):
        field.check(archive)
        finish(field.options(**way))
        field.check_end(archive)


def test_killed_at_every_step_a_swap_can_be_undone(disk: Path) -> None:
    for field in deaths(fields(disk, 6), lambda field: field.options(swap=True, archive=True)):
        field.check(archived=True)
        finish(field.options("present"))
        assert field.spool.aside() == []
        field.check(archived=True)
        for path in field.archives():
            finish(field.options("present", from_archive=str(path)))
        assert field.maildrop() == Counter([*field.innocent.values(), *field.doomed.values()])


def test_killed_at_every_step_of_a_restore_each_mail_comes_back_once(disk: Path) -> None:
    ground = fields(disk, 6)

    def restore(field: Field) -> remedy.Options:
        finish(field.options(archive=True))
        (path,) = field.archives()
        return field.options("present", from_archive=str(path))

    for field in deaths(ground, restore):
        taken = field.maildrop()
        for path in list(field.spool.maildrop.iterdir()):
            path.unlink()  # as Postfix would, at once
        (archive,) = (path for path in field.spool.archives.iterdir())
        name = str(archive).removesuffix(".restored")
        finish(field.options("present", from_archive=name))
        assert taken + field.maildrop() == Counter([*field.innocent.values(), *field.doomed.values()])
        assert field.spool.aside() == []
