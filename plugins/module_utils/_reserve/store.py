# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on the host for the way back, as JSON: the files as they were, and the values of the kernel.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from .._kernel.errors import Refused
from .host import File, Original, Store

VERSION = 1
MAX_BYTES = 8 << 20


def digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def is_untouched(file: File | None, kept: Original) -> bool:
    """As it was before, or as we left it: nobody else wrote it."""
    if file is None or file.content is None:
        return file is None
    return (kept.file is not None and file.content == kept.file.content) or digest(file.content) in kept.written


def parse(raw: bytes, where: str) -> Store:
    """Raises Refused for what is damaged: without the originals there is no way back."""
    try:
        data = json.loads(raw.decode("utf-8"))
        if data["version"] != VERSION:
            raise Refused(f"{where} was written by a later version of this collection. Use that one.")
        files = {path: _original(path, one) for path, one in data["files"].items()}
        sysctls = {str(name): str(value) for name, value in data["sysctls"].items()}
        directories = tuple(str(path) for path in data["directories"])
        return Store(bool(data["done"]), files, directories, sysctls, str(data["crontabs"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(
            f"{where} is damaged ({type(error).__name__}), and it keeps the files as they were. Restore it from a "
            f"backup; "
            f"or see to the files named hostcare by hand, then remove it."
        ) from None


def _original(path: str, data: dict[str, t.Any]) -> Original:
    file = None
    if data["existed"]:
        file = File(str(data["content"]), int(str(data["mode"]), 8), int(data["uid"]), int(data["gid"]))
    return Original(path, file, tuple(str(one) for one in data["written"]))


def render(store: Store) -> dict[str, t.Any]:
    return {
        "version": VERSION,
        "done": store.done,
        "files": {path: _rendered(one) for path, one in sorted(store.files.items())},
        "directories": list(store.directories),
        "sysctls": dict(store.sysctls),
        "crontabs": store.crontabs,
    }


def _rendered(one: Original) -> dict[str, t.Any]:
    file = one.file
    return {
        "existed": file is not None,
        "content": "" if file is None else file.content,
        "mode": "" if file is None else f"{file.mode:04o}",
        "uid": 0 if file is None else file.uid,
        "gid": 0 if file is None else file.gid,
        "written": list(one.written),
    }
