# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as Markdown, read back by a CommonMark parser."""

from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds, assemble
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_markdown import escaped, fleet_markdown
from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import safe
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result, silent

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def markdown_of(results: t.Mapping[str, t.Any]) -> str:
    fleet = assemble(results, Thresholds(), fleets.INCIDENTS, "2026-11-21T12:00:00Z")
    return fleet_markdown(fleet, fleets.INCIDENTS)


def kinds(markdown: str) -> set[str]:
    tokens = PARSER.parse(markdown)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}


def texts(markdown: str) -> list[str]:
    return ["".join(child.content for child in token.children or ()) for token in PARSER.parse(markdown)
            if token.type == "inline"]  # fmt: skip


PLAIN = kinds(markdown_of({"a": result(limit(share=0.99)), "b": silent("x"), "c": result(limit())})) | {"fence"}


def test_it_says_what_is_scarce_and_how_to_act() -> None:
    shown = markdown_of({"web1": result(limit("descriptors", 0.99)), "db1": silent("timed out", unreachable=True)})
    assert shown.startswith("# 1 of 2 hosts is critical\n")
    assert [text for text in texts(shown) if text in ("web1", "critical", "99 %")][:3] == ["web1", "critical", "99 %"]
    assert "```console\nansible-playbook hostcare.remediation.fd_leak -e hostcare_hosts=web1\n```" in shown
    assert "timed out" in texts(shown)


@fleets.whatever_the_name
def test_no_name_becomes_more_than_text(name: str) -> None:
    shown = markdown_of({"a": fleets.hostile(name), name: silent(name), "c": silent(name, unreachable=True)})
    assert kinds(shown) <= PLAIN
    tables = [token for token in PARSER.parse(shown) if token.type == "table_open"]
    assert len(tables) == 3
    assert "://" not in shown.split("## To act", maxsplit=1)[0].replace(r"\://", "")


@given(st.text())
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    (cell,) = texts(f"| {escaped('x' + text + 'x')} |\n| --- |")
    assert cell == f"x{safe(text)}x"


def test_a_fence_is_longer_than_any_in_the_line() -> None:
    answer = result(limit("semaphores", 0.99, options={"semaphore_leak_selector": {"owner": ["````\n# forged"]}}))
    (fence,) = (token for token in PARSER.parse(markdown_of({"a": answer})) if token.type == "fence")
    assert fence.content.startswith("ansible-playbook ")
    assert "heading_open" in kinds(markdown_of({"a": answer}))
    assert not any(text == "forged" for text in texts(markdown_of({"a": answer})))


def test_a_thousand_hosts_are_cut() -> None:
    shown = markdown_of(fleets.fleet(1000))
    assert len(shown) < 200_000
    assert "more hosts, none of them worse, stand in the JSON file" in shown
