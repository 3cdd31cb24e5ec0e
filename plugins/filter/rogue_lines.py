# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rogue_lines
short_description: Show the result of rogue_process as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.rogue_process) into lines of text for a terminal. Who was hit and why,
    who was protected, what is still there, by which method, and whether the end is proven.
  - Names of processes are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.rogue_process).
    type: dict
    required: true
  dry:
    description: Whether the module ran in check mode, so that the lines say what would be done.
    type: bool
    default: false
  width:
    description: How many columns a line may take, at least V(40).
    type: int
    default: 100
  top:
    description: How many groups and processes of each kind are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Preview
  hostcare.remediation.rogue_process:
    state: killed
    name: [worker]
    user: [bob]
  check_mode: true
  register: rogue

- name: Show
  ansible.builtin.debug:
    msg: "{{ rogue | hostcare.remediation.rogue_lines(dry=true) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import rogue_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rogue_lines": of_mapping("rogue_lines", rogue_lines)}
