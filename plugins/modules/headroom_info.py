#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: headroom_info
short_description: What a host is running out of, and who holds it
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Reads every limit of a counted resource in one pass, without a fork, how much of it is used and by whom, and names
    for each resource the limit that will be hit first.
  - C(process_slots) are C(kernel.pid_max), C(kernel.threads-max), C(RLIMIT_NPROC) of each user, and C(pids.max) of
    every control group that holds a process, however far above it.
  - The kernel keeps no process slot for root. RV(reserve) says how many are left to the operator when everybody else
    takes all that limits allow, and who could take the last one.
  - C(inodes) and C(blocks) are those of every file system that is mounted where the module runs, each once, however
    often it is mounted. Images and what is mounted read-only cannot be used up and are left out. A network file system,
    and what lies below one, might hang the module and is never asked. It is named in RV(left_out).
  - C(semaphores), C(shared_memory) and C(message_queues) are those of System V, with the limits of the IPC namespace on
    all of them together. M(hostcare.remediation.sysv_ipc_info) tells which are in use.
  - C(descriptors) are the open files of the host (C(fs.file-max)) and of each process (C(RLIMIT_NOFILE)), C(inotify)
    the instances and watches of each user, which fail with "too many open files" as well.
    M(hostcare.remediation.file_descriptor_info) tells which kind they are and who leaks.
  - C(maildrop) is the local mail that Postfix has yet to collect, in files and in bytes, against what its file system
    has left for it. Its holders are those who sent the first 50,000 mails.
    M(hostcare.remediation.postfix_maildrop) purges it.
  - C(spawning) are the births a minute of each unit that storms, as M(hostcare.remediation.spawn_info) tells, against
    what it takes to count as one. Where processes are being started it is watched for a second. Who only works is not
    listed.
  - Command lines are not read, since that blocks on a host whose process table is full.
  - On FreeBSD, by psutil and sysctl, it is the processes of the host and of each user (C(kern.maxproc),
    C(kern.maxprocperuid)), open files (C(kern.maxfiles)), and C(inodes) and C(blocks). The keys are the same. There are
    no suspects, and RV(context) is null. This has not been run on FreeBSD.
extends_documentation_fragment:
  - hostcare.remediation._attributes.info
options:
  resources:
    description: The resources to read. When empty, all.
    type: list
    elements: str
    choices:
      - process_slots
      - inodes
      - blocks
      - semaphores
      - shared_memory
      - message_queues
      - descriptors
      - inotify
      - maildrop
      - spawning
    default: []
  top:
    description: How many groups, users, control groups, file systems and suspects to return at most.
    type: int
    default: 10
  time_budget:
    description: How long one pass may take, such as V(10s). What is left out then is said.
    type: str
    default: 20s
  include_fuse:
    description:
      - Whether to ask file systems in user space (FUSE), too. The daemon behind one may hang, and the module with it.
    type: bool
    default: false
  samples:
    description: With V(2) everything is read twice, O(interval) apart, and C(growth) tells what changed in between.
    type: int
    choices: [1, 2]
    default: 1
  interval:
    description: How long to wait between two samples, such as V(10s); at most V(10m).
    type: str
    default: 10s
seealso:
  - module: hostcare.remediation.rogue_process
"""

EXAMPLES = r"""
- name: See what the host is running out of
  hostcare.remediation.headroom_info:
  register: headroom

- name: Name for each resource the limit that will be hit first
  ansible.builtin.debug:
    var: headroom.resources | selectattr('binding')

- name: See how fast process slots are used up
  hostcare.remediation.headroom_info:
    resources: [process_slots]
    samples: 2
    interval: 5s
"""

RETURN = r"""
schema_version:
  description: Version of this structure. Keys may be added within a version.
  type: int
  returned: always
  sample: 2
resources:
  description: The limits of all resources, the scarcest first.
  type: list
  elements: dict
  returned: always
  contains:
    resource:
      description: What is counted.
      type: str
      sample: process_slots
    scope:
      description:
        - Whose limit it is, C(host), C(user NAME), C(cgroup PATH), C(process PID NAME),
          C(filesystem MOUNTPOINT), C(maildrop PATH) or C(unit NAME).
      type: str
      sample: user app
    limit_name:
      description:
        - The name of the limit. For C(process_slots) C(kernel.pid_max), C(kernel.threads-max), C(RLIMIT_NPROC) or
          C(pids.max), for a file system and a maildrop C(inodes) or C(blocks), for semaphores C(kernel.sem SEMMNI) and
          C(kernel.sem SEMMNS), for open files C(fs.file-max) and C(RLIMIT_NOFILE), for C(spawning) C(crash loop) or
          C(runaway), for all others the name of the setting.
      type: str
      sample: RLIMIT_NPROC
    measure:
      description: What RV(resources[].used), RV(resources[].limit) and RV(resources[].free) are, C(count) or C(bytes).
      type: str
      sample: count
    used:
      description:
        - What counts against the limit. For C(process_slots) that is threads, for C(kernel.pid_max) also the numbers
          below 300, which the kernel gives out only once. For C(kernel.shmall) it is pages.
      type: int
      sample: 1997
    limit:
      description: The limit. Null where there is none.
      type: int
      sample: 2000
    free:
      description:
        - What is left, of a file system what is left to users other than root. Null where there is no limit.
      type: int
      sample: 3
    share:
      description:
        - The used part of what is used and free, 0 to 1. More than 1 where more is used than the limit allows, and null
          where there is no limit.
      type: float
      sample: 0.9985
    binding:
      description: Whether this is the limit of its resource that will be hit first.
      type: bool
    stops_root:
      description: Whether root fails at this limit too.
      type: bool
    growth:
      description: The change between two samples. Null with one sample, and for a limit that the first did not see.
      type: dict
      contains:
        per_minute:
          description: By how much RV(resources[].used) grew in a minute. Negative where it shrank.
          type: float
          sample: 120.5
        full_in_s:
          description: Seconds until nothing is left if it goes on like this. Null where it does not grow.
          type: int
          sample: 90
    holders:
      description: The three largest holders. What is not known of one is null.
      type: list
      elements: dict
      contains:
        name:
          description: The comm of the processes, or what else holds it.
          type: str
        used:
          description: How much of RV(resources[].used) it holds.
          type: int
        user:
          description: Its real user.
          type: str
        unit:
          description: Its systemd unit, or control group.
          type: str
        pid:
          description: Its process number, where it is one process.
          type: int
    incident:
      description: The incident that it means when the limit is hit. Empty where it is none of this collection's.
      type: str
      sample: process_storm
    options:
      description: Variables with which the role of the incident acts on what this limit counts.
      type: dict
      sample: {semaphore_leak_selector: {owner: [apache]}}
    remedy:
      description: The command line of the remedy, with these options. Empty where there is none.
      type: str
context:
  description: What helps to read the rest. What the kernel does not tell is null.
  type: dict
  returned: always
  contains:
    memory:
      description: The memory of the host in bytes.
      type: dict
      contains:
        total:
          description: All there is.
          type: int
        available:
          description: What new programs can have without swapping.
          type: int
        swap_total:
          description: All swap.
          type: int
        swap_free:
          description: Unused swap.
          type: int
        committed:
          description: What has been promised to programs.
          type: int
        commit_limit:
          description: What may be promised where C(vm.overcommit_memory) is 2.
          type: int
    pressure:
      description:
        - Percent of time in which tasks waited for a resource. Null where the kernel does not count it.
      type: dict
      contains:
        cpu: &pressure
          description: Waiting for this one.
          type: dict
          contains:
            some_avg10: &percent
              description: At least one task waited, or with C(full) all of them at once, in the last so many seconds.
              type: float
            some_avg60: *percent
            some_avg300: *percent
            full_avg10: *percent
            full_avg60: *percent
            full_avg300: *percent
        memory: *pressure
        io: *pressure
    load:
      description: Load averages of 1, 5 and 15 minutes.
      type: list
      elements: float
    processors:
      description: Processors of the host.
      type: int
    uptime_s:
      description: Seconds since the boot.
      type: int
coverage:
  description: What was read, the process table first, and what that cost.
  type: list
  elements: dict
  returned: always
  contains:
    resource:
      description: The resource, or C(process_table).
      type: str
      sample: process_slots
    read:
      description: Whether it could be read.
      type: bool
    reason:
      description: Why it could not be read. Null where it could.
      type: str
    cost_ms:
      description: How long reading took, in milliseconds.
      type: float
      sample: 1.5
reserve:
  description:
    - The process slots that are left when all who are not trusted have as many tasks as their limits allow, by the
      limit of the host that leaves the fewest. Trusted are the kernel, PID 1 (C(init.scope)) and C(hostcare.slice), in
      which role C(hostcare.remediation.harden) keeps sshd and the standby.
    - Null where O(resources) leaves out C(process_slots), and on FreeBSD.
  type: dict
  returned: always
  contains:
    scope:
      description: Whose limit it is, C(host) or, in a container, C(cgroup PATH).
      type: str
      sample: host
    limit_name:
      description: The name of the limit.
      type: str
      sample: kernel.pid_max
    limit:
      description: The limit.
      type: int
      sample: 32768
    kept:
      description: What of it is used by the trusted and, in a container, by who is outside.
      type: int
      sample: 180
    at_most:
      description:
        - What all pools together may take of it. Null where one of them has no limit. A task takes up to three numbers
          of C(kernel.pid_max), its own and those of its process group and session, and one of any other limit.
      type: int
      sample: 26000
    slots:
      description: What is left then. Negative where the pools may have more than there is, null where one has no limit.
      type: int
      sample: 6588
    pools:
      description: Who shares a limit, or has none, the largest first. At most O(top).
      type: list
      elements: dict
      contains:
        scope:
          description:
            - C(cgroup PATH), the outermost control group with a limit, or one that no limit holds. C(host) where there
              are none.
          type: str
          sample: cgroup /user.slice
        used:
          description: Its tasks.
          type: int
          sample: 61
        at_most:
          description: How many tasks it may have. Null where it has no limit.
          type: int
          sample: 4915
        limited_by:
          description:
            - C(pids.max), or C(RLIMIT_NPROC) where the hard limits of all its users are less, none of them is root, and
              no other user could come in. Empty where it has no limit.
          type: str
          sample: pids.max
        breaks:
          description:
            - Whether it could take the last slot, C(alone), or C(together) with the others of which this is said. If
              one could do so alone, C(together) is not looked for. Empty where it could not.
          type: str
          sample: alone
    pools_total:
      description: How many pools there are.
      type: int
process_table:
  description:
    - The process table in numbers, without kernel threads where not said otherwise. Zero where O(resources) names none
      that takes a look at processes.
  type: dict
  returned: always
  contains:
    processes:
      description: Processes, zombies included.
      type: int
    threads:
      description: Their threads.
      type: int
    kernel_threads:
      description: Threads of the kernel.
      type: int
    zombies:
      description: Dead processes that hold a slot until their parent reaps them.
      type: int
    stopped:
      description: Stopped or traced processes.
      type: int
    uninterruptible:
      description: Processes in D state.
      type: int
    by_name: &groups
      description: The largest groups.
      type: list
      elements: dict
      contains: &group
        key:
          description: What they have in common.
          type: str
        processes:
          description: How many they are.
          type: int
        threads:
          description: Their threads.
          type: int
        zombies:
          description: How many of them are dead.
          type: int
        young:
          description: How many of them started within the last 60 seconds.
          type: int
    by_user: *groups
    by_unit: *groups
    by_parent:
      description: The parents with the most children.
      type: list
      elements: dict
      contains:
        <<: *group
        pid:
          description: The number of the parent.
          type: int
    zombie_parents:
      description: The parents that do not reap, worst first.
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
          description: Its real user.
          type: str
        unit:
          description: Its unit.
          type: str
        zombies:
          description: How many dead children it has.
          type: int
suspects:
  description: Groups of one name and user out of proportion, worst first. A proposal, not a verdict.
  type: list
  elements: dict
  returned: always
  contains:
    selector:
      description: Options for M(hostcare.remediation.rogue_process) that select the group.
      type: dict
      sample: {name: [worker], user: [app], unit: [batch.service]}
    processes:
      description: How many they are.
      type: int
    share:
      description: Their share of all processes, 0 to 1.
      type: float
    young:
      description: How many of them started within the last 60 seconds.
      type: int
    reasons:
      description: Why they are suspected.
      type: list
      elements: str
left_out:
  description: What was left out on purpose, at most 20.
  type: list
  elements: dict
  returned: always
  contains:
    what:
      description: The mount point.
      type: str
      sample: /srv/nfs
    reason:
      description: Why it was left out.
      type: str
      sample: "nfs4: a file system that may hang is not asked"
left_out_total:
  description: How much was left out on purpose.
  type: int
  returned: always
partial:
  description: Whether something could not be seen, what was left out on purpose not counted.
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

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "resources": {"type": "list", "elements": "str", "choices": resources.NAMES, "default": []},
            "top": {"type": "int", "default": 10},
            "time_budget": {"type": "str", "default": "20s"},
            "include_fuse": {"type": "bool", "default": False},
            "samples": {"type": "int", "choices": [1, 2], "default": 1},
            "interval": {"type": "str", "default": "10s"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        report = resources.report(
            params["top"],
            seconds(params["time_budget"], "time_budget"),
            only=params["resources"],
            include_fuse=params["include_fuse"],
            samples=params["samples"],
            interval=resources.pause(seconds(params["interval"], "interval")),
        )
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **report)


if __name__ == "__main__":
    main()
