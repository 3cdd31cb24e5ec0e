# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ipc_removal_lines
short_description: Show the result of sysv_ipc as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.sysv_ipc) into lines of text for a terminal. What was removed and why,
    what was kept and why, who could hold it, and how much of which limit is free now.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.sysv_ipc).
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
    description: How many groups of objects, and how many of those who could hold them, are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Preview
  hostcare.remediation.sysv_ipc:
    state: absent
    owner: [www-data]
    service:
      unit: [apache2.service]
  check_mode: true
  register: removal

- name: Show
  ansible.builtin.debug:
    msg: "{{ removal | hostcare.remediation.ipc_removal_lines(dry=true) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._ipc import ipc_removal_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"ipc_removal_lines": of_mapping("ipc_removal_lines", ipc_removal_lines)}
