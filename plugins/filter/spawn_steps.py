# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: spawn_steps
short_description: Say what each step of a remedy does to those that storm
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Turns groups that M(hostcare.remediation.spawn_info) has found into the arguments with which
    M(hostcare.remediation.rogue_process) and M(hostcare.remediation.spawn_throttle) stop their jobs, throttle them, end
    their children, and release the service of a job that has ended. They are for
    O(hostcare.remediation.batch#module:steps[].each).
  - Where a child of the main process of a unit is the spawner, or started it, that job can end without the service. It
    is to be stopped before the throttle and to end as a whole. Of other spawners the children end.
positional: _input
options:
  _input:
    description: Those of RV(hostcare.remediation.spawn_info#module:groups) that are meant.
    type: list
    elements: dict
    required: true
  end:
    description: Whose children are ended.
    type: str
    choices: [never, runaway, always]
    default: runaway
  limit:
    description:
      - The O(hostcare.remediation.spawn_throttle#module:limit), or V(lasting) for as many tasks as lived all the time a
        group was watched.
    type: str
    default: none_new
"""

EXAMPLES = r"""
- name: Watch
  hostcare.remediation.spawn_info:
  register: spawning

- name: Throttle all runaways, and end their children
  hostcare.remediation.batch:
    steps:
      - name: throttle
        module: hostcare.remediation.spawn_throttle
        args:
          state: throttled
          release_after: 60s
        each: "{{ steps.throttle }}"
      - name: end
        module: hostcare.remediation.rogue_process
        args:
          state: terminated
        each: "{{ steps.end }}"
  vars:
    runaways: "{{ spawning.groups | selectattr('verdict', 'equalto', 'runaway') | selectattr('selector') | list }}"
    steps: "{{ runaways | hostcare.remediation.spawn_steps }}"
"""

RETURN = r"""
_value:
  description:
    - For each of the steps C(freeze), C(throttle), C(end) and C(release) a list of arguments, one for each group
      that it is for.
  type: dict
"""

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._filters import of_sequence
from ansible_collections.hostcare.remediation.plugins.plugin_utils._spawn import spawn_steps


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"spawn_steps": of_sequence("spawn_steps", spawn_steps)}
