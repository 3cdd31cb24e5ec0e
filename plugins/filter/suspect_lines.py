# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: suspect_lines
short_description: Show who looks like the rogue
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the C(suspects) that M(hostcare.remediation.headroom_info) returns into lines of text for a terminal, the
    worst first, with the reasons.
  - Names of processes are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The C(suspects) of M(hostcare.remediation.headroom_info).
    type: list
    elements: dict
    required: true
  width:
    description: How many columns a line may take, at least V(40).
    type: int
    default: 100
  top:
    description: How many suspects are shown.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Measure
  hostcare.remediation.headroom_info:
  register: headroom

- name: Show
  ansible.builtin.debug:
    msg: "{{ headroom.suspects | hostcare.remediation.suspect_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_sequence
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import suspect_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"suspect_lines": of_sequence("suspect_lines", suspect_lines)}
