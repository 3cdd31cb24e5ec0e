# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in which limits are set, read line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.syntax import (
    Text,
    limit_settings,
    startups,
    sysctl_settings,
    unit_settings,
)


@pytest.mark.parametrize(
    "content, found",
    [
        ("[Slice]\nTasksMax=5\n", [(2, "Slice", "TasksMax", "5")]),
        ("# [Slice]\n; x\n\n[Slice]\n  TasksMax = 5 \n", [(5, "Slice", "TasksMax", "5")]),
        ("[Service]\nExecStart=/bin/a \\\n # why\n  b\nTasksMax=7", [
            (2, "Service", "ExecStart", "/bin/a b"), (5, "Service", "TasksMax", "7"),
        ]),
        ("TasksMax=1\n[A]\nnonsense\n", [(1, "", "TasksMax", "1")]),
        ("[Slice]\r\nTasksMax=5\r\n", [(2, "Slice", "TasksMax", "5")]),
        ("[Slice]\nTasksMax=\n", [(2, "Slice", "TasksMax", "")]),
    ],
)  # fmt: skip
def test_units(content: str, found: list[tuple[int, str, str, str]]) -> None:
    assert [one[1:] for one in unit_settings(Text("x", content))] == found


@pytest.mark.parametrize(
    "content, found",
    [
        ("* soft nproc 5\n", [(1, "*", "soft nproc", "5")]),
        (
            "#* soft nproc 5\n\t@staff  -\tnofile 9 # x\n",
            [(2, "@staff", "soft nofile", "9"), (2, "@staff", "hard nofile", "9")],
        ),
        ("* soft nproc\n* softer nproc 5\n", []),
        ("root hard nproc unlimited", [(1, "root", "hard nproc", "unlimited")]),
    ],
)  # fmt: skip
def test_limits(content: str, found: list[tuple[int, str, str, str]]) -> None:
    assert [one[1:] for one in limit_settings(Text("x", content))] == found


@pytest.mark.parametrize(
    "content, found",
    [
        ("kernel.sem = 250\t32000  32 512\n", [(1, "kernel.sem", "250 32000 32 512")]),
        ("# kernel.sem=1\n; x = 1\n-kernel/pid_max=9", [(3, "kernel.pid_max", "9")]),
        ("net.ipv4.conf.eth0/1.x=1", [(1, "net.ipv4.conf.eth0/1.x", "1")]),
        ("nonsense\n", []),
    ],
)
def test_sysctls(content: str, found: list[tuple[int, str, str]]) -> None:
    assert [(one.line, one.name, one.value) for one in sysctl_settings(Text("x", content))] == found


@pytest.mark.parametrize(
    "contents, most",
    [
        ([], 100),
        (["#MaxStartups 10:30:20\n"], 100),
        (["maxstartups 10:30:20\n", "MaxStartups 5\n"], 20),
        (["Port 22\nMaxStartups=7 # few\n"], 7),
        (['MaxStartups "10:30:9"\n'], 9),
        (["MaxStartups\nMaxStartups none\nMaxStartups 3\n"], 100),
    ],
)
def test_startups(contents: list[str], most: int) -> None:
    assert startups([Text("x", content) for content in contents]) == most


@given(st.text())
def test_no_text_is_too_odd(content: str) -> None:
    text = Text("x", content)
    lines = content.count("\n") + 1
    for one in [*unit_settings(text), *limit_settings(text), *sysctl_settings(text)]:
        assert 1 <= one.line <= lines
    assert startups([text]) >= 0
