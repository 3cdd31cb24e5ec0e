#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rogue_process
short_description: Freeze, thaw, terminate or kill runaway processes without a fork
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Stops every process that a selector matches before it ends any, so that none can start another, and proves that none
    escaped. It needs one process slot and works while the process table is full.
  - A whole control group, user or process group is taken by one call where it holds nothing but the selection, see
    O(method). Everything else is stopped one by one, again and again, until a pass saw all of it stopped and the kernel
    has started nothing unseen meanwhile.
  - What is frozen is remembered on a tmpfs below C(/run) and can be woken with O(state=thawed), even after the module
    itself was killed. If a run ends before its work is done, what it stopped is woken.
extends_documentation_fragment:
  - hostcare.remediation._attributes
  - hostcare.remediation.selector
  - hostcare.remediation.selector.safeguards
attributes:
  diff_mode:
    support: full
    details: Shows the groups of processes that are ended or stopped.
options:
  state:
    description:
      - V(frozen) stops the processes and leaves them stopped.
      - V(thawed) wakes exactly what V(frozen) stopped, all of it or what the selector matches. What somebody else had
        stopped before stays stopped.
      - V(terminated) sends SIGTERM, or O(signals), to all before any of them runs again, waits for O(grace_period),
        kills the rest.
      - V(killed) sends SIGKILL, children before their parents, round after round until nothing that matches is alive.
    type: str
    choices: [frozen, thawed, terminated, killed]
    required: true
  method:
    description:
      - How the processes are stopped.
      - V(auto) takes the first of V(cgroup), V(user), V(group) that covers exactly the selection, else V(scan).
      - V(cgroup), V(user) and V(group) are refused where they would hit anything else.
      - A control group in which all seem to be meant is frozen while each of them is judged, unless O(state=frozen),
        and let go at once if one of them turns out to be protected. It notices no more than the moment.
      - V(scan) looks at each process and stops it, until nothing is left and nothing was born unseen.
      - V(pause) stops the whole host for a moment, this connection included, beside a watchdog process that wakes it
        should the module die. It needs one process slot more and is refused without. It is the last resort against
        processes that fork and exit faster than they can be looked at and share nothing of their own.
    type: str
    choices: [auto, cgroup, user, group, scan, pause]
    default: auto
  max_victims:
    description: The brake. If more processes than this match, nothing is touched and the module fails.
    type: int
    default: 500
  timeout:
    description: How long freezing may take, and killing again, such as V(30s).
    type: str
    default: 30s
  grace_period:
    description: How long processes may take to end when O(state=terminated), after each of O(signals).
    type: str
    default: 10s
  signals:
    description:
      - The signals of O(state=terminated), sent one after the other to those that are still alive, each with a
        O(grace_period) of its own.
      - A program may ignore one and clean up on another. The C(postdrop) of Postfix ignores V(TERM) where whoever
        started it did, and always removes its unfinished file on V(INT).
    type: list
    elements: str
    choices: [TERM, INT, HUP, QUIT]
    default: [TERM]
  evidence:
    description:
      - How many of the victims are described in RV(evidence). They are read after the freeze and before the kill.
      - Command line, working directory and number of descriptors are read through psutil, and are missing without it.
    type: int
    default: 5
  zombies:
    description:
      - Dead processes that match still hold process slots until their parent reaps them, and cannot be killed.
      - V(report) names the parents.
      - V(signal_parent) sends SIGCHLD to the parents, which harms nobody and makes some reap.
      - V(kill_parent) makes the parents victims too, so that PID 1 reaps the dead.
    type: str
    choices: [report, signal_parent, kill_parent]
    default: report
  include_containers:
    description: Whether processes in nested PID namespaces are meant too.
    type: bool
    default: false
requirements:
  - psutil on the managed node, for the whole evidence
seealso:
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: Kill the runaway workers of one user
  hostcare.remediation.rogue_process:
    name: [worker]
    user: [app]
    state: killed
    max_victims: 5000

- name: Freeze all of a unit to have a look
  hostcare.remediation.rogue_process:
    unit: [batch.service]
    state: frozen
    max_victims: 5000

- name: Wake it again
  hostcare.remediation.rogue_process:
    unit: [batch.service]
    state: thawed

- name: End stuck mail chains, but never those of the newsletter
  hostcare.remediation.rogue_process:
    ancestry: postdrop < sendmail < cron
    min_age: 1h
    protect:
      - user: [newsletter]
    state: terminated
    signals: [TERM, INT]
    grace_period: 5s
"""

RETURN = r"""
state:
  description: The state that was asked for.
  type: str
  returned: always
  sample: killed
method:
  description: How the processes were stopped; V(none) where nothing matched, V(journal) when O(state=thawed).
  type: str
  returned: always
  sample: user
method_reason:
  description: Why this method, or why none of the stronger ones fits.
  type: str
  returned: always
  sample: each user that holds a victim holds nothing else
rounds:
  description: Passes over the process table until all was proven stopped or dead.
  type: int
  returned: always
  sample: 3
converged:
  description: Whether the end state was reached and proven. False in check mode, where nothing was done.
  type: bool
  returned: always
proof:
  description: What proves it.
  type: str
  returned: always
  sample: a pass saw every victim stopped, and no process was born unseen meanwhile
matched:
  description: Living processes that matched when the plan was made, less the protected ones.
  type: int
  returned: always
  sample: 1997
frozen:
  description: Processes that are frozen by this collection now.
  type: int
  returned: always
thawed:
  description: Processes that were woken.
  type: int
  returned: always
terminated:
  description: Processes that ended within the grace period.
  type: int
  returned: always
killed:
  description: Processes that were killed.
  type: int
  returned: always
  sample: 1997
already_stopped:
  description: Matching processes that somebody else had stopped before. They are never woken.
  type: int
  returned: always
groups:
  description: The victims, counted by name, user and unit, the largest group first. At most 50.
  type: list
  elements: dict
  returned: always
  contains: &group
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
      description: Why they match.
      type: str
    count:
      description: How many they are.
      type: int
  sample:
    - {name: worker, user: app, unit: batch.service, reason: "meets name, user", count: 1997}
protected:
  description: What matched and was left alone, counted as in RV(groups), with the reason. At most 50.
  type: list
  elements: dict
  returned: always
  contains: *group
survivors:
  description: Victims that are still alive. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
    pid:
      description: The number of the process.
      type: int
    name:
      description: The comm.
      type: str
    user:
      description: The real user.
      type: str
    state:
      description: The state letter of C(/proc/PID/stat).
      type: str
    reason:
      description: Why it is alive, and what helps.
      type: str
survivors_total:
  description: How many victims are still alive.
  type: int
  returned: always
zombies:
  description: Dead processes that match and hold a process slot because their parent does not reap them.
  type: dict
  returned: always
  contains:
    total:
      description: How many they are.
      type: int
    parents:
      description: The parents to blame, worst first. At most 50.
      type: list
      elements: dict
      contains:
        pid:
          description: The number of the parent.
          type: int
        name:
          description: Its comm.
          type: str
        user:
          description: Its user.
          type: str
        unit:
          description: Its unit.
          type: str
        zombies:
          description: How many of its dead children match.
          type: int
        told:
          description: Whether it was sent SIGCHLD.
          type: bool
evidence:
  description: Some of the victims, described after the freeze.
  type: list
  elements: dict
  returned: always
  contains:
    pid:
      description: The number of the process.
      type: int
    name:
      description: The comm.
      type: str
    state:
      description: The state letter before the freeze.
      type: str
    user:
      description: The real user.
      type: str
    unit:
      description: The unit.
      type: str
    parents:
      description: Number and name of the parent, its parent and so on. At most 8.
      type: list
      elements: str
    started:
      description: When it started, in UTC.
      type: str
    exe:
      description: The path of the program.
      type: str
    cwd:
      description: The working directory. Needs psutil.
      type: str
    cmdline:
      description: The first 300 characters of the arguments. Needs psutil.
      type: str
    descriptors:
      description: How many file descriptors were open. Needs psutil.
      type: int
actions:
  description: What was done, or would be done, in plain words.
  type: list
  elements: str
  returned: always
  sample: [froze 1997 processes by method user in 2 passes, killed 1997 processes]
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
  sample: 161
"""

import signal
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._process.arguments import SELECTOR
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import CRITERIA, parse, seconds


def options_of(module: AnsibleModule) -> remedy.Options:
    """The parameters, checked. Raises Refused."""
    given = module.params
    has_selector = any(given[criterion] for criterion in CRITERIA)
    return remedy.Options(
        state=given["state"],
        selector=parse(given) if has_selector or given["state"] != "thawed" else None,
        protect=tuple(parse(selector, "protect") for selector in given["protect"]),
        method=given["method"],
        max_victims=given["max_victims"],
        timeout=seconds(given["timeout"], "timeout"),
        grace_period=seconds(given["grace_period"], "grace_period"),
        signals=tuple(signal.Signals["SIG" + name] for name in given["signals"]),
        evidence=given["evidence"],
        zombies=given["zombies"],
        include_containers=given["include_containers"],
        check_mode=module.check_mode,
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            **SELECTOR,
            "state": {"type": "str", "choices": ["frozen", "thawed", "terminated", "killed"], "required": True},
            "method": {
                "type": "str",
                "choices": ["auto", "cgroup", "user", "group", "scan", "pause"],
                "default": "auto",
            },
            "max_victims": {"type": "int", "default": 500},
            "timeout": {"type": "str", "default": "30s"},
            "grace_period": {"type": "str", "default": "10s"},
            "signals": {
                "type": "list",
                "elements": "str",
                "choices": ["TERM", "INT", "HUP", "QUIT"],
                "default": ["TERM"],
            },
            "evidence": {"type": "int", "default": 5},
            "zombies": {"type": "str", "choices": ["report", "signal_parent", "kill_parent"], "default": "report"},
            "include_containers": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        outcome = remedy.run(options_of(module))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    for warning in outcome.warnings:
        module.warn(warning)
    result = outcome.result
    if module._diff and result["changed"]:
        lines = [
            f"{group['count']} {group['name']} of {group['user']} in {group['unit']}\n" for group in result["groups"]
        ]
        result["diff"] = {"before": "".join(lines), "after": "", "before_header": "running", "after_header": "running"}
    if outcome.problem:
        module.fail_json(msg=outcome.problem, **result)
    module.log(f"hostcare: {result['state']}: {'; '.join(result['actions']) or result['method_reason']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
