#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: reserve_info
short_description: What a host has to keep back so that nobody can fill it, and how far it is from that
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Reckons, from C(kernel.pid_max), C(kernel.threads-max), processors, memory and the C(pids.max) around the host,
    how many tasks the sessions of users, services and containers may have, so that all of them together reach none of
    these.
  - Returns the sum, the files and kernel parameters that bring it about, what differs from them now, and what
    contradicts them elsewhere, by file and line. It changes nothing. The role P(hostcare.remediation.harden#role)
    does what it returns.
  - With O(state=reverted) it returns what brings back what was there before.
  - A host with systemd whose cgroups do not count tasks, one that is too small, a limit below what runs now, and a
    file that sets the same to another value are conflicts. Options that contradict each other fail.
  - Reading what is private to root takes root.
extends_documentation_fragment:
  - hostcare.remediation._attributes.info
options:
  state:
    description: What to plan for, the hardened host or the way back.
    type: str
    choices: [present, reverted]
    default: present
  waivers:
    description:
      - Controls that are left out, each with the reason, in one line. They are V(slots), V(protected), V(rlimits),
        V(pid_max), V(ipc), V(log_rate), V(cron_mailto), V(postfix), V(apache_mutex) and V(standby).
      - A control that was in place and is waived is put back as it was.
    type: dict
    default: {}
  shares:
    description:
      - How what the reserve leaves is shared, in percent, by C(users) (C(user.slice)), C(services) (C(system.slice))
        and C(containers) (O(container_slices)).
    type: dict
    default: {users: 40, services: 40, containers: 20}
  container_slices:
    description: The slices of containers and virtual machines. They share the part of the containers.
    type: list
    elements: str
    default: [machine.slice]
  operators:
    description: Accounts whose ssh sessions stay in the protected slice.
    type: list
    elements: str
    default: [root]
  operator_slots:
    description: Tasks of the protected slice, beside two for each connection that C(MaxStartups) of sshd allows.
    type: int
    default: 64
  kernel_slots:
    description: Tasks kept back for kernel threads and what is in no unit. V(0) is 128 and 32 for each processor.
    type: int
    default: 0
  tasks_per_core:
    description: The most tasks of those who are not trusted, for each processor.
    type: int
    default: 4096
  memory_per_task:
    description: Memory that a task of those who are not trusted is reckoned with, such as V(256K).
    type: str
    default: 256K
  numbers_per_task:
    description:
      - Process numbers that one task can take. It keeps its own and those of its process group and its session, whose
        leaders may be dead, so that V(3) holds whatever is run. V(1) is for hosts where nobody means ill.
    type: int
    default: 3
  protected_memory:
    description: Memory kept for the protected slice, such as V(128M). When empty, a twentieth, 256M at most.
    type: str
    default: ""
  protected_weight:
    description: CPU weight of the protected slice, 1 to 10000; the others have 100.
    type: int
    default: 1000
  protected_nice:
    description:
      - Nice value of sshd and of the sessions of operators, V(-20) to V(0), on a host whose cgroups do not share out
        processors, so that O(protected_weight) has no effect. V(0) raises nobody.
    type: int
    default: -20
  nproc:
    description:
      - Processes of one user (C(RLIMIT_NPROC)). V(0) is the larger of the limits of one user and of one service. In a
        container without users of its own the kernel counts those of the machine, too, so that V(0) sets none there.
    type: int
    default: 0
  nofile:
    description:
      - Soft and hard limit on open files, such as V(1024:524288). When empty that, or what PID 1 may have.
    type: str
    default: ""
  pid_max:
    description: The value of C(kernel.pid_max). V(0) leaves it alone.
    type: int
    default: 0
  ipc:
    description:
      - Limits of System V IPC by name, such as C(kernel.sem) with V(250 32000 32 512), which is SEMMSL, SEMMNS,
        SEMOPM and SEMMNI.
    type: dict
    default: {}
  log_interval:
    description:
      - Of how much one service says within this time, O(log_burst) messages are kept (C(RateLimitIntervalSec) of
        journald). When empty journald is left alone.
    type: str
    default: ""
  log_burst:
    description: How many messages (C(RateLimitBurst)).
    type: int
    default: 0
  log_most:
    description: The most room that the journal takes, such as V(512M) (C(SystemMaxUse)).
    type: str
    default: ""
  postfix:
    description: Parameters of C(main.cf), such as C(default_process_limit).
    type: dict
    default: {}
  postfix_services:
    description: Process limits in C(master.cf), by the first two columns of a service, such as C(smtp/inet).
    type: dict
    default: {}
  apache_mutex:
    description: What Apache takes in place of semaphore arrays. When empty it is left alone.
    type: str
    choices: ["", pthread, posixsem, fcntl, flock, sem]
    default: ""
  cron_mailto:
    description: Whether M(hostcare.remediation.cron_mailto) is a part of this.
    type: bool
    default: false
  force:
    description: Put files back that were edited after they were written.
    type: bool
    default: false
  store_path:
    description: Where the role keeps the files as they were.
    type: path
    default: /var/lib/hostcare/harden/originals.json
seealso:
  - module: hostcare.remediation.headroom_info
  - module: hostcare.remediation.cron_mailto
"""

EXAMPLES = r"""
- name: See what this host would have to keep back, and what speaks against it
  hostcare.remediation.reserve_info:
    operators: [root, operator]
  register: reserve

- name: Show the sum
  ansible.builtin.debug:
    msg: "{{ reserve | hostcare.remediation.reserve_lines }}"

- name: See what is left of it where journald is somebody else's
  hostcare.remediation.reserve_info:
    waivers:
      log_rate: journald is configured by another role
"""

RETURN = r"""
schema_version:
  description: Version of this structure. Keys may be added within a version.
  type: int
  returned: always
  sample: 1
state:
  description: What was planned for.
  type: str
  returned: always
  sample: present
size:
  description: What the host has.
  type: dict
  returned: always
  contains:
    pid_max:
      description: C(kernel.pid_max).
      type: int
      sample: 32768
    threads_max:
      description: C(kernel.threads-max).
      type: int
    cores:
      description: Processors.
      type: int
    memory:
      description: Memory in bytes, in steps of 64 MiB.
      type: int
    outer_pids_max:
      description: C(pids.max) of the cgroup around the host. Null where there is none.
      type: int
    systemd:
      description: Whether systemd runs the host.
      type: bool
    pids_controller:
      description: Whether it can limit tasks.
      type: bool
ceilings:
  description: The limits of the host. Empty where it is too small, and on the way back.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Its name.
      type: str
      sample: kernel.pid_max
    limit:
      description: Its value.
      type: int
      sample: 32768
    room:
      description: How many tasks it leaves for all who are not trusted.
      type: int
      sample: 10536
    how:
      description: How that was reckoned.
      type: str
    binding:
      description: Whether it is the one that leaves least.
      type: bool
arithmetic:
  description: The sum, pool by pool.
  type: list
  elements: dict
  returned: always
  contains:
    pool:
      description: C(users), C(services), C(containers), C(protected), C(manager), C(kernel) or C(margin).
      type: str
      sample: users
    share:
      description: Its share in percent. Null for those that are kept back.
      type: int
      sample: 40
    tasks:
      description: The most tasks it may have, or that are kept back for it.
      type: int
      sample: 4214
    each:
      description: The most tasks of one user or one service in it. Null where there is no such limit.
      type: int
      sample: 2107
    trusted:
      description: Whether it is kept back.
      type: bool
    why:
      description: What it is.
      type: str
    in_use:
      description: Its tasks now. Null where they are not counted.
      type: int
      sample: 12
totals:
  description: The sum. It holds when C(untrusted) is no more than C(room).
  type: dict
  returned: always
  contains:
    room:
      description: What the binding limit leaves for all who are not trusted.
      type: int
    untrusted:
      description: The most that they may have together.
      type: int
    trusted:
      description: What is kept back.
      type: int
    left:
      description: What is left of the room.
      type: int
processors:
  description: What gives sshd and operators a processor while all others want all of them.
  type: dict
  returned: always
  contains:
    by:
      description:
        - C(weight) is C(CPUWeight=) of the protected slice. C(nice) is the nice value of its tasks, where cgroups of
          the host do not share out processors. C(nothing) is that they take their turn.
      type: str
      sample: weight
    nice:
      description: That nice value, or 0.
      type: int
    share:
      description:
        - Percent that they get at the least. By weight of all processors, by nice each of their tasks of one, when all
          tasks that are allowed want to run at once.
      type: int
      sample: 71
    why:
      description: How that comes.
      type: str
    weight:
      description: The weight that the kernel has for the protected slice now. Null where it has none.
      type: int
      sample: 1000
controls:
  description: Each control.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Its name.
      type: str
      sample: slots
    state:
      description:
        - C(in_place), C(due), C(waived), C(impossible), C(not_asked) or C(refused).
      type: str
      sample: due
    reason:
      description: Why. Empty for C(in_place).
      type: str
conflicts:
  description: Why it cannot be done as it is asked for, at most 100.
  type: list
  elements: dict
  returned: always
  contains:
    control:
      description: The control that it is about.
      type: str
      sample: slots
    path:
      description: The file that says otherwise. Empty where it is not about a file.
      type: str
    line:
      description: The line, or 0.
      type: int
    text:
      description: What is wrong, and what to do about it.
      type: str
conflicts_total:
  description: How many they are.
  type: int
  returned: always
findings:
  description: What differs from what is planned for, at most 100.
  type: list
  elements: dict
  returned: always
  contains:
    control:
      description: The control. Empty where it is about more than one.
      type: str
    path:
      description: The file, or empty.
      type: str
    text:
      description: What differs.
      type: str
findings_total:
  description: How many they are.
  type: int
  returned: always
changes:
  description: The files to write or remove.
  type: list
  elements: dict
  returned: always
  contains:
    control:
      description: The control.
      type: str
    path:
      description: The file.
      type: str
      sample: /etc/systemd/system/user.slice.d/60-hostcare-harden.conf
    state:
      description: C(present) or C(absent).
      type: str
    content:
      description: Its whole content.
      type: str
    mode:
      description: Its mode, octal.
      type: str
      sample: "0644"
    uid:
      description: Its owner.
      type: int
    gid:
      description: Its group.
      type: int
directories:
  description: Directories to make, outermost first.
  type: list
  elements: str
  returned: always
leftovers:
  description: Directories that were made for this, innermost first, to remove where they are empty on the way back.
  type: list
  elements: str
  returned: always
sysctls:
  description: Kernel parameters to set now.
  type: dict
  returned: always
  sample: {kernel.pid_max: "65536"}
tell:
  description: Who has to read its files again, C(systemd), C(journald), C(sshd), C(postfix), C(apache).
  type: list
  elements: str
  returned: always
sshd_unit:
  description: The unit of sshd. Empty where none is known.
  type: str
  returned: always
  sample: ssh.service
store:
  description: What is to be kept for the way back, as it goes into O(store_path).
  type: dict
  returned: always
store_path:
  description: The same as O(store_path).
  type: str
  returned: always
due:
  description: Whether anything is to be done.
  type: bool
  returned: always
refused:
  description: Whether there are conflicts, so that nothing of it may be done.
  type: bool
  returned: always
proved:
  description: Whether the reserve holds now. The files are there, and the kernel has the limits.
  type: bool
  returned: always
unproved:
  description: Why it does not.
  type: list
  elements: str
  returned: always
partial:
  description: Whether something could not be read.
  type: bool
  returned: always
partial_reasons:
  description: What could not be read, and why.
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
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve import options
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.report import STORE, report


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
            "waivers": {"type": "dict", "default": {}},
            "shares": {"type": "dict", "default": {"users": 40, "services": 40, "containers": 20}},
            "container_slices": {"type": "list", "elements": "str", "default": ["machine.slice"]},
            "operators": {"type": "list", "elements": "str", "default": ["root"]},
            "operator_slots": {"type": "int", "default": 64},
            "kernel_slots": {"type": "int", "default": 0},
            "tasks_per_core": {"type": "int", "default": 4096},
            "memory_per_task": {"type": "str", "default": "256K"},
            "numbers_per_task": {"type": "int", "default": 3},
            "protected_memory": {"type": "str", "default": ""},
            "protected_weight": {"type": "int", "default": 1000},
            "protected_nice": {"type": "int", "default": -20},
            "nproc": {"type": "int", "default": 0},
            "nofile": {"type": "str", "default": ""},
            "pid_max": {"type": "int", "default": 0},
            "ipc": {"type": "dict", "default": {}},
            "log_interval": {"type": "str", "default": ""},
            "log_burst": {"type": "int", "default": 0},
            "log_most": {"type": "str", "default": ""},
            "postfix": {"type": "dict", "default": {}},
            "postfix_services": {"type": "dict", "default": {}},
            "apache_mutex": {"type": "str", "choices": ["", *options.MUTEXES], "default": ""},
            "cron_mailto": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "store_path": {"type": "path", "default": STORE},
        },
        supports_check_mode=True,
    )
    try:
        found = report(options.parse(module.params), store_path=module.params["store_path"])
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
