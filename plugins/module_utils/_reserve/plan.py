# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done on this host to get from what is to what is wanted, and back. Decides; touches nothing.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from . import host as at
from . import options as names
from .arithmetic import CONTAINERS, SERVICES, USERS, Reserve, protected_slots
from .conflicts import Conflict
from .controls import Context, Demand, context, demands
from .host import File, Host, Original, Store
from .options import Options
from .processors import GIVEN_UP, NICE, WEIGHT, Processors, is_settled
from .store import digest, is_untouched
from .wanted import Wanted

IN_PLACE, DUE, WAIVED, IMPOSSIBLE, NOT_ASKED, REFUSED = (
    "in_place", "due", "waived", "impossible", "not_asked", "refused",
)  # fmt: skip
_NEW = File("", 0o644, 0, 0)
_RESTART = "sshd"
_MOST_DIGESTS = 8


class Finding(t.NamedTuple):
    control: str
    path: str
    text: str


class Change(t.NamedTuple):
    """A file to write, or with ``content`` None to remove."""

    control: str
    path: str
    content: str | None
    mode: int
    uid: int
    gid: int


class Control(t.NamedTuple):
    name: str
    state: str
    reason: str


class Plan(t.NamedTuple):
    reserve: Reserve | None
    processors: Processors
    controls: tuple[Control, ...]
    conflicts: tuple[Conflict, ...]
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    directories: tuple[str, ...]
    leftovers: tuple[str, ...]  # directories of ours that the way back may leave empty
    sysctls: t.Mapping[str, str]
    tell: tuple[str, ...]
    store: Store
    proved: bool
    unproved: tuple[str, ...]

    @property
    def is_due(self) -> bool:
        return bool(self.changes or self.sysctls or self.tell or not self.store.done)


def plan(options: Options, host: Host) -> Plan:
    return _back(options, host) if options.is_reverted else _there(options, host)


def _there(options: Options, host: Host) -> Plan:
    at_hand = context(options, host)
    asked = demands(at_hand)
    refused = [conflict for demand in asked.values() for conflict in demand.conflicts]
    refused += [Conflict("", "", 0, f"{reason}, so what is set there is not known.") for reason in host.unread]
    valid = {control: demand for control, demand in asked.items() if not demand.conflicts and not demand.impossible}
    wanted = [one for demand in valid.values() for one in demand.files]
    # A control that is refused keeps what it has: the run fails before anything is touched.
    stale = {path for path in host.store.files if path not in {one.path for one in wanted}} if not refused else set()
    writes = [change for one in wanted for change in [_write(one, host)] if change is not None]
    undone, blocked = _restored(sorted(stale), options, host)
    sysctls = {name: value for demand in valid.values() for name, value in demand.sysctls.items()}
    back = {name: old for name, old in host.store.sysctls.items() if name not in sysctls}
    due_sysctls = {**_differing(sysctls, host), **_differing(back, host)}
    changes = (*writes, *undone)
    running = _running(at_hand, valid)
    findings = [Finding(one.control, one.path, _what(one, host)) for one in changes]
    findings += [
        Finding(_owner(name, valid), "", f"{name} is {host.sysctls.get(name)!r}, not {value!r}")
        for name, value in due_sysctls.items()
    ]
    findings += running
    if not host.store.done:
        findings.append(Finding("", "", "an earlier run was cut short; this one finishes it"))
    tell = _tell(host, [one.path for one in changes], [one.control for one in running], [one.path for one in wanted])
    directories = _missing([one.path for one in writes], host.directories)
    unproved = _unproved(at_hand, asked, [*refused, *blocked], findings)
    return Plan(
        at_hand.reserve,
        at_hand.processors if names.PROTECTED in valid else GIVEN_UP,
        tuple(_states(options, asked, findings)),
        (*refused, *blocked),
        tuple(findings),
        changes,
        directories,
        (),
        due_sysctls,
        tell,
        _kept(at_hand, wanted, stale, sysctls, directories),
        not unproved,
        tuple(unproved),
    )


def _back(options: Options, host: Host) -> Plan:
    changes, blocked = _restored(sorted(host.store.files), options, host)
    sysctls = _differing(host.store.sysctls, host)
    findings = [Finding(one.control, one.path, _what(one, host)) for one in changes]
    findings += [Finding(_owner(name, {}), "", f"{name} goes back to {value!r}") for name, value in sysctls.items()]
    tell = _tell(host, [one.path for one in changes], [], list(host.store.files))
    controls = [Control(name, NOT_ASKED, "reverted") for name in names.CONTROLS if name != names.STANDBY]
    return Plan(
        None, GIVEN_UP, tuple(controls), tuple(blocked), tuple(findings), tuple(changes), (),
        tuple(sorted(host.store.directories, key=len, reverse=True)), sysctls, tell, host.store, False,
        ("the reserve is given up",),
    )  # fmt: skip


def _write(one: Wanted, host: Host) -> Change | None:
    now = host.files.get(one.path)
    if now is not None and now.content == one.content:
        return None
    # A file of the host keeps who may read it; one of ours is like its neighbours.
    dress = now or _NEW
    return Change(one.control, one.path, one.content, dress.mode, dress.uid, dress.gid)


def _restored(paths: t.Sequence[str], options: Options, host: Host) -> tuple[list[Change], list[Conflict]]:
    changes, blocked = [], []
    for path in paths:
        kept, now = host.store.files[path], host.files.get(path)
        if now == kept.file or (now is not None and kept.file is not None and now.content == kept.file.content):
            continue
        control = _control_of(path)
        if not is_untouched(now, kept) and not options.force:
            text = (
                f"{path} was edited after it was hardened. Keep a copy of it, then run with force, which puts back "
                f"what was "
                f"there before."
            )
            blocked.append(Conflict(control, path, 0, text))
            continue
        if kept.file is None:
            changes += [Change(control, path, None, 0, 0, 0)] if now is not None else []
        else:
            changes.append(Change(control, path, kept.file.content, kept.file.mode, kept.file.uid, kept.file.gid))
    return changes, blocked


def _control_of(path: str) -> str:
    known = {
        at.LIMITS: names.RLIMITS, at.MANAGER_LIMITS: names.RLIMITS, at.MANAGER_TASKS: names.SLOTS,
        at.JOURNAL: names.LOG_RATE, at.SYSCTL_PID_MAX: names.PID_MAX, at.SYSCTL_IPC: names.IPC,
        at.MAIN_CF: names.POSTFIX, at.MASTER_CF: names.POSTFIX, at.PAM_OURS: names.PROTECTED,
        at.PAM_SSHD: names.PROTECTED, at.PAM_NICE: names.PROTECTED,
        f"{at.SYSTEM}/{at.PROTECTED_SLICE}": names.PROTECTED,
    }  # fmt: skip
    if path in known:
        return known[path]
    if path.endswith(at.APACHE_NAME):
        return names.APACHE_MUTEX
    return names.PROTECTED if ".service.d/" in path else names.SLOTS


def _what(change: Change, host: Host) -> str:
    if change.content is None:
        return f"{change.path} is to go"
    return f"{change.path} is not as it shall be" if change.path in host.files else f"{change.path} is missing"


def _owner(name: str, valid: t.Mapping[str, Demand]) -> str:
    known = names.PID_MAX if name == "kernel.pid_max" else names.IPC
    return next((control for control, demand in valid.items() if name in demand.sysctls), known)


def _differing(values: t.Mapping[str, str], host: Host) -> dict[str, str]:
    return {name: value for name, value in values.items() if host.sysctls.get(name) != value}


def _running(at_hand: Context, valid: t.Mapping[str, Demand]) -> list[Finding]:
    """What holds now, whatever the files say: limits of the kernel, and where sshd is."""
    options, host, found = at_hand.options, at_hand.host, at_hand.reserve
    told = []
    if names.SLOTS in valid and found is not None:
        each = found.tasks(CONTAINERS) // max(1, len(options.container_slices))
        limits = {"user.slice": found.tasks(USERS), "system.slice": found.tasks(SERVICES)}
        limits.update(dict.fromkeys(options.container_slices, each))
        told += _unlike(names.SLOTS, host, limits)
    if names.PROTECTED in valid:
        told += _unlike(names.PROTECTED, host, {at.PROTECTED_SLICE: protected_slots(options.wish)})
        if host.sshd_cgroup and not is_settled(host):
            told.append(Finding(names.PROTECTED, "", f"sshd runs in {host.sshd_cgroup}, not in {at.PROTECTED_SLICE}"))
        elif host.sshd_cgroup:
            told += _unlike_processors(at_hand)
    return told


def _unlike_processors(at_hand: Context) -> list[Finding]:
    options, host, by = at_hand.options, at_hand.host, at_hand.processors
    weight = host.weights.get(at.PROTECTED_SLICE)
    told = []
    if by.by == WEIGHT and weight != options.protected_weight:
        told.append(f"{at.PROTECTED_SLICE} has CPU weight {weight} now, not {options.protected_weight}")
    if by.by == NICE and host.sshd_nice != by.nice:
        told.append(f"sshd runs at nice {host.sshd_nice}, not {by.nice}")
    return [Finding(names.PROTECTED, "", text) for text in told]


def _unlike(control: str, host: Host, limits: t.Mapping[str, int]) -> list[Finding]:
    return [
        Finding(control, "", f"{pool.name} may have {pool.limit or 'any number of'} tasks now, not {limits[pool.name]}")
        for pool in host.pools
        if pool.name in limits and pool.limit != limits[pool.name]
    ]


def _tell(
    host: Host, changed: t.Sequence[str], stale: t.Sequence[str], all_of_ours: t.Sequence[str]
) -> tuple[str, ...]:
    """Who has to read its files again, in the order in which it is done."""
    paths = list(changed)
    if not host.store.done:
        paths += all_of_ours  # the run that died may have written them and told nobody
    told = {word for path in paths for word in _readers(path, host)}
    told |= {"systemd", _RESTART} if names.PROTECTED in stale else {"systemd"} if stale else set()
    if not host.systemd:
        told &= {"postfix", "apache"}
    return tuple(word for word in ("systemd", "journald", _RESTART, "postfix", "apache") if word in told)


def _readers(path: str, host: Host) -> set[str]:
    if path.startswith((at.SYSTEM + "/", "/etc/systemd/system.conf.d/")):
        return {"systemd", _RESTART} if host.sshd_unit and f"/{host.sshd_unit}.d/" in path else {"systemd"}
    readers = {at.JOURNAL: "journald", at.MAIN_CF: "postfix", at.MASTER_CF: "postfix"}
    word = "apache" if path.endswith(at.APACHE_NAME) else readers.get(path, "")
    return {word} if word else set()


def _missing(paths: t.Sequence[str], directories: t.Container[str]) -> tuple[str, ...]:
    """The directories that have to be made, outermost first."""
    found: list[str] = []
    for path in paths:
        above = os.path.dirname(path)
        line = []
        while above not in directories and above not in ("/", ""):
            line.append(above)
            above = os.path.dirname(above)
        found += [one for one in reversed(line) if one not in found]
    return tuple(found)


def _kept(
    at_hand: Context, wanted: t.Sequence[Wanted], stale: t.Container[str], sysctls: t.Mapping[str, str],
    directories: t.Sequence[str],
) -> Store:  # fmt: skip
    """The first sight of each file is kept, however often it is changed; what is put back is forgotten."""
    host, before = at_hand.host, at_hand.host.store
    files = {path: one for path, one in before.files.items() if path not in stale}
    for one in wanted:
        kept, now = before.files.get(one.path), host.files.get(one.path)
        original = now if kept is None else kept.file
        if original is not None and now is not None and kept is not None and not is_untouched(now, kept):
            original = now._replace(content=at_hand.text(one.path))  # edited since: that is what to go back to
        written = (*(kept.written if kept else ()), digest(one.content))
        files[one.path] = Original(one.path, original, tuple(dict.fromkeys(written))[-_MOST_DIGESTS:])
    values = {name: before.sysctls.get(name, host.sysctls.get(name, "")) for name in sysctls}
    made = tuple(dict.fromkeys((*before.directories, *directories)))
    return before._replace(files=files, sysctls=values, directories=made)


def _states(options: Options, asked: t.Mapping[str, Demand], findings: t.Sequence[Finding]) -> list[Control]:
    found = []
    for name in names.CONTROLS:
        demand = asked.get(name)
        if name in options.waivers:
            found.append(Control(name, WAIVED, options.waivers[name]))
        elif demand is None:
            continue
        elif demand.impossible:
            found.append(Control(name, IMPOSSIBLE, demand.impossible))
        elif demand.conflicts:
            found.append(Control(name, REFUSED, demand.conflicts[0].text))
        elif not demand.asked:
            found.append(Control(name, NOT_ASKED, "nothing is asked for"))
        else:
            due = [one.text for one in findings if one.control == name]
            found.append(Control(name, DUE if due else IN_PLACE, due[0] if due else demand.note))
    return found


def _unproved(
    at_hand: Context, asked: t.Mapping[str, Demand], refused: t.Sequence[Conflict], findings: t.Sequence[Finding]
) -> list[str]:
    told = []
    for control in (names.SLOTS, names.PROTECTED):
        if control in at_hand.options.waivers:
            told.append(f"{control} is waived: {at_hand.options.waivers[control]}")
        elif asked[control].impossible:
            told.append(f"{control} is impossible: {asked[control].impossible}")
        told += [one.text for one in findings if one.control == control]
    told += [one.text for one in refused if one.control in (names.SLOTS, names.PROTECTED)]
    if names.PROTECTED in asked and not at_hand.host.pam_systemd and at_hand.host.systemd:
        told.append("without pam_systemd everybody's session is in the slice of sshd, and counts against its slots")
    return told + list(at_hand.host.unread)
