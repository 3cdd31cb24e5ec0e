# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rlimit_lines
short_description: Show the result of process_rlimit as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.process_rlimit) into lines of text for a terminal. Whose limits were
    changed from what to what, and who may not have what was asked for and why.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.process_rlimit).
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
    description: How many processes are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Preview
  hostcare.remediation.process_rlimit:
    unit: [app.service]
    soft: "65536"
  check_mode: true
  register: raised

- name: Show
  ansible.builtin.debug:
    msg: "{{ raised | hostcare.remediation.rlimit_lines(dry=true) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._descriptors import rlimit_lines
from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rlimit_lines": of_mapping("rlimit_lines", rlimit_lines)}
