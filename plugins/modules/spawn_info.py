#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spawn_info
short_description: Tell who starts processes that fail at once, or starts them without end
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Watches for a while who is born, of which parent, in which unit, how long it lives and how it ends, and gives a
    verdict on each unit with its reasons. Nothing is changed.
  - A unit is a C(crash_loop) where the children of one parent fail at once again and again, or where systemd starts it
    again and again. It is a C(runaway) where it grows all the time and no end is in sight.
  - A server whose children live, and a build or a script whose children succeed, is C(busy), however much it starts. So
    is what cannot be told.
extends_documentation_fragment:
  - hostcare.remediation._attributes.info
options:
  unit:
    description: Tell of these units only. All are watched.
    type: list
    elements: str
  duration:
    description: How long to watch, such as V(5s), at least V(0.2s).
    type: str
    default: 5s
  at_once:
    description: Whoever has ended within this time from its birth has ended at once.
    type: str
    default: 2s
  min_rate:
    description: How many births a minute, or starts of a unit, it takes to be more than fine.
    type: int
    default: 60
  min_growth:
    description: By how many processes a unit has to grow, while it is watched, to be a runaway.
    type: int
    default: 50
  top:
    description: How many units are returned, storms first.
    type: int
    default: 10
notes:
  - What lives for less than a millisecond may be missed, so all counts of births are lower bounds. RV(numbers) is the
    upper one, for all units together.
  - How a process ended is known from Linux 6.15 on. Before, it is known of those that were seen between their end and
    the moment their parent collected them. Where it is known of fewer than five, only what systemd starts again and
    again is called a crash loop.
  - A glimpse of the process table is taken every 20 ms, or less often where that would take more than a third of one
    processor.
seealso:
  - module: hostcare.remediation.spawn_throttle
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: Tell storm from work
  hostcare.remediation.spawn_info:
    duration: 5s
  register: spawning

- name: Throttle the worst
  hostcare.remediation.spawn_throttle:
    state: throttled
    unit: "{{ spawning.groups[0].selector.unit | default([]) }}"
    release_after: 60s
  when: spawning.storms > 0
"""

RETURN = r"""
groups:
  description:
    - The units, or control groups that no service manager named, in which something was born, started or refused.
      Storms first, then those with the most births.
  type: list
  elements: dict
  returned: always
  contains:
    unit:
      description: The systemd unit, or the path of the control group where there is none.
      type: str
      sample: app.service
    cgroup:
      description: The path of the control group.
      type: str
      sample: /system.slice/app.service
    verdict:
      description: C(crash_loop), C(runaway), C(busy) or C(fine).
      type: str
      sample: crash_loop
    reasons:
      description: What speaks for it.
      type: list
      elements: str
      sample: ["213 of 213 children of master (pid 812) ended at once", "213 of 213 whose end is known failed"]
    restarted:
      description:
        - Whether it is systemd that starts the unit again and again. Then a limit on its processes has no effect, see
          O(hostcare.remediation.spawn_throttle#module:method=restart).
      type: bool
    per_minute:
      description: Births, or starts of the unit where these are more, per minute.
      type: float
    births:
      description: How many were seen to be born.
      type: int
    at_once:
      description: How many of them ended within O(at_once).
      type: int
    starts:
      description: How often systemd was seen to start the unit.
      type: int
    refused:
      description: How many processes its limit has refused meanwhile.
      type: int
    limit:
      description: C(pids.max) of its control group. Null where there is none.
      type: int
    processes:
      description: How many live in it at the end.
      type: int
    grown:
      description: By how many it has grown.
      type: int
    lasting:
      description: How many tasks, which are processes and threads, those have that lived all the time.
      type: int
    main_pid:
      description: The first of its processes that belongs to PID 1. Null where there is none.
      type: int
    spawner:
      description: The parent that is to blame. Null where it is not one.
      type: dict
      contains: &spawner
        pid:
          description: The number of the parent.
          type: int
        name:
          description: Its comm.
          type: str
        births:
          description: How many children it was seen to have.
          type: int
        at_once:
          description: How many of them ended at once.
          type: int
        failed:
          description: How many of those are known to have failed, by a signal or another code than 0.
          type: int
        succeeded:
          description: How many are known to have ended with 0.
          type: int
        branch:
          description: Who of its ancestors, or itself, is a child of RV(groups[].main_pid). Null where nobody is.
          type: int
    spawners:
      description: The parents with the most births. At most 3.
      type: list
      elements: dict
      contains: *spawner
    spawners_total:
      description: How many parents there are.
      type: int
    selector:
      description: The options with which M(hostcare.remediation.spawn_throttle) acts on it. Empty where there are none.
      type: dict
    children_of:
      description:
        - O(hostcare.remediation.rogue_process#module:descends_from) to end what the storm consists of. The job that the
          main process has started where it is one, else the spawner. Null where it is no storm, or systemd's.
      type: int
groups_total:
  description: How many groups there are.
  type: int
  returned: always
storms:
  description: How many of them are a crash loop or a runaway.
  type: int
  returned: always
  sample: 1
births:
  description: How many were seen to be born in all of them.
  type: int
  returned: always
numbers:
  description: How many process numbers the kernel gave out meanwhile, those of threads and of refused forks included.
  type: int
  returned: always
seconds:
  description: How long it was watched.
  type: float
  returned: always
glimpses:
  description: How often the process table was looked at.
  type: int
  returned: always
partial:
  description: Whether something could not be seen.
  type: bool
  returned: always
partial_reasons:
  description: What could not be seen, and why.
  type: list
  elements: str
  returned: always
elapsed_ms:
  description: How long the module took, in milliseconds, its start apart.
  type: int
  returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._spawn import survey


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "list", "elements": "str"},
            "duration": {"type": "str", "default": "5s"},
            "at_once": {"type": "str", "default": "2s"},
            "min_rate": {"type": "int", "default": 60},
            "min_growth": {"type": "int", "default": 50},
            "top": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        result = survey.run(survey.parse(module.params))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
