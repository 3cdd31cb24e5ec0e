# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All descriptors of a FreeBSD host from procstat(1), which takes a fork.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import json
import typing as t

from .._kernel.errors import Refused
from . import kinds

_COMMAND = ("procstat", "--libxo", "json", "-a", "-f")
_SECONDS = 60
# usr.bin/procstat/procstat_files.c; a vnode is told by its own type
_KINDS = {"socket": kinds.SOCKET, "pipe": kinds.PIPE, "fifo": kinds.PIPE, "pts": kinds.DEVICE, "dev": kinds.DEVICE}
_VNODES = {"character": kinds.DEVICE, "block": kinds.DEVICE, "fifo": kinds.PIPE, "socket": kinds.SOCKET}


class Descriptor(t.NamedTuple):
    number: int
    kind: str
    path: str


def read() -> dict[int, list[Descriptor]]:
    """Raises Refused where it cannot be run."""
    import subprocess

    import psutil

    nowhere = subprocess.DEVNULL
    try:
        with psutil.Popen(_COMMAND, stdin=nowhere, stdout=subprocess.PIPE, stderr=nowhere) as process:
            told = process.communicate(timeout=_SECONDS)[0]
    except (OSError, psutil.Error, subprocess.SubprocessError) as error:
        raise Refused(f"procstat cannot be run ({error}): leave out the option procstat.") from None
    return parse(told)


def parse(raw: bytes) -> dict[int, list[Descriptor]]:
    """By process. What is no descriptor (its directories, its program) has a word for a number and is left out."""
    try:
        told = json.loads(raw.decode("utf-8", "surrogateescape"))["procstat"]["files"]
        return {int(pid): list(_descriptors(one.get("files", ()))) for pid, one in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused("procstat gave no JSON that is known: leave out the option procstat.") from None


def _descriptors(files: t.Iterable[dict[str, t.Any]]) -> t.Iterator[Descriptor]:
    for one in files:
        try:
            number = int(one["fd"])
        except (KeyError, TypeError, ValueError):
            continue
        kind = str(one.get("fd_type", kinds.OTHER))
        kind = _VNODES.get(str(one.get("vode_type")), kinds.FILE) if kind == "vnode" else _KINDS.get(kind, kind)
        path = str(one.get("path", ""))
        yield Descriptor(number, kind, "" if path == "-" else path)
