# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as a parser reads it. What a browser makes of it is tried in tests/integration/test_page.py."""

from __future__ import annotations

import typing as t
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds, assemble
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import safe
from ansible_collections.hostcare.remediation.plugins.plugin_utils._page import page
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent

TAGS = frozenset({
    "html", "head", "meta", "title", "link", "style", "body", "a", "header", "h1", "p", "time", "svg", "rect", "path",
    "circle", "text", "fieldset", "legend", "label", "input", "span", "b", "main", "h2", "h3", "small", "div",
    "section", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details", "summary", "ul", "li", "footer",
    "dl", "dt", "dd",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "lang", "charset", "http-equiv", "content", "name", "rel", "href", "class", "id", "datetime", "viewbox",
    "preserveaspectratio", "role", "aria-label", "aria-hidden", "x", "y", "width", "height", "rx", "cx", "cy", "r", "d",
    "type", "checked", "title", "scope",
})  # fmt: skip


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, results: t.Mapping[str, t.Any]) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.strange: list[str] = []
        fleet = assemble(results, Thresholds(), fleets.INCIDENTS, "2026-11-21T12:00:00Z")
        self.source = page(fleet, fleets.INCIDENTS)
        self.source.encode("utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.strange.append(data)

    def handle_pi(self, data: str) -> None:
        self.strange.append(data)

    def unknown_decl(self, data: str) -> None:
        self.strange.append(data)

    def check(self) -> Page:
        """Nothing but what the template has: no script, no address elsewhere, no handler, no style of somebody's."""
        assert set(self.tags) <= TAGS
        assert {name for name, _value in self.attributes} <= ATTRIBUTES
        assert all(value.startswith("#") or value == "data:," for name, value in self.attributes if name == "href")
        assert self.strange == []
        return self

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def values(self, attribute: str) -> list[str]:
        return [value for name, value in self.attributes if name == attribute]


def test_what_a_reader_looks_for() -> None:
    found = Page(
        {
            "web1": result(
                limit(share=0.9998, growth={"per_minute": 60.0, "full_in_s": 90}),
                limit("inodes", 0.97, scope="filesystem /var"),
                suspects=[fleets.suspect()],
                partial_reasons=["12 reads were denied"],
                left_out=[{"what": "/srv", "reason": "nfs4"}],
            ),
            "db1": silent("Connection timed out", unreachable=True),
            "db2": result(limit(share=0.1), limit("semaphores", None)),
        }
    ).check()
    for text in (
        "1 of 3 hosts is critical",
        "99 %",
        "999 of 1,000, 1 free; +60 a minute, full in 1 min 30 s",
        "worker of app in app.service: 499",
        ": Connection timed out",
        "no limit",
        "12 reads were denied",
        "/srv: nfs4",
        "600 of 1000 processes are worker of app",
        "none in this collection",
    ):
        assert text in found.text, text
    assert "ansible-playbook hostcare.remediation.process_storm -e hostcare_hosts=web1" in found.text
    assert "critical: critical process slots 99 %, critical inodes 97 %" in found.text, "for who hears the page"


@fleets.whatever_the_name
def test_no_name_becomes_more_than_text(name: str) -> None:
    plain = Page({"a": fleets.hostile("x"), "b": silent("x"), "c": silent("x", unreachable=True)}).check()
    found = Page({"a": fleets.hostile(name), name: silent(name), "c": silent(name, unreachable=True)}).check()
    assert [tag for tag in found.tags if tag != "path"] == [tag for tag in plain.tags if tag != "path"]
    if name.strip():
        assert any(safe(name)[:200].strip() in value for value in found.values("title"))
    assert "rm -rf" not in found.source, "a remedy is the collection's, not what a host says"


@given(st.text(max_size=60))
def test_whatever_the_text(name: str) -> None:
    Page({name: fleets.hostile(name), "b": silent(name)}).check()


def test_identities_are_unique_and_links_lead_somewhere() -> None:
    found = Page(fleets.fleet(50)).check()
    identities = found.values("id")
    assert len(set(identities)) == len(identities)
    assert {value[1:] for value in found.values("href") if value.startswith("#")} <= set(identities)


def test_nobody_and_one_without_limits() -> None:
    assert "No host is critical" in Page({}).check().text
    assert "nothing with a limit was found" in Page({"a": result()}).check().text


def test_many_limits_are_cut_but_for_what_is_scarce() -> None:
    scarce = [limit(share=0.99, scope=f"user {number}") for number in range(15)]
    fine = [limit(share=0.5, scope=f"cgroup /{number}") for number in range(10)]
    found = Page({"a": result(*scarce, *fine, limit("semaphores", 0.1))}).check()
    assert all(f"user {number} " in found.text for number in range(15))
    assert "10 more limits" in found.text
    assert "semaphores (kernel.pid_max)" in found.text, "the scarcest of each resource is always there"


def test_a_thousand_hosts_are_light() -> None:
    found = Page(fleets.fleet(1000)).check()
    assert len(found.source) < 5_000_000
    assert len(found.tags) < 110_000
    assert sum(tag == "details" for tag in found.tags) == 1000
