# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: suspect_option
short_description: Show a suspect as an option to paste behind ansible-playbook
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns one of the C(suspects) that M(hostcare.remediation.headroom_info) returns into the C(-e) option with which the
    role C(process_storm) acts on it. It is quoted for a shell and never cut.
  - Where twice the processes of the suspect are more than O(max_victims), the option raises that limit, too.
  - A name of a process is chosen by whoever started it. Where one holds template marks it would be run as a template on
    the controller, so the option lets the role find the suspect again by itself, with C(process_storm_auto).
positional: _input
options:
  _input:
    description: The suspect.
    type: dict
    required: true
  max_victims:
    description: The limit that the role has.
    type: int
    default: 500
"""

EXAMPLES = r"""
- name: Measure
  hostcare.remediation.headroom_info:
  register: headroom

- name: Show what to add to the command line
  ansible.builtin.debug:
    msg: "{{ headroom.suspects[0] | hostcare.remediation.suspect_option }}"
"""

RETURN = r"""
_value:
  description: The option.
  type: str
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_mapping
from ansible_collections.hostcare.remediation.plugins.plugin_utils._storm import suspect_option


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"suspect_option": of_mapping("suspect_option", suspect_option)}
