# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks once or several times and says who holds what, and who leaks.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import gc
import os
import time
import typing as t

from .._kernel.errors import Refused
from .history import History
from .members import Identity, Member, Sample
from .proc_source import ProcSource
from .report import Report
from .request import Request

_COUNTS_BETWEEN = 4  # two looks


class Source(t.Protocol):
    """Where the figures are from."""

    name: str

    def take(self, with_tokens: bool, is_last: bool) -> Sample:
        """One pass."""

    def recount(self, members: t.Iterable[Member]) -> dict[Identity, int]:
        """How many descriptors each has by now."""

    def glimpse(self, members: t.Iterable[Member]) -> dict[Identity, dict[str, int]]:
        """How many of each kind."""

    def exe(self, pid: int) -> str:
        """The program's path, empty where it may not be seen."""


def run(request: Request, source: Source | None = None) -> dict[str, t.Any]:
    """Raises Refused where the host cannot be read."""
    started = time.monotonic()
    gc.disable()  # many small records and no cycle among them: collecting would only cost time
    try:
        source = source or _source(request)
        history, sample = _watch(request, source)
        return Report(request, source, history, sample).render(started)
    except OSError as error:
        raise Refused(f"the kernel refused a call ({error}): free descriptors or memory, then run again.") from error
    finally:
        gc.enable()


def _source(request: Request) -> Source:
    if os.uname().sysname == "Linux":
        return ProcSource(request)
    from .psutil_source import PsutilSource

    return PsutilSource(request)


def _watch(request: Request, source: Source) -> tuple[History, Sample]:
    """All looks, and the last one whole. Between two samples there is a third: what comes and goes shows there."""
    history = History()
    sample = source.take(with_tokens=request.samples > 1, is_last=request.samples == 1)
    history.add(sample)
    looks = 3 if request.samples == 2 else request.samples
    pause = request.interval * (request.samples - 1) / max(1, looks - 1)
    begun = time.monotonic()
    for number in range(1, looks):
        _count_meanwhile(history, source, sample, begun + (number - 1) * pause, pause)
        sample = source.take(with_tokens=True, is_last=number == looks - 1)
        history.add(sample)
    return history, sample


def _count_meanwhile(history: History, source: Source, sample: Sample, since: float, pause: float) -> None:
    for part in range(1, _COUNTS_BETWEEN + 1):
        time.sleep(max(0.0, since + pause * part / (_COUNTS_BETWEEN + 1) - time.monotonic()))
        history.add_counts(source.recount(sample.members.values()))
        history.add_glimpse(source.glimpse(history.changing()))
    time.sleep(max(0.0, since + pause - time.monotonic()))
