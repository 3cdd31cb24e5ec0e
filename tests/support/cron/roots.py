# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Debian roots with a cron daemon each, unpacked from the mirror once and never written to again."""

from __future__ import annotations

import fcntl
import gzip
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORK = Path(__file__).resolve().parents[3] / ".work" / "cron"

_BASE = "dash,base-files,libc-bin"
ROOTS = {
    "bullseye": ("bullseye", f"cron,anacron,busybox-static,{_BASE}"),
    "bookworm": ("bookworm", f"cron,anacron,busybox-static,{_BASE}"),
    "trixie": ("trixie", f"cron,anacron,busybox-static,{_BASE}"),
    "cronie": ("trixie", f"cronie,{_BASE}"),
    "systemd-cron": ("trixie", f"systemd,systemd-sysv,systemd-cron,dbus,coreutils,{_BASE}"),
}


def root(name: str) -> Path:
    """The path of one, made when it is not there; all that are missing are made at the same time."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [one for one in ROOTS if not _is_made(one)]
        with ThreadPoolExecutor(max_workers=3) as workers:
            list(workers.map(_make, missing))
    return WORK / name


def _is_made(name: str) -> bool:
    made = WORK / f"{name}.made"
    return made.is_file() and made.read_text() == " ".join(ROOTS[name])


def _make(name: str) -> None:
    suite, packages = ROOTS[name]
    draft = WORK / f"{name}.draft"
    for old in (draft, WORK / name):
        shutil.rmtree(old, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--mode=root", f"--include={packages}", suite, str(draft)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} could not be made: {done.stderr}")
    _note_version(draft)
    draft.rename(WORK / name)
    (WORK / f"{name}.made").write_text(" ".join(ROOTS[name]))


def _note_version(draft: Path) -> None:
    """Packages were unpacked and not installed; what dpkg would know of cron stands in its changelog."""
    changelog = draft / "usr/share/doc/cron/changelog.Debian.gz"
    if changelog.exists():
        with gzip.open(changelog, "rt", encoding="utf-8") as file:
            version = re.match(r"cron \((.*?)\)", file.readline())
        assert version is not None
        status = f"Package: cron\nStatus: install ok installed\nVersion: {version.group(1)}\n\n"
        (draft / "var/lib/dpkg/status").write_text(status)
