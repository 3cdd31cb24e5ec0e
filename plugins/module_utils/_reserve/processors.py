# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gives sshd and operators a processor while all others want all of them, and how much of it.

A slice with CPUWeight= stands against other slices, however many tasks they have (systemd.resource-control(5)). It does
so where cgroups of the host have the controller cpu, and not in a container that was not given it. There the kernel
weighs task against task, by their nice values (sched(7)); 1.25 to the power of each step, sched_prio_to_weight.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from . import host as at
from .arithmetic import Reserve
from .host import Host
from .options import Options

WEIGHT, NICE, NOTHING = "weight", "nice", "nothing"
_OTHERS = ("init.scope", "user.slice", "system.slice")
_OF_OTHERS = 100  # CPUWeight= of who has none
_OF_A_TASK = 1024  # at nice 0
# From nice 0 to nice -20, kernel/sched/core.c
_OF_NICE = (
    1024, 1277, 1586, 1991, 2501, 3121, 3906, 4904, 6100, 7620, 9548, 11916, 14949, 18705, 23254, 29154, 36291, 46273,
    56483, 71755, 88761,
)  # fmt: skip


class Processors(t.NamedTuple):
    """``share`` is percent: of all processors by weight, of one by nice; the least there is in the worst case."""

    by: str
    nice: int
    share: int
    why: str


GIVEN_UP = Processors(NOTHING, 0, 0, "nothing is set for them")


def processors(options: Options, host: Host, reserve: Reserve | None) -> Processors:
    if not host.systemd or not host.sshd_unit:
        return GIVEN_UP
    if _counts_weights(options, host):
        others = _OF_OTHERS * (len(_OTHERS) + len(options.container_slices))
        share = 100 * options.protected_weight // (options.protected_weight + others)
        why = f"CPUWeight={options.protected_weight}, against {_OF_OTHERS} of each other slice, whatever runs in them"
        return Processors(WEIGHT, 0, share, why)
    missing = _no_nice(options, host)
    if missing or reserve is None:
        missing = missing or "how many tasks may run at once is not known"
        return Processors(NOTHING, 0, 0, f"cgroups of this host share out no processors, and {missing}")
    tasks = -(-reserve.untrusted // host.size.cores)
    weight = _OF_NICE[-options.protected_nice]
    share = 100 * weight // (weight + _OF_A_TASK * tasks)
    why = (
        f"cgroups of this host share out no processors, so by nice {options.protected_nice}, with which a task counts "
        f"for {weight // _OF_A_TASK} of the {tasks} that each processor may have to run at once"
    )
    return Processors(NICE, options.protected_nice, share, why)


def is_settled(host: Host) -> bool:
    """Whether sshd runs in its slice, so that the kernel can be asked what it does for it."""
    return f"/{at.PROTECTED_SLICE}/" in host.sshd_cgroup + "/"


def _counts_weights(options: Options, host: Host) -> bool:
    """As the kernel has it once sshd is in its slice, and by the controller before."""
    if not is_settled(host):
        return host.cpu
    rivals = [pool.name for pool in host.pools if pool.tasks and pool.name in (*_OTHERS[1:], *options.container_slices)]
    return host.cpu and all(name in host.weights for name in (at.PROTECTED_SLICE, *rivals))


def _no_nice(options: Options, host: Host) -> str:
    """Why not. What sshd has goes to all it starts, so who is no operator has to be taken it from."""
    if not options.protected_nice:
        return "protected_nice is 0"
    if not host.may_nice:
        return "PID 1 may not raise priorities (CAP_SYS_NICE)"
    if not (host.pam_systemd and host.pam_limits):
        return "without pam_systemd and pam_limits the session of everybody would be raised"
    return ""
