# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered comes back as it was, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.records import (
    CGROUP,
    USER,
    Member,
    Memory,
    Record,
    dump,
    parse,
)

LIMIT = st.one_of(st.none(), st.integers(0, 1 << 63))
SECONDS = st.floats(0, 1e9)
MEMBER = st.builds(Member, st.integers(1, 4 << 20), st.integers(0, 1 << 50), LIMIT, LIMIT)
NAMED = st.one_of(
    st.tuples(st.just(CGROUP), st.binary(max_size=30).map(lambda raw: "/cg/" + raw.hex() + "x\udcff")),
    st.tuples(st.just(USER), st.integers(0, 1 << 32).map(str)),
)
RECORD = st.builds(
    lambda named, *rest: Record(*named, *rest),
    NAMED, st.integers(0, 1 << 63), LIMIT, st.lists(st.integers(0, 1 << 22), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["none_new", "current", "12"]), SECONDS, st.one_of(st.none(), SECONDS), SECONDS,
    st.integers(0, 100), st.booleans(), SECONDS, SECONDS, st.lists(MEMBER, max_size=3).map(tuple),
)  # fmt: skip


def record(**changes: t.Any) -> Record:
    made = Record(CGROUP, "/cg/app", 7, None, (0,), "none_new", 10.0, 70.0, 60.0, 0, True, 0.0, 3600.0)
    return made._replace(**changes)


@given(st.lists(RECORD, max_size=4, unique_by=lambda one: one.key))
def test_a_record_comes_back_as_it_was(records: list[Record]) -> None:
    assert list(parse(dump(records, "b/1"), "b/1").values()) == records
    assert parse(dump(records, "b/1"), "b/2") == {}, "another boot's are gone"


def damaged() -> t.Iterator[bytes]:
    whole = dump([record()], "b/1")
    yield from (b"", b"[]", b"{}", b"\xff", b"[" * 100000, whole[: len(whole) // 2])
    for key, value in (
        ("name", "app"), ("name", "/cg/../../etc"), ("name", 5), ("kind", "group"), ("inode", -1), ("inode", True),
        ("old", "max"), ("old", -1), ("ours", []), ("ours", ["0"]), ("since", None), ("since", -1), ("since", 1e400),
        ("in_force", 1), ("wish", None), ("members", [[1, 2, 3]]), ("members", 5), ("repeats", 1.5),
    ):  # fmt: skip
        document = json.loads(whole)
        document["throttles"][0][key] = value
        yield json.dumps(document).encode()
    document = json.loads(whole)
    del document["throttles"][0]["ours"]
    yield json.dumps(document).encode()
    yield json.dumps({**json.loads(whole), "version": 2}).encode()


@pytest.mark.parametrize("raw", list(damaged()))
def test_a_damaged_memory_is_refused_and_stays(tmp_path: Path, raw: bytes) -> None:
    memory = Memory(str(tmp_path), 1, "b/1")
    Path(memory.path).write_bytes(raw)
    with pytest.raises(Refused, match="is damaged, so what is throttled is not known: nothing was touched"):
        memory.load()
    assert Path(memory.path).read_bytes() == raw


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_memory_that_others_can_write_is_not_trusted(tmp_path: Path, mode: int) -> None:
    memory = Memory(str(tmp_path), 1, "b/1")
    memory.save({record().key: record()}, 0.0)
    os.chmod(memory.path, mode)
    with pytest.raises(Refused, match="not trusted"):
        memory.load()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path), 1, "b/1")
    (tmp_path / "other").write_bytes(dump([record()], "b/1"))
    os.symlink("other", memory.path)
    with pytest.raises(Refused, match="symbolic link"):
        memory.load()


def test_nothing_to_remember_leaves_no_file(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path / "run"), 1, "b/1")
    assert memory.load() == {}
    memory.save({}, 0.0)
    assert not (tmp_path / "run").exists()
    memory.save({record().key: record()}, 0.0)
    assert memory.load() == {record().key: record()}
    memory.save({}, 0.0)
    assert list((tmp_path / "run").iterdir()) == []


def test_what_is_past_is_forgotten_in_time_and_bounded(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path / "run"), 1, "b/1")
    past = [record(name=f"/cg/{n}", in_force=False, ended=float(n), forget_after=1000.0) for n in range(300)]
    memory.save({one.key: one for one in [record(), *past]}, 1010.0)
    kept = memory.load()
    assert record().key in kept
    assert len(kept) == 257
    assert past[10].key not in kept
    assert past[299].key in kept
