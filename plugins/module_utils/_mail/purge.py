# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Purge: judge, swap, archive, remove, in passes that hold a bounded number of names.

Whatever moment the module dies at, every file is in the maildrop, in a directory put aside that the next run finishes,
in a complete archive, or was to be removed without one. At an orderly end nothing stays put aside.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
import typing as t

from .._kernel.errors import Refused
from .._kernel.processes import text
from . import archive, swapping
from .maildrop import CHANGED, UNDELETABLE, Judge, Rules, Tally, Victim, chunks, count, names
from .openers import Openers
from .removal import Batch, Remover
from .report import Report
from .spool import MAILDROP, Spool

_SLICE = 2048  # files between two looks at the clock


class Options(t.NamedTuple):
    """The request, checked. ``time_budget`` in seconds, None for as long as it takes."""

    rules: Rules
    max_files: int
    time_budget: float | None = None
    archive: str | None = None
    swap: bool = False
    threads: int = 2


class Source(t.NamedTuple):
    """A directory to purge: the maildrop, or one put aside whose kept files go back into the maildrop."""

    name: str
    fd: int


class _Stopped(Exception):
    """No further, and why. What was done so far stands."""


class _Late(_Stopped):
    """The time is up, which is no problem."""


class _Purge:
    """What the preview and the real run share: the directories, the judge, the brake and the clock."""

    def __init__(self, options: Options, spool: Spool, report: Report) -> None:
        self.options = options
        self.spool = spool
        self.report = report
        self.openers = Openers()
        self.judge = Judge(options.rules, self.openers)
        self.started = time.monotonic()
        self.maildrop: Source | None = None
        self.aside: list[Source] = []
        self.handed_over = 0
        self.read_only = False

    def __enter__(self) -> _Purge:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        fd = self.spool.maildrop()
        self.maildrop = None if fd is None else Source(MAILDROP, fd)
        self.report.leftovers = swapping.leftovers(self.spool)
        self.aside = [Source(name, self.spool.open(name)) for name in self.report.leftovers]
        return self

    def __exit__(self, *_error: object) -> None:
        for source in self.sources:
            os.close(source.fd)

    def run(self) -> str:
        """The problem, empty where all went well."""
        raise NotImplementedError

    @property
    def sources(self) -> list[Source]:
        return [*self.aside, *([self.maildrop] if self.maildrop else [])]

    def survey(self, tally: Tally) -> None:
        """Judge every file into ``tally``. Raises Refused over the brake, before anything was touched."""
        for source in self.sources:
            for entries in chunks(source.fd):
                self.check_clock()
                sifted = self.judge.sift(source.fd, entries)
                tally.remove(sifted.victims)
                tally.keep(sifted.kept)
                if tally.files > self.options.max_files:
                    raise Refused(
                        f"more than max_files={self.options.max_files} files in {self.spool.where()} are to be "
                        "removed: nothing was touched. See in check mode with a larger max_files who sent them, then "
                        "narrow the selection or raise it."
                    )

    def check_clock(self, share: float = 1.0) -> None:
        """Raises _Late where this share of the time is over."""
        budget = self.options.time_budget
        if budget is not None and time.monotonic() > self.started + share * budget:
            raise _Late

    def say_what_was_missed(self, late: bool) -> None:
        if late:
            self.report.partial_reasons.append(
                f"the time budget of {self.options.time_budget:.0f} s ended before all files were dealt with: run again"
            )
        if self.openers.blind:
            self.report.partial_reasons.append(
                f"{self.openers.blind}, so incomplete files were kept: run as root of the host"
            )


class Preview(_Purge):
    """What a real run would do."""

    def run(self) -> str:
        report, options = self.report, self.options
        late = False
        try:
            self.survey(report.tally)
        except _Late:
            late = True
        files = report.tally.files
        report.remaining = sum(report.tally.kept.values())
        report.swapped = bool(options.swap and files and self.maildrop)
        report.changed = bool(files or self.aside)
        if report.swapped:
            report.actions.append(f"would put an empty directory in the place of {self.spool.where()}")
        if options.archive and files:
            report.archive = archive.foresee(options.archive, report.tally)
            report.actions.append(f"would archive {files} files to {text(options.archive)}")
        if files:
            report.actions.append(f"would remove {files} files")
        for name in report.leftovers:
            report.actions.append(f"would finish {self.spool.where(name)}, which an interrupted run left")
        self.say_what_was_missed(late)
        report.converged = not report.changed and not late
        return ""


class Run(_Purge):
    """The real thing; the lock is held."""

    def run(self) -> str:
        if self.maildrop is None:
            self.report.converged = True
            self.report.actions.append(f"{self.spool.where()} does not exist: state: present makes it")
            return ""
        problem, late = "", False
        try:
            self._purge()
        except _Late:
            late = True
        except _Stopped as reason:
            problem = str(reason)
        finally:
            self._clear_aside()
        self.say_what_was_missed(late)
        return self._account(problem)

    def _purge(self) -> None:
        options = self.options
        plan = Tally(self.report.tally.now)
        # What is no more than the brake in all needs no other plan than the rules.
        if options.archive or options.swap or sum(count(source.fd) for source in self.sources) > options.max_files:
            self.survey(plan)
            if not plan.files:
                self.report.tally = plan
                return
        if options.archive:
            with archive.Writer(options.archive, plan) as writer, Remover(self._removed, options.threads) as remover:
                self._swap(plan)
                whole = self._archive(writer)
                self._remove_archived(writer, remover)
                if not whole:
                    raise _Late
        else:
            with Remover(self._removed, options.threads) as remover:
                self._swap(plan)
                self._remove(remover)

    def _swap(self, plan: Tally) -> None:
        if not (self.options.swap and plan.files and self.maildrop):
            return
        report, old = self.report, self.maildrop
        try:
            name, fresh = swapping.swap(self.spool, old.fd)
        except OSError as error:
            report.warnings.append(
                f"{self.spool.where()} cannot be swapped ({error.strerror}): its files are removed in place"
            )
            return
        self.aside.append(Source(name, old.fd))
        self.maildrop = Source(MAILDROP, fresh)
        report.swapped = report.changed = True
        report.actions.append(f"put an empty directory in the place of {self.spool.where()}")

    def _to_purge(self) -> list[Source]:
        """Once the maildrop is swapped, what comes into the new one is not meant."""
        return self.aside if self.report.swapped else self.sources

    def _victims(self) -> t.Iterator[tuple[Source, list[Victim]]]:
        """By slices; what is kept goes back into the queue on the way."""
        for source in self._to_purge():
            for entries in chunks(source.fd):
                self.check_clock()
                sifted = self.judge.sift(source.fd, entries)
                self.report.tally.keep(sifted.kept)
                if source is not self.maildrop:
                    self._bring_back(source, [name for name, _reason in sifted.kept])
                for start in range(0, len(sifted.victims), _SLICE):
                    yield source, sifted.victims[start : start + _SLICE]

    def _remove(self, remover: Remover) -> None:
        for source, victims in self._victims():
            self.check_clock()
            self._unlink(remover, source, victims)

    def _unlink(self, remover: Remover, source: Source, victims: list[Victim]) -> None:
        self.handed_over += len(victims)
        if self.handed_over > self.options.max_files:
            raise _Stopped(f"more mail came in than max_files={self.options.max_files}: silence its source first.")
        if self.read_only:
            raise _Stopped(f"{self.spool.where()}: {os.strerror(errno.EROFS)}: remount it read-write, then run again.")
        remover.remove(source.fd, victims)

    def _removed(self, batch: Batch) -> None:
        report, failed = self.report, batch.failed
        if not failed:
            report.tally.remove(batch.victims)
            report.changed = True
            return
        report.tally.remove(victim for victim in batch.victims if victim[0] not in failed)
        report.changed = report.changed or len(failed) < len(batch.victims)
        for name, code in failed.items():
            if code != errno.ENOENT:
                self.read_only = self.read_only or code == errno.EROFS
                report.tally.keep([(name, UNDELETABLE)])
                report.refusal = report.refusal or os.strerror(code)

    def _archive(self, writer: archive.Writer) -> bool:
        """Copy all that is to go, or as much as half of the time is enough for, and say whether that was all.

        Any problem leaves everything where it was.
        """
        report = self.report
        whole = True
        try:
            try:
                for source, victims in self._victims():
                    self.check_clock(share=0.5)
                    for victim in victims[: self.options.max_files - writer.files]:
                        writer.add(source.fd, victim[0])
            except _Late:
                whole = False
            writer.commit()
        except (OSError, *archive.DAMAGES) as error:
            raise _Stopped(
                f"archive: {text(writer.path)} cannot be written ({error}): nothing was removed. Name another one."
            ) from None
        report.changed = True
        report.archive = writer.facts()
        report.actions.append(f"archived {writer.files} files to {text(writer.path)}")
        return whole

    def _remove_archived(self, writer: archive.Writer, remover: Remover) -> None:
        """What the archive, read back, holds: all of it, whatever the time, lest a mail be there twice."""
        members = archive.members(writer.fd)
        while True:
            identities = [(member.name, member.identity) for member in itertools.islice(members, _SLICE)]
            if not identities:
                break
            found: dict[Source, list[Victim]] = {}
            for name, identity in identities:
                where = self._find(name, identity)
                if where is None:
                    continue
                source, victim = where
                if victim is None:
                    self.report.tally.keep([(name, CHANGED)])
                else:
                    found.setdefault(source, []).append(victim)
            for source, victims in found.items():
                self._unlink(remover, source, victims)

    def _find(self, name: str, identity: archive.Identity) -> tuple[Source, Victim | None] | None:
        """The directory in which it still is the very file that was archived; no victim where it is another by now."""
        seen: tuple[Source, Victim | None] | None = None
        for source in self._to_purge():
            try:
                facts = os.stat(name, dir_fd=source.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if archive.Identity.of(facts) == identity:
                return source, (name, facts.st_uid, facts.st_mtime, facts.st_blocks, facts.st_size)
            seen = source, None
        return seen

    # --- the end ---

    def _bring_back(self, source: Source, names: t.Iterable[str]) -> None:
        if self.maildrop is not None:
            swapping.bring_back(source.fd, self.maildrop.fd, names)

    def _clear_aside(self) -> None:
        """Whatever is left put aside goes back into the queue."""
        for source in self.aside:
            for some in names(source.fd):
                self._bring_back(source, some)
            try:
                os.rmdir(source.name, dir_fd=self.spool.fd)
                self.report.changed = True
            except OSError as error:
                self.report.partial_reasons.append(
                    f"{self.spool.where(source.name)} cannot be removed ({error.strerror}): have a look what is in it"
                )

    def _account(self, problem: str) -> str:
        report, tally = self.report, self.report.tally
        if tally.files:
            report.actions.append(f"removed {tally.files} files")
        report.remaining = count(self.maildrop.fd) if self.maildrop else 0
        if not report.partial_reasons and not problem:
            report.arrived = max(0, report.remaining - sum(tally.kept.values()))
        problem = problem or self._unfinished()
        report.converged = not problem and not report.partial_reasons
        return problem

    def _unfinished(self) -> str:
        tally, where = self.report.tally, self.spool.where()
        if self.maildrop and not self.spool.is_in_place(self.maildrop.fd):
            return f"{where} was replaced by something else during the run: have a look, then run again."
        if tally.kept.get(UNDELETABLE):
            return (
                f"{tally.kept[UNDELETABLE]} files in {where} cannot be removed ({self.report.refusal}), such as "
                f"{text(tally.examples[UNDELETABLE])}: see lsattr and the log of the kernel."
            )
        if tally.kept.get(CHANGED):
            return f"{tally.kept[CHANGED]} files in {where} changed after they were archived and were kept: run again."
        return ""
