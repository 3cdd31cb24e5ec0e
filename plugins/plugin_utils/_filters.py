# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How plain functions become filters: their input is checked, their output is never run as a template.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var


def of_mapping(name: str, function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    return _checked(name, function, lambda value: isinstance(value, t.Mapping), "a dictionary")


def of_sequence(name: str, function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def is_list(value: object) -> bool:
        return isinstance(value, t.Sequence) and not isinstance(value, (str, bytes))

    return _checked(name, function, is_list, "a list")


def _checked(
    name: str, function: t.Callable[..., t.Any], fits: t.Callable[[t.Any], bool], wanted: str
) -> t.Callable[..., t.Any]:
    @functools.wraps(function)
    def filtered(value: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
        if not fits(value):
            raise AnsibleFilterError(f"hostcare.remediation.{name} needs {wanted}, not {type(value).__name__}")
        # What a process calls itself ends up in the output: it must stay text, whoever templates it next.
        return wrap_var(function(value, *arguments, **options))

    return filtered
