# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One function for each control: what it wants of this host, and what speaks against it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from . import conflicts as against
from . import host as at
from . import options as names
from . import wanted
from .arithmetic import CONTAINERS, SERVICES, USERS, Reserve, protected_slots, reserve
from .conflicts import Conflict
from .host import Host
from .options import Options
from .processors import WEIGHT, Processors, processors
from .store import is_untouched
from .syntax import sshd_setting, startups
from .wanted import Wanted

_MANAGED = ("init.scope", "system.slice", "user.slice", at.PROTECTED_SLICE)
_MEMORY_SHARE, _MOST_MEMORY = 20, 256 << 20
_NOFILE = (1024, 524288)  # what systemd takes where nobody says otherwise
NO_SYSTEMD = "systemd does not run this host, so there are no slices and units to limit"


class Demand(t.NamedTuple):
    """What one control wants. ``impossible`` says why it cannot be had here, ``asked`` whether anybody wants it."""

    files: tuple[Wanted, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    sysctls: t.Mapping[str, str] = {}
    impossible: str = ""
    asked: bool = True
    note: str = ""


class Context(t.NamedTuple):
    options: Options
    host: Host
    reserve: Reserve | None
    too_small: str
    processors: Processors

    def text(self, path: str) -> str | None:
        """The file without what we wrote into it. Raises Refused where that cannot be known."""
        now, kept = self.host.files.get(path), self.host.store.files.get(path)
        if now is None:
            return None
        if now.content is None:
            raise Refused(f"{path} is no UTF-8 text, or cannot be read, and is left as it is.")
        if kept is None or kept.file is None:
            return now.content
        if is_untouched(now, kept):
            return kept.file.content
        if path == at.MAIN_CF:
            return wanted.without_ours(now.content)
        raise Refused(
            f"{path} was edited after it was hardened, so what was there before is not known any more. Keep a copy of "
            f"it, "
            f"revert with force, put your changes back, and harden again."
        )


def context(options: Options, host: Host) -> Context:
    size = host.size._replace(pid_max=options.pid_max or host.size.pid_max)
    if names.PID_MAX in options.waivers:
        size = host.size
    try:
        wish = options.wish._replace(startups=startups(host.sshd_files))
        found = reserve(size, wish)
        return Context(options._replace(wish=wish), host, found, "", processors(options, host, found))
    except Refused as refusal:
        return Context(options, host, None, str(refusal), processors(options, host, None))


def _no_room(control: str, at_hand: Context) -> Demand:
    return Demand(conflicts=(Conflict(control, "", 0, at_hand.too_small),))


def slots(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not host.systemd:
        return Demand(impossible=NO_SYSTEMD)
    if not host.pids:
        text = (
            "systemd has no pids controller on this host, so it would take TasksMax and keep nobody to it. Boot with "
            "the "
            "controller (cgroup.controllers of the root has to name pids), or waive the control slots with a reason."
        )
        return Demand(conflicts=(Conflict(names.SLOTS, "", 0, text),))
    if at_hand.reserve is None:
        return _no_room(names.SLOTS, at_hand)
    files = wanted.slots(at_hand.reserve, options.container_slices)
    found = _crowded(at_hand, at_hand.reserve)
    for one in files:
        texts = host.manager_files if one.path == at.MANAGER_TASKS else host.unit_files.get(_unit_of(one.path), ())
        found += against.of_units(names.SLOTS, one.path, one.content, texts)
    return Demand(tuple(files), tuple(found))


def _unit_of(path: str) -> str:
    """/etc/systemd/system/user.slice.d/NAME -> user.slice"""
    return path.split("/")[-2][: -len(".d")]


def _crowded(at_hand: Context, found: Reserve) -> list[Conflict]:
    """Limits below what runs now, and tasks that no limit would hold."""
    options, host = at_hand.options, at_hand.host
    containers = found.tasks(CONTAINERS) // max(1, len(options.container_slices))
    limits = {"user.slice": found.tasks(USERS), "system.slice": found.tasks(SERVICES)}
    limits.update(dict.fromkeys(options.container_slices, containers))
    told = []
    for pool in host.pools:
        if pool.name in limits and pool.tasks > limits[pool.name]:
            told.append(
                f"{pool.name} has {pool.tasks} tasks now, and would get {limits[pool.name]}. Raise its part in shares, "
                f"raise {found.binding.name} ({found.binding.limit}), or end some of them."
            )
        elif pool.name not in limits and pool.name not in _MANAGED and pool.tasks:
            told.append(
                f"{pool.name} has {pool.tasks} tasks and is in none of the pools, so nothing would hold it. If it is a "
                f"slice, name it in container_slices; if a container runtime made it, give that one a slice as parent."
            )
    for unit in host.units:
        is_user = unit.name.endswith(".slice")
        most = found.each(USERS) if is_user else found.each(SERVICES)
        if unit.tasks > most and (is_user or not _has_own_limit(host, unit.name)):
            told.append(
                f"{unit.name} has {unit.tasks} tasks now, and would get {most}. Give it a TasksMax of its own, raise "
                f"its "
                f"part in shares, or end some of them."
            )
    kernel = found.tasks("kernel")
    if host.kernel_threads + host.loose > kernel:
        told.append(
            f"the kernel has {host.kernel_threads} threads and {host.loose} processes are in no unit, where {kernel} "
            f"are "
            f"kept back for them. Give kernel_slots: {2 * (host.kernel_threads + host.loose)}."
        )
    return [Conflict(names.SLOTS, "", 0, text) for text in told]


def _has_own_limit(host: Host, unit: str) -> bool:
    return any("TasksMax" in text.content for text in host.unit_files.get(unit, ()))


def protected(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not host.systemd:
        return Demand(impossible=NO_SYSTEMD)
    if not host.sshd_unit:
        return Demand(impossible="no unit ssh.service or sshd.service is known here")
    strangers = [name for name in options.operators if name not in host.accounts]
    memory = options.protected_memory or min(_MOST_MEMORY, host.size.memory // _MEMORY_SHARE >> 20 << 20)
    told = []
    if strangers:
        told.append(f"operators: {', '.join(strangers)} is no account of this host.")
    if memory > host.size.memory // 4:
        told.append(f"protected_memory: {memory} is more than a quarter of the memory ({host.size.memory}).")
    tasks = protected_slots(at_hand.options.wish)
    here = next((pool.tasks for pool in host.pools if pool.name == at.PROTECTED_SLICE), 0)
    if here > tasks:
        told.append(f"{at.PROTECTED_SLICE} has {here} tasks now, and would get {tasks}. Raise operator_slots.")
    pam = at_hand.text(at.PAM_SSHD) if host.pam_systemd else None
    if host.pam_systemd and pam is None:
        told.append(f"{at.PAM_SSHD} is missing, so it cannot be said who stays in the slice of sshd.")
    if host.pam_systemd and sshd_setting(host.sshd_files, "UsePAM").lower() != "yes":
        told.append(
            "sshd does not use PAM, so everybody's session would stay in its slice. Set UsePAM yes in sshd_config."
        )
    if told:
        return Demand(conflicts=tuple(Conflict(names.PROTECTED, "", 0, text) for text in told))
    by = at_hand.processors
    files = wanted.protected(tasks, memory, options.protected_weight, host.sshd_unit, options.operators, pam, by.nice)
    found = []
    for one in files[:2]:
        unit = at.PROTECTED_SLICE if one.path.endswith(".slice") else host.sshd_unit
        found += against.of_units(names.PROTECTED, one.path, one.content, host.unit_files.get(unit, ()))
    return Demand(tuple(files), tuple(found), note="" if by.by == WEIGHT else by.why)


def rlimits(at_hand: Context) -> Demand:
    options, host, found = at_hand.options, at_hand.host, at_hand.reserve
    if found is None:
        return _no_room(names.RLIMITS, at_hand)
    nproc = options.nproc or (0 if host.shares_users else max(found.each(USERS), found.each(SERVICES)))
    most = max(found.tasks(USERS), found.tasks(SERVICES))
    told = []
    if nproc > most:
        told.append(f"nproc: {nproc} for one user is more than all of them together may have ({most}).")
    soft, hard = options.nofile or _nofile(host)
    if hard > host.nr_open:
        told.append(f"nofile: {hard} is more than fs.nr_open ({host.nr_open}), which no limit may pass.")
    for name, value, held in (("nofile", hard, host.nofile_hard), ("nproc", nproc, host.nproc_hard)):
        if held is not None and value > held and not host.may_raise:
            told.append(
                f"{name}: {value} is more than PID 1 may have itself ({held}) without CAP_SYS_RESOURCE: whoever logs "
                f"in "
                f"would be refused. Give {held} at most."
            )
    for user, threads in sorted(host.users.items()):
        if nproc and threads > nproc:
            told.append(f"nproc: {user} has {threads} processes and threads now, and would get {nproc}.")
    if host.open_files > hard:
        told.append(f"nofile: a process has {host.open_files} files open now, and would get {hard}.")
    files = wanted.rlimits(nproc, soft, hard, host.systemd)
    conflicts = [Conflict(names.RLIMITS, "", 0, text) for text in told]
    conflicts += against.of_limits(names.RLIMITS, files[0].content, host.limit_files)
    for one in files[1:]:
        conflicts += against.of_units(names.RLIMITS, one.path, one.content, host.manager_files)
    note = "" if nproc else "without nproc, which would count processes outside of this container, too"
    return Demand(tuple(files), tuple(conflicts), note=note)


def _nofile(host: Host) -> tuple[int, int]:
    held = [host.nr_open, *([host.nofile_hard] if host.nofile_hard is not None and not host.may_raise else [])]
    return min(_NOFILE[0], *held), min(_NOFILE[1], *held)


def pid_max(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not options.pid_max:
        return Demand(asked=False)
    values = {"kernel.pid_max": str(options.pid_max)}
    conflicts = against.of_sysctls(names.PID_MAX, at.SYSCTL_PID_MAX, values, host.sysctl_files)
    running = sum(pool.tasks for pool in host.pools) + host.kernel_threads
    if options.pid_max < 2 * running:
        text = f"pid_max: {options.pid_max} is less than twice what runs now ({running} tasks)."
        conflicts.append(Conflict(names.PID_MAX, "", 0, text))
    return Demand((wanted.sysctl(names.PID_MAX, at.SYSCTL_PID_MAX, values),), tuple(conflicts), values)


def ipc(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not options.ipc:
        return Demand(asked=False)
    missing = [name for name in options.ipc if name not in host.sysctls]
    if missing:
        return Demand(impossible=f"this kernel has no {', '.join(missing)}")
    conflicts = against.of_sysctls(names.IPC, at.SYSCTL_IPC, options.ipc, host.sysctl_files)
    if "kernel.sem" in options.ipc:
        most_in_one, in_all, _at_once, arrays = map(int, options.ipc["kernel.sem"].split())
        if any(new < used for new, used in zip((most_in_one, in_all, arrays), host.semaphores)):
            used = "up to {} in one, {} semaphores in {} arrays".format(*host.semaphores)
            text = f"ipc: kernel.sem {options.ipc['kernel.sem']!r} is less than what is there now: {used}."
            conflicts.append(Conflict(names.IPC, "", 0, text))
    return Demand((wanted.sysctl(names.IPC, at.SYSCTL_IPC, options.ipc),), tuple(conflicts), options.ipc)


def log_rate(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not options.log_interval:
        return Demand(asked=False)
    if not host.systemd:
        return Demand(impossible="journald does not keep the log of this host")
    one = wanted.log_rate(options.log_interval, options.log_burst, options.log_most)
    return Demand((one,), tuple(against.of_units(names.LOG_RATE, one.path, one.content, host.journal_files)))


def cron_mailto(at_hand: Context) -> Demand:
    """The module of that name does it, and keeps what it changed."""
    return Demand(asked=at_hand.options.has_cron_mailto, note="as far as crontabs go, the module of that name tells")


def postfix(at_hand: Context) -> Demand:
    options = at_hand.options
    if not options.postfix and not options.postfix_services:
        return Demand(asked=False)
    main, master = at_hand.text(at.MAIN_CF), at_hand.text(at.MASTER_CF)
    if main is None or master is None:
        return Demand(impossible=f"there is no {at.MAIN_CF if main is None else at.MASTER_CF}")
    files = [wanted.main_cf(main, options.postfix)] if options.postfix else []
    files += [wanted.master_cf(master, options.postfix_services)] if options.postfix_services else []
    return Demand(tuple(files))


def apache_mutex(at_hand: Context) -> Demand:
    options, host = at_hand.options, at_hand.host
    if not options.apache_mutex:
        return Demand(asked=False)
    directory = next((one for one in at.APACHE_DIRECTORIES if one in host.directories), "")
    if not directory:
        return Demand(impossible=f"Apache is configured neither in {' nor in '.join(at.APACHE_DIRECTORIES)}")
    return Demand((wanted.apache_mutex(directory, options.apache_mutex),))


CONTROLS: dict[str, t.Callable[[Context], Demand]] = {
    names.SLOTS: slots,
    names.PROTECTED: protected,
    names.RLIMITS: rlimits,
    names.PID_MAX: pid_max,
    names.IPC: ipc,
    names.LOG_RATE: log_rate,
    names.CRON_MAILTO: cron_mailto,
    names.POSTFIX: postfix,
    names.APACHE_MUTEX: apache_mutex,
}


def demands(at_hand: Context) -> dict[str, Demand]:
    """Of every control that is not waived."""
    found = {}
    for control, demand in CONTROLS.items():
        if control in at_hand.options.waivers:
            continue
        try:
            found[control] = demand(at_hand)
        except Refused as refusal:
            found[control] = Demand(conflicts=(Conflict(control, "", 0, str(refusal)),))
    return found
