# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a fleet in all its forms, and its files: each written whole or not at all.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import typing as t
from datetime import datetime

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import (
    Fleet,
    Thresholds,
    artifact,
    assemble,
    document,
)
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_lines import fleet_lines
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_markdown import fleet_markdown
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_metrics import fleet_metrics
from ansible_collections.hostcare.remediation.plugins.plugin_utils._page import page

FORMATS = ("html", "markdown", "json")
_NAMES = {"html": "triage.html", "markdown": "triage.md", "json": "triage.json"}
_METRICS = "hostcare.prom"


class Wanted(t.NamedTuple):
    """An empty directory means no file."""

    directory: str = ""
    formats: t.Sequence[str] = FORMATS
    metrics_directory: str = ""
    width: int = 100
    top: int = 30


def report(
    answers: t.Mapping[str, t.Any], thresholds: Thresholds, incidents: t.Sequence[str], wanted: Wanted, now: datetime
) -> dict[str, t.Any]:
    fleet = assemble(answers, thresholds, incidents, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    files: dict[str, str] = {}
    failures: list[str] = []
    for kind, path, content in _files(fleet, incidents, wanted, now):
        try:
            write(path, content, make_directory=kind != "metrics")
        except OSError as error:
            failures.append(f"{path} cannot be written ({error.strerror}): choose another directory, or none.")
        else:
            files[kind] = path
    return {
        "lines": fleet_lines(fleet, incidents, wanted.width, max(0, wanted.top)),
        "summary": artifact(fleet, incidents, max(0, wanted.top)),
        "files": files,
        "not_written": failures,
    }


def _files(fleet: Fleet, incidents: t.Sequence[str], wanted: Wanted, now: datetime) -> t.Iterator[tuple[str, str, str]]:
    """Kind, path and content of each file."""
    render: dict[str, t.Callable[[], str]] = {
        "html": lambda: page(fleet, incidents),
        "markdown": lambda: fleet_markdown(fleet, incidents),
        "json": lambda: json.dumps(document(fleet, incidents), indent=1) + "\n",
    }
    directory = os.path.abspath(os.path.expanduser(wanted.directory))
    for kind in wanted.formats if wanted.directory else ():
        yield kind, os.path.join(directory, _NAMES[kind]), render[kind]()
    if wanted.metrics_directory:
        directory = os.path.abspath(os.path.expanduser(wanted.metrics_directory))
        yield "metrics", os.path.join(directory, _METRICS), fleet_metrics(fleet, now.timestamp())


def write(path: str, content: str, make_directory: bool) -> None:
    """By a temporary file beside it and a rename. A name that begins with a dot is read by nobody."""
    directory, name = os.path.split(path)
    if make_directory:
        os.makedirs(directory, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _mode())
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _mode() -> int:
    """What open(2) would have given: the metrics are read by another user."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
