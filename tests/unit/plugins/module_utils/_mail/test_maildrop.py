# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._mail import maildrop
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.maildrop import Rules, Tally, verdict
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.openers import Openers

POSTFIX, ROOT, ALICE = 101, 0, 2001
READY, OPEN = stat.S_IFREG | 0o744, stat.S_IFREG | 0o644
NOW = 1_000_000.0


def facts(mode: int = READY, uid: int = ROOT, links: int = 1, mtime: float = NOW) -> os.stat_result:
    return os.stat_result((mode, 1, 1, links, uid, 0, 100, mtime, mtime, mtime))


@pytest.mark.parametrize(
    "found, rules, expected",
    [
        (facts(), {}, ""),
        (facts(uid=ALICE), {}, ""),
        (facts(mode=stat.S_IFREG | 0o700), {}, ""),
        # what is no mail
        (facts(mode=stat.S_IFDIR | 0o755), {}, "foreign"),
        (facts(mode=stat.S_IFLNK | 0o777), {}, "foreign"),
        (facts(mode=stat.S_IFIFO | 0o744), {}, "foreign"),
        (facts(mode=stat.S_IFSOCK | 0o744), {}, "foreign"),
        (facts(mode=stat.S_IFCHR | 0o744), {}, "foreign"),
        (facts(mode=stat.S_IFLNK | 0o777), {"keep_requeued": False, "incomplete": "all"}, "foreign"),
        (facts(links=2), {}, "foreign"),
        (facts(links=2), {"incomplete": "all"}, "foreign"),
        # what Postfix put back
        (facts(uid=POSTFIX), {}, "requeued"),
        (facts(uid=POSTFIX, mode=OPEN), {"incomplete": "all"}, "requeued"),
        (facts(uid=POSTFIX), {"keep_requeued": False}, ""),
        (facts(uid=POSTFIX), {"submitters": frozenset([ROOT])}, "requeued"),
        (facts(uid=POSTFIX), {"submitters": frozenset([ROOT]), "keep_requeued": False}, "submitter"),
        # whose
        (facts(uid=ROOT), {"submitters": frozenset([ROOT, ALICE])}, ""),
        (facts(uid=ALICE), {"submitters": frozenset([ROOT])}, "submitter"),
        # how old
        (facts(mtime=NOW - 60), {"latest": NOW - 60}, ""),
        (facts(mtime=NOW - 59), {"latest": NOW - 60}, "young"),
        (facts(mtime=NOW + 1000), {"latest": NOW}, "young"),
        (facts(mtime=NOW + 1000), {}, ""),
        (facts(mtime=-5.0), {"latest": 0.0}, ""),
        # not complete
        (facts(mode=OPEN), {}, "doubtful"),
        (facts(mode=OPEN), {"incomplete": "none"}, "incomplete"),
        (facts(mode=OPEN), {"incomplete": "all"}, ""),
        (facts(mode=stat.S_IFREG | 0o600), {}, "doubtful"),
        (facts(mode=stat.S_IFREG | 0o044), {}, "doubtful"),
        (facts(mode=OPEN, uid=ALICE), {"submitters": frozenset([ROOT])}, "submitter"),
        (facts(mode=OPEN, mtime=NOW), {"latest": NOW - 1}, "young"),
    ],
)
def test_verdict(found: os.stat_result, rules: dict[str, t.Any], expected: str) -> None:
    assert verdict(found, Rules(POSTFIX, **rules)) == expected


ANY_RULES = st.builds(
    Rules,
    mail_owner=st.just(POSTFIX),
    submitters=st.frozensets(st.sampled_from([ROOT, ALICE, POSTFIX])),
    latest=st.none() | st.floats(NOW - 100, NOW),
    incomplete=st.sampled_from(["none", "abandoned", "all"]),
    keep_requeued=st.booleans(),
    account=st.booleans(),
)
ANY_FACTS = st.builds(
    facts,
    mode=st.integers(0, 0o177777),
    uid=st.sampled_from([ROOT, ALICE, POSTFIX]),
    links=st.integers(1, 3),
    mtime=st.floats(NOW - 200, NOW + 200),
)


@given(ANY_FACTS, ANY_RULES)
def test_what_goes_meets_every_rule(found: os.stat_result, rules: Rules) -> None:
    if verdict(found, rules) in ("", "doubtful"):
        assert stat.S_ISREG(found.st_mode)
        assert found.st_nlink == 1
        assert not (rules.keep_requeued and found.st_uid == POSTFIX)
        assert not rules.submitters or found.st_uid in rules.submitters
        assert rules.latest is None or found.st_mtime <= rules.latest
    if not verdict(found, rules):
        assert rules.incomplete == "all" or found.st_mode & 0o700 == 0o700


@given(ANY_FACTS, ANY_RULES)
def test_where_no_look_is_taken_none_is_needed(found: os.stat_result, rules: Rules) -> None:
    if not rules.take_a_look and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        assert not verdict(found, rules)


VICTIMS = st.lists(
    st.tuples(
        st.text(max_size=3), st.sampled_from([0, 1, 2, 70000]), st.floats(NOW - 1e6, NOW + 1e3), st.integers(0, 99),
        st.integers(0, 9999),
    )
)  # fmt: skip


@given(st.lists(VICTIMS))
def test_every_count_adds_up(batches: list[list[maildrop.Victim]]) -> None:
    tally = Tally(NOW)
    for batch in batches:
        tally.remove(batch)
    flat = [victim for batch in batches for victim in batch]
    assert tally.files == len(flat) == sum(row[1] for row in tally.by_uid()) == sum(row[1] for row in tally.by_age())
    assert tally.bytes == sum(row[2] for row in tally.by_uid()) == sum(row[2] for row in tally.by_age())
    assert tally.length == sum(victim[4] for victim in flat)


@pytest.mark.parametrize(
    "age, expected",
    [
        (-1.0, "from the future"),
        (0.0, "under 1m"),
        (59.9, "under 1m"),
        (60.0, "1m to 1h"),
        (3600.0, "1h to 1d"),
        (86400.0, "1d to 7d"),
        (604800.0, "over 7d"),
    ],
)
def test_ages(age: float, expected: str) -> None:
    tally = Tally(NOW)
    tally.remove([("x", 0, NOW - age, 8, 1)])
    assert [maildrop.AGES[row[0]] for row in tally.by_age()] == [expected]


def test_what_was_not_looked_at_is_counted_and_not_accounted_for() -> None:
    tally = Tally(NOW)
    tally.remove([("x", maildrop.UNKNOWN, 0.0, 0, 0)] * 3)
    assert (tally.files, tally.by_uid(), tally.by_age(), tally.accounted) == (3, [], [], False)


# --- real directories ---

NAMES = ["4F1A2240970", "123456.789", "new\nline", "caf\u00e9", "\udcff\udcfe", "-rf", " ", "n" * 255]


@pytest.fixture
def directory(tmp_path: Path) -> t.Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def make(directory: int, name: str, mode: int = 0o744) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    os.chmod(name, mode, dir_fd=directory)


def sift(directory: int, rules: Rules) -> tuple[set[str], dict[str, str]]:
    judge = maildrop.Judge(rules, Openers())
    victims: set[str] = set()
    kept: dict[str, str] = {}
    for chunk in maildrop.chunks(directory):
        sifted = judge.sift(directory, chunk)
        victims |= {victim[0] for victim in sifted.victims}
        kept.update(sifted.kept)
    return victims, kept


def test_every_name_is_listed_once_and_in_chunks(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrop, "CHUNK", 3)
    for name in NAMES:
        make(directory, name)
    chunks = list(maildrop.names(directory))
    assert sorted(name for chunk in chunks for name in chunk) == sorted(NAMES)
    assert max(len(chunk) for chunk in chunks) == 3
    assert maildrop.count(directory) == len(NAMES)


def test_each_window_is_in_the_order_of_the_inodes(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrop, "CHUNK", 3)
    for number in range(50):
        make(directory, f"{number * 7919 % 100}")
    listed = [name for chunk in maildrop.names(directory) for name in chunk]
    inodes = [os.stat(name, dir_fd=directory).st_ino for name in listed]
    assert (len(set(listed)), inodes) == (50, sorted(inodes))
    monkeypatch.setattr(maildrop, "WINDOW", 8)
    assert {name for chunk in maildrop.names(directory) for name in chunk} == set(listed)


@pytest.mark.parametrize("account", [True, False])
def test_odd_names_and_odd_kinds(directory: int, account: bool) -> None:
    rules = Rules(-2, incomplete="all", keep_requeued=False, account=account)
    for name in NAMES:
        make(directory, name)
    os.mkdir("directory", dir_fd=directory)
    os.symlink("/etc/passwd", "link", dir_fd=directory)
    os.symlink("/nowhere", "dangling", dir_fd=directory)
    os.mkfifo("fifo", dir_fd=directory)
    victims, kept = sift(directory, rules)
    assert victims == set(NAMES)
    assert kept == dict.fromkeys(["directory", "link", "dangling", "fifo"], "foreign")


def test_incomplete_files(directory: int) -> None:
    for name, mode in (("ready", 0o744), ("abandoned", 0o644), ("written", 0o644), ("empty.77", 0o600)):
        make(directory, name, mode)
    writer = os.open("written", os.O_WRONLY, dir_fd=directory)
    try:
        assert sift(directory, Rules(-2)) == ({"ready", "abandoned", "empty.77"}, {"written": "incomplete"})
        assert sift(directory, Rules(-2, incomplete="none")) == (
            {"ready"},
            dict.fromkeys(["abandoned", "written", "empty.77"], "incomplete"),
        )
        assert sift(directory, Rules(-2, incomplete="all"))[1] == {}
    finally:
        os.close(writer)
    assert sift(directory, Rules(-2))[1] == {}


class Completing(Openers):
    """Between the first look and the second the writer is done, and asks for a rule that keeps it."""

    def among(self, directory: int, names: t.Sequence[str]) -> set[str]:
        for name in names:
            os.utime(name, (NOW, NOW), dir_fd=directory)
        return set()


def test_a_file_that_is_completed_meanwhile_is_judged_anew(directory: int) -> None:
    make(directory, "late", 0o644)
    os.utime("late", (0, 0), dir_fd=directory)
    judge = maildrop.Judge(Rules(-2, latest=NOW - 10), Completing())
    (chunk,) = maildrop.chunks(directory)
    assert judge.sift(directory, chunk).kept == [("late", "young")]


def test_what_vanishes_is_neither_kept_nor_removed(directory: int) -> None:
    make(directory, "here")
    make(directory, "gone")
    (chunk,) = maildrop.chunks(directory)
    os.unlink("gone", dir_fd=directory)
    sifted = maildrop.Judge(Rules(-2), Openers()).sift(directory, chunk)
    assert [victim[0] for victim in sifted.victims] == ["here"]
    assert sifted.kept == []
