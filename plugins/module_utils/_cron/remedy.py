# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot, plan, apply: what `cron_mailto` does for each of its states.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t

from .._kernel import filesystems
from .._kernel.errors import Refused
from .._kernel.filesystems import IN_PLACE, Changed, Found, Unsafe
from .._kernel.processes import ProcessTable
from . import backup, daemons, document
from .acceptance import Crontab
from .backup import Kept
from .dialect import DIALECTS
from .discovery import CHANGED, MISSING, MOST_BYTES, REFUSED, UNCHANGED, Discovery, Item
from .document import Edit
from .planning import NONE, Decision, Wish, plan
from .report import Report
from .watching import Watch

_ADDRESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z@!:%.,_+=/-]*\Z")
_LONGEST = 900  # the smallest buffer that a daemon has for a line is 1000 bytes
_EDITED = "it was edited while this ran, and is left as it is: run again"


class Options(t.NamedTuple):
    """The request, checked. ``value`` None: none was given."""

    state: str
    value: bytes | None
    scope: tuple[str, ...] = ("system", "users", "anacron")
    paths: tuple[str, ...] = ()
    override: bool = True
    dialect: str = "auto"
    backup: bool = True
    backup_directory: str = "/var/lib/hostcare/cron"
    backup_file: str | None = None
    max_files: int = 1000
    check_mode: bool = False


def value_of(addresses: t.Sequence[str] | None) -> bytes | None:
    """What MAILTO is to say. Raises Refused for what no daemon would mail to."""
    if addresses is None:
        return None
    wanted = [address for address in (address.strip() for address in addresses) if address]
    for address in wanted:
        if not _ADDRESS.match(address):
            raise Refused(
                f"mailto: {address!r} is not an address that cron daemons mail to. It has to begin with a letter or "
                f"digit, and may hold letters, digits and @!:%-.,_+=/ but no blanks."
            )
    value = ",".join(wanted).encode("ascii")
    if len(value) > _LONGEST:
        raise Refused(f"mailto: {len(value)} bytes are more than the {_LONGEST} that every daemon takes. Use an alias.")
    return value


def run(options: Options, root: str = "/", table: ProcessTable | None = None) -> Report:
    """Raises Refused where nothing was touched."""
    started = time.monotonic()
    table = table or ProcessTable()
    survey = daemons.survey(table, root, options.dialect)
    discovery = Discovery(survey, root)
    watch = Watch(table, root, any(daemon.name == "systemd_cron" for daemon in survey.crons))
    report = Report(options.state, options.value, survey, options.check_mode)
    if options.state == "restored":
        report.backup_file = options.backup_file or backup.newest([options.backup_directory, backup.FALLBACK], root)
        report.decisions = [_restoring(kept, root) for kept in backup.load(report.backup_file, root)]
    else:
        wish = Wish(options.state, options.value, options.override)
        items = _items(discovery, options)
        report.denied = [item for item in items if item.denied]
        report.decisions = [plan(item, wish, discovery.accounts.exists) for item in items]
    changing = [decision for decision in report.decisions if decision.status == CHANGED]
    if len(changing) > options.max_files:
        raise Refused(
            f"{len(changing)} crontabs would be rewritten, which is more than max_files ({options.max_files}). "
            f"Look at them in check mode with --diff, then raise max_files."
        )
    report.drafts = _drafts(report.decisions, root)
    if not options.check_mode:
        _apply(report, options, root)
    elif changing and options.backup and options.state != "restored":
        report.note(f"save {len(changing)} crontabs in a file in {options.backup_directory}")
    report.finish(watch.wait() if report.of(CHANGED) and not options.check_mode else watch.problem)
    report.elapsed_ms = int((time.monotonic() - started) * 1000)
    return report


def _items(discovery: Discovery, options: Options) -> list[Item]:
    if options.paths:
        return discovery.by_paths(options.paths, options.dialect == "anacron")
    return discovery.by_scope(options.scope)


def _apply(report: Report, options: Options, root: str) -> None:
    changing = [decision for decision in report.decisions if decision.status == CHANGED]
    is_saved = options.state == "restored"
    if changing and options.backup and not is_saved:
        kept = [_kept(decision) for decision in changing]
        report.backup_file, warning = backup.save(kept, options.backup_directory, root)
        report.warnings += [warning] if warning else []
        report.note(f"save {len(changing)} crontabs in {report.backup_file}")
        is_saved = True
    report.decisions = [
        _write(decision, root, is_saved) if decision.status == CHANGED else decision for decision in report.decisions
    ]
    for directory in report.drafts:
        _sweep(directory, root)


def _kept(decision: Decision) -> Kept:
    item, edit, found = decision.item, t.cast(Edit, decision.edit), t.cast(Found, decision.item.found)
    after = frozenset(backup.digest(raw) for raw in (edit.raw, document.padded(decision.old, edit)))
    dialect = item.dialect.name if item.dialect else ""
    return Kept(decision.path, decision.old, found.facts, after, item.crontab.place, dialect)


def _write(decision: Decision, root: str, is_saved: bool) -> Decision:
    """The decision as it came out."""
    found, edit = t.cast(Found, decision.item.found), t.cast(Edit, decision.edit)
    in_place = decision._replace(method=IN_PLACE).new if is_saved else None
    try:
        with filesystems.locate(decision.path, root) as spot:
            method = filesystems.rewrite(spot, found, edit.raw, in_place)
    except Changed:
        return _failed(decision, _EDITED)
    except Unsafe as unsafe:
        return _failed(decision, str(unsafe))
    except FileNotFoundError:
        return decision._replace(status=MISSING, reason="it is gone by now", method=NONE, edit=None)
    except OSError as error:
        advice = "" if is_saved else "; with backup: true it could be written in place"
        return _failed(decision, f"it cannot be written ({error.strerror}), and is left as it was{advice}")
    if decision.item.crontab.through_link:
        with contextlib.suppress(OSError):  # for who watches the directory of the link
            os.utime(os.path.dirname(root.rstrip("/") + decision.path))
    return decision._replace(method=method)


def _failed(decision: Decision, reason: str) -> Decision:
    return decision._replace(
        status=REFUSED, reason=reason, method=NONE, edit=None, mailing_after=decision.mailing_before
    )


def _restoring(kept: Kept, root: str) -> Decision:
    """What is to become of one crontab of a backup: its old content, where it was not edited since."""
    item = Item(Crontab(kept.path, kept.place), DIALECTS.get(kept.dialect))
    try:
        with filesystems.locate(kept.path, root) as spot:
            found = filesystems.read(spot, MOST_BYTES)
            owners = {0, os.geteuid(), found.facts.st_uid if kept.place == "users" else 0}
            reason = filesystems.obstacle(spot, found.facts, owners)
            item = item._replace(found=found, has_room=spot.has_room(len(kept.raw) + filesystems.PAGE))
    except Unsafe as unsafe:
        return Decision(item, REFUSED, str(unsafe))
    except FileNotFoundError:
        return Decision(item, MISSING, "it is not there any more")
    except OSError as error:
        return Decision(item, REFUSED, f"it cannot be read ({error.strerror})")
    decision = _counted(
        Decision(item, REFUSED, reason or "it was edited since: restore it by hand"), found.raw, kept.raw
    )
    if found.raw == kept.raw:
        return decision._replace(status=UNCHANGED, reason="it says so already")
    if reason or backup.digest(found.raw) not in kept.after:
        return decision._replace(mailing_after=decision.mailing_before)
    method = filesystems.REPLACED if item.has_room else IN_PLACE
    return decision._replace(status=CHANGED, reason="it gets its old content back", edit=Edit(kept.raw), method=method)


def _counted(decision: Decision, before: bytes, after: bytes) -> Decision:
    dialect = decision.item.dialect
    if dialect is None:
        return decision
    old, new = (dialect.recipients(dialect.read(raw)) for raw in (before, after))
    return decision._replace(
        jobs=len(old),
        mailing_before=sum(whom is not None for whom in old),
        mailing_after=sum(whom is not None for whom in new),
        recipients=tuple(dict.fromkeys(whom for whom in old if whom is not None)),
    )


def _drafts(decisions: t.Sequence[Decision], root: str) -> list[str]:
    """Directories in which a run that was killed left its draft."""
    directories = dict.fromkeys(os.path.dirname(decision.path) for decision in decisions)
    return [path for path in directories if os.path.lexists(f"{root.rstrip('/')}{path}/{filesystems.DRAFT}")]


def _sweep(directory: str, root: str) -> None:
    with contextlib.suppress(OSError, Unsafe), filesystems.locate(f"{directory}/{filesystems.DRAFT}", root) as spot:
        filesystems.remove_draft(spot)
