# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cron_mailto and postfix_maildrop found and did, as lines for people.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lines import (
    INDENT,
    MIN_WIDTH,
    line,
    more,
    partial,
    table,
    wrapped,
)

Data = t.Mapping[str, t.Any]

_ATTENTION = ("refused", "changed")
_RECIPIENTS = 3


def cron_lines(cron: Data, dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """How many jobs mail, which crontabs were rewritten and why, which could not be, and the way back."""
    width = max(MIN_WIDTH, width)
    return [
        *_cron_headline(cron, width),
        *_crontabs(cron, width, top),
        *_cron_outcome(cron, dry, width),
        *partial(cron, width),
    ]


def maildrop_lines(maildrop: Data, dry: bool = False, width: int = 100, top: int = 10) -> list[str]:
    """Whose mail was removed, how old it was, what was kept and why, where the archive is; or what was mended."""
    width = max(MIN_WIDTH, width)
    if maildrop.get("state") == "present":
        return [*_mended(maildrop, dry, width), *_room(maildrop, width), *partial(maildrop, width)]
    return [
        *_purge_headline(maildrop, dry, width),
        *_submitters(maildrop, width, top),
        *_kept(maildrop.get("kept") or (), width, top),
        *_archive(maildrop.get("archive") or {}, dry, width),
        *_room(maildrop, width),
        *partial(maildrop, width),
    ]


def _cron_headline(cron: Data, width: int) -> list[str]:
    totals = cron.get("totals")
    if totals is None:
        return wrapped(f"CRON MAIL  {cron.get('msg') or 'not known'}", width)
    said = f"CRON MAIL  {totals['mailing_before']} of {totals['jobs']} jobs mail what they print"
    by = [f"{one.get('program') or 'a daemon not installed'} ({one['dialect']})" for one in cron.get("daemons") or ()]
    return wrapped(f"{said}, run by {', '.join(by) or 'no daemon that is known'}", width)


def _crontabs(cron: Data, width: int, top: int) -> list[str]:
    files = [one for one in cron.get("files") or () if one.get("status") in _ATTENTION]
    if not files or top < 1:
        return []
    titles = ["crontab", "is", "jobs", "mailed to", "because"]
    rows = [
        [one.get("path"), one.get("status"), one.get("jobs"), _recipients(one), one.get("reason")]
        for one in files[:top]
    ]
    totals = cron.get("totals") or {}
    return [
        *table(titles, rows, width),
        *more(sum(totals.get(status, 0) for status in _ATTENTION) - len(rows), "crontabs", width),
    ]


def _recipients(one: Data) -> str:
    recipients = one.get("recipients") or ()
    return ", ".join(map(str, recipients[:_RECIPIENTS])) + (" ..." if len(recipients) > _RECIPIENTS else "")


def _cron_outcome(cron: Data, dry: bool, width: int) -> list[str]:
    totals = cron.get("totals") or {}
    lines: list[str] = []
    if totals.get("changed"):
        done = "would be" if dry else "were"
        said = f"{totals['changed']} crontabs {done} rewritten, {totals['mailing_after']} jobs go on mailing"
        lines += wrapped(said, width, INDENT)
    for reason in cron.get("restart_reasons") or ():
        lines += wrapped(reason, width, INDENT)
    if cron.get("backup_file") and not dry:
        lines += wrapped(
            f"to undo it: cron_mailto with state=restored, backup_file={cron['backup_file']}", width, INDENT
        )
    return lines


def _purge_headline(maildrop: Data, dry: bool, width: int) -> list[str]:
    failure = wrapped(f"MAILDROP  refused or failed: {maildrop['msg']}", width) if maildrop.get("msg") else []
    if "matched" not in maildrop:
        return failure
    removed, took = maildrop.get("removed", 0), maildrop.get("elapsed_ms", 0)
    said = f"{removed} mails {'would be' if dry else 'were'} removed, {maildrop.get('kept_total', 0)} kept"
    if not dry:
        said += f", {maildrop.get('remaining', 0)} are there now ({took} ms)"
        said += "" if maildrop.get("converged") else "; NOT ALL of what was to be removed is gone"
        if maildrop.get("arrived"):
            said += f"; {maildrop['arrived']} came in meanwhile"
    return failure + wrapped(f"MAILDROP  {maildrop.get('queue_directory')}/maildrop: {said}", width)


def _submitters(maildrop: Data, width: int, top: int) -> list[str]:
    submitters = maildrop.get("by_submitter") or ()
    if not submitters or top < 1:
        return []
    ages = [f"{one.get('files')} {one.get('age')}" for one in maildrop.get("by_age") or ()]
    return [
        *table(
            ["mails", "bytes", "submitter"],
            [[one.get("files"), one.get("bytes"), one.get("submitter")] for one in submitters[:top]],
            width,
        ),
        *more(maildrop.get("submitters_total", 0) - len(submitters[:top]), "submitters", width),
        *(wrapped(f"age: {', '.join(ages)}", width, INDENT) if ages else ()),
    ]


def _kept(kept: t.Sequence[Data], width: int, top: int) -> list[str]:
    if not kept or top < 1:
        return []
    rows = [[one.get("files"), one.get("reason"), one.get("detail")] for one in kept[:top]]
    return [line("kept:", width, INDENT), *table(["mails", "because", ""], rows, width)]


def _archive(archive: Data, dry: bool, width: int) -> list[str]:
    if not archive:
        return []
    if dry:
        return wrapped(f"they would be archived first, in at most {archive.get('size')} bytes", width, INDENT)
    said = f"archive: {archive.get('path')} ({archive.get('files')} mails, {archive.get('size')} bytes)"
    return wrapped(f"{said}; to put them back: postfix_maildrop with state=present, from_archive", width, INDENT)


def _mended(maildrop: Data, dry: bool, width: int) -> list[str]:
    wrong = [one for one in maildrop.get("objects") or () if one.get("verdict") in ("made", "mended")]
    if not wrong:
        return wrapped(f"QUEUE  {maildrop.get('msg') or 'its directories are as Postfix wants them'}", width)
    titles = ["was", "owner", "group", "mode", "", "path"]
    rows = [
        [
            one.get("kind"),
            one.get("owner"),
            one.get("group"),
            one.get("mode"),
            f"{'would be' if dry else 'was'} {one.get('verdict')}",
            one.get("path"),
        ]
        for one in wrong
    ]
    return [line("QUEUE", width), *table(titles, rows, width)]


def _room(maildrop: Data, width: int) -> list[str]:
    spool = maildrop.get("spool") or {}
    if not spool.get("bytes"):
        return []
    inodes = f"{spool.get('inodes_free')} of {spool['inodes']} inodes and " if spool.get("inodes") else ""
    said = f"its file system has {inodes}{spool.get('bytes_free')} of {spool['bytes']} bytes free"
    return wrapped(said, width, INDENT)
