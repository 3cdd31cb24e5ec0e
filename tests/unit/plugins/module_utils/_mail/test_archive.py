# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import gzip
import io
import os
import random
import resource
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import archive
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.maildrop import Tally

NOW = 1_700_000_000.0
NAMES = ["4F1A2240970", "123456.789", "new\nline", "caf\u00e9", "\udcff\udcfe", "-rf", "n" * 255, "\u00e9" * 127]


class Spool:
    """A directory of files, and one for archives."""

    def __init__(self, base: Path) -> None:
        self.mail, self.archives = base / "mail", base / "archives"
        self.mail.mkdir()
        self.fd = os.open(self.mail, os.O_RDONLY)

    def write(self, name: str, content: bytes, mode: int = 0o744, mtime: int = 10**18 + 123456789) -> None:
        (self.mail / name).write_bytes(content)
        (self.mail / name).chmod(mode)
        os.utime(self.mail / name, ns=(mtime, mtime))

    def writer(self, plan: Tally | None = None) -> archive.Writer:
        return archive.Writer(str(self.archives), plan or Tally(NOW))

    def archive(self, *names: str) -> Path:
        with self.writer() as writer:
            for name in names:
                assert writer.add(self.fd, name)
            writer.commit()
        return Path(writer.path)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def read(path: Path) -> list[tuple[str, archive.Identity, bytes]]:
    with path.open("rb") as file:
        return [(one.name, one.identity, one.content.read()) for one in archive.members(file.fileno())]


def test_what_goes_in_comes_out(spool: Spool) -> None:
    contents = {
        name: bytes([index]) * size for index, (name, size) in enumerate(zip(NAMES, (0, 1, 511, 512, 513, 70000, 9, 3)))
    }
    for index, (name, content) in enumerate(contents.items()):
        spool.write(name, content, mode=0o600 + index, mtime=10**18 + index * 777_777_777_777)
    path = spool.archive(*NAMES)
    found = read(path)
    assert {name: content for name, _identity, content in found} == contents
    for name, identity, _content in found:
        assert identity == archive.Identity.of(os.stat(spool.mail / name))
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(spool.archives) == [path.name]


def test_tar_reads_it_too(spool: Spool, tmp_path: Path) -> None:
    spool.write("4F1A2240970", b"content", mode=0o744)
    path = spool.archive("4F1A2240970")
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(["tar", "-xpzf", path, "-C", out], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    mine, theirs = (spool.mail / "4F1A2240970").stat(), (out / "4F1A2240970").stat()
    assert (theirs.st_mode, theirs.st_uid, theirs.st_gid, theirs.st_mtime_ns, (out / "4F1A2240970").read_bytes()) == (
        mine.st_mode, mine.st_uid, mine.st_gid, mine.st_mtime_ns, b"content",
    )  # fmt: skip


@given(st.integers(-(10**19), 10**19))
def test_a_time_survives_to_the_nanosecond(time: int) -> None:
    assert archive.nanoseconds(archive._stamp(time)) == time


@settings(max_examples=15)
@given(st.lists(st.integers(0, 1500), max_size=9), st.randoms(use_true_random=False))
def test_it_is_never_larger_than_foreseen(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chance: random.Random
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    for index, size in enumerate(sizes):
        spool.write(f"{chance.getrandbits(80):X}", bytes(chance.getrandbits(8) for _byte in range(size)), mtime=index)
    path = spool.archive(*os.listdir(spool.mail))
    slack = archive._LEAST_ROOM - 4096
    assert path.stat().st_size < archive.worst_size(len(sizes), sum(sizes)) - slack


def test_much_that_cannot_be_compressed_is_foreseen(spool: Spool) -> None:
    for index in range(2000):
        spool.write(f"{index:X}24097", os.urandom(600))
    path = spool.archive(*os.listdir(spool.mail))
    assert path.stat().st_size < archive.worst_size(2000, 2000 * 600) - archive._LEAST_ROOM


def test_a_file_that_grows_or_shrinks_meanwhile_breaks_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grows", "shrinks", "stays"):
        spool.write(name, b"x" * 2000)
    original = archive._header

    def meanwhile(name: str, facts: os.stat_result) -> bytes:
        if name == "grows":
            spool.write(name, b"y" * 9000)
        if name == "shrinks":
            spool.write(name, b"y" * 10)
        return original(name, facts)

    monkeypatch.setattr(archive, "_header", meanwhile)
    found = {name: (identity, content) for name, identity, content in read(spool.archive("grows", "shrinks", "stays"))}
    assert found["stays"][1] == b"x" * 2000
    for name in ("grows", "shrinks"):
        assert len(found[name][1]) == 2000
        assert found[name][0] != archive.Identity.of(os.stat(spool.mail / name))  # so it is not removed


def test_what_is_no_file_by_now_is_left_out(spool: Spool) -> None:
    (spool.mail / "link").symlink_to("/etc/passwd")
    os.mkfifo(spool.mail / "fifo")
    (spool.mail / "directory").mkdir()
    with spool.writer() as writer:
        assert [writer.add(spool.fd, name) for name in ("gone", "link", "fifo", "directory")] == [False] * 4


# --- nothing is left of one that failed ---


def test_without_a_commit_nothing_is_left(spool: Spool) -> None:
    spool.write("a", b"x" * 100000)
    with spool.writer() as writer:
        writer.add(spool.fd, "a")
        assert len(os.listdir(spool.archives)) == 1
    assert os.listdir(spool.archives) == []


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_are_not(spool: Spool) -> None:
    spool.archives.mkdir()
    for name in ("maildrop-1-dead.tar.gz.part", "maildrop-1-alive.tar.gz.part", "maildrop-1.tar.gz", "other.part"):
        (spool.archives / name).touch()
    with (spool.archives / "maildrop-1-alive.tar.gz.part").open() as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        with spool.writer():
            pass
    assert sorted(os.listdir(spool.archives)) == ["maildrop-1-alive.tar.gz.part", "maildrop-1.tar.gz", "other.part"]


def test_a_limit_on_files_is_an_error_and_leaves_nothing(spool: Spool) -> None:
    spool.write("a", os.urandom(300000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            spool.archive("a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(spool.archives) == []


# --- refused ---


def test_no_room(spool: Spool) -> None:
    plan = Tally(NOW)
    plan.remove([("a", 0, NOW, 8, 1 << 60)])
    with pytest.raises(Refused, match="Nothing was touched"):
        spool.writer(plan)
    with pytest.raises(Refused, match="larger file system"):
        archive.foresee(str(spool.archives), plan)
    assert not spool.archives.exists()


@pytest.mark.parametrize("path", ["relative", "/", ""])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(Refused, match="not the absolute path"):
        archive.Writer(path, Tally(NOW))


def test_a_directory_that_others_may_write_to(spool: Spool) -> None:
    spool.archives.mkdir()
    spool.archives.chmod(0o777)
    with pytest.raises(Refused, match="others"):
        spool.writer()


def test_a_parent_that_is_missing(spool: Spool) -> None:
    with pytest.raises(Refused, match="parent exists"):
        archive.Writer(str(spool.archives / "deep" / "er"), Tally(NOW))


def test_check_mode_makes_no_directory(spool: Spool) -> None:
    found = archive.foresee(str(spool.archives), Tally(NOW))
    assert (found["path"], found["files"]) == (None, 0)
    assert found["free"] > 0
    assert not spool.archives.exists()


# --- damage ---


def consume(path: Path) -> None:
    with path.open("rb") as file:
        archive.verify(file.fileno())
        for member in archive.members(file.fileno()):
            member.content.read()


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_one_wrong_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: float, flip: int) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    spool.write("a", os.urandom(500))
    spool.write("b", b"text " * 300)
    path = spool.archive("a", "b")
    raw = bytearray(path.read_bytes())
    raw[10 + int(place * (len(raw) - 10))] ^= flip  # before it the header of gzip: time, system
    before = read(path)
    path.write_bytes(raw)
    try:
        consume(path)
    except (OSError, *archive.DAMAGES):
        return
    assert read(path) == before, "only bits that mean nothing, between two blocks, may go unnoticed"


@settings(max_examples=40)
@given(st.floats(0, 1, exclude_max=True))
def test_an_end_that_is_missing_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: float) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    spool.write("a", os.urandom(500))
    path = spool.archive("a")
    os.truncate(path, max(1, int(place * path.stat().st_size)))
    with pytest.raises((OSError, *archive.DAMAGES)):
        consume(path)


def foreign(path: Path, fill: t.Callable[[tarfile.TarFile], None]) -> Path:
    with gzip.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        fill(tar)
    return path


def member(name: str, **facts: t.Any) -> t.Callable[[tarfile.TarFile], None]:
    def fill(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        for key, value in facts.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(b""))

    return fill


OURS = {"comment": "inode 1", "mtime": "1.5", "ctime": "1.5"}


@pytest.mark.parametrize(
    "fill",
    [
        member("a"),
        member("../a", pax_headers=OURS),
        member("/etc/passwd", pax_headers=OURS),
        member("..", pax_headers=OURS),
        member("a", pax_headers=OURS, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("a", pax_headers=OURS, type=tarfile.CHRTYPE),
        member("a", pax_headers=OURS, type=tarfile.DIRTYPE),
        member("a", pax_headers={"comment": "inode 1"}),
        member("a", pax_headers={**OURS, "comment": "inode x"}),
        member("a", pax_headers={**OURS, "ctime": "now"}),
    ],
)
def test_what_is_not_ours_is_not_taken(tmp_path: Path, fill: t.Callable[[tarfile.TarFile], None]) -> None:
    with pytest.raises(archive.DAMAGES):
        read(foreign(tmp_path / "a.tar.gz", fill))


def test_garbage_is_not_taken(tmp_path: Path) -> None:
    for content in (b"", b"garbage", gzip.compress(b""), gzip.compress(b"garbage" * 500)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises((OSError, *archive.DAMAGES)):
            consume(tmp_path / "a")
