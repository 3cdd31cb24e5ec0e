# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: selector_option
short_description: Show a selector as an option to paste behind ansible-playbook
version_added: 0.1.0
author:
  - The hostcare.remediation authors (@hostcare)
description:
  - Turns a selector, as M(hostcare.remediation.headroom_info) proposes it, into an C(-e) option that is quoted for a
    shell. It is never cut.
  - A name of a process is chosen by whoever started it. Where one holds template marks it would be run as a template on
    the controller, so a sentence that says so is returned in place of the option.
positional: _input
options:
  _input:
    description: The selector.
    type: dict
    required: true
  variable:
    description: The variable that the option sets.
    type: str
    default: process_storm_selector
"""

EXAMPLES = r"""
- name: Show what to add to the command line
  ansible.builtin.debug:
    msg: "{{ headroom.suspects[0].selector | hostcare.remediation.selector_option }}"
"""

RETURN = r"""
_value:
  description: The option.
  type: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import paste_line


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"selector_option": of_mapping("selector_option", paste_line)}
