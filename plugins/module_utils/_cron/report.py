# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `cron_mailto` returns, with every key in check mode and outside it, bounded.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import difflib
import typing as t

from .._kernel.errors import Unproven
from .._kernel.processes import text
from .daemons import Survey
from .discovery import CHANGED, IGNORED, MISSING, REFUSED, UNCHANGED, Item
from .planning import Decision

_MOST_FILES = 200
_MOST_LINES = 50
_MOST_WORDS = 10
_MOST_ACTIONS = 50
_MOST_DIFFS = 100
_MOST_DIFF_LINES = 400
_ORDER = (REFUSED, CHANGED, MISSING, IGNORED, UNCHANGED)


class Report:
    """Filled by the remedy, in the order of its steps."""

    def __init__(self, state: str, value: bytes | None, survey: Survey, check_mode: bool) -> None:
        self.state, self.value, self.survey, self.check_mode = state, value, survey, check_mode
        self.decisions: list[Decision] = []
        self.denied: list[Item] = []
        self.drafts: list[str] = []
        self.backup_file: str | None = None
        self.warnings: list[str] = []
        self.actions: list[str] = []
        self.restart_reasons: list[str] = []
        self.elapsed_ms = 0

    def note(self, action: str) -> None:
        self.actions.append(action)

    def finish(self, unnoticed: str | None) -> None:
        """``unnoticed`` says why a daemon does not see what was written."""
        for decision in self.decisions:
            if decision.status == CHANGED:
                how = " in place" if decision.method == "in_place" else ""
                self.note(f"rewrite {text(decision.path)}{how}: {decision.reason}")
            for warning in decision.warnings:
                self.warnings.append(f"{text(decision.path)}: {warning}")
        for directory in self.drafts:
            self.note(f"remove the draft that a killed run left in {text(directory)}")
        if self.of(CHANGED) and unnoticed:
            self.restart_reasons.append(unnoticed)

    def of(self, status: str) -> list[Decision]:
        return [decision for decision in self.decisions if decision.status == status]

    @property
    def changed(self) -> bool:
        return bool(self.of(CHANGED) or self.drafts)

    @property
    def problem(self) -> str:
        """Why the task fails, or nothing."""
        refused = self.of(REFUSED)
        if not refused:
            return ""
        first = "; ".join(f"{text(decision.path)}: {decision.reason}" for decision in refused[:3])
        more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
        return str(Unproven(f"{len(refused)} of {len(self.decisions)} crontabs are left as they were. {first}{more}."))

    def render(self) -> dict[str, t.Any]:
        ordered = sorted(self.decisions, key=lambda decision: _ORDER.index(decision.status))
        totals: dict[str, int] = {status: len(self.of(status)) for status in _ORDER}
        for key in ("jobs", "mailing_before", "mailing_after"):
            totals[key] = sum(getattr(decision, key) for decision in self.decisions)
        return {
            "changed": self.changed,
            "state": self.state,
            "mailto": None if self.value is None else text(self.value),
            "daemons": [
                {"dialect": one.name, "program": one.program, "pid": one.pid, "reason": one.reason}
                for one in dict.fromkeys(self.survey.all)
            ],
            "files": [_file(decision) for decision in ordered[:_MOST_FILES]],
            "files_total": len(self.decisions),
            "totals": totals,
            "converged": not (totals[REFUSED] or (self.check_mode and self.changed)),
            "restart_needed": bool(self.restart_reasons),
            "restart_reasons": self.restart_reasons,
            "backup_file": None if self.backup_file is None else text(self.backup_file),
            "actions": self.actions[:_MOST_ACTIONS],
            "partial": bool(self.denied),
            "partial_reasons": [
                f"{text(item.crontab.path)}: {item.reason}; run as root (become: true)"
                for item in self.denied[:_MOST_WORDS]
            ],
            "elapsed_ms": self.elapsed_ms,
        }

    def diff(self) -> list[dict[str, str]]:
        return [_diff(decision) for decision in self.of(CHANGED)[:_MOST_DIFFS]]


def _file(decision: Decision) -> dict[str, t.Any]:
    edit, item = decision.edit, decision.item
    return {
        "path": text(decision.path),
        "place": item.crontab.place,
        "dialect": item.dialect.name if item.dialect else None,
        "status": decision.status,
        "reason": decision.reason,
        "method": decision.method,
        "inserted": edit.inserted if edit else None,
        "rewritten": list(edit.rewritten[:_MOST_LINES]) if edit else [],
        "removed": list(edit.removed[:_MOST_LINES]) if edit else [],
        "jobs": decision.jobs,
        "mailing_before": decision.mailing_before,
        "mailing_after": decision.mailing_after,
        "recipients": [text(whom[:200]) for whom in decision.recipients[:_MOST_WORDS]],
        "warnings": list(decision.warnings[:_MOST_WORDS]),
    }


def _diff(decision: Decision) -> dict[str, str]:
    path = text(decision.path)
    before, after = text(decision.old), text(decision.new)
    if before.count("\n") + after.count("\n") <= 2 * _MOST_DIFF_LINES:
        return {"before": before, "after": after, "before_header": path, "after_header": path}
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), path, path)
    return {"prepared": "".join(line for line, _count in zip(lines, range(_MOST_DIFF_LINES)))}
