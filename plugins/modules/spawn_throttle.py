#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spawn_throttle
short_description: Cap the process creation of a runaway unit, control group, user or process
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Keeps those that a selector matches from starting more processes, at once and without ending any. It sets
    C(pids.max) of a control group that holds nothing else, or lowers C(RLIMIT_NPROC) of each process, or lets systemd
    wait before it starts a unit again.
  - What the limit was is remembered on a tmpfs, in C(/run/hostcare), before it is changed, and put back exactly. A
    limit that somebody else has set meanwhile stays, and that is said.
  - A throttle can have a time, see O(release_after). Whoever is throttled again soon after a release waits longer, see
    O(backoff), and after O(max_repeats) stays throttled.
  - The module starts no process and leaves none behind, so no release happens by itself. Each later run of this module
    releases what is due, whatever it was called for. RV(release_commands) has, for each control group, the command that
    arms a timer of systemd which does the same where no later run is sure.
extends_documentation_fragment:
  - hostcare.remediation._attributes
  - hostcare.remediation.selector
  - hostcare.remediation.selector.safeguards
attributes:
  diff_mode:
    support: full
    details: Shows the limit of each target that is changed.
options:
  cmdline_regex:
    description:
      - A Python regular expression that is searched for in the arguments, joined by blanks.
      - On a host whose process table is full, reading a command line can block. Prefer the other criteria there.
  state:
    description:
      - V(throttled) caps what the selector matches. What is capped already and not due is left as it is.
      - V(released) puts the old limits back, of all that is throttled or of what the selector matches.
    type: str
    choices: [throttled, released]
    required: true
  limit:
    description:
      - V(none_new) lets none be started.
      - V(current) lets as many run as run now, so that one can be started for one that ends.
      - A number lets so many run. One below what runs now ends nothing, and blocks until enough have ended.
      - Threads count as processes. A limit is never raised by it.
    type: str
    default: none_new
  method:
    description:
      - V(cgroup) sets C(pids.max) of the control groups that hold nothing but the selection. It binds root, too.
      - V(rlimit) lowers C(RLIMIT_NPROC) of each process. The kernel compares it with all processes of the user, the
        others included. It does not bind root nor whoever has C(CAP_SYS_RESOURCE) or C(CAP_SYS_ADMIN), which is
        refused. Where the module itself has no C(CAP_SYS_RESOURCE) it reaches the processes of its own user only and
        lowers just the soft limit, which a process can raise again.
      - V(restart) is for services that systemd itself starts again and again, named by O(unit) alone. It sets
        C(RestartSec=) by a drop-in below C(/run/systemd/system) and sends PID 1 a SIGHUP, which makes it read its
        configuration anew. systemd then starts the unit once O(release_after) has passed, and, until the throttle is
        released, waits as long after each further end. Without O(release_after) it does not start it again. It goes
        with neither O(limit) nor O(protect).
      - V(auto) takes the first of V(cgroup) and V(rlimit) that fits.
    type: str
    choices: [auto, cgroup, rlimit, restart]
    default: auto
  release_after:
    description:
      - How long the throttle lasts, such as V(60s). Without it, or with V(0), until O(state=released).
      - Asking again for what is throttled and not due changes nothing. Once it is due, asking again throttles it again.
    type: str
    default: "0"
  backoff:
    description: By what the time grows with each repeat. V(1) is a fixed time.
    type: float
    default: 2.0
  jitter:
    description:
      - The share of the time by which it may be longer, so that hosts do not release all at once. It is the same for
        the same target, repeat and boot of a host.
    type: float
    default: 0.1
  max_release_after:
    description: The longest the time grows to, before O(jitter).
    type: str
    default: 1h
  max_repeats:
    description: After how many repeats it stays throttled until O(state=released) without O(only_due).
    type: int
    default: 5
  forget_after:
    description: Whoever has not been throttled for so long since the last release begins from zero.
    type: str
    default: 1h
  only_due:
    description:
      - With O(state=released), releases only what is due, and remembers how often it was throttled. Without it, that is
        forgotten.
    type: bool
    default: false
  max_processes:
    description: The brake. If more processes than this match, nothing is touched and the module fails.
    type: int
    default: 500
  include_containers:
    description: Whether processes in nested PID namespaces are meant too.
    type: bool
    default: false
notes:
  - systemd makes the control group of a unit anew at each start. A throttle ends with its control group, so it holds
    for a unit that lives and starts children, and not for one that is itself started again and again. For such a
    one O(method=restart) is meant. M(hostcare.remediation.spawn_info) tells which it is.
  - When it reads its configuration, systemd runs its generators. With O(method=restart) keep a few process slots free
    for them.
  - systemd sets C(pids.max) of its units again, from C(TasksMax), when its configuration is loaded anew. The next run
    with O(state=throttled) says so and throttles again. Where it is this module that has it loaded, it does so at once.
  - At most 64 control groups are capped in one run.
seealso:
  - module: hostcare.remediation.spawn_info
  - module: hostcare.remediation.rogue_process
  - module: hostcare.remediation.process_rlimit
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: Let a service start no more children for a minute, and longer each time that this has to be repeated
  hostcare.remediation.spawn_throttle:
    state: throttled
    unit: [postfix@-.service]
    release_after: 60s
    max_repeats: 4
  register: throttle

- name: Have systemd release it in time should no later run come by
  ansible.builtin.command:
    cmd: "{{ item }}"
  loop: "{{ throttle.release_commands }}"
  when: throttle is changed
  changed_when: true

- name: Let systemd wait a minute before it starts a unit again that fails at once
  hostcare.remediation.spawn_throttle:
    state: throttled
    unit: [app.service]
    method: restart
    release_after: 60s

- name: Release what is due
  hostcare.remediation.spawn_throttle:
    state: released
    only_due: true

- name: Keep a user to what it runs now
  hostcare.remediation.spawn_throttle:
    state: throttled
    user: [batch]
    limit: current
    max_processes: 5000

- name: Release all, and forget how often it was throttled
  hostcare.remediation.spawn_throttle:
    state: released
"""

RETURN = r"""
state:
  description: The state that was asked for.
  type: str
  returned: always
  sample: throttled
method:
  description:
    - How it was capped, C(cgroup), C(rlimit) or C(restart), C(memory) when O(state=released), C(none) where nothing
      matched.
  type: str
  returned: always
  sample: cgroup
method_reason:
  description: Why this method, or why not a stronger one.
  type: str
  returned: always
  sample: each cgroup that is meant holds nothing else
matched:
  description:
    - Living processes that match, less the protected ones. When O(state=released), the throttles that are meant.
  type: int
  returned: always
  sample: 213
throttled:
  description: How many targets were throttled by this run, or would be in check mode.
  type: int
  returned: always
  sample: 1
released:
  description: How many targets have their old limit back, or would have.
  type: int
  returned: always
targets:
  description: The control groups, or users, that are meant or were due. At most 50, those that failed first.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: C(cgroup), C(user) for C(RLIMIT_NPROC), or C(unit) for a service that systemd starts again later.
      type: str
    target:
      description: The directory of the control group, the user, or the unit.
      type: str
      sample: /sys/fs/cgroup/system.slice/app.service
    unit:
      description: The systemd unit, or the path where there is none. Empty for a user.
      type: str
    outcome:
      description:
        - C(throttled) or C(released) by this run, C(unchanged), C(gone), C(left_alone) where somebody else has changed
          the limit, or C(failed).
      type: str
    reason:
      description: Why, and what it means.
      type: str
      sample: "213 run, over the limit of 0: none of them ends, and none new can start"
    limit_before:
      description:
        - The limit that was found, C(unlimited) where none. Of a user the highest among its processes. Of a unit C(0)
          while systemd waits before it starts it again.
      type: str
    limit:
      description: The limit now, read back, or as it would be in check mode.
      type: str
    effective_limit:
      description: The least of this limit and those of the control groups above.
      type: str
    effective_at:
      description: Where that one is set.
      type: str
    current:
      description: How many processes and threads count against the limit.
      type: int
    refused_forks:
      description: How often the control group has refused a process so far. Null where that is not counted.
      type: int
    repeats:
      description: How often it was throttled again without O(forget_after) in between.
      type: int
    exhausted:
      description: Whether O(max_repeats) is used up, so that it stays throttled.
      type: bool
    since:
      description: Since when it is throttled, in UTC. Null where it is not, or not by this collection.
      type: str
    release_at:
      description: When it is due, in UTC. Null for never.
      type: str
    release_in:
      description: In how many seconds that is.
      type: int
targets_total:
  description: How many targets there are.
  type: int
  returned: always
in_force:
  description: How many throttles of this collection are in force on the host now, or would be.
  type: int
  returned: always
next_release_in:
  description: In how many seconds the first of them is due. Null where none ever is.
  type: int
  returned: always
release_commands:
  description:
    - For each control group with a time, the command that has systemd put the old limit back then, if the limit is
      still the one of this throttle. It forks, so it is a task of its own, once there are process slots. At most 50.
  type: list
  elements: str
  returned: always
protected:
  description: What matched and was left alone, counted, with the reason. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: The comm.
      type: str
    user:
      description: The real user.
      type: str
    unit:
      description: The systemd unit, or the control group where there is none.
      type: str
    reason:
      description: Why it was left alone.
      type: str
    count:
      description: How many they are.
      type: int
converged:
  description: Whether every limit is what was asked for, read back. False in check mode where something would change.
  type: bool
  returned: always
actions:
  description: What was done, or would be done, in plain words. At most 50.
  type: list
  elements: str
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
from ansible_collections.hostcare.remediation.plugins.module_utils._process.arguments import SELECTOR
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._throttle.request import parse_request


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            **SELECTOR,
            "state": {"type": "str", "choices": ["throttled", "released"], "required": True},
            "limit": {"type": "str", "default": "none_new"},
            "method": {"type": "str", "choices": ["auto", "cgroup", "rlimit", "restart"], "default": "auto"},
            "release_after": {"type": "str", "default": "0"},
            "backoff": {"type": "float", "default": 2.0},
            "jitter": {"type": "float", "default": 0.1},
            "max_release_after": {"type": "str", "default": "1h"},
            "max_repeats": {"type": "int", "default": 5},
            "forget_after": {"type": "str", "default": "1h"},
            "only_due": {"type": "bool", "default": False},
            "max_processes": {"type": "int", "default": 500},
            "include_containers": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        outcome = remedy.run(parse_request(module.params, module.check_mode))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    for warning in outcome.warnings:
        module.warn(warning)
    result = outcome.result
    if module._diff:
        result["diff"] = outcome.diff
    if outcome.problem:
        module.fail_json(msg=outcome.problem, **result)
    if result["changed"] and not module.check_mode:
        module.log(f"hostcare: {'; '.join(result['actions'])}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
