# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, checked by itself before the host is looked at.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

from .._kernel.errors import Refused
from .arithmetic import Wish

SLOTS, PROTECTED, RLIMITS, PID_MAX, IPC = "slots", "protected", "rlimits", "pid_max", "ipc"
LOG_RATE, CRON_MAILTO, POSTFIX, APACHE_MUTEX, STANDBY = "log_rate", "cron_mailto", "postfix", "apache_mutex", "standby"
CONTROLS = (SLOTS, PROTECTED, RLIMITS, PID_MAX, IPC, LOG_RATE, CRON_MAILTO, POSTFIX, APACHE_MUTEX, STANDBY)
IPC_NAMES = (
    "kernel.sem", "kernel.shmmni", "kernel.shmmax", "kernel.shmall", "kernel.msgmni", "kernel.msgmax", "kernel.msgmnb",
)  # fmt: skip
MUTEXES = ("pthread", "posixsem", "fcntl", "flock", "sem")
_SLICE = re.compile(r"^[A-Za-z0-9_.\\-]+\.slice\Z")
_ACCOUNT = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_PARAMETER = re.compile(r"^[a-z][a-z0-9_]*\Z")
_SERVICE = re.compile(r"^[^\s/]+/(inet|unix|fifo|pass|unix-dgram)\Z")
_SIZE = re.compile(r"^([0-9]+)([KMGT]?)\Z")
_SPAN = re.compile(r"^([0-9]+(us|ms|s|sec|m|min|h|hr|d)? ?)+\Z")
_KERNEL_MOST = 2**31 - 1
_ARRAYS_MOST = 32768  # IPCMNI, ipc/util.h


class Options(t.NamedTuple):
    wish: Wish = Wish({})
    is_reverted: bool = False
    waivers: t.Mapping[str, str] = {}
    operators: tuple[str, ...] = ("root",)
    container_slices: tuple[str, ...] = ("machine.slice",)
    protected_memory: int = 0
    protected_weight: int = 1000
    protected_nice: int = -20
    nproc: int = 0
    nofile: tuple[int, int] | None = None
    pid_max: int = 0
    ipc: t.Mapping[str, str] = {}
    log_interval: str = ""
    log_burst: int = 0
    log_most: str = ""
    postfix: t.Mapping[str, str] = {}
    postfix_services: t.Mapping[str, int] = {}
    apache_mutex: str = ""
    has_cron_mailto: bool = False
    force: bool = False


def size(value: str, name: str) -> int:
    match = _SIZE.match(value.strip())
    if match is None:
        raise Refused(f"{name}: {value!r} is no size, such as 64M.")
    return int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match.group(2)]


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Raises Refused for what contradicts itself whatever the host is."""
    shares = {str(pool): _whole(share, f"shares: {pool}") for pool, share in (params["shares"] or {}).items()}
    wish = Wish(
        shares,
        operator_slots=params["operator_slots"],
        kernel_slots=params["kernel_slots"],
        tasks_per_core=params["tasks_per_core"],
        memory_per_task=size(params["memory_per_task"], "memory_per_task"),
        numbers_per_task=params["numbers_per_task"],
    )
    options = Options(
        wish,
        params["state"] == "reverted",
        _waivers(params["waivers"] or {}),
        tuple(_named(params["operators"], _ACCOUNT, "operators", "the name of an account")),
        tuple(_named(params["container_slices"], _SLICE, "container_slices", "a slice, such as machine.slice")),
        size(params["protected_memory"], "protected_memory") if params["protected_memory"] else 0,
        params["protected_weight"],
        params["protected_nice"],
        params["nproc"],
        _nofile(params["nofile"]),
        params["pid_max"],
        {str(name): " ".join(str(value).split()) for name, value in (params["ipc"] or {}).items()},
        params["log_interval"],
        params["log_burst"],
        params["log_most"],
        {str(name): str(value).strip() for name, value in (params["postfix"] or {}).items()},
        {
            str(name): _whole(value, f"postfix_services: {name}")
            for name, value in (params["postfix_services"] or {}).items()
        },
        params["apache_mutex"],
        params["cron_mailto"],
        params["force"],
    )
    _check(options)
    return options


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not re.match(r"^[0-9]{1,9}\Z", str(value)):
        raise Refused(f"{name}: {value!r} is no whole number.")
    return int(str(value))


def _waivers(given: t.Mapping[str, t.Any]) -> dict[str, str]:
    for control, reason in given.items():
        if control not in CONTROLS:
            raise Refused(f"waivers: {control!r} is no control. They are {', '.join(CONTROLS)}.")
        if not isinstance(reason, str) or not reason.strip() or not reason.isprintable():
            raise Refused(f"waivers: {control} is waived without a reason. Say in one line why, for who asks later.")
    return {control: reason.strip() for control, reason in given.items()}


def _named(given: t.Sequence[t.Any], form: re.Pattern[str], name: str, what: str) -> list[str]:
    for one in given:
        if not form.match(str(one)):
            raise Refused(f"{name}: {one!r} is not {what}.")
    if len(set(given)) < len(given):
        raise Refused(f"{name}: {', '.join(map(str, given))} names one of them twice.")
    return [str(one) for one in given]


def _nofile(given: str) -> tuple[int, int] | None:
    if not given:
        return None
    match = re.match(r"^([0-9]{1,10}):([0-9]{1,10})\Z", given)
    if match is None or not 64 <= int(match.group(1)) <= int(match.group(2)):
        raise Refused(f"nofile: {given!r} is no soft and hard limit, such as 1024:524288, of 64 at least.")
    return int(match.group(1)), int(match.group(2))


def _check(options: Options) -> None:
    if not options.operators:
        raise Refused("operators: nobody could log in to a full host. Name one at least, such as root.")
    if options.container_slices and {"user.slice", "system.slice", "hostcare.slice"} & set(options.container_slices):
        raise Refused("container_slices: user.slice, system.slice and hostcare.slice are pools of their own.")
    if any("-" in name for name in options.container_slices):
        raise Refused("container_slices: a slice with a dash is part of another one (systemd.slice(5)). Name that.")
    _check_processors(options)
    if options.pid_max and not 1024 <= options.pid_max <= 4194304:
        raise Refused(f"pid_max: {options.pid_max} is not 1024 to 4194304. Give 0 to leave it alone.")
    if options.nproc and options.nproc < 16:
        raise Refused(
            f"nproc: {options.nproc} is too little to log in and work; the least is 16. Give 0 to let it follow."
        )
    if options.apache_mutex and options.apache_mutex not in MUTEXES:
        raise Refused(f"apache_mutex: {options.apache_mutex!r} is none of {', '.join(MUTEXES)}.")
    _check_log(options)
    _check_ipc(options.ipc)
    for name, value in options.postfix.items():
        if not _PARAMETER.match(name) or not value.isprintable():
            raise Refused(f"postfix: {name!r}: {value!r} is no parameter of postconf(5) with a value of one line.")
    for name in options.postfix_services:
        if not _SERVICE.match(name):
            raise Refused(f"postfix_services: {name!r} is no service by its first two columns, such as smtp/inet.")


def _check_processors(options: Options) -> None:
    if not 1 <= options.protected_weight <= 10000:
        raise Refused(f"protected_weight: {options.protected_weight} is not 1 to 10000 (systemd.resource-control(5)).")
    if not -20 <= options.protected_nice <= 0:
        raise Refused(f"protected_nice: {options.protected_nice} is not -20 to 0 (sched(7)). Give 0 to raise nobody.")


def _check_log(options: Options) -> None:
    given = (options.log_interval, options.log_burst, options.log_most)
    if not any(given):
        return
    if not all(given) or not _SPAN.match(options.log_interval) or options.log_burst < 1:
        raise Refused(
            f"log_interval, log_burst and log_most go together: a time such as 30s, a number of messages, and a size "
            f"such "
            f"as 512M, not {options.log_interval!r}, {options.log_burst} and {options.log_most!r}."
        )
    if size(options.log_most, "log_most") < 8 << 20:
        raise Refused(f"log_most: {options.log_most} is less than journald can work with; the least is 8M.")


def _check_ipc(ipc: t.Mapping[str, str]) -> None:
    for name, value in ipc.items():
        if name not in IPC_NAMES:
            raise Refused(f"ipc: {name!r} is none of {', '.join(IPC_NAMES)}.")
        count = 4 if name == "kernel.sem" else 1
        words = value.split()
        if len(words) != count or not all(re.match(r"^[0-9]{1,20}\Z", word) for word in words):
            raise Refused(f"ipc: {name} is {value!r}, and takes {count} whole numbers with blanks between them.")
        if not all(int(word) for word in words):
            raise Refused(f"ipc: {name} is {value!r}, and with a 0 nobody can have any.")
    if "kernel.sem" in ipc:
        most_in_one, in_all, _at_once, arrays = map(int, ipc["kernel.sem"].split())
        if not (most_in_one <= in_all <= _KERNEL_MOST and arrays <= min(in_all, _ARRAYS_MOST)):
            raise Refused(
                f"ipc: kernel.sem is {ipc['kernel.sem']!r}, which means SEMMSL {most_in_one} (semaphores in one "
                f"array), "
                f"SEMMNS {in_all} (in all), SEMMNI {arrays} (arrays, at most {_ARRAYS_MOST}). SEMMNS may be smaller "
                f"neither than SEMMSL nor than SEMMNI. Is a blank missing, or are two in the wrong order?"
            )
