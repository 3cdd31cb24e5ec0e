# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Who leaks, and what: real daemons beside a server under real load, all in one host of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.hostcare.remediation.tests.support.descriptors import Field, by_key, kinds

pytestmark = pytest.mark.once

LEAKS = ("pipe", "eventfd", "epoll", "inotify", "udp", "socket", "memfd", "deleted", "file")
BUSY_LEAKS = ("eventfd", "pipe")  # of servers that are under load at the same time
EVERY = 0.1
STREAMS = 2  # of a daemon of the field are pipes
FEW = 0.25  # a user may have 128 inotify instances


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    """Two samples, four seconds apart, of a host with eleven leaks, two busy servers and an idle one."""
    with Field() as field:
        for kind in LEAKS:
            field.daemon(f"leak-{kind}.service", "leak", kind, FEW if kind == "inotify" else EVERY)
        port = field.daemon("close-wait.service", "close_wait")
        field.daemon("clients.slice", "hang_up", port, EVERY)
        field.daemon("spread.service", "spread", 50, 505, "pipe", 2.0)
        for name, most in (("busy", 60), ("calm", 8)):
            port = field.daemon(f"{name}.service", "busy")
            field.daemon("clients.slice", "load", port, most)
        for kind in BUSY_LEAKS:
            port = field.daemon(f"busy-{kind}.service", "busy", kind, 5)
            field.daemon("clients.slice", "load", port, 20)
        field.daemon("flicker.service", "flicker")
        field.daemon("idle.service", "idle", 40)
        yield field.survey(samples=2, interval="4s", top=100)


@pytest.fixture(scope="module")
def groups(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return by_key(report["groups"])


@pytest.mark.parametrize("kind", LEAKS)
def test_each_leak_is_named(groups: dict[str, dict[str, Any]], kind: str) -> None:
    group = groups[f"leak-{kind}.service"]
    assert group["verdict"] == "leak", group["reasons"]
    assert group["leaking"] == {"udp": "socket"}.get(kind, kind), group["reasons"]
    assert group["growth"] >= 8
    assert 0 < group["seconds_left"] < 86400


def test_sockets_that_the_peer_has_closed_are_called_by_their_name(groups: dict[str, dict[str, Any]]) -> None:
    group = groups["close-wait.service"]
    assert (group["verdict"], group["leaking"]) == ("leak", "CLOSE_WAIT"), group["reasons"]
    (waiting,) = [row for row in group["sockets"] if row["state"] == "CLOSE_WAIT"]
    assert (waiting["protocol"], waiting["family"], waiting["direction"]) == ("tcp", "inet", "in")
    assert waiting["peer"] == "127.0.0.1"
    assert waiting["count"] == kinds(group)["CLOSE_WAIT"] > 20


def test_a_leak_of_many_workers_is_seen_in_the_sum(groups: dict[str, dict[str, Any]]) -> None:
    group = groups["spread.service"]
    assert (group["verdict"], group["leaking"]) == ("leak", "pipe"), group["reasons"]
    assert group["processes"] == 51
    assert kinds(group)["eventfd"] == 51 * 505
    own = group["descriptors"] - 51 * 505
    assert 505 <= group["distinct"] <= 505 + own


@pytest.mark.parametrize("name", ["busy", "calm"])
def test_load_is_no_leak(groups: dict[str, dict[str, Any]], name: str) -> None:
    group = groups[f"{name}.service"]
    assert group["verdict"] == "load", group["reasons"]
    assert group["leaking"] is None


@pytest.mark.parametrize("kind", BUSY_LEAKS)
def test_a_leak_of_a_server_under_load_is_seen_all_the_same(groups: dict[str, dict[str, Any]], kind: str) -> None:
    group = groups[f"busy-{kind}.service"]
    assert (group["verdict"], group["leaking"]) == ("leak", kind), (group["reasons"], group["kinds"])


def test_what_is_opened_for_a_moment_is_no_leak(groups: dict[str, dict[str, Any]]) -> None:
    group = groups["flicker.service"]
    assert group["verdict"] == "load", group["reasons"]


def test_clients_under_load_are_no_leak(groups: dict[str, dict[str, Any]]) -> None:
    assert groups["clients.slice"]["verdict"] in ("load", "fine"), groups["clients.slice"]["reasons"]


def test_one_who_does_nothing_is_fine(groups: dict[str, dict[str, Any]]) -> None:
    group = groups["idle.service"]
    assert group["verdict"] == "fine", group["reasons"]
    assert (group["growth"], group["seconds_left"]) == (0, None)
    assert {kind: kinds(group)[kind] for kind in ("pipe", "file", "eventfd", "socket", "deleted")} == {
        "pipe": 80 + STREAMS, "file": 40, "eventfd": 40, "socket": 40, "deleted": 40,
    }  # fmt: skip
    assert group["deleted"]["bytes"] == 40 * 65536
    assert group["deleted"]["files"] == 40


def test_the_worst_come_first(report: dict[str, Any]) -> None:
    order = ["leak", "near_limit", "load", "fine"]
    for entries in (report["groups"], report["processes"]):
        ranks = [order.index(entry["verdict"]) for entry in entries]
        assert ranks == sorted(ranks)
    assert report["verdict"] == "leak"
    assert len([group for group in report["groups"] if group["verdict"] == "leak"]) == (
        len(LEAKS) + len(BUSY_LEAKS) + 2
    )
