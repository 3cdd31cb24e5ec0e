# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects are meant: what is refused, and what meets a request."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import Selection, parse
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import SEMAPHORES, Facts, Object


def request(**given: t.Any) -> Selection:
    return parse({"kind": [SEMAPHORES], "bystanders": [], **given})


def array(number: int = 7, key: int = 0, uid: int = 500) -> Object:
    return Object(number, key, Facts(SEMAPHORES, 0o600, uid, uid, 0, 0, b"", nsems=1))


@pytest.mark.parametrize(
    "given,says",
    [
        ({"owner": ["no-such-user"]}, "owner: user 'no-such-user' does not exist"),
        ({"id": [-1]}, "-1 is no identifier"),
        ({"id": [1 << 31]}, "is no identifier"),
        ({"key": ["apache"]}, "'apache' is no number"),
        ({"key": ["0"]}, "0 is no key"),
        ({"key": ["0x123456789"]}, "more than 32 bits"),
        ({"key": ["-2147483649"]}, "more than 32 bits"),
        ({"service": {}}, "service is empty"),
        ({"service": {"name": [], "exe": None, "unit": []}}, "service is empty"),
        ({"service": {"name": ["a name of more than fifteen"]}}, "longer than the 15 bytes"),
        ({"bystanders": [{"name": ["a"]}, {}]}, "bystanders is empty"),
    ],
)
def test_refused(given: dict[str, t.Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        request(**given)


@pytest.mark.parametrize(
    "given,selected",
    [
        ({}, True),
        ({"owner": ["500"]}, True),
        ({"owner": ["root"]}, False),
        ({"owner": ["root", "500"]}, True),
        ({"id": [7, 8]}, True),
        ({"id": [8]}, False),
        ({"id": [7], "owner": ["root"]}, False),
        ({"key": ["0x1"]}, False),
        ({"kind": ["shared_memory"]}, False),
    ],
)
def test_selects(given: dict[str, t.Any], selected: bool) -> None:
    assert request(**given).selects(array()) is selected


@pytest.mark.parametrize("word,key", [("1", 1), ("0xffffffff", -1), ("-1", -1), ("0x7fffffff", (1 << 31) - 1)])
def test_a_key_is_what_the_table_shows(word: str, key: int) -> None:
    selection = request(key=[word])
    assert selection.names(array(key=key))
    assert selection.selects(array(key=key))
    assert not selection.names(array(key=key - 2 if key > 2 else 5))


def test_any_criterion_makes_a_process_one_of_the_service() -> None:
    service = request(service={"name": ["httpd"], "exe": ["/usr/sbin/httpd"], "unit": ["httpd.service"]}).service
    assert len(service) == 3


@given(st.dictionaries(
    st.sampled_from(["owner", "id", "key", "service"]),
    st.none() | st.lists(st.text() | st.integers()) | st.dictionaries(st.text(), st.lists(st.text())),
))  # fmt: skip
def test_whatever_is_given_is_taken_or_refused(given: dict[str, t.Any]) -> None:
    """As the argument specification hands it over: lists of strings, and of integers for ``id``."""
    cleaned: dict[str, t.Any] = {}
    for name, value in given.items():
        if name == "service":
            cleaned[name] = value if isinstance(value, dict) else None
        elif isinstance(value, list):
            wanted = int if name == "id" else str
            cleaned[name] = [one for one in value if isinstance(one, wanted)]
    with contextlib.suppress(Refused):
        request(**cleaned)
