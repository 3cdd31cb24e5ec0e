# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unlink names of a directory by its descriptor, with a second thread where one can be had and is of use.

The kernel holds the directory only for a part of the time it takes to remove a file; the rest, freeing the inode, can
go on twice at a time, and beside the judging of the next files.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import typing as t

from .maildrop import Victim

_BATCH = 256  # files handed over at a time
_BACKLOG = 16  # batches that wait for the second thread, above which the first one does one itself
_SLOW = 4e-6  # seconds for one file, above which the second thread is worth the trouble
_MANY = 4096  # files, below which it never is


class Batch(t.NamedTuple):
    """Files of one directory; ``failed`` has the errno of those that could not be removed, ENOENT among them."""

    directory: int
    victims: list[Victim]
    failed: dict[str, int]


class Remover:
    """Used as a context, at the end of which all is done. ``done`` is told of each batch, in the caller's thread."""

    def __init__(self, done: t.Callable[[Batch], None], threads: int = 2) -> None:
        self._done = done
        self._may_thread = threads > 1 and len(os.sched_getaffinity(0)) > 1
        self._thread: threading.Thread | None = None
        self._files, self._seconds = 0, 0.0  # done alone
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Batch] = queue.SimpleQueue()

    def __enter__(self) -> Remover:  # noqa: PYI034  (typing.Self is newer than the oldest target Python)
        return self

    def __exit__(self, *_error: object) -> None:
        """What was handed over is removed, whatever happened since; nothing else is."""
        if self._thread is not None:
            while self._help():
                pass
            self._waiting.put(None)
            self._thread.join()
            self._tell()

    def remove(self, directory: int, victims: list[Victim]) -> None:
        for start in range(0, len(victims), _BATCH):
            batch = Batch(directory, victims[start : start + _BATCH], {})
            if self._thread is None:
                self._alone(batch)
                continue
            self._waiting.put(batch)
            while self._waiting.qsize() > _BACKLOG and self._help():
                pass
            self._tell()

    def _alone(self, batch: Batch) -> None:
        started = time.monotonic()
        _unlink(batch)
        self._seconds += time.monotonic() - started
        self._files += len(batch.victims)
        self._done(batch)
        if self._may_thread and self._files >= _MANY and self._seconds > _SLOW * self._files:
            thread = threading.Thread(target=self._run, daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # no slot for it
                self._may_thread = False

    def _help(self) -> bool:
        """Do one of the batches that wait; False where there is none."""
        try:
            batch = self._waiting.get_nowait()
        except queue.Empty:
            return False
        if batch is not None:
            _unlink(batch)
            self._done(batch)
        return batch is not None

    def _tell(self) -> None:
        while True:
            try:
                self._done(self._finished.get_nowait())
            except queue.Empty:
                return

    def _run(self) -> None:
        while True:
            batch = self._waiting.get()
            if batch is None:
                return
            _unlink(batch)
            self._finished.put(batch)


def _unlink(batch: Batch) -> None:
    directory, victims, failed = batch
    unlink = os.unlink
    for victim in victims:
        try:
            unlink(victim[0], dir_fd=directory)
        except OSError as error:
            failed[victim[0]] = error.errno or 0
