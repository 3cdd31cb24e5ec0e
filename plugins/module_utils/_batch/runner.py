# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules one after another in one process. The action plugin `batch` sends the text of this file with them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import sys
import traceback
import typing as t

_BROUGHT_ALONG = ("ansible", "ansible_collections")


class Step(t.NamedTuple):
    """A module as ansible-core wraps it, a program for Python. Those of one ``name`` belong together: one that fails
    stops those of other names, but neither the rest of its own nor what is ``always`` run."""

    name: str
    wrapper: bytes
    ignore_errors: bool
    always: bool


class Answer(t.NamedTuple):
    """What a step has printed, and its exit status; ``number`` is its place among the steps."""

    number: int
    rc: int
    out: str
    err: str

    @property
    def is_failure(self) -> bool:
        try:
            said = json.loads(self.out)
        except ValueError:
            return True
        return not isinstance(said, dict) or bool(said.get("failed"))


def run(steps: t.Sequence[Step]) -> None:
    """A line of JSON for each step that was run, as soon as it has ended, and at the end an empty list."""
    failed = None
    for number, step in enumerate(steps):
        if failed is not None and step.name != failed and not step.always:
            continue
        answer = _run_one(number, step.wrapper)
        _say(list(answer))
        if answer.is_failure and not step.ignore_errors and failed is None:
            failed = step.name
    _say([])


def _say(line: list[object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _run_one(number: int, wrapper: bytes) -> Answer:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _stream in range(2))
    with _as_at_the_start(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        rc = _run_wrapper(wrapper)
    for stream in (out, err):
        stream.seek(0)
    return Answer(number, rc, out.read(), err.read())


def _run_wrapper(wrapper: bytes) -> int:
    try:
        exec(compile(wrapper, "<module>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def _as_at_the_start() -> t.Iterator[None]:
    """Each wrapper brings ansible-core's code and the collection's with it, and only what its own module needs."""
    path, environment, directory = list(sys.path), dict(os.environ), _directory()
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in _BROUGHT_ALONG]:
            del sys.modules[name]
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
        with contextlib.suppress(OSError):
            os.chdir(directory)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
        gc.enable()


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone, or not to be seen by this user
        return "/"
