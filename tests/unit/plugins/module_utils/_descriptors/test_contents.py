# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is gathered from links, and what a second look shows to have stayed."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import contents as module
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.contents import Contents, Gatherer
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.deleted import (
    EXISTS,
    GONE,
    UNKNOWN,
    File,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.history import History, kinds_of
from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors.members import Host, Member, Sample

Links = t.Mapping[int, bytes]


def gather(links: Links, with_tokens: bool = False, part: int = 1000) -> Contents:
    found = Contents(7, len(links), with_tokens)
    items = [(b"%d" % number, link) for number, link in sorted(links.items())]
    parts = [items[at : at + part] for at in range(0, len(items), part)]
    Gatherer().gather(found, (([number for number, _link in one], [link for _number, link in one]) for one in parts))
    return found


MIX = {
    0: b"/dev/null",
    1: b"/dev/null",
    3: b"socket:[10]",
    4: b"pipe:[11]",
    5: b"pipe:[11]",
    6: b"anon_inode:[eventfd]",
    7: b"/var/log/app/a.log",
    8: b"/var/log/app/a.log",
    9: b"/var/log/app/b.log",
    10: b"/var/log/old.log (deleted)",
    11: b"anon_inode:inotify",
    12: b"socket:[12]",
    13: b"socket:[10]",
}


@pytest.mark.parametrize("part", [1, 2, 3, 1000])
def test_kinds_places_and_numbers(part: int) -> None:
    found = gather(MIX, part=part)
    assert found.counts == {"device": 2, "pipe": 2, "eventfd": 1, "file": 3, "deleted": 1, "inotify": 1}
    assert list(found.sockets) == [10, 12, 10]
    assert list(found.socket_numbers) == [3, 12, 13]
    assert list(found.numbers) == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]
    assert found.prefixes == {b"/var/log/app": 3}
    assert found.special == (("deleted", 10, b"/var/log/old.log (deleted)"), ("inotify", 11, b"anon_inode:inotify"))
    assert found.repeated == 2  # /dev/null and a.log
    assert (found.seen, found.scale) == (13, 1.0)


@given(
    st.dictionaries(st.integers(0, 1000), st.one_of(st.sampled_from(sorted(MIX.values())), st.binary()), max_size=50)
)
def test_any_links_add_up(links: Links) -> None:
    found = gather({number: link for number, link in links.items() if not link.startswith(b"socket:[")}, True, 7)
    assert sum(found.counts.values()) == found.seen == len(found.numbers)
    assert sum(len(tokens) for tokens in (found.tokens or {}).values()) == found.seen


def test_more_kinds_of_links_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KNOWN", 10)
    found = gather({number: b"/srv/file-%d" % number for number in range(500)}, part=20)
    assert found.counts == {"file": 500}
    assert found.repeated == 0


def test_a_part_stands_for_all() -> None:
    found = Contents(7, 1000, False, is_thinned=True)
    Gatherer().gather(found, [([b"%d" % n for n in range(0, 1000, 10)], [b"anon_inode:[eventfd]"] * 100)])
    assert kinds_of(found) == {"eventfd": 1000}


ANSWERS = {1: File(1, 2, 4096, "/a"), 2: File(1, 2, 4096, "/a"), 3: UNKNOWN, 4: EXISTS, 5: GONE, 6: File(1, 3, 1, "/b")}


def test_sizes_of_deleted_files() -> None:
    found = gather(dict.fromkeys(ANSWERS, b"/srv/x (deleted)"))
    found.judge_deleted(lambda number, _path: ANSWERS[number])
    assert [(file.device, file.inode) for file in found.deleted] == [(1, 2), (1, 3)]
    assert found.deleted_unknown == 1
    assert found.counts == {"deleted": 5, "file": 1}
    assert found.prefixes == {b"/srv": 1}


def test_very_many_deleted_files_are_not_all_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_DELETED", 3)
    found = gather(dict.fromkeys(range(10), b"/srv/x (deleted)"))
    asked: list[int] = []
    found.judge_deleted(lambda number, _path: asked.append(number) or GONE)  # type: ignore[func-returns-value]
    assert asked == [0, 1, 2]
    assert found.deleted_unknown == 7


# --- several looks ---


def member(pid: int, descriptors: int, **changes: t.Any) -> Member:
    plain: dict[str, t.Any] = {
        "started": 1, "parent": 1, "name": "app", "user": "app", "unit": "app.service", "group": "app.service",
        "threads": 1, "soft": 1024, "hard": 4096,
    }  # fmt: skip
    plain.update(changes)
    return Member(pid=pid, descriptors=descriptors, **plain)


def sample(at: float, *held: tuple[Member, Contents | None]) -> Sample:
    return Sample(
        at,
        {one.identity: one for one, _contents in held},
        {one.identity: contents for one, contents in held if contents is not None},
        {},
        Host(100, 1000, 1 << 20),
        None,
        None,
        None,
        [],
    )


def look(at: float, links: Links, pid: int = 7, **changes: t.Any) -> Sample:
    return sample(at, (member(pid, len(links), **changes), gather(links, with_tokens=True)))


def watched(*samples: Sample) -> History:
    history = History()
    for one in samples:
        history.add(one)
    return history


def test_what_was_opened_and_closed_is_told_by_kind() -> None:
    first = {0: b"pipe:[1]", 1: b"pipe:[1]", 2: b"pipe:[2]", 5: b"/a"}
    second = {0: b"pipe:[1]", 1: b"pipe:[1]", 2: b"pipe:[3]", 3: b"pipe:[4]", 4: b"anon_inode:[eventfd]"}
    case = watched(look(0, first), look(10, second)).case_of([(7, 1)])
    last = case.moments[-1]
    assert (last.opened["pipe"], last.closed["pipe"]) == (2, 1)
    assert (last.opened["eventfd"], last.closed["file"]) == (1, 1)
    assert [moment.kinds for moment in case.moments] == [{"pipe": 3, "file": 1}, {"pipe": 4, "eventfd": 1}]


def test_of_a_group_the_kinds_of_those_that_lasted_count() -> None:
    """A worker that was born meanwhile has inherited all it holds: that is no growth of the group's leaks."""
    links = dict.fromkeys(range(100), b"anon_inode:[eventfd]")
    history = watched(
        sample(0, (member(7, 100), gather(links, True))),
        sample(10, (member(7, 100), gather(links, True)), (member(8, 100), gather(links, True))),
    )
    case = history.case_of([(7, 1), (8, 1)])
    assert [moment.kinds for moment in case.moments] == [{"eventfd": 100}, {"eventfd": 100}]
    assert [moment.descriptors for moment in case.moments] == [100, 200]
    assert [moment.processes for moment in case.moments] == [1, 2]


def test_a_fall_in_between_is_seen_by_kind() -> None:
    def held(count: int) -> Links:
        return dict.fromkeys(range(count), b"anon_inode:[eventfd]")

    history = watched(look(0, held(10)))
    for count in (30, 12):
        history.add_counts({(7, 1): count})
        assert [one.pid for one in history.changing()] == [7]
        history.add_glimpse({(7, 1): {"eventfd": count}})
    history.add(look(10, held(35)))
    assert history.case_of([(7, 1)]).falls == {"eventfd": 18}
    assert watched(look(0, held(10)), look(10, held(20))).case_of([(7, 1)]).falls is None


def test_who_has_not_changed_is_not_looked_at_in_between() -> None:
    history = watched(sample(0, *((member(pid, 10), None) for pid in (7, 8, 9))))
    history.add_counts({(7, 1): 9, (8, 1): 10, (9, 1): 11})
    assert [one.pid for one in history.changing()] == [9, 7]
    history.add_counts({})
    assert history.changing() == []


def test_a_number_that_was_given_again_is_another_process() -> None:
    history = watched(look(0, {0: b"/a"}), look(10, {0: b"/a", 1: b"/b"}, started=2))
    case = history.case_of([(7, 2)])
    assert [moment.descriptors for moment in case.moments] == [0, 2]
    assert case.moments[-1].kinds is None


def test_the_nearest_to_its_limit_decides() -> None:
    held = [(member(7, 25, soft=40), None), (member(8, 900, soft=None), None), (member(9, 9, soft=1), None)]
    history = watched(sample(0, *held), sample(10, *((one._replace(descriptors=30), two) for one, two in held)))
    case = history.case_of([(7, 1), (8, 1), (9, 1)])
    assert (case.share, case.left) == (0.75, 10)  # one has no limit, one took all possibilities from itself
    assert case.pace == pytest.approx(0.5)


@pytest.mark.parametrize(
    "counts, pace",
    [
        ([10], 0.0),
        ([10, 20], 1.0),
        ([20, 10], 0.0),
        ([10, 15, 20], 1.0),
        ([10, 10, 20], 0.0),  # a peak at the end
        ([10, 20, 20], 0.0),  # a start
        ([10, 12, 20, 25, 30], 2.0),
        ([10, 12, 14, 25, 30], 0.8),
    ],
)
def test_a_pace_is_that_of_the_slower_half(counts: list[int], pace: float) -> None:
    history = watched(look(0, {}), look(10, {}))
    assert history.pace(counts) == pytest.approx(pace)
