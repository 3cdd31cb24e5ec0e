# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of each control, as they shall be.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

from .._kernel.errors import Refused
from . import host as at
from .arithmetic import CONTAINERS, SERVICES, USERS, Reserve

_INCLUDE = re.compile(r"^(@include\s+common-session|session\s+(?:include|substack)\s+(\S+))\s*$", re.MULTILINE)
_OURS = "session    substack     hostcare-sshd"
_BEGIN, _END = "# BEGIN hostcare.remediation.harden", "# END hostcare.remediation.harden"
_SILENCED = "#hostcare# "


class Wanted(t.NamedTuple):
    """A file as it shall be."""

    control: str
    path: str
    content: str


def _said(page: str) -> str:
    return f"# Written by hostcare.remediation.harden, see {page}.\n"


def _unit(control: str, path: str, section: str, lines: t.Sequence[str]) -> Wanted:
    body = "".join(f"{line}\n" for line in lines)
    return Wanted(control, path, f"{_said('systemd.resource-control(5)')}[{section}]\n{body}")


def slots(reserve: Reserve, container_slices: t.Sequence[str]) -> list[Wanted]:
    """The share of the containers is split between their slices."""

    def slice_of(unit: str, tasks: int) -> Wanted:
        return _unit("slots", f"{at.SYSTEM}/{unit}.d/{at.NAME}", "Slice", [f"TasksMax={tasks}"])

    each = reserve.tasks(CONTAINERS) // max(1, len(container_slices))
    return [
        slice_of("user.slice", reserve.tasks(USERS)),
        slice_of("user-.slice", reserve.each(USERS)),
        slice_of("system.slice", reserve.tasks(SERVICES)),
        *(slice_of(unit, each) for unit in container_slices),
        _unit("slots", at.MANAGER_TASKS, "Manager", [f"DefaultTasksMax={reserve.each(SERVICES)}"]),
    ]


def protected(
    tasks: int, memory: int, weight: int, unit: str, operators: t.Sequence[str], pam: str | None, nice: int = 0
) -> list[Wanted]:
    """The slice, sshd in it, and who stays there: ``pam`` is the file of sshd, None where sessions stay anyway.

    ``nice`` is what sshd and operators run with, and nobody else; it takes ``pam``.
    """
    priority = [f"Nice={nice}"] if nice and pam is not None else []
    found = [
        _unit(
            "protected",
            f"{at.SYSTEM}/{at.PROTECTED_SLICE}",
            "Slice",
            [f"TasksMax={tasks}", f"CPUWeight={weight}", f"MemoryMin={memory}", f"MemoryLow={memory}"],
        ),
        _unit(
            "protected",
            f"{at.SYSTEM}/{unit}.d/{at.NAME}",
            "Service",
            [f"Slice={at.PROTECTED_SLICE}", "TasksMax=infinity", "OOMScoreAdjust=-1000", *priority],
        ),
    ]
    if pam is not None:
        edited, included = pam_of_sshd(pam)
        found += [
            Wanted("protected", at.PAM_OURS, _pam_of_ours(operators, included, bool(priority))),
            Wanted("protected", at.PAM_SSHD, edited),
        ]
    if priority:
        lines = "* - priority 0\nroot - priority 0\n"  # the star does not mean root
        found.append(Wanted("protected", at.PAM_NICE, _said("limits.conf(5)") + lines))
    return found


def pam_of_sshd(text: str) -> tuple[str, str]:
    """The stack of sessions is asked for by way of ours. Returns the file, and what it asked for. Raises Refused."""
    match = _INCLUDE.search(text)
    if _OURS in text:
        raise Refused(
            f"{at.PAM_SSHD} names hostcare-sshd and is not as this role left it, so its own stack is not known. Put "
            f"the line there back that includes the sessions of this distribution, and run again."
        )
    if match is None:
        raise Refused(
            f"{at.PAM_SSHD} includes no stack of sessions in a form that is known here (@include common-session, or "
            f"session include NAME). Waive the control protected, with this as the reason."
        )
    return text[: match.start()] + _OURS + text[match.end() :], match.group(1)


def _pam_of_ours(operators: t.Sequence[str], included: str, is_raised: bool) -> str:
    lowered = f"session    required     pam_limits.so conf={at.PAM_NICE}\n" if is_raised else ""
    return (
        _said("pam.conf(5), pam_succeed_if(8)")
        + "# The sessions of operators stay in the slice of sshd. All others are moved to user.slice, or refused.\n"
        + "session    optional     pam_unix.so\n"
        + f"session    [success=done default=ignore]  pam_succeed_if.so quiet user in {':'.join(operators)}\n"
        + lowered
        + "session    required     pam_systemd.so\n"
        + f"{included}\n"
    )


def rlimits(nproc: int, soft: int, hard: int, systemd: bool) -> list[Wanted]:
    """The same for services and for those who log in. The star does not mean root (limits.conf(5)). No nproc with 0."""
    limits = [("nproc", "soft", nproc), ("nproc", "hard", nproc)] if nproc else []
    files = [("nofile", "soft", soft), ("nofile", "hard", hard)]
    lines = [f"* {kind} {item} {limit}\n" for item, kind, limit in limits + files]
    lines += [f"root {kind} {item} {limit}\n" for item, kind, limit in files]
    found = [Wanted("rlimits", at.LIMITS, _said("limits.conf(5)") + "".join(lines))]
    if systemd:
        manager = [*([f"DefaultLimitNPROC={nproc}"] if nproc else []), f"DefaultLimitNOFILE={soft}:{hard}"]
        found.append(_unit("rlimits", at.MANAGER_LIMITS, "Manager", manager))
    return found


def sysctl(control: str, path: str, values: t.Mapping[str, str]) -> Wanted:
    lines = "".join(f"{name} = {value}\n" for name, value in sorted(values.items()))
    return Wanted(control, path, _said("sysctl.d(5)") + lines)


def log_rate(interval: str, burst: int, most: str) -> Wanted:
    """However much is said, the log takes so much room and no more."""
    lines = [f"RateLimitIntervalSec={interval}", f"RateLimitBurst={burst}", f"SystemMaxUse={most}"]
    lines.append(f"RuntimeMaxUse={most}")
    body = "".join(f"{line}\n" for line in lines)
    return Wanted("log_rate", at.JOURNAL, f"{_said('journald.conf(5)')}[Journal]\n{body}")


def apache_mutex(directory: str, mutex: str) -> Wanted:
    said = _said("https://httpd.apache.org/docs/2.4/mod/core.html#mutex")
    return Wanted("apache_mutex", f"{directory}/{at.APACHE_NAME}", f"{said}Mutex {mutex} default\n")


def main_cf(text: str, values: t.Mapping[str, str]) -> Wanted:
    """What is set already is silenced, since postconf(1) warns of a parameter that is set twice."""
    kept, silencing = [], False
    for line in without_ours(text).splitlines(keepends=True):
        begins = bool(line.strip()) and line[0] not in " \t#\r\n"
        if begins:
            silencing = line.partition("=")[0].strip() in values
        goes_on = silencing and line[:1] in (" ", "\t") and bool(line.strip())
        kept.append(_SILENCED + line if (begins and silencing) or goes_on else line)
    body = "".join(kept)
    body += "" if not body or body.endswith("\n") else "\n"
    lines = "".join(f"{name} = {value}\n" for name, value in sorted(values.items()))
    return Wanted("postfix", at.MAIN_CF, f"{body}{_BEGIN}\n{lines}{_END}\n")


def without_ours(text: str) -> str:
    before, begin, rest = text.partition(_BEGIN + "\n")
    if begin:
        text = before + rest.partition(_END + "\n")[2]
    return "".join(
        line[len(_SILENCED) :] if line.startswith(_SILENCED) else line for line in text.splitlines(keepends=True)
    )


def master_cf(text: str, limits: t.Mapping[str, int]) -> Wanted:
    """The column maxproc of services that are named as ``smtp/inet`` (master(5)). Raises Refused for one it lacks."""
    left = dict(limits)
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        fields = line.split()
        if line[:1] in ("", " ", "\t", "#") or len(fields) < 8:
            continue
        limit = left.pop(f"{fields[0]}/{fields[1]}", None)
        if limit is not None:
            lines[number] = re.sub(r"^((?:\S+\s+){6})\S+", rf"\g<1>{limit}", line, count=1)
    if left:
        raise Refused(
            f"postfix_services: {at.MASTER_CF} has no service {', '.join(sorted(left))}. Name it by its first two "
            f"columns, such as smtp/inet."
        )
    return Wanted("postfix", at.MASTER_CF, "".join(lines))
