# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lock file and the budget file say, and how they are read when somebody has damaged them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import json
import typing as t

from .._kernel.clock import Moment
from .._kernel.state_files import MAX_BYTES

_MAX_NUMBER = 1e15  # seconds; also false for NaN, and no integer below it is too large for a float
KEPT_CLAIMS = 64  # how many past remedies a budget file remembers at least


class Claim(t.NamedTuple):
    """One run that began one remedy on this host: the lock holds one, the budget the past ones."""

    remedy: str
    owner: str
    moment: Moment


class DamagedError(Exception):
    """The file is there but does not hold what was written."""


def dump_claim(claim: Claim) -> bytes:
    return _dump(_plain(claim))


def load_claim(raw: bytes) -> Claim:
    return _claim(_load(raw))


def dump_budget(spent: t.Sequence[Claim], keep: int) -> bytes:
    newest = list(spent)[-max(KEPT_CLAIMS, keep) :]
    return _dump({"version": 1, "spent": [_plain(claim) for claim in newest]})


def load_budget(raw: bytes) -> list[Claim]:
    document = _load(raw)
    spent = document.get("spent")
    if document.get("version") != 1 or not isinstance(spent, list):
        raise DamagedError("it has no list of spent remedies of version 1")
    return [_claim(entry) for entry in spent]


def _plain(claim: Claim) -> dict[str, t.Any]:
    return {"remedy": claim.remedy, "owner": claim.owner, **claim.moment._asdict()}


def _dump(document: dict[str, t.Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode("ascii") + b"\n"


def _load(raw: bytes) -> dict[str, t.Any]:
    if len(raw) > MAX_BYTES:
        raise DamagedError(f"it is larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise DamagedError("it is not JSON") from None
    if not isinstance(document, dict):
        raise DamagedError("it is not a JSON object")
    return document


def _claim(document: t.Any) -> Claim:
    if not isinstance(document, dict):
        raise DamagedError("an entry is not a JSON object")
    moment = Moment(_word(document, "boot_id"), _number(document, "uptime"), _number(document, "wall"))
    return Claim(_word(document, "remedy"), _word(document, "owner"), moment)


def _word(document: dict[str, t.Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise DamagedError(f"{key} is not text")
    return value


def _number(document: dict[str, t.Any], key: str) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _MAX_NUMBER:
        raise DamagedError(f"{key} is not a number of seconds")
    return float(value)
