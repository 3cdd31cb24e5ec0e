# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.clock import Moment
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.records import (
    KEPT_CLAIMS,
    MAX_BYTES,
    Claim,
    DamagedError,
    dump_budget,
    dump_claim,
    load_budget,
    load_claim,
)

CLAIMS = st.builds(
    Claim,
    st.text(),
    st.text(),
    st.builds(Moment, st.text(), st.floats(-1e14, 1e14), st.floats(0, 4e9)),
)
GOOD = {"remedy": "r", "owner": "o", "boot_id": "b", "uptime": 1.0, "wall": 2.0}


@given(CLAIMS)
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert load_claim(dump_claim(claim)) == claim


@given(st.lists(CLAIMS, max_size=5))
def test_a_budget_is_read_as_it_was_written(claims: list[Claim]) -> None:
    assert load_budget(dump_budget(claims, 3)) == claims


@given(st.binary(max_size=200))
def test_garbage_is_damage_and_nothing_else(raw: bytes) -> None:
    for load in (load_claim, load_budget):
        with pytest.raises(DamagedError):
            load(raw)


@pytest.mark.parametrize(
    "changed", [{"wall": "2"}, {"wall": True}, {"wall": None}, {"owner": 3}, {"uptime": 1e999}, {"uptime": 10**400}]
)
def test_a_wrong_type_is_damage(changed: dict) -> None:
    with pytest.raises(DamagedError):
        load_claim(json.dumps({**GOOD, **changed}).encode())


def test_every_missing_key_is_damage() -> None:
    for key in GOOD:
        with pytest.raises(DamagedError):
            load_claim(json.dumps({k: v for k, v in GOOD.items() if k != key}).encode())


def test_deep_nesting_and_size_are_damage() -> None:
    for raw in (b"[" * MAX_BYTES, b" " * (MAX_BYTES + 1)):
        with pytest.raises(DamagedError):
            load_budget(raw)


def test_the_budget_file_stays_small() -> None:
    claims = [Claim("r", f"o{number}", Moment("b", number, number)) for number in range(500)]
    assert load_budget(dump_budget(claims, 3)) == claims[-KEPT_CLAIMS:]
    assert load_budget(dump_budget(claims, 200)) == claims[-200:]
