#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: process_rlimit
short_description: Change the resource limits of live processes, without a restart
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Sets a soft and a hard limit (see C(setrlimit(2))) of every process that a selector matches, while it runs. It is
    the first aid for a service that says "too many open files". It buys time, and lasts as long as the process.
  - Each limit is read back. What it was before is returned in RV(undo), which O(restore) takes.
  - What may not be raised is found out before anything is touched, and said with the reason.
extends_documentation_fragment:
  - hostcare.remediation._attributes
  - hostcare.remediation.selector
attributes:
  platform:
    details: Linux. FreeBSD with psutil, which has not been run there.
  diff_mode:
    support: full
    details: Shows the limits of each process that is changed.
options:
  cmdline_regex:
    description:
      - A Python regular expression that is searched for in the arguments, joined by blanks.
      - On a host whose process table is full, reading a command line can block. Prefer the other criteria there.
  resource:
    description:
      - Which limit, by the name that C(limits.conf) and C(prlimit) use.
    type: str
    choices:
      - as
      - core
      - cpu
      - data
      - fsize
      - memlock
      - msgqueue
      - nice
      - nofile
      - nproc
      - rss
      - rtprio
      - rttime
      - sigpending
      - stack
    default: nofile
  soft:
    description:
      - The soft limit, the one that counts. A number in the unit of C(setrlimit(2)), which may end in V(K), V(M) or
        V(G) for powers of 1024, V(unlimited), or V(hard) for the hard limit of the same process.
      - Without it the soft limit stays as it is.
    type: str
  hard:
    description:
      - The hard limit, up to which the process itself can raise the soft one. A number as for O(soft), V(unlimited), or
        V(max) for the most that the kernel allows, which is C(fs.nr_open) where O(resource=nofile).
      - Without it the hard limit stays as it is, unless a higher soft limit takes it along.
    type: str
  change:
    description:
      - V(raise) never lowers a limit. A process that has more keeps it.
      - V(set) sets the limits exactly, so it can lower them. Protected processes are left alone then.
    type: str
    choices: [raise, set]
    default: raise
  allow_below_use:
    description:
      - Whether a limit may be lowered below what the process uses at that moment, or where that is not known. The
        process would fail at its next step, or be ended.
    type: bool
    default: false
  max_processes:
    description: The brake. If more processes than this match, nothing is touched and the module fails.
    type: int
    default: 100
  include_containers:
    description: Whether processes in nested PID namespaces may be lowered too. It takes O(change=set).
    type: bool
    default: false
  restore:
    description:
      - Gives processes back the limits of RV(undo) of an earlier run. Those that have ended, or whose limits were
        changed by somebody else meanwhile, are left alone. Instead of a selector, O(soft), O(hard), O(change) and
        O(resource).
    type: list
    elements: dict
    suboptions:
      pid:
        description: The number of the process.
        type: int
        required: true
      started:
        description: The start of the process, so that no other one with the same number is hit.
        type: int
        required: true
      resource:
        description: Which limit.
        type: str
        required: true
      soft:
        description: The soft limit to give back, V(unlimited) where there was none.
        type: str
        required: true
      hard:
        description: The hard limit to give back.
        type: str
        required: true
      set_soft:
        description: The soft limit that was set.
        type: str
        required: true
      set_hard:
        description: The hard limit that was set.
        type: str
        required: true
requirements:
  - psutil on the managed node, where the C library has no C(prlimit(2))
notes:
  - Raising a hard limit takes C(CAP_SYS_RESOURCE), and so does any change to a process of another user. No one can set
    C(nofile) higher than C(fs.nr_open).
  - With O(change=set) the processes that M(hostcare.remediation.rogue_process) never touches are left alone too.
    Raising a limit harms nobody, so V(raise) reaches all.
seealso:
  - module: hostcare.remediation.file_descriptor_info
"""

EXAMPLES = r"""
- name: Raise the open files of a service while it runs
  hostcare.remediation.process_rlimit:
    unit: [app.service]
    resource: nofile
    soft: "65536"
  register: raised

- name: Let each worker have what its hard limit allows, which takes no privilege
  hostcare.remediation.process_rlimit:
    unit: [app.service]
    soft: hard

- name: Take the change back
  hostcare.remediation.process_rlimit:
    restore: "{{ raised.undo }}"

- name: Keep a runaway user from starting more
  hostcare.remediation.process_rlimit:
    user: [batch]
    resource: nproc
    soft: "200"
    change: set
    max_processes: 500
"""

RETURN = r"""
resource:
  description: Which limit.
  type: str
  returned: always
  sample: nofile
matched:
  description: How many processes the selector matches, or O(restore) lists.
  type: int
  returned: always
changed_processes:
  description: How many of them got other limits, or would get them in check mode.
  type: int
  returned: always
unchanged:
  description: How many had what was asked for already.
  type: int
  returned: always
refused:
  description: How many may not be changed as asked for.
  type: int
  returned: always
protected:
  description: How many were left alone because they are protected.
  type: int
  returned: always
gone:
  description: How many ended meanwhile.
  type: int
  returned: always
processes:
  description: The processes, those that were refused first. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
    pid:
      description: The number of the process.
      type: int
    name:
      description: Its comm.
      type: str
    user:
      description: Its real user.
      type: str
    unit:
      description: Its systemd unit, or control group.
      type: str
    soft:
      description: The soft limit it had, V(unlimited) where none.
      type: str
    hard:
      description: The hard limit it had.
      type: str
    new_soft:
      description: The soft limit it has now, read back, or would get in check mode.
      type: str
    new_hard:
      description: The hard limit it has now, or would get.
      type: str
    used:
      description: What it uses of it at this moment. Null where that is not known.
      type: int
    outcome:
      description: C(changed), C(unchanged), C(refused), C(protected) or C(gone).
      type: str
    reason:
      description: Why, and what helps.
      type: str
undo:
  description: What O(restore) takes to give back what was. As long as the number of changed processes.
  type: list
  elements: dict
  returned: always
  contains:
    pid:
      description: The number of the process.
      type: int
    started:
      description: The start of the process, in clock ticks since boot.
      type: int
    resource:
      description: Which limit.
      type: str
    soft:
      description: The soft limit it had.
      type: str
    hard:
      description: The hard limit it had.
      type: str
    set_soft:
      description: The soft limit that was set.
      type: str
    set_hard:
      description: The hard limit that was set.
      type: str
converged:
  description:
    - Whether every process that matched now has what was asked for, read back, and none was born with other limits
      meanwhile. False in check mode where something would change.
  type: bool
  returned: always
actions:
  description: What was done, or would be done, in plain words.
  type: list
  elements: str
  returned: always
  sample: [raised nofile of 4 processes to 65536]
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

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import limits_remedy, limits_request
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.rlimits import TITLES
from ansible_collections.hostcare.remediation.plugins.module_utils._process.arguments import SELECTOR


def main() -> t.NoReturn:
    restored = {name: {"type": "int", "required": True} for name in ("pid", "started")}
    restored.update(
        {name: {"type": "str", "required": True} for name in ("resource", "soft", "hard", "set_soft", "set_hard")}
    )
    module = AnsibleModule(
        argument_spec={
            **SELECTOR,
            "resource": {"type": "str", "choices": sorted(TITLES), "default": "nofile"},
            "soft": {"type": "str"},
            "hard": {"type": "str"},
            "change": {"type": "str", "choices": ["raise", "set"], "default": "raise"},
            "allow_below_use": {"type": "bool", "default": False},
            "max_processes": {"type": "int", "default": 100},
            "include_containers": {"type": "bool", "default": False},
            "restore": {"type": "list", "elements": "dict", "options": restored},
        },
        supports_check_mode=True,
    )
    try:
        outcome = limits_remedy.run(limits_request.parse(module.params, module.check_mode))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
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
