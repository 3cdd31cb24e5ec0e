# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes a selector means: what it refuses, what it matches, and that the order of /proc decides nothing."""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import PF_KTHREAD
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import (
    CRITERIA,
    Matcher,
    Selector,
    Tree,
    parse,
    seconds,
)
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import HOSTILE_COMMS, ProcTree, process

ME = os.geteuid()


@pytest.mark.parametrize(
    "options, fragments",
    [
        ({}, ("the selector is empty", "every process", "at least one of name, name_regex, exe")),
        ({"name": [], "name_regex": "", "user": None}, ("the selector is empty",)),
        ({"min_age": "1h"}, ("the selector is empty",)),
        ({"min_count": 5}, ("the selector is empty",)),
        ({"name": [""]}, ("empty name", "name_regex '^$'")),
        (
            {"name": ["a-very-long-name"]},
            ("'a-very-long-name'", "15 bytes", "'a-very-long-nam'", "exe or cmdline_regex"),
        ),
        ({"name": ["é" * 8]}, ("15 bytes",)),
        ({"name_regex": "("}, ("name_regex", "'('", "not a regular expression")),
        ({"exe_regex": "[z-a]"}, ("exe_regex", "'[z-a]'", "not a regular expression")),
        ({"cmdline_regex": "*"}, ("cmdline_regex", "'*'", "not a regular expression")),
        ({"name_regex": "a{99999999999}"}, ("name_regex", "not a regular expression")),
        ({"name_regex": r"\u00e9"}, ("name_regex", "not a regular expression")),  # text has it, bytes do not
        ({"cmdline_regex": "(?u)x"}, ("cmdline_regex", "not a regular expression")),
        ({"user": ["no-such-user"]}, ("user 'no-such-user' does not exist", "correct it or give the uid")),
        ({"user": ["-1"]}, ("user '-1' does not exist",)),
        ({"user": [""]}, ("user '' does not exist",)),
        ({"user": ["²"]}, ("user '²' does not exist",)),
        ({"user": ["a\0b"]}, ("user 'a\\x00b' does not exist",)),
        ({"cgroup": ["/"]}, ("cgroup '/'", "names no single cgroup", "/proc/PID/cgroup")),
        ({"cgroup": [""]}, ("names no single cgroup",)),
        ({"cgroup": ["."]}, ("names no single cgroup",)),
        ({"cgroup": ["a/../.."]}, ("names no single cgroup",)),
        ({"cgroup": ["///"]}, ("names no single cgroup",)),
        ({"pid": [0]}, ("pid 0 is no process number", "positive")),
        ({"pid": [7, -7]}, ("pid -7 is no process number",)),
        ({"descends_from": [0]}, ("descends_from 0 is no process number",)),
        ({"tree": [-1]}, ("tree -1 is no process number",)),
        ({"ancestry": "a < < c"}, ("ancestry 'a < < c'", "empty link", "child < parent")),
        ({"ancestry": "<"}, ("ancestry '<'", "empty link")),
        ({"ancestry": "a < b |"}, ("ancestry 'a < b |'", "empty link")),
        ({"ancestry": "a < a-very-long-name"}, ("'a-very-long-name'", "15 bytes")),
        ({"name": ["x"], "min_age": "soon"}, ("min_age", "'soon'", "s, m, h, d or w")),
    ],
)
def test_what_is_refused_names_the_option_the_reason_and_the_next_step(
    options: dict[str, t.Any], fragments: tuple[str, ...]
) -> None:
    with pytest.raises(Refused) as refusal:
        parse(options)
    for fragment in fragments:
        assert fragment in str(refusal.value)


def test_a_refusal_says_which_selector() -> None:
    with pytest.raises(Refused, match=r"^protect is empty"):
        parse({}, "protect")
    with pytest.raises(Refused, match=r"^protect: user"):
        parse({"user": ["no-such-user"]}, "protect")


TEXTS = st.text(max_size=20)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.lists(TEXTS, max_size=2) for name in ("name", "exe", "user", "unit", "cgroup")},
        **dict.fromkeys(("name_regex", "exe_regex", "cmdline_regex", "ancestry", "min_age"), TEXTS),
        **{name: st.lists(st.integers(), max_size=2) for name in ("pid", "descends_from", "tree")},
        "min_count": st.integers(),
    },
)


@given(OPTIONS)
def test_whatever_the_user_gives_it_is_a_selector_or_a_refusal(options: dict[str, t.Any]) -> None:
    with contextlib.suppress(Refused):
        selector = parse(options)
        assert any(selector[: len(CRITERIA)]), "a selector of nothing would match everything"
        assert selector.reason.startswith("meets ")


@pytest.mark.parametrize(
    "value, expected",
    [
        (None, 0), ("", 0), ("0", 0), ("30", 30), (30, 30), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400),
        ("1w", 604800), ("1.5m", 90), (" 30 s ", 30), ("9" * 400, math.inf),
    ],
)  # fmt: skip
def test_durations(value: t.Any, expected: float) -> None:
    assert seconds(value, "timeout") == expected


@pytest.mark.parametrize("value", ["-1s", "1y", "s", "1 h 3 m", "1e3", "0x10", ".5s", "5.", "inf", "nan", True, [30]])
def test_what_is_no_duration_is_refused(value: t.Any) -> None:
    with pytest.raises(Refused, match=r"^timeout: .* is not a duration: give a number with s, m, h, d or w"):
        seconds(value, "timeout")


@pytest.mark.parametrize(
    "options, field, value",
    [
        ({"name": ["a", "exactly-15-byte"]}, "names", {b"a", b"exactly-15-byte"}),
        ({"name": ["é"]}, "names", {"é".encode()}),
        ({"user": ["1234", pwd.getpwuid(0).pw_name]}, "uids", {1234, 0}),
        ({"cgroup": ["a/b/", "//c//d"]}, "cgroups", ("/a/b", "/c/d")),
        ({"ancestry": "postdrop<sendmail  < crond"}, "ancestry", ({b"postdrop"}, {b"sendmail"}, {b"crond"})),
        ({"ancestry": "sendmail<cron|crond | fcron"}, "ancestry", ({b"sendmail"}, {b"cron", b"crond", b"fcron"})),
        ({"pid": [4194304]}, "pids", {4194304}),
        ({"name": ["x"], "min_age": "1h"}, "min_age", 3600),
    ],
)
def test_what_is_accepted(options: dict[str, t.Any], field: str, value: object) -> None:
    assert getattr(parse(options), field) == value


def test_the_reason_names_the_options_that_were_given() -> None:
    selector = parse({"name": ["x"], "user": ["0"], "ancestry": "x < y", "min_age": "1s", "min_count": 3})
    assert selector.reason == "meets name, user, ancestry, min_age, min_count"


def test_a_name_is_bytes_of_utf_8_whatever_the_locale() -> None:
    program = (
        "from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import parse\n"
        "found = parse({'name': ['\\u00e9'], 'name_regex': '\\u00e9', 'ancestry': '\\u00e9'})\n"
        "print(found.names, found.name_regex.pattern, found.ancestry)"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={"PYTHONPATH": path, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        check=False,
    )
    expected = b"frozenset({b'\\xc3\\xa9'}) b'\\xc3\\xa9' (frozenset({b'\\xc3\\xa9'}),)\n"
    assert done.stdout == expected, done.stderr.decode()


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


def matches(tree: ProcTree, options: dict[str, t.Any], pid: int) -> bool:
    matcher = Matcher(parse(options), tree.table)
    processes = list(tree.table.scan())
    found = next(one for one in processes if one.pid == pid)
    return matcher.matches(found, Tree(processes))


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"name": ["worker"]}, True),
        ({"name": ["other", "worker"]}, True),
        ({"name": ["work"]}, False),
        ({"name": ["WORKER"]}, False),
        ({"name_regex": "^wor"}, True),
        ({"name_regex": "rk"}, True),
        ({"name_regex": "^rk"}, False),
        ({"exe": ["/opt/app/worker"]}, True),
        ({"exe": ["/opt/app"]}, False),
        ({"exe_regex": "^/opt/"}, True),
        ({"exe_regex": "^/usr/"}, False),
        ({"user": [str(ME)]}, True),
        ({"user": [str(ME + 1)]}, False),
        ({"unit": ["app.service"]}, True),
        ({"unit": ["system.slice"]}, True),
        ({"unit": ["other.service", "app.service"]}, True),
        ({"unit": ["pp.service"]}, False),
        ({"unit": ["app"]}, False),
        ({"cgroup": ["/system.slice/app.service"]}, True),
        ({"cgroup": ["system.slice"]}, True),
        ({"cgroup": ["/system.slice/app"]}, False),
        ({"cgroup": ["/system.slice/app.service/deeper/still"]}, False),
        ({"pid": [70]}, True),
        ({"pid": [71, 72]}, False),
        ({"descends_from": [60]}, True),
        ({"descends_from": [1]}, True),
        ({"descends_from": [70]}, False),
        ({"tree": [60]}, True),
        ({"tree": [1]}, True),
        ({"tree": [70]}, True),
        ({"tree": [71]}, False),
        ({"ancestry": "worker"}, True),
        ({"ancestry": "worker < master"}, True),
        ({"ancestry": "worker < master < systemd"}, True),
        ({"ancestry": "worker < other | master < systemd"}, True),
        ({"ancestry": "worker < other | systemd"}, False),
        ({"ancestry": "master | worker < systemd | nobody"}, False),
        ({"ancestry": "worker < systemd"}, False),
        ({"ancestry": "master < systemd"}, False),
        ({"ancestry": "worker < master < systemd < nobody"}, False),
        ({"name": ["worker"], "user": [str(ME)], "unit": ["app.service"]}, True),
        ({"name": ["worker"], "user": [str(ME)], "unit": ["x.service"]}, False),
        ({"name": ["other"], "pid": [70]}, False),
        ({"cmdline_regex": "matches nothing"}, True),  # asked only once it is stopped
    ],
)
def test_criteria(tree: ProcTree, options: dict[str, t.Any], expected: bool) -> None:
    tree.add(process(60, b"master"))
    tree.add(process(70, ppid=60), cgroup="0::/system.slice/app.service/deeper\n", exe="/opt/app/worker")
    assert matches(tree, options, 70) is expected


@pytest.mark.parametrize("comm", [comm for comm in HOSTILE_COMMS if comm])
def test_a_hostile_name_matches_itself_and_no_other(tree: ProcTree, comm: bytes) -> None:
    tree.add(process(70, comm))
    tree.add(process(71, b"innocent"))
    selector = Selector(names=frozenset([comm]))
    matcher = Matcher(selector, tree.table)
    assert [found.pid for found in tree.table.scan() if matcher.matches(found)] == [70]


def test_a_file_name_criterion_needs_a_file_name(tree: ProcTree) -> None:
    """A zombie has none, and without the right to see it there is none."""
    tree.add(process(70))
    assert not matches(tree, {"exe": ["/opt/app/worker"]}, 70)
    assert not matches(tree, {"exe_regex": ".*"}, 70)


@pytest.mark.parametrize("exe", ["/opt/worker", "/opt/worker (deleted)"])
def test_a_program_replaced_by_an_upgrade_is_recognised_under_either_name(tree: ProcTree, exe: str) -> None:
    """The evidence shows the mark; who copies it from there means the same program."""
    tree.add(process(70), exe="/opt/worker (deleted)")
    assert matches(tree, {"exe": [exe]}, 70)


def test_kernel_threads_never_match_and_a_process_called_like_one_does(tree: ProcTree) -> None:
    tree.add(process(70, b"kworker/0:1", flags=PF_KTHREAD, ppid=2))
    tree.add(process(71, b"kworker/0:1"))
    assert not matches(tree, {"name_regex": "kworker"}, 70)
    assert not matches(tree, {"pid": [70]}, 70)
    assert matches(tree, {"name_regex": "kworker"}, 71)


@pytest.mark.parametrize("owner, real, wanted, expected", [(0, 1234, 1234, True), (0, 0, 1234, False), (0, 0, 0, True)])
def test_the_real_user_is_asked_where_root_owns_the_file(
    tree: ProcTree, owner: int, real: int, wanted: int, expected: bool
) -> None:
    """Not dumpable (it changed its user): /proc shows it as root's."""
    made = process(70, owner=owner)
    tree.add(made, uid=real)
    matcher = Matcher(parse({"user": [str(wanted)]}), tree.table)
    assert matcher.matches(made) is expected


@pytest.mark.parametrize("age, expected", [("1s", True), ("1h", False), ("9w", False)])
def test_min_age_with_a_machine_that_is_younger(tree: ProcTree, age: str, expected: bool) -> None:
    table = tree.table
    now = table.age(process(70, start=0))
    tree.add(process(70, start=int((now - 60) * table.hertz)))
    assert matches(tree, {"pid": [70], "min_age": age}, 70) is expected


def test_a_start_in_the_future_is_no_age(tree: ProcTree) -> None:
    tree.add(process(70, start=2**50))
    assert not matches(tree, {"pid": [70], "min_age": "1s"}, 70)


def test_the_command_line_is_compared_as_bytes_joined_by_blanks(tree: ProcTree) -> None:
    made = tree.add(process(70), cmdline=b"/bin/worker\0--name\0caf\xc3\xa9\0\xff\0")
    for pattern, expected in (("--name café", True), ("worker$", False), (r"\xff$", True), ("", True)):
        matcher = Matcher(Selector(cmdline_regex=None)._replace(**_cmdline(pattern)), tree.table)
        assert matcher.confirms(made) is expected


def _cmdline(pattern: str) -> dict[str, t.Any]:
    return {"cmdline_regex": parse({"name": ["x"], "cmdline_regex": pattern}).cmdline_regex} if pattern else {}


def test_a_command_line_that_was_emptied_matches_what_means_nothing(tree: ProcTree) -> None:
    made = tree.add(process(70), cmdline=b"")
    assert Matcher(parse({"cmdline_regex": "^$"}), tree.table).confirms(made)
    assert not Matcher(parse({"cmdline_regex": "."}), tree.table).confirms(made)
    assert not Matcher(parse({"cmdline_regex": "^$"}), tree.table).confirms(process(99)), "it is gone"


def test_what_is_condemned_otherwise_matches_whatever_the_criteria_say(tree: ProcTree) -> None:
    made = tree.add(process(70))
    matcher = Matcher(parse({"name": ["other"], "cmdline_regex": "other"}), tree.table)
    assert not matcher.matches(made)
    matcher.also.add(made.identity)
    assert matcher.by_stat(made)
    assert matcher.matches(made)
    assert matcher.confirms(made)
    assert not matcher.matches(made._replace(start=made.start + 1)), "another process with its number"


class TestTree:
    def test_above(self) -> None:
        tree = Tree([process(1, ppid=0), process(5, ppid=1), process(7, ppid=5)])
        assert list(tree.above(7)) == [5, 1]
        assert (tree.depth(7), tree.depth(1), tree.depth(99)) == (2, 0, 0)

    @pytest.mark.parametrize(
        "parents, above",
        [
            ({7: 7}, []),
            ({7: 5, 5: 7}, [5]),
            ({7: 5, 5: 3, 3: 5}, [5, 3]),
            ({7: 5}, [5]),  # the parent is not in the table any more
            ({7: 0}, []),
        ],
    )
    def test_numbers_given_again_during_the_pass_make_no_circle(
        self, parents: dict[int, int], above: list[int]
    ) -> None:
        tree = Tree([process(pid, ppid=parent) for pid, parent in parents.items()])
        assert list(tree.above(7)) == above

    @given(st.dictionaries(st.integers(0, 20), st.integers(0, 20)), st.integers(0, 20))
    def test_it_always_ends(self, parents: dict[int, int], pid: int) -> None:
        tree = Tree([process(child, ppid=parent) for child, parent in parents.items()])
        above = list(tree.above(pid))
        assert len(above) == len(set(above))
        assert pid not in above
        assert 0 not in above


TABLE = st.lists(
    st.tuples(st.integers(2, 30), st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 30), st.sampled_from("RSTZ")),
    max_size=12,
    unique_by=lambda row: row[0],
)
ORDERLESS = st.sampled_from(
    [
        {"name": ["a"]},
        {"name_regex": "[ab]"},
        {"descends_from": [2, 3]},
        {"tree": [2, 3]},
        {"ancestry": "a < b"},
        {"ancestry": "a < b < c", "name_regex": "a"},
        {"pid": [4, 5, 6]},
    ]
)


@given(TABLE, ORDERLESS, st.randoms(use_true_random=False))
def test_the_order_of_proc_decides_nothing(
    rows: list[tuple[int, bytes, int, str]], options: dict[str, t.Any], random: t.Any
) -> None:
    processes = [process(pid, comm, ppid=ppid, state=state) for pid, comm, ppid, state in rows]
    shuffled = random.sample(processes, len(processes))
    assert _meant(processes, options) == _meant(shuffled, options)


def _meant(processes: list[t.Any], options: dict[str, t.Any]) -> set[int]:
    matcher = Matcher(parse(options), ProcessTableOfNothing)
    tree = Tree(processes)
    return {found.pid for found in processes if matcher.matches(found, tree)}


ProcessTableOfNothing: t.Any = None  # the criteria above read nothing but the line of stat
