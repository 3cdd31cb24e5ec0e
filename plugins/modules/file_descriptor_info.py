#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_descriptor_info
short_description: Who holds file descriptors, of which kind, which limit is near, and whether it is a leak or load
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Counts the file descriptors of every process against its C(RLIMIT_NOFILE) and the limits of the host, and says of
    which kind they are, largest holders first. For a socket that is its protocol, state and peer, for a file its
    directory, for a deleted file the bytes it still takes.
  - With two samples or more it tells a leak from load, see O(samples). What grows together with connections, threads or
    processes is load. What is opened and never closed while those do not grow is a leak.
  - It needs one process slot and forks nothing. Links are read and never followed, so no file system that hangs can
    hang it.
  - Where there is no C(/proc), as on FreeBSD, psutil serves instead, with the same keys and fewer kinds.
extends_documentation_fragment:
  - hostcare.remediation._attributes.info
attributes:
  platform:
    details: Linux. FreeBSD with psutil, which has not been run there.
options:
  name:
    description: Look only at processes with one of these comms, exactly.
    type: list
    elements: str
  exe:
    description: Look only at processes that run one of these programs, by path.
    type: list
    elements: str
  user:
    description: Look only at processes of these real users, by name or number.
    type: list
    elements: str
  unit:
    description: Look only at processes of these systemd units, such as C(app.service).
    type: list
    elements: str
  cgroup:
    description: Look only at processes in or below these control groups.
    type: list
    elements: str
  pid:
    description: Look only at these processes.
    type: list
    elements: int
  group_by:
    description:
      - What the processes of one line of RV(groups) have in common. What is in no unit and no control group of its own
        is told by its program, here too.
    type: str
    choices: [unit, exe, user]
    default: unit
  samples:
    description:
      - How often to look. One look tells who holds what and which limit is near; it never says V(leak).
      - Two looks or more also tell growth and the time that is left, and V(leak) from V(load). Between them the numbers
        of descriptors are read several times more, which costs next to nothing, and between two there is a third one.
    type: int
    default: 1
  interval:
    description:
      - The time between two samples, such as V(10s). A leak can be told once it has added some eight descriptors.
    type: str
    default: 10s
  near_limit:
    description: The used part of a limit from which it counts as near, 0 to 1.
    type: float
    default: 0.8
  top:
    description: How many processes, groups and users to return at most, the worst first.
    type: int
    default: 10
  max_links:
    description:
      - How many descriptors a sample looks at to learn their kind, those of the largest holders first. It takes about
        half a second for 100,000. The rest is counted only.
    type: int
    default: 100000
  time_budget:
    description: How long one sample may take, such as V(10s). What is left out then is said.
    type: str
    default: 20s
  procstat:
    description:
      - On a host without C(/proc), run C(procstat) to learn the kinds of all descriptors, which psutil tells of files
        and connections only. This takes a fork, so it fails where there is no process slot left.
    type: bool
    default: false
requirements:
  - psutil on the managed node, where there is no C(/proc)
notes:
  - Kinds of processes of other users are seen by root only, in a container with C(CAP_SYS_PTRACE). Counts are seen by
    everybody since Linux 6.2.
  - A descriptor is a number in the table of a process. What it stands for, an open file description (see C(open(2))),
    can be shared with other processes, by C(fork(2)) or in a message. C(fs.file-nr) counts descriptions,
    C(RLIMIT_NOFILE) limits descriptors.
seealso:
  - module: hostcare.remediation.process_rlimit
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: See who holds file descriptors
  hostcare.remediation.file_descriptor_info:
  register: descriptors

- name: Tell a leak from load
  hostcare.remediation.file_descriptor_info:
    samples: 2
    interval: 30s
  register: descriptors

- name: Name the units that leak, and what
  ansible.builtin.debug:
    msg: "{{ descriptors.groups | selectattr('verdict', 'eq', 'leak') | items2dict('key', 'leaking') }}"

- name: Look at one service, worker by worker
  hostcare.remediation.file_descriptor_info:
    unit: [app.service]
    samples: 3
    interval: 10s
"""

RETURN = r"""
schema_version:
  description: Version of this structure. Keys may be added within a version.
  type: int
  returned: always
  sample: 1
source:
  description: Where the figures are from, V(proc) or V(psutil).
  type: str
  returned: always
verdict:
  description:
    - The worst verdict of RV(groups), RV(users) and RV(host), in the order C(leak), C(near_limit), C(load), C(fine).
  type: str
  returned: always
  sample: leak
host:
  description: The host as a whole. What this kernel does not tell is null.
  type: dict
  returned: always
  contains:
    descriptions:
      description: Open file descriptions, the first number of C(fs.file-nr), C(kern.openfiles) on FreeBSD.
      type: int
    descriptions_limit:
      description: How many there may be, C(fs.file-max), C(kern.maxfiles). Null where it is off, that is over 2^53.
      type: int
    share:
      description: The used part of it, 0 to 1.
      type: float
    max_per_process:
      description: How far C(RLIMIT_NOFILE) can be raised, C(fs.nr_open), C(kern.maxfilesperproc).
      type: int
    processes:
      description: Processes that hold descriptors.
      type: int
    descriptors:
      description: All their descriptors.
      type: int
    looked_at:
      description: The descriptors whose kind was read.
      type: int
    distinct:
      description:
        - How many descriptions the descriptors that were looked at stand for, each counted once however many processes
          inherited it. What was sent in a message or duplicated to another number counts anew, but for sockets and the
          standard streams.
      type: int
    distinct_by:
      description:
        - How they were told apart. C(kcmp) compares descriptions. C(inode), where the kernel does not let them be
          compared, takes descriptors of parent and child for one where number and link are equal, so it may be too low.
          Empty where nothing was looked at.
      type: str
    unattributed:
      description:
        - Descriptions that no descriptor stands for, at least. Each descriptor that was not looked at is taken for a
          description of its own. Null where not every process of the machine can be seen, as in a container, or where
          only some were asked for.
      type: int
    in_flight:
      description:
        - Descriptors that wait in UNIX sockets to be received (C(SCM_RIGHTS)), a part of RV(host.unattributed).
      type: int
    io_uring:
      description: Files registered with C(io_uring), a part of RV(host.unattributed).
      type: int
    mapped:
      description:
        - The rest of RV(host.unattributed), files that are mapped by programs but not open, and the kernel's own.
      type: int
    growth_per_minute: &growth_per_minute
      description: The growth a minute over the samples. Null with one sample.
      type: float
    seconds_left: &seconds_left
      description: When the limit will be hit at this growth, in seconds. Null where nothing grows.
      type: int
    verdict:
      description: C(near_limit) or C(fine).
      type: str
    reasons: &reasons
      description: Why this verdict.
      type: list
      elements: str
groups:
  description:
    - The processes by O(group_by), those with the worst verdict first, then the largest. At most O(top).
  type: list
  elements: dict
  returned: always
  contains:
    key:
      description: What they have in common, a unit or control group, the path of a program, or a user.
      type: str
      sample: app.service
    processes:
      description: How many hold descriptors.
      type: int
    descriptors: &descriptors
      description: Their descriptors.
      type: int
    distinct:
      description: How many descriptions these are, as in RV(host.distinct), null where not all were looked at.
      type: int
    worst:
      description: The member nearest to its limit.
      type: dict
      contains:
        pid: &pid
          description: The number of the process.
          type: int
        name: &name
          description: Its comm.
          type: str
        descriptors: *descriptors
        soft_limit: &soft_limit
          description: Its soft C(RLIMIT_NOFILE). Null where there is none.
          type: int
        hard_limit: &hard_limit
          description: Its hard C(RLIMIT_NOFILE), up to which the soft one can be raised.
          type: int
        share: &share
          description: The used part of the soft limit.
          type: float
    members:
      description: The numbers of the members, largest holders first. At most 50.
      type: list
      elements: int
    kinds: &kinds
      description:
        - What the descriptors are, most frequent first. Empty where they were not looked at.
      type: list
      elements: dict
      contains:
        kind:
          description:
            - V(connection) is a TCP or UNIX socket with a peer, V(CLOSE_WAIT) a TCP socket that the peer has closed and
              the program has not, V(socket) any other one.
            - V(deleted) is a file that was deleted, V(file) any other file or directory.
            - V(pipe), V(device), V(eventfd), V(epoll), V(inotify), V(timerfd), V(signalfd), V(memfd), V(pidfd),
              V(io_uring), V(fanotify), V(namespace), V(kqueue) are what they say, and there can be more, by the
              kernel's own names. V(other) has no name.
          type: str
          sample: CLOSE_WAIT
        count:
          description: How many.
          type: int
        growth:
          description: How many more than in the first sample. Null with one sample.
          type: int
    sockets: &sockets
      description: The largest groups of sockets. At most 10.
      type: list
      elements: dict
      contains:
        protocol:
          description: C(tcp), C(udp), C(unix), C(netlink) and so on.
          type: str
        family:
          description: C(inet), C(inet6), C(unix), C(netlink), C(packet).
          type: str
        state:
          description:
            - The state, such as C(ESTABLISHED) or C(CLOSE_WAIT). C(UNBOUND) is a socket that was made and neither bound
              nor connected. Empty where it is not known.
          type: str
        direction:
          description: C(in) where the peer came to a port or path that is listened on, C(out), or empty without a peer.
          type: str
        port:
          description: The port of the service, that is the own one, or that of the peer where the direction is C(out).
          type: int
        peer:
          description: The address of the peer, or the path of a UNIX socket. C(*) stands for many.
          type: str
        count:
          description: How many sockets.
          type: int
    files: &files
      description: Open files by directory, most first, deleted ones apart. At most 5.
      type: list
      elements: dict
      contains:
        prefix:
          description: The directory, of which at most three levels are shown.
          type: str
        count:
          description: How many descriptors.
          type: int
    deleted: &deleted
      description: Files that are deleted and still take room because they are open.
      type: dict
      contains:
        descriptors:
          description: How many descriptors.
          type: int
        files:
          description: How many files these are, where their size was read.
          type: int
        bytes:
          description: The room they take, each file once.
          type: int
        unknown:
          description: Descriptors whose file was not asked for its size, because it is not on a local file system.
          type: int
        largest:
          description: The largest of them. At most 5.
          type: list
          elements: dict
          contains:
            path:
              description: The path it had.
              type: str
            bytes:
              description: The room it takes.
              type: int
    growth: &growth
      description: Descriptors more than in the first sample. Null with one sample.
      type: int
    growth_per_minute: *growth_per_minute
    seconds_left: *seconds_left
    verdict: &verdict
      description:
        - C(leak), descriptors are opened and not closed while connections, threads and processes do not explain it.
        - C(near_limit), no leak, but a limit is near.
        - C(load), they grow or come and go together with connections, threads or processes.
        - C(fine), nothing of this.
      type: str
    leaking: &leaking
      description: The kind that leaks, as in RV(groups[].kinds[].kind). Null where nothing does.
      type: str
      sample: CLOSE_WAIT
    reasons: *reasons
processes:
  description: The processes with the worst verdict first, then the largest. At most O(top).
  type: list
  elements: dict
  returned: always
  contains:
    pid: *pid
    name: *name
    started:
      description:
        - The start of the process, in clock ticks since boot, or from psutil in hundredths of a second since 1970. With
          the number it names this very process.
      type: int
    exe:
      description: The path of its program. Empty where it may not be seen.
      type: str
    user:
      description: Its real user.
      type: str
    unit:
      description: Its systemd unit, or control group.
      type: str
    descriptors: *descriptors
    soft_limit: *soft_limit
    hard_limit: *hard_limit
    share: *share
    kinds: *kinds
    sockets: *sockets
    files: *files
    deleted: *deleted
    growth: *growth
    growth_per_minute: *growth_per_minute
    seconds_left: *seconds_left
    verdict: *verdict
    leaking: *leaking
    reasons: *reasons
users:
  description: Users by descriptors, with the limits of inotify, which also fail with "too many open files".
  type: list
  elements: dict
  returned: always
  contains:
    user:
      description: The real user.
      type: str
    processes:
      description: How many processes hold descriptors.
      type: int
    descriptors: *descriptors
    inotify_instances:
      description: Their inotify instances, inherited ones once. Null where they could not be counted.
      type: int
    inotify_instances_limit:
      description: C(fs.inotify.max_user_instances).
      type: int
    inotify_watches:
      description: Their inotify watches.
      type: int
    inotify_watches_limit:
      description: C(fs.inotify.max_user_watches).
      type: int
    verdict:
      description: C(near_limit) or C(fine), for the limits of inotify.
      type: str
    reasons: *reasons
samples:
  description: How many samples were taken.
  type: int
  returned: always
seconds:
  description: The time between the first sample and the last.
  type: float
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

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import request, survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str"},
            "exe": {"type": "list", "elements": "str"},
            "user": {"type": "list", "elements": "str"},
            "unit": {"type": "list", "elements": "str"},
            "cgroup": {"type": "list", "elements": "str"},
            "pid": {"type": "list", "elements": "int"},
            "group_by": {"type": "str", "choices": ["unit", "exe", "user"], "default": "unit"},
            "samples": {"type": "int", "default": 1},
            "interval": {"type": "str", "default": "10s"},
            "near_limit": {"type": "float", "default": 0.8},
            "top": {"type": "int", "default": 10},
            "max_links": {"type": "int", "default": 100000},
            "time_budget": {"type": "str", "default": "20s"},
            "procstat": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        report = survey.run(request.parse(module.params))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **report)


if __name__ == "__main__":
    main()
