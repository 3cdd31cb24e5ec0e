# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ipc_lines
short_description: Show the result of sysv_ipc_info as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.sysv_ipc_info) into lines of text for a terminal. Every limit with what
    is used of it and which one is hit first, settings that cannot be meant, the objects counted by owner and verdict,
    and who could hold those that are perhaps in use.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.sysv_ipc_info).
    type: dict
    required: true
  width:
    description: How many columns a line may take, at least V(40).
    type: int
    default: 100
  top:
    description: How many groups of objects, and how many of those who could hold them, are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look
  hostcare.remediation.sysv_ipc_info:
  register: ipc

- name: Show
  ansible.builtin.debug:
    msg: "{{ ipc | hostcare.remediation.ipc_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._ipc import ipc_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"ipc_lines": of_mapping("ipc_lines", ipc_lines)}
