# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maildrop of each Postfix of the host: how much of what its file system has left it took, and who filled it.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import text
from .._mail import maildrop, main_cf
from .._mail.report import user_name
from .._mail.spool import MAILDROP, Room, open_trusted
from . import filesystems
from .survey import Holder, Limit, Resource, Survey

CONFIG_DIRECTORY = "/etc/postfix"
INCIDENT = "cron_mail_storm"
_MOST_LOOKED_AT = 50000  # files whose owner is asked for; all are counted
_PART = 0.1  # of what is used on the file system, below which the maildrop is not what fills it
_MOST_HOLDERS = 3


class Content(t.NamedTuple):
    """What is in a maildrop. ``looked_at`` of the files were asked for owner and size; None where time ran out."""

    files: int | None
    looked_at: int
    size: int
    owners: dict[int, int]


def limits(survey: Survey, _top: int) -> list[Limit]:
    """None where no Postfix is configured."""
    try:
        settings = main_cf.settings(CONFIG_DIRECTORY)
    except Refused as refusal:
        survey.gaps.append(str(refusal))
        return []
    if settings.missing:
        return []
    hanging = _hanging(survey)
    paths = [settings.queue_directory, *(one.queue_directory for one in settings.instances if one.queue_directory)]
    found = []
    for path in dict.fromkeys(paths):
        obstacle = next((mount for mount in hanging if (path + "/").startswith(mount.point.rstrip("/") + "/")), None)
        if obstacle is not None:
            survey.left_out[text(path)] = f"lies on {text(obstacle.point)} ({obstacle.kind}), which may hang"
            continue
        found += _of(survey, path)
    return found


def _hanging(survey: Survey) -> list[filesystems.Mount]:
    with open(survey.table.root + "/self/mountinfo", "rb") as file:
        mounts = filesystems.parse_mounts(file.read())
    return [mount for mount in mounts if mount.may_hang and not (survey.include_fuse and mount.is_fuse)]


def _of(survey: Survey, path: str) -> list[Limit]:
    where = os.path.join(path, MAILDROP)
    try:
        fd = open_trusted(path, "queue_directory")
    except FileNotFoundError:
        return []
    except (Refused, OSError) as error:
        survey.gaps.append(f"{text(where)} cannot be looked into: {error}")
        return []
    try:
        inner = os.open(MAILDROP, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return []
    except OSError as error:
        survey.gaps.append(f"{text(where)} cannot be looked into ({error.strerror}): run as root")
        return []
    finally:
        os.close(fd)
    try:
        content = look(inner, lambda: survey.is_over)
        used = os.fstatvfs(inner)
        if content.files is None:
            survey.gaps.append(f"{text(where)} holds too much to be counted in the time budget: raise time_budget")
            return []
        return judge(text(where), content, Room.of(inner), used.f_files - used.f_ffree)
    finally:
        os.close(inner)


def look(directory: int, is_over: t.Callable[[], bool]) -> Content:
    """Count every file and ask the first ones for their owners, in bounded memory."""
    files = looked_at = size = 0
    owners: dict[int, int] = {}
    for names in maildrop.names(directory):
        if is_over():
            return Content(None, looked_at, size, owners)
        files += len(names)
        for name in names[: _MOST_LOOKED_AT - looked_at]:
            looked_at += 1
            try:
                facts = os.lstat(name, dir_fd=directory)
            except OSError:
                continue  # Postfix has taken it
            owners[facts.st_uid] = owners.get(facts.st_uid, 0) + 1
            size += facts.st_blocks * 512
    return Content(files, looked_at, size, owners)


def judge(where: str, content: Content, room: Room, inodes_used: int) -> list[Limit]:
    """What the maildrop holds and what its file system has left for it, in inodes and in bytes."""
    files = content.files or 0
    largest = sorted(content.owners.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_HOLDERS]
    holders = [Holder(user_name(uid), count, user_name(uid)) for uid, count in largest]
    found = []
    if room.inodes:
        found.append(
            Limit(
                scope=f"maildrop {where}",
                limit_name="inodes",
                used=files,
                limit=files + room.inodes_free,
                holders=holders,
                free=room.inodes_free,
                incident=INCIDENT if files > _PART * inodes_used else "",
            )
        )
    if content.looked_at == files:
        bytes_used = room.bytes - room.bytes_free
        found.append(
            Limit(
                scope=f"maildrop {where}",
                limit_name="blocks",
                used=content.size,
                limit=content.size + room.bytes_free,
                holders=holders,
                free=room.bytes_free,
                incident=INCIDENT if content.size > _PART * bytes_used else "",
                measure="bytes",
            )
        )
    return found


RESOURCE = Resource("maildrop", INCIDENT, limits, needs_processes=False)
