# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: headroom_lines
short_description: Show the result of headroom_info as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.headroom_info) into lines of text for a terminal. Every limit on
    processes with what is used of it, then the biggest groups of processes by name, user, unit and parent.
  - Names of processes are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.headroom_info).
    type: dict
    required: true
  width:
    description: How many columns a line may take, at least V(40).
    type: int
    default: 100
  top:
    description: How many groups of each kind are shown.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Measure
  hostcare.remediation.headroom_info:
  register: headroom

- name: Show
  ansible.builtin.debug:
    msg: "{{ headroom | hostcare.remediation.headroom_lines(width=120) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import headroom_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"headroom_lines": of_mapping("headroom_lines", headroom_lines)}
