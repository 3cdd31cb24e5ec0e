# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run returns: every key of the module's RETURN, in every state and mode.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import grp
import pwd
import time
import typing as t

from .._kernel.processes import text
from . import maildrop
from .directories import MADE, MENDED, Step
from .main_cf import Settings
from .spool import Room

_MOST_LISTED = 50


class Report:
    """Filled while a run goes on; `render` makes the result of it."""

    def __init__(self, state: str, settings: Settings, now: float) -> None:
        self.started = time.monotonic()
        self.state = state
        self.settings = settings
        self.tally = maildrop.Tally(now)
        self.changed = False
        self.remaining = 0
        self.arrived = 0
        self.swapped = False
        self.leftovers: list[str] = []
        self.archive: dict[str, t.Any] | None = None
        self.restored = 0
        self.steps: list[Step] = []
        self.room = Room(0, 0, 0, 0)
        self.actions: list[str] = []
        self.warnings: list[str] = []
        self.converged = False
        self.partial_reasons: list[str] = []
        self.refusal = ""  # of the file system

    def render(self) -> dict[str, t.Any]:
        tally, settings = self.tally, self.settings
        by_uid = tally.by_uid()
        return {
            "changed": self.changed,
            "state": self.state,
            "queue_directory": text(settings.queue_directory),
            "instance": text(settings.instance),
            "instances": [
                {
                    "instance": text(one.name),
                    "config_directory": text(one.config_directory),
                    "queue_directory": None if one.queue_directory is None else text(one.queue_directory),
                }
                for one in settings.instances[:_MOST_LISTED]
            ],
            "matched": tally.files + tally.kept.get(maildrop.UNDELETABLE, 0) + tally.kept.get(maildrop.CHANGED, 0),
            "removed": tally.files,
            "inodes_freed": tally.files,
            "bytes_freed": tally.bytes if tally.accounted else None,
            "by_submitter": [
                {"submitter": user_name(uid), "uid": uid, "files": files, "bytes": size}
                for uid, files, size in by_uid[:_MOST_LISTED]
            ],
            "submitters_total": len(by_uid),
            "by_age": [
                {"age": maildrop.AGES[age], "files": files, "bytes": size} for age, files, size in tally.by_age()
            ],
            "kept": [
                {"reason": reason, "files": files, "detail": self._detail(reason)}
                for reason, files in sorted(tally.kept.items(), key=lambda item: (-item[1], item[0]))
            ],
            "kept_total": sum(tally.kept.values()),
            "remaining": self.remaining,
            "arrived": self.arrived,
            "swapped": self.swapped,
            "leftovers": [text(name) for name in self.leftovers[:_MOST_LISTED]],
            "archive": self.archive,
            "restored": self.restored,
            "objects": [self._object(step) for step in self.steps],
            "spool": self.room._asdict(),
            "actions": self.actions,
            "converged": self.converged,
            "partial": bool(self.partial_reasons),
            "partial_reasons": self.partial_reasons,
            "elapsed_ms": int((time.monotonic() - self.started) * 1000),
        }

    def diff(self) -> tuple[str, str]:
        """Before and after: mail by submitter, and the directories."""
        before, after = [], []
        for uid, files, size in self.tally.by_uid()[:_MOST_LISTED]:
            before.append(f"{files} files ({size} bytes) of {user_name(uid)}\n")
        if self.restored:
            after.append(f"{self.restored} files put back\n")
        for step in self.steps:
            old = self._object(step)
            before.append("{path} {kind} {owner}:{group} {mode}\n".format(**old))
            if step.verdict in (MADE, MENDED):
                want = step.wanted
                group = group_name(want.gid) if want.gid is not None else old["group"]
                old.update(kind=want.kind, owner=user_name(want.uid), group=group, mode=f"{want.mode:04o}")
            after.append("{path} {kind} {owner}:{group} {mode}\n".format(**old))
        return "".join(before), "".join(after)

    def _detail(self, reason: str) -> str:
        words = {
            maildrop.FOREIGN: "no regular file with one link, so no mail",
            maildrop.REQUEUED: f"of {self.settings.mail_owner}: mail that Postfix itself put back",
            maildrop.SUBMITTER: "of users that were not asked for",
            maildrop.YOUNG: "younger than asked for",
            maildrop.INCOMPLETE: "not complete, and open somewhere or nobody can tell",
            maildrop.CHANGED: "changed after it was archived",
            maildrop.UNDELETABLE: f"refused by the file system ({self.refusal})",
        }[reason]
        return f"{words}, such as {text(self.tally.examples[reason])}"

    def _object(self, step: Step) -> dict[str, t.Any]:
        found = step.found
        return {
            "path": text(f"{self.settings.queue_directory}/{found.name}"),
            "kind": found.kind,
            "owner": None if found.uid is None else user_name(found.uid),
            "group": None if found.gid is None else group_name(found.gid),
            "mode": None if found.mode is None else f"{found.mode:04o}",
            "verdict": step.verdict,
        }


def user_name(uid: int) -> str:
    try:
        return text(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    try:
        return text(grp.getgrgid(gid).gr_name)
    except (KeyError, OverflowError):
        return str(gid)
