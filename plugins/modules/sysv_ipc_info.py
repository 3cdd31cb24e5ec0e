#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sysv_ipc_info
short_description: Which semaphores, shared memory and message queues are in use, orphaned, or neither for certain
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Reads the System V semaphores, shared memory and message queues of the host's IPC namespace, and its POSIX
    semaphores, shared memory and message queues, without a fork, and says of each whether it is in use, with the
    evidence.
  - Counts every limit on them, names the one that is hit first, and finds settings that cannot be meant.
  - Changes nothing. M(hostcare.remediation.sysv_ipc) takes the same options and removes what is orphaned.
extends_documentation_fragment:
  - hostcare.remediation._attributes.info
  - hostcare.remediation.ipc_selection
options:
  kind:
    description:
      - Which kinds of objects are looked at.
      - For anything but V(semaphores) and V(message_queues) the memory maps of all processes are read, which takes
        longer, and may block where a process hangs in fork while the process table is full.
    type: list
    elements: str
    choices:
      - semaphores
      - shared_memory
      - message_queues
      - posix_semaphores
      - posix_shared_memory
      - posix_message_queues
    default:
      - semaphores
      - shared_memory
      - message_queues
      - posix_semaphores
      - posix_shared_memory
      - posix_message_queues
  top:
    description: How many objects are listed at most, the orphaned first. All of them are counted.
    type: int
    default: 50
  time_budget:
    description: How long to look at most, such as V(10s). What was not looked at by then is V(unknown).
    type: str
    default: 20s
seealso:
  - module: hostcare.remediation.sysv_ipc
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: Look at the semaphores that Apache left behind
  hostcare.remediation.sysv_ipc_info:
    kind: [semaphores]
    owner: [www-data, root]
    service:
      unit: [apache2.service]
  register: ipc

- name: Name the limit that is hit
  ansible.builtin.debug:
    var: ipc.limits | selectattr('binding')

- name: See all there is
  hostcare.remediation.sysv_ipc_info:
"""

RETURN = r"""
schema_version:
  description: Version of this structure. Keys may be added within a version.
  type: int
  returned: always
  sample: 1
matched:
  description: How many objects were looked at.
  type: int
  returned: always
  sample: 31
totals:
  description: How many objects of each kind were looked at, and with which verdict.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: The kind of objects.
      type: str
    objects:
      description: How many they are.
      type: int
    in_use:
      description: How many of them are in use.
      type: int
    orphaned:
      description: How many of them nobody can be using.
      type: int
    unknown:
      description: How many of them are neither for certain.
      type: int
  sample:
    - {kind: semaphores, objects: 31, in_use: 1, orphaned: 30, unknown: 0}
groups:
  description: The objects counted by kind, users, verdict and reason, the largest group first. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
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
      description: Who created them. Empty for POSIX objects.
      type: str
    verdict:
      description: V(in_use), V(orphaned) or V(unknown).
      type: str
    reason:
      description: What decided.
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
  sample:
    - kind: semaphores
      owner: www-data
      uid: 33
      creator: root
      verdict: orphaned
      reason: nobody who could hold it is as old as it is
      count: 30
      nsems: 30
      bytes: 0
objects:
  description: The objects, the orphaned first, then those with the verdict V(unknown). At most O(top).
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: The kind of object.
      type: str
    id:
      description: The identifier. Null for POSIX objects.
      type: int
    key:
      description: The key, C(0x00000000) for a private object. Null for POSIX objects.
      type: str
    name:
      description: The path below C(/dev/shm) or C(/dev/mqueue). Null for System V objects.
      type: str
    owner:
      description: The owner.
      type: str
    uid:
      description: The number of the owner.
      type: int
    creator:
      description: Who created it. Empty for POSIX objects.
      type: str
    cuid:
      description: The number of the creator. Null for POSIX objects.
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
      description:
        - How many times the memory is attached. For POSIX objects, how many processes have it mapped or open. Null for
          the other kinds.
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
      description:
        - The processes that the kernel names as the last ones to touch it. At most 8 different ones.
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
      description:
        - V(in_use) has a living user. V(orphaned) can have none. V(unknown) is neither for certain.
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
limits:
  description: Every limit of the kinds that were looked at.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: The kind of objects that it limits.
      type: str
    limit_name:
      description:
        - Its name, C(SEMMNI), C(SEMMNS), C(SEMMSL), C(SEMOPM), C(SHMMNI), C(SHMALL), C(SHMMAX), C(MSGMNI), C(MSGMNB),
          C(MSGMAX), C(queues_max), or C(size) of C(/dev/shm).
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
      description: What is left. Null where RV(limits[].used) is, and for a limit on each single object.
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
  sample:
    - kind: semaphores
      limit_name: SEMMNI
      parameter: kernel.sem
      unit: arrays
      used: 128
      limit: 128
      free: 0
      share: 1.0
      binding: true
      error: ENOSPC from semget(2)
      holders: [{name: www-data, used: 127}, {name: root, used: 1}]
settings:
  description: Settings that cannot be meant. None where all is well.
  type: list
  elements: dict
  returned: always
  contains:
    parameter:
      description: Its name.
      type: str
    value:
      description: What it is now.
      type: str
    problem:
      description: What is wrong with it.
      type: str
    proposal:
      description: What was probably meant. Null where that cannot be told.
      type: str
    sources:
      description: The lines in files of sysctl that set it, the one that holds last.
      type: list
      elements: dict
      contains:
        path:
          description: The file.
          type: str
        line:
          description: The number of the line.
          type: int
        value:
          description: The value there.
          type: str
  sample:
    - parameter: kernel.sem
      value: 25032000 32 512 128
      problem: one array may hold 25032000 semaphores and the whole host 32
      proposal: 250 32000 32 512
      sources: [{path: /etc/sysctl.d/99-oracle.conf, line: 3, value: 25032000 32 512}]
clock_step:
  description:
    - Seconds that the wall clock is known to have been set forward by while objects existed. Times prove nothing then,
      and what rests on them is V(unknown).
  type: float
  returned: always
  sample: 0.0
sight:
  description:
    - V(host) where every process that could use the objects is visible. V(container) in a PID namespace of its own,
      where processes outside it could use them unseen; an array in which some semaphore names no process is V(unknown)
      then, and everything is where such a process has left traces. V(hidden) where processes are hidden from this user;
      nothing is orphaned then.
  type: str
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

from ansible_collections.hostcare.remediation.plugins.module_utils._ipc import info
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.arguments import SELECTION
from ansible_collections.hostcare.remediation.plugins.module_utils._ipc.selection import parse
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds


def main() -> t.NoReturn:
    kinds = list(info.KINDS)
    module = AnsibleModule(
        argument_spec={
            **SELECTION,
            "kind": {"type": "list", "elements": "str", "choices": kinds, "default": kinds},
            "top": {"type": "int", "default": 50},
            "time_budget": {"type": "str", "default": "20s"},
        },
        supports_check_mode=True,
    )
    try:
        found = info.survey(
            parse(module.params), module.params["top"], seconds(module.params["time_budget"], "time_budget")
        )
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
