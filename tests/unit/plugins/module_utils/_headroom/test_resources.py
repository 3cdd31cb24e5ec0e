# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: what each resource answers is brought into one form; one that fails takes no other with it."""

from __future__ import annotations

import json
import shlex
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._headroom.survey import (
    Holder,
    Limit,
    Resource,
    Survey,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import ProcTree

Answer = t.Union[t.Sequence[Limit], Exception]


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(ProcTree(tmp_path / "proc").root)


@pytest.fixture
def ask(root: str, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., dict[str, t.Any]]:
    """The report where these are all the resources; each answers its next answer, at the end the last again."""

    def ask(_answers: t.Mapping[str, t.Sequence[Answer]], **options: t.Any) -> dict[str, t.Any]:
        queues = {name: list(answers) for name, answers in _answers.items()}

        def reader(name: str) -> t.Callable[[Survey, int], list[Limit]]:
            def limits(_survey: Survey, _top: int) -> list[Limit]:
                answer = queues[name].pop(0) if len(queues[name]) > 1 else queues[name][0]
                if isinstance(answer, Exception):
                    raise answer
                return list(answer)

            return limits

        registry = tuple(Resource(name, f"{name}_incident", reader(name)) for name in _answers)
        monkeypatch.setattr(resources, "RESOURCES", registry)
        return resources.report(10, 20.0, root, **options)

    return ask


Ask = t.Callable[..., t.Dict[str, t.Any]]


@pytest.mark.parametrize(
    "limit, free, share",
    [
        (Limit("host", "x", 3, 10), 7, 0.3),
        (Limit("host", "x", 12, 10), 0, 1.2),
        (Limit("host", "x", 3, None), None, None),
        (Limit("host", "x", 0, 0), 0, 1.0),
        (Limit("host", "x", 7, 0), 0, 7.0),
        (Limit("host", "x", 60, 100, free=20), 20, 0.75),  # a part is kept back for root
        (Limit("host", "x", 60, 100, free=0), 0, 1.0),
        (Limit("host", "x", 0, 0, free=0), 0, 1.0),
    ],
)
def test_what_is_left_and_the_share(limit: Limit, free: int | None, share: float | None) -> None:
    assert (limit.left, limit.share) == (free, share)


def test_the_scarcest_of_each_resource_is_binding(ask: Ask) -> None:
    found = ask(
        {
            "a": [[Limit("host", "big", 1, 10), Limit("user u", "small", 9, 10), Limit("host", "none", 5, None)]],
            "b": [[Limit("host", "b", 5, 10)]],
            "c": [[Limit("host", "c", 5, None)]],
        }
    )["resources"]
    assert [(one["resource"], one["limit_name"], one["binding"]) for one in found] == [
        ("a", "small", True),
        ("b", "b", True),
        ("a", "big", False),
        ("c", "c", False),
        ("a", "none", False),
    ]


@pytest.mark.parametrize(
    "failure, reason",
    [
        (Refused("no such thing here: load the module"), "no such thing here: load the module"),
        (PermissionError(13, "Permission denied", "/proc/x"), "/proc/x cannot be read (Permission denied)"),
        (OSError(5, "Input/output error"), "the kernel cannot be read (Input/output error)"),
    ],
)
def test_a_resource_that_cannot_be_read_says_why_and_the_others_go_on(
    ask: Ask, failure: Exception, reason: str
) -> None:
    report = ask({"bad": [failure], "good": [[Limit("host", "x", 1, 10)]]})
    assert [one["resource"] for one in report["resources"]] == ["good"]
    assert [(one["resource"], one["read"], one["reason"]) for one in report["coverage"]] == [
        ("process_table", True, None),
        ("bad", False, reason),
        ("good", True, None),
    ]
    assert report["partial"]
    assert report["partial_reasons"] == [f"bad: {reason}"]
    assert all(one["cost_ms"] >= 0 for one in report["coverage"])


@pytest.mark.parametrize(
    "first, second, growth, full_in",
    [
        (Limit("host", "x", 100, 1000), Limit("host", "x", 200, 1000), True, True),
        (Limit("host", "x", 200, 1000), Limit("host", "x", 200, 1000), False, False),
        (Limit("host", "x", 200, 1000), Limit("host", "x", 100, 1000), False, False),
        (Limit("host", "x", 100, None), Limit("host", "x", 200, None), True, False),
    ],
)
def test_growth_is_between_two_samples(ask: Ask, first: Limit, second: Limit, growth: bool, full_in: bool) -> None:
    (one,) = ask({"a": [[first], [second]]}, samples=2, interval=0.05)["resources"]
    assert one["used"] == second.used
    assert (one["growth"]["per_minute"] > 0) is growth
    assert (one["growth"]["full_in_s"] is not None) is full_in


def test_growth_reckons_with_the_time_that_passed(ask: Ask) -> None:
    samples = [[Limit("host", "x", 100, 1000)], [Limit("host", "x", 101, 1000)]]
    (one,) = ask({"a": samples}, samples=2, interval=0.5)["resources"]
    per_minute = one["growth"]["per_minute"]
    assert 10 < per_minute <= 120  # 1 in half a second, or in more on a busy machine
    assert one["growth"]["full_in_s"] == pytest.approx(899 / per_minute * 60, rel=0.01)


def test_no_growth_where_there_is_nothing_to_compare_with(ask: Ask) -> None:
    limit = Limit("host", "x", 1, 10)
    assert ask({"a": [[limit]]})["resources"][0]["growth"] is None
    assert ask({"a": [[], [limit]]}, samples=2, interval=0.01)["resources"][0]["growth"] is None
    assert ask({"a": [Refused("not yet"), [limit]]}, samples=2, interval=0.01)["resources"][0]["growth"] is None


def test_only_what_was_asked_for_is_read(ask: Ask) -> None:
    never = AssertionError("was read")
    report = ask({"a": [never], "b": [[Limit("host", "x", 1, 10)]]}, only=["b"])
    assert [one["resource"] for one in report["coverage"]] == ["process_table", "b"]


def test_processes_are_read_only_where_a_resource_needs_them(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "RESOURCES", (Resource("a", "", lambda _survey, _top: [], needs_processes=False),))
    assert resources.report(10, 20.0, root)["process_table"]["processes"] == 0
    monkeypatch.setattr(resources, "RESOURCES", (Resource("a", "", lambda _survey, _top: []),))
    assert resources.report(10, 20.0, root)["process_table"]["processes"] == 2


def test_a_table_that_takes_all_the_time_leaves_the_rest_its_turn(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(root) / "self" / "mountinfo").write_text("9 1 8:1 / / rw - ext4 /dev/sda1 rw\n")

    def slow(_table: object) -> t.Iterator[t.Any]:
        time.sleep(0.3)
        return iter(scanned)

    scanned = list(resources.ProcessTable(root).scan())
    monkeypatch.setattr(resources.ProcessTable, "scan", slow)
    report = resources.report(10, 0.2, root, only=["process_slots", "blocks"])
    assert {one["resource"] for one in report["resources"]} == {"process_slots", "blocks"}
    assert report["partial_reasons"] == ["the time budget ended after 1 processes: raise time_budget to see all"]
    assert [entry["resource"] for entry in report["coverage"]] == ["process_table", "process_slots", "blocks"]


def test_holders(ask: Ask) -> None:
    holders = [Holder(f"h{number}", 9 - number) for number in range(5)]
    (one,) = ask({"a": [[Limit("host", "x", 1, 10, holders)]]})["resources"]
    assert [holder["name"] for holder in one["holders"]] == ["h0", "h1", "h2"]
    assert one["holders"][0] == {"name": "h0", "used": 9, "user": None, "unit": None, "pid": None}


@pytest.mark.parametrize(
    "limit, incident, words",
    [
        (Limit("host", "x", 1, 10), "a_incident", ["ansible-playbook", "hostcare.remediation.a_incident"]),
        (Limit("host", "x", 1, 10, incident="fd_leak"), "fd_leak", ["hostcare.remediation.fd_leak"]),
        (Limit("host", "x", 1, 10, incident=""), "", []),
        (Limit("host", "x", 1, 10, options={"a_user": "it's"}), "a_incident", ['{"a_user": "it\'s"}']),
    ],
)
def test_the_remedy_is_a_line_for_a_shell(ask: Ask, limit: Limit, incident: str, words: list[str]) -> None:
    (one,) = ask({"a": [[limit]]})["resources"]
    assert one["incident"] == incident
    assert one["options"] == dict(limit.options)
    assert set(words) <= set(shlex.split(one["remedy"]))
    assert bool(one["remedy"]) is bool(incident)


@pytest.mark.parametrize("seconds", [0, 0.01, 601, 1e9])
def test_a_pause_that_is_none(seconds: float) -> None:
    with pytest.raises(Refused, match=r"interval: .* out of range: give"):
        resources.pause(seconds)


def test_each_resource_has_a_name_of_its_own() -> None:
    assert len(set(resources.NAMES)) == len(resources.NAMES)


def test_the_whole_report_is_plain_data() -> None:
    json.dumps(resources.report(10, 20.0), ensure_ascii=False).encode("utf-8")


def test_what_was_left_out_is_bounded(root: str) -> None:
    lines = [f"{number} 1 0:{number} / /srv/{number} rw - nfs4 server:/ rw\n" for number in range(10, 60)]
    mountinfo = Path(root) / "self" / "mountinfo"
    mountinfo.write_text("".join(lines))
    report = resources.report(10, 20.0, root, only=["inodes"])
    assert (len(report["left_out"]), report["left_out_total"]) == (20, 50)
    assert not report["partial"]
