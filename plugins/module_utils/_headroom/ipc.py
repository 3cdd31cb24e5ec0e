# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""System V IPC: the limits on arrays and semaphores, on segments and pages of memory, on queues, and whose they are.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import functools
import os
import typing as t

from .._ipc import limits as ipc
from .._ipc.people import user_name
from .._kernel import sysv_ipc
from .survey import Holder, Limit, Resource, Survey


def _limits(kind: str, survey: Survey, _top: int) -> list[Limit]:
    """Those on all objects together; none where the kernel has no such objects."""
    root = survey.table.root
    objects = sysv_ipc.Tables(root).read(kind)
    if objects is None:
        return []
    found = ipc.limits({kind: objects}, sysv_ipc.settings(root), os.sysconf("SC_PAGE_SIZE"), [kind])
    return [_limit(limit) for limit in found if limit.is_total]


def _limit(limit: ipc.Limit) -> Limit:
    is_semaphores = limit.kind == sysv_ipc.SEMAPHORES
    return Limit(
        scope="host",
        limit_name=limit.parameter + (f" {limit.name}" if is_semaphores else ""),
        used=limit.used or 0,
        limit=limit.limit,
        holders=[Holder(user_name(uid), used, user_name(uid)) for uid, used in limit.largest],
        options=_options(limit) if is_semaphores else {},
    )


def _options(limit: ipc.Limit) -> dict[str, t.Any]:
    """The role acts on the arrays of the user who has most."""
    if not limit.largest:
        return {}
    uid = limit.largest[0][0]
    name = user_name(uid)
    return {"semaphore_leak_selector": {"owner": [name if name.replace("-", "").isalnum() else str(uid)]}}


SEMAPHORES, SHARED_MEMORY, MESSAGE_QUEUES = (
    Resource(kind, incident, functools.partial(_limits, kind), needs_processes=False)
    for kind, incident in (
        (sysv_ipc.SEMAPHORES, "semaphore_leak"),
        (sysv_ipc.SHARED_MEMORY, ""),
        (sysv_ipc.MESSAGE_QUEUES, ""),
    )
)
