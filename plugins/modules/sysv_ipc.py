#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sysv_ipc
short_description: Remove orphaned semaphores, shared memory and message queues, and never one that is in use
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Removes the System V semaphores, shared memory and message queues that nobody can be using any more, without a fork.
    It is the cure where a service cannot start with C(No space left on device) because an earlier life of it left its
    arrays behind.
  - Looks twice, at the objects and at all processes, and keeps whatever changed in between. Right before an object is
    removed it looks at it once more.
  - What it keeps it names with the reason.
extends_documentation_fragment:
  - hostcare.remediation._attributes
  - hostcare.remediation.ipc_selection
attributes:
  diff_mode:
    support: full
    details: Shows the objects that are removed.
options:
  state:
    description: V(absent) removes what is selected and has one of the verdicts in O(verdict).
    type: str
    choices: [absent]
    required: true
  kind:
    description: Which kinds of objects are meant.
    type: list
    elements: str
    choices: [semaphores, shared_memory, message_queues]
    default: [semaphores]
  verdict:
    description:
      - Which verdicts are removed. With V(unknown) also what may be in use is, so name the objects in O(id) then, after
        a look at the reasons. What is in use is never removed.
    type: list
    elements: str
    choices: [orphaned, unknown]
    default: [orphaned]
  min_age:
    description: What was created or initialised more recently is kept, such as V(30s), V(5m), V(2h), V(1d).
    type: str
    default: 10s
  observe:
    description:
      - The time between the two looks, such as V(1s). It is not spent where there is nothing to remove.
    type: str
    default: 1s
  discard_messages:
    description: Whether queues with unread messages are removed too. The messages are lost.
    type: bool
    default: false
  max_removals:
    description: The brake. If more objects than this would be removed, nothing is touched and the module fails.
    type: int
    default: 1000
  time_budget:
    description: How long each look may take. What was not looked at by then is kept.
    type: str
    default: 20s
notes:
  - At least one of O(owner), O(id) and O(key) is needed.
  - An object with a key can be opened by anybody at any time. It is removed only if O(id) or O(key) names it.
  - The kernel has no call that removes an array only if it is unchanged. A process that begins to use one in the
    microseconds between the last look and the removal must have known its identifier all the time, and would have
    counted as one who could hold it. An identifier holds a sequence number, so that of a removed object does not
    name another one soon after.
seealso:
  - module: hostcare.remediation.sysv_ipc_info
"""

EXAMPLES = r"""
- name: Remove what dead Apaches left behind, whether one runs now or not
  hostcare.remediation.sysv_ipc:
    state: absent
    owner: [www-data, root]
    service:
      unit: [apache2.service]

- name: The same where PHP-FPM runs as the same user
  hostcare.remediation.sysv_ipc:
    state: absent
    owner: [apache]
    service:
      unit: [httpd.service]
    bystanders:
      - unit: [php-fpm.service]

- name: Remove one array that has a key, if nobody can be using it
  hostcare.remediation.sysv_ipc:
    state: absent
    key: ["0x0052e2c1"]
    service:
      name: [postgres]

- name: Remove queues of a user with whatever is in them
  hostcare.remediation.sysv_ipc:
    state: absent
    kind: [message_queues]
    owner: [batch]
    discard_messages: true
"""

RETURN = r"""
state:
  description: The state that was asked for.
  type: str
  returned: always
  sample: absent
matched:
  description: How many objects the selection meets.
  type: int
  returned: always
  sample: 36
removed:
  description:
    - The objects that were removed, or would be in check mode, as they were before. At most 50.
  type: list
  elements: dict
  returned: always
  contains: &objects
    kind:
      description: The kind of object.
      type: str
    id:
      description: The identifier.
      type: int
    key:
      description: The key, C(0x00000000) for a private object.
      type: str
    name:
      description: Null. Objects of POSIX have one.
      type: str
    owner:
      description: The owner.
      type: str
    uid:
      description: The number of the owner.
      type: int
    creator:
      description: Who created it.
      type: str
    cuid:
      description: The number of the creator.
      type: int
    mode:
      description: The permissions in octal.
      type: str
    nsems:
      description: The number of semaphores in the array. Null for other kinds.
      type: int
    bytes:
      description: The size of the memory, or of the messages in a queue. Null for semaphores.
      type: int
    messages:
      description: Unread messages. Null for all but queues.
      type: int
    attached:
      description: How many times the memory is attached. Null for other kinds.
      type: int
    ctime:
      description: When it was created, or last initialised, in UTC.
      type: str
    otime:
      description: When it was last used, in UTC. Null for never.
      type: str
    age:
      description: Seconds since C(ctime).
      type: int
    pids:
      description: The processes that the kernel names as the last ones to touch it. At most 8 different ones.
      type: list
      elements: dict
      contains:
        pid:
          description: The number. 0 means never touched, or a process that is not visible from here.
          type: int
        state:
          description:
            - V(alive), V(dead), V(reused) for a number that a younger process has now, V(unseen) for 0.
          type: str
        count:
          description: In how many of its semaphores it is named.
          type: int
    waiters:
      description: Processes asleep in semop(2) on it. Null for other kinds.
      type: int
    verdict:
      description: V(in_use) has a living user. V(orphaned) can have none. V(unknown) is neither for certain.
      type: str
    reason:
      description: What decided, without numbers of processes, so that equal cases can be counted.
      type: str
    reasons:
      description: Everything that speaks for the verdict, with numbers.
      type: list
      elements: str
    holders:
      description: Processes that use it or could, the oldest first. At most 5.
      type: list
      elements: dict
      contains:
        pid:
          description: The number of the process.
          type: int
        name:
          description: Its comm.
          type: str
        user:
          description: Its user.
          type: str
        unit:
          description: Its systemd unit, or control group.
          type: str
        reason:
          description: Why it could.
          type: str
    holders_total:
      description: How many use it or could.
      type: int
removed_total:
  description: How many objects were removed, or would be in check mode.
  type: int
  returned: always
  sample: 30
removed_groups:
  description: What was removed, counted by kind, users, verdict and reason, the largest group first. At most 50.
  type: list
  elements: dict
  returned: always
  contains: &groups
    kind:
      description: The kind of objects.
      type: str
    owner:
      description: Their owner.
      type: str
    uid:
      description: The number of the owner.
      type: int
    creator:
      description: Who created them.
      type: str
    verdict:
      description: V(in_use), V(orphaned) or V(unknown).
      type: str
    reason:
      description: What decided, or why it was kept in spite of its verdict.
      type: str
    count:
      description: How many they are.
      type: int
    nsems:
      description: How many semaphores they hold together.
      type: int
    bytes:
      description: How many bytes they hold together.
      type: int
kept:
  description: Objects that the selection meets and that were kept, with the reason. At most 50.
  type: list
  elements: dict
  returned: always
  contains: *objects
kept_total:
  description: How many objects that the selection meets were kept.
  type: int
  returned: always
  sample: 6
kept_groups:
  description: What was kept, counted by kind, users, verdict and reason, the largest group first. At most 50.
  type: list
  elements: dict
  returned: always
  contains: *groups
vanished:
  description: How many objects somebody else removed while the module ran.
  type: int
  returned: always
freed:
  description: How much of each limit was freed, or would be in check mode.
  type: dict
  returned: always
  contains:
    SEMMNI:
      description: Arrays of semaphores.
      type: int
    SEMMNS:
      description: Semaphores.
      type: int
    SHMMNI:
      description: Segments of shared memory.
      type: int
    SHMALL:
      description: Pages of shared memory.
      type: int
    MSGMNI:
      description: Message queues.
      type: int
  sample: {SEMMNI: 30, SEMMNS: 30, SHMMNI: 0, SHMALL: 0, MSGMNI: 0}
limits:
  description: Every limit of the kinds that were meant, as it is at the end.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: The kind of objects that it limits.
      type: str
    limit_name:
      description:
        - Its name, C(SEMMNI), C(SEMMNS), C(SEMMSL), C(SEMOPM), C(SHMMNI), C(SHMALL), C(SHMMAX), C(MSGMNI), C(MSGMNB) or
          C(MSGMAX).
      type: str
    parameter:
      description: Where it is set.
      type: str
      sample: kernel.sem
    unit:
      description: What is counted, such as V(arrays), V(semaphores), V(pages), V(bytes).
      type: str
    used:
      description:
        - How much of it is used, by everybody. For a limit on each single object, C(SEMMSL), C(SHMMAX), C(MSGMNB),
          it is the largest one. Null where it cannot be known, for C(SEMOPM) and C(MSGMAX).
      type: int
    limit:
      description: The limit. Null for none, which is how the kernel sets C(SHMMAX) and C(SHMALL).
      type: int
    free:
      description: What is left. Null where C(used) is, and for a limit on each single object.
      type: int
    share:
      description: The used part of the limit, 0 to 1. Null where C(free) is.
      type: float
    binding:
      description: Whether this limit of its kind will be hit first.
      type: bool
    error:
      description: How a program sees it.
      type: str
      sample: ENOSPC from semget(2)
    holders:
      description: The three users with the most of it.
      type: list
      elements: dict
      contains:
        name:
          description: The owner.
          type: str
        used:
          description: How much of it.
          type: int
converged:
  description: Whether everything that was to be removed is gone. False in check mode, where nothing was done.
  type: bool
  returned: always
clock_step:
  description:
    - Seconds that the wall clock is known to have been set forward by while objects existed. Times prove nothing then,
      and what rests on them is V(unknown).
  type: float
  returned: always
  sample: 0.0
sight:
  description:
    - V(host) where every process that could use the objects is visible, V(container) in a PID namespace of its own,
      V(hidden) where processes are hidden from this user. See M(hostcare.remediation.sysv_ipc_info).
  type: str
  returned: always
actions:
  description: What was done, or would be done, in plain words.
  type: list
  elements: str
  returned: always
  sample: [removed 30 arrays of www-data]
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
  sample: 1030
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import removal
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.arguments import SELECTION
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import parse
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.sysv_ipc import KINDS
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds


def options_of(module: AnsibleModule) -> removal.Options:
    """The parameters, checked. Raises Refused."""
    given = module.params
    return removal.Options(
        selection=parse(given),
        verdicts=frozenset(given["verdict"]),
        min_age=seconds(given["min_age"], "min_age"),
        observe=seconds(given["observe"], "observe"),
        discard_messages=given["discard_messages"],
        max_removals=given["max_removals"],
        time_budget=seconds(given["time_budget"], "time_budget"),
        check_mode=module.check_mode,
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            **SELECTION,
            "state": {"type": "str", "choices": ["absent"], "required": True},
            "kind": {"type": "list", "elements": "str", "choices": list(KINDS), "default": ["semaphores"]},
            "verdict": {
                "type": "list",
                "elements": "str",
                "choices": ["orphaned", "unknown"],
                "default": ["orphaned"],
            },
            "min_age": {"type": "str", "default": "10s"},
            "observe": {"type": "str", "default": "1s"},
            "discard_messages": {"type": "bool", "default": False},
            "max_removals": {"type": "int", "default": 1000},
            "time_budget": {"type": "str", "default": "20s"},
        },
        supports_check_mode=True,
    )
    try:
        outcome = removal.run(options_of(module), lambda line: module.log(f"hostcare: {line}"))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    result = outcome.result
    if module._diff and result["changed"]:
        lines = [
            f"{group['count']} {group['kind']} of {group['owner']}: {group['reason']}\n"
            for group in result["removed_groups"]
        ]
        result["diff"] = {"before": "".join(lines), "after": "", "before_header": "present", "after_header": "present"}
    if outcome.problem:
        module.fail_json(msg=outcome.problem, **result)
    module.log(f"hostcare: {'; '.join(result['actions']) or 'removed nothing'}, kept {result['kept_total']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
