# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reserve_lines
short_description: Show the result of reserve_info as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.reserve_info) into lines of text for a terminal. The limits of the host,
    the sum of the pools, each control, what contradicts it and what differs from it.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.reserve_info).
    type: dict
    required: true
  width:
    description: How many columns a line may take, at least V(40).
    type: int
    default: 100
"""

EXAMPLES = r"""
- name: Look
  hostcare.remediation.reserve_info:
  register: reserve

- name: Show
  ansible.builtin.debug:
    msg: "{{ reserve | hostcare.remediation.reserve_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._reserve import reserve_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"reserve_lines": of_mapping("reserve_lines", reserve_lines)}
