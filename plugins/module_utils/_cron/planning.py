# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to become of each crontab, and why: a pure function of what was read and what is wished for.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.filesystems import IN_PLACE, REPLACED
from . import acceptance, document
from .dialect import Dialect
from .discovery import CHANGED, IGNORED, MISSING, REFUSED, UNCHANGED, Item
from .document import BLANK, Edit, Line

NONE = "none"
_NEVER_SILENT = (
    "this anacron calls sendmail even where MAILTO is empty. Give an address whose mail is thrown away, or leave "
    "anacron out of scope"
)


class Wish(t.NamedTuple):
    """``value`` is what MAILTO is to say, ``b""`` nobody; None, with ``absent``, whatever it says."""

    state: str
    value: bytes | None
    override: bool = True

    @property
    def asks_for_silence(self) -> bool:
        return self.state == "present" and not self.value


class Decision(t.NamedTuple):
    """One crontab, as `files` of the module returns it, and the content it is to have."""

    item: Item
    status: str
    reason: str
    edit: Edit | None = None
    method: str = NONE
    jobs: int = 0
    mailing_before: int = 0
    mailing_after: int = 0
    recipients: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.item.crontab.path

    @property
    def old(self) -> bytes:
        return self.item.found.raw if self.item.found else b""

    @property
    def new(self) -> bytes:
        """The content for the method that was chosen."""
        if self.edit is None:
            return self.old
        return document.padded(self.old, self.edit) if self.method == IN_PLACE else self.edit.raw


def plan(item: Item, wish: Wish, is_user: t.Callable[[bytes], bool]) -> Decision:
    dialect, found = item.dialect, item.found
    if item.status in (MISSING, IGNORED) or dialect is None or found is None:
        return Decision(item, item.status or IGNORED, item.reason)
    lines = acceptance.seen(dialect, item.crontab, dialect.read(found.raw))
    mailed = dialect.recipients(lines)
    known = Decision(
        item,
        item.status,
        item.reason,
        jobs=len(mailed),
        mailing_before=_count(mailed),
        mailing_after=_count(mailed),
        recipients=tuple(dict.fromkeys(whom for whom in mailed if whom is not None)),
        warnings=tuple(acceptance.warnings(dialect, item.crontab, dialect.read(found.raw))),
    )
    edit = _edit(dialect, found.raw, wish)
    is_left = not wish.override and any(line.sets_mailto for line in lines)
    if wish.asks_for_silence and not dialect.knows_nobody and not is_left:
        return known._replace(status=REFUSED, reason=_NEVER_SILENT)
    if edit.raw == found.raw:
        return known._replace(status=UNCHANGED, reason=_why_not(dialect, lines, wish))
    reason = item.reason or _objection(item, dialect, found.raw, edit, wish, is_user)
    if reason:
        return known._replace(status=REFUSED, reason=reason)
    after = dialect.recipients(acceptance.seen(dialect, item.crontab, dialect.read(edit.raw)))
    return known._replace(
        status=CHANGED,
        reason=describe(edit),
        edit=edit,
        method=REPLACED if item.has_room else IN_PLACE,
        mailing_after=_count(after),
    )


def describe(edit: Edit) -> str:
    """What an edit does, in words."""
    done = [f"MAILTO is inserted as line {edit.inserted}"] if edit.inserted else []
    for what, numbers in (("rewritten", edit.rewritten), ("removed", edit.removed)):
        if numbers:
            shown = ", ".join(map(str, numbers[:10])) + (" and more" if len(numbers) > 10 else "")
            done.append(f"line{'s' if len(numbers) > 1 else ''} {shown} {'are' if len(numbers) > 1 else 'is'} {what}")
    return "; ".join(done)


def _edit(dialect: Dialect, raw: bytes, wish: Wish) -> Edit:
    if wish.state == "absent":
        return document.absent(raw, dialect, wish.value)
    return document.present(raw, dialect, wish.value or b"", wish.override)


def _why_not(dialect: Dialect, lines: t.Sequence[Line], wish: Wish) -> str:
    setting = [line for line in lines if line.sets_mailto]
    if wish.state == "absent":
        return "no line sets MAILTO" + (" to this" if setting else "")
    if all(dialect.says(line, wish.value or b"") for line in setting):
        return "it says so already" if setting else f"{dialect.title} mails nothing without MAILTO"
    return "it sets MAILTO itself, and override is false"


def _objection(
    item: Item, dialect: Dialect, old: bytes, edit: Edit, wish: Wish, is_user: t.Callable[[bytes], bool]
) -> str | None:
    """Why the new content must not be written: the daemon would not take it, or not as it is meant."""
    if wish.value and not dialect.is_address(wish.value):
        signs = dialect.punctuation.decode("ascii")
        return f"{dialect.title} mails to addresses of letters, digits and {signs} only"
    for new in sorted({edit.raw, document.padded(old, edit)}):
        reason = _misreading(item, dialect, old, new, wish, is_user)
        if reason:
            return reason
    return None


def _misreading(
    item: Item, dialect: Dialect, old: bytes, new: bytes, wish: Wish, is_user: t.Callable[[bytes], bool]
) -> str | None:
    before, after = dialect.read(old), dialect.read(new)
    reason = acceptance.ignored_content(dialect, item.crontab, after, is_user)
    if reason:
        return f"{dialect.title} would ignore the whole file: {reason}"
    if _said(before) != _said(after):
        return f"{dialect.title} would read other lines than now"
    seen = acceptance.seen(dialect, item.crontab, after)
    if _said(seen) != _said(acceptance.seen(dialect, item.crontab, before)):
        return f"{dialect.title} would no longer read all of its lines: it is as long as it may be"
    if wish.state == "present" and wish.override and not _is_met(dialect, seen, wish.value or b""):
        return f"{dialect.title} would not read it as it is meant"
    return None


def _said(lines: t.Iterable[Line]) -> list[bytes]:
    """All that says something, but for MAILTO."""
    return [line.raw for line in lines if line.kind != BLANK and not line.sets_mailto]


def _is_met(dialect: Dialect, lines: t.Iterable[Line], wanted: bytes) -> bool:
    expected = wanted or None
    return all(whom == expected for whom in dialect.recipients(lines))


def _count(mailed: t.Iterable[bytes | None]) -> int:
    return sum(1 for whom in mailed if whom is not None)
