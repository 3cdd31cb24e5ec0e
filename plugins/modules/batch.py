#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: batch
short_description: Run several modules as one task, in one process
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Sends several modules to a host at once, where one process runs them one after the other. A host that has run out of
    process slots has to give one once, and a fleet pays for one task instead of many.
  - A step that fails stops the steps after it, but for those with O(steps[].always).
  - All arguments are known before the first step begins. What depends on the answer of a step belongs in a later task.
extends_documentation_fragment:
  - hostcare.remediation._attributes.batch
options:
  steps:
    description: What to run, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Under which name the result is found in RV(steps). No two steps may have the same one.
        type: str
        required: true
      module:
        description:
          - The full name of a module, of this collection or another one, that is written in Python and works on the
            host alone, such as M(ansible.builtin.systemd_service), M(ansible.builtin.stat) or
            M(ansible.builtin.command).
          - One that works on the controller, too, such as M(ansible.builtin.copy), is refused.
        type: str
        required: true
      args:
        description: The arguments of the module. No C(module_defaults) are added to them.
        type: dict
        default: {}
      when:
        description: Whether to run it at all. It is templated like all arguments, so it takes C({{ }}).
        type: bool
        default: true
      each:
        description:
          - Run it once for each of these, which are added to O(steps[].args). All of them are run, also after one that
            has failed. The result has a list RV(ignore:results), one with its C(item) for each, as that of a loop has.
        type: list
        elements: dict
      check_mode:
        description: Run it in check mode, also where the task is not.
        type: bool
        default: false
      ignore_errors:
        description: Whether to go on after a failure of it, which is not one of the task then.
        type: bool
        default: false
      always:
        description: Whether to run it also after a step that has failed.
        type: bool
        default: false
notes:
  - Should the process be killed in the middle, the step that it was at fails, and RV(steps) has what those before it
    have answered. Over ssh, which does not tell this from a lost session, the host is unreachable instead.
  - Over a connection without pipelining the modules run in the ordinary way of C(ansible-core), one after the other.
"""

EXAMPLES = r"""
- name: Take the lock of the host and end the rogues
  hostcare.remediation.batch:
    steps:
      - name: lock
        module: hostcare.remediation.remedy_lock
        args:
          state: held
          remedy: process_storm
          owner: night shift
      - name: rogues
        module: hostcare.remediation.rogue_process
        args:
          state: killed
          user: [batch]
          max_victims: 2000
        each:
          - name: [worker]
          - name: [helper]
      - name: unlock
        module: hostcare.remediation.remedy_lock
        args:
          state: released
          remedy: process_storm
          owner: night shift
        always: true
  register: remedy

- name: Show how many were killed
  ansible.builtin.debug:
    msg: "{{ remedy.steps.rogues.results | map(attribute='killed') | sum }}"

- name: Look at a service and its descriptors
  hostcare.remediation.batch:
    steps:
      - name: unit
        module: ansible.builtin.systemd_service
        args:
          name: cron.service
          state: started
        check_mode: true
      - name: descriptors
        module: hostcare.remediation.file_descriptor_info
        args:
          unit: [cron.service]
"""

RETURN = r"""
steps:
  description:
    - What each module returned, by the name of its step. One that was not run has RV(ignore:skipped) and
      RV(ignore:skip_reason). Warnings, deprecations and diffs are those of the task.
  type: dict
  returned: always
failed_step:
  description: The name of the first step that failed, and whose failure is that of the task.
  type: str
  returned: when a step failed
"""
