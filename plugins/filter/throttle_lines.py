# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: throttle_lines
short_description: Show results of spawn_throttle as lines
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns results of M(hostcare.remediation.spawn_throttle) into lines of text for a terminal. Who was throttled or
    released, why, and until when.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: Results of M(hostcare.remediation.spawn_throttle).
    type: list
    elements: dict
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
    description: How many targets are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Release what is due
  hostcare.remediation.spawn_throttle:
    state: released
    only_due: true
  register: released

- name: Show
  ansible.builtin.debug:
    msg: "{{ [released] | hostcare.remediation.throttle_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_sequence
from ansible_collections.hostcare.remediation.plugins.plugin_utils._spawn import throttle_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"throttle_lines": of_sequence("throttle_lines", throttle_lines)}
