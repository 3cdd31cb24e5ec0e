# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: maildrop_lines
short_description: Show the result of postfix_maildrop as a table
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns the result of M(hostcare.remediation.postfix_maildrop) into lines of text for a terminal.
  - Whose mail was removed, how old it was, what was kept and why, and where the archive is; or what was mended.
  - Names are shown with control characters escaped. No line is wider than O(width).
positional: _input
options:
  _input:
    description: The result of M(hostcare.remediation.postfix_maildrop).
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
    description: How many submitters, and reasons why mail was kept, are shown.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Preview
  hostcare.remediation.postfix_maildrop:
    state: purged
  check_mode: true
  register: preview

- name: Show
  ansible.builtin.debug:
    msg: "{{ preview | hostcare.remediation.maildrop_lines(dry=true) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._mail import maildrop_lines


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"maildrop_lines": of_mapping("maildrop_lines", maildrop_lines)}
