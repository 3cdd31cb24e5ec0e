# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `postfix_maildrop` does for each of its states.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import gc
import grp
import os
import pwd
import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import text
from . import directories, main_cf, purge, restoring, swapping
from .maildrop import Rules, count, names
from .report import Report
from .spool import Spool


class Options(t.NamedTuple):
    """The request, checked; times in seconds."""

    state: str
    config_directory: str = "/etc/postfix"
    instance: str | None = None
    queue_directory: str | None = None
    older_than: float | None = None
    submitters: tuple[str, ...] = ()
    include_incomplete: str = "abandoned"
    keep_requeued: bool = True
    account: bool = True
    max_files: int = 100000
    time_budget: float | None = None
    archive: str | None = None
    swap: bool = False
    from_archive: str | None = None
    check_mode: bool = False
    threads: int = 2


class Outcome(t.NamedTuple):
    """``result`` has every key of the module's RETURN; ``problem`` is why it failed, empty where it did not."""

    result: dict[str, t.Any]
    problem: str
    warnings: list[str]
    diff: tuple[str, str]


def run(options: Options) -> Outcome:
    """Raises Refused where nothing may be done."""
    gc.disable()  # no cycles among what a pass makes
    try:
        return _run(options)
    except PermissionError as error:
        raise Refused(
            f"{text(error.filename or 'the queue')}: {error.strerror} to uid {os.geteuid()}: run as root "
            "(become: true)."
        ) from error
    except OSError as error:
        raise Refused(
            f"the kernel refused a call ({error}): what was put aside is finished by the next run. Free what it lacks, "
            "then run again."
        ) from error
    finally:
        gc.enable()


def _run(options: Options) -> Outcome:
    settings = main_cf.settings(options.config_directory, options.instance, options.queue_directory)
    owner = _user(settings.mail_owner)
    report = Report(options.state, settings, time.time())
    if settings.missing and not options.queue_directory:
        report.warnings.append(
            f"{text(settings.config_directory)}/main.cf does not exist: Postfix's defaults are taken"
        )
    with Spool(settings.queue_directory, owner.pw_uid) as spool:
        if not options.check_mode:
            spool.lock()
            _recover(spool, report)
        if options.state == "purged":
            problem = _purged(options, owner.pw_uid, spool, report)
        else:
            problem = _Present(options, settings, owner.pw_uid, spool, report).run()
        report.room = spool.room()
    return Outcome(report.render(), problem, report.warnings, report.diff())


def _recover(spool: Spool, report: Report) -> None:
    name = swapping.recover(spool)
    if name:
        report.actions.append(f"put {spool.where(name)} back in its place")
        report.changed = True


def _purged(options: Options, owner: int, spool: Spool, report: Report) -> str:
    submitters = frozenset(_uid(user) for user in options.submitters)
    if owner in submitters and options.keep_requeued:
        raise Refused(
            f"submitter: {report.settings.mail_owner} owns the mail that keep_requeued keeps: leave one of them out."
        )
    latest = None if options.older_than is None else report.tally.now - options.older_than
    account = options.account or options.archive is not None
    rules = Rules(owner, submitters, latest, options.include_incomplete, options.keep_requeued, account)
    request = purge.Options(
        rules, options.max_files, options.time_budget, options.archive, options.swap, options.threads
    )
    for name in restoring.unfinished(spool):
        report.partial_reasons.append(_unfinished_restore(spool, name))
    with (purge.Preview if options.check_mode else purge.Run)(request, spool, report) as work:
        return work.run()


def _unfinished_restore(spool: Spool, name: str) -> str:
    return f"{spool.where(name)} is of a restore that was interrupted: repeat it with the same from_archive"


class _Present:
    """One run of `present`."""

    def __init__(self, options: Options, settings: main_cf.Settings, owner: int, spool: Spool, report: Report) -> None:
        self.options = options
        self.spool = spool
        self.report = report
        wants = directories.wanted(owner, _group(settings.setgid_group), settings.pickup)
        report.leftovers = swapping.leftovers(spool)
        report.steps = directories.plan(spool, wants)

    def run(self) -> str:
        """The problem, empty where all went well."""
        report = self.report
        verbs = {directories.MADE: "make", directories.MENDED: "mend"}
        for step in report.steps:
            if step.verdict in verbs:
                report.changed = True
                report.actions.append(
                    ("would " if self.options.check_mode else "")
                    + f"{verbs[step.verdict]} {self.spool.where(step.found.name)}"
                )
        if self.options.check_mode:
            self._foresee()
        else:
            self._apply()
        expected = restoring.staging_of(self.options.from_archive) if self.options.from_archive else ""
        for name in restoring.unfinished(self.spool):
            if name != expected:
                report.partial_reasons.append(_unfinished_restore(self.spool, name))
        report.converged = not report.partial_reasons and not (self.options.check_mode and report.changed)
        return ""

    def _foresee(self) -> None:
        report = self.report
        for name in report.leftovers:
            report.changed = True
            report.actions.append(f"would bring {self.spool.where(name)} back, which an interrupted run left")
        if self.options.from_archive:
            maildrop = None if report.steps[0].verdict != directories.RIGHT else self.spool.maildrop()
            try:
                with restoring.Restore(self.options.from_archive, self.spool, report) as restore:
                    restore.foresee(maildrop)
            finally:
                if maildrop is not None:
                    os.close(maildrop)

    def _apply(self) -> None:
        report, spool = self.report, self.spool
        for step in report.steps:
            if step.verdict in (directories.MADE, directories.MENDED):
                directories.apply(spool, step)
        maildrop = spool.maildrop()
        if maildrop is None:
            raise Refused(f"{spool.where()} was removed while it was made: run again.")
        try:
            for name in swapping.leftovers(spool):
                self._undo(name, maildrop)
            if self.options.from_archive:
                with restoring.Restore(self.options.from_archive, spool, report) as restore:
                    restore.run(maildrop)
            report.remaining = count(maildrop)
        finally:
            os.close(maildrop)

    def _undo(self, name: str, maildrop: int) -> None:
        """Bring back what a swap put aside."""
        report = self.report
        fd = self.spool.open(name)
        try:
            for some in names(fd):
                swapping.bring_back(fd, maildrop, some)
            os.rmdir(name, dir_fd=self.spool.fd)
            report.changed = True
            report.actions.append(f"brought {self.spool.where(name)} back, which an interrupted run left")
        except OSError as error:
            report.partial_reasons.append(f"{self.spool.where(name)} cannot be brought back whole ({error.strerror})")
        finally:
            os.close(fd)


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise Refused(f"mail_owner {text(name)!r} does not exist on this host: is Postfix installed?") from None


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        raise Refused(f"setgid_group {text(name)!r} does not exist on this host: is Postfix installed?") from None


def _uid(user: str) -> int:
    if user.isascii() and user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        raise Refused(f"submitter: user {user!r} does not exist on this host: correct it or give the uid.") from None
