# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is configured elsewhere and says otherwise: each named by file and line.

A file of an administrator (below /etc or /run) that sets the same to another value contradicts ours, whichever is read
later; a file of a package does where it is read after ours (systemd.unit(5), sysctl.d(5), limits.conf(5)).

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from . import host as at
from .syntax import Setting, Text, limit_settings, sysctl_settings, unit_settings

_OF_PACKAGES = ("/usr/", "/lib/")
_HINT = "Take the line out or set the same there, or waive the control {control} with a reason."


class Conflict(t.NamedTuple):
    """``path`` is empty and ``line`` 0 where it is not about a line of a file."""

    control: str
    path: str
    line: int
    text: str


def of_units(control: str, ours: str, wanted: str, texts: t.Sequence[Text]) -> list[Conflict]:
    """``wanted`` is the file that we write, ``ours`` its path; ``texts`` are all files of the same unit."""
    asked = {(one.scope, one.name): one.value for one in unit_settings(Text(ours, wanted))}
    found = [one for text in texts for one in unit_settings(text)]
    return [_told(control, one, asked[key]) for one in found for key in [(one.scope, one.name)]
            if key in asked and one.value != asked[key] and _counts(one, ours)]  # fmt: skip


def of_limits(control: str, wanted: str, texts: t.Sequence[Text]) -> list[Conflict]:
    """The star only: who is named has a limit of his own, which goes before the star's."""
    asked = {(one.scope, one.name): one.value for one in limit_settings(Text(at.LIMITS, wanted))}
    found = [one for text in texts for one in limit_settings(text) if text.path != at.LIMITS]
    return [_told(control, one, asked[one.scope, one.name]) for one in found
            if one.scope == "*" and asked.get((one.scope, one.name), one.value) != one.value]  # fmt: skip


def of_sysctls(control: str, ours: str, values: t.Mapping[str, str], texts: t.Sequence[Text]) -> list[Conflict]:
    found = [one for text in texts for one in sysctl_settings(text)]
    return [_told(control, one, values[one.name]) for one in found
            if one.name in values and one.value != values[one.name] and _counts(one, ours)]  # fmt: skip


def _counts(one: Setting, ours: str) -> bool:
    if one.path == ours:
        return False
    name = os.path.basename(one.path)
    if not one.path.startswith(_OF_PACKAGES):
        return True
    return one.path.endswith(".conf") and name > os.path.basename(ours)


def _told(control: str, one: Setting, wanted: str) -> Conflict:
    what = f"{one.scope} {one.name}".strip() if one.scope == "*" else one.name
    hint = _HINT.format(control=control)
    return Conflict(
        control, one.path, one.line, f"{one.where} sets {what} to {one.value}, and this one {wanted}. {hint}"
    )
