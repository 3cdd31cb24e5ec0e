# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""File systems without room, in a mount namespace of the calling process: for `in_child`."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from pathlib import Path

_CLONE_NEWNS = 0x00020000


def leave_the_mounts_of_the_machine() -> None:
    """From here on what this process mounts is seen by nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def tmpfs(path: Path, options: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"mode=0755,{options}", "tmpfs", path)


def ext4(path: Path, inodes: int) -> None:
    """On a loop device, of 4 MiB."""
    path.mkdir(parents=True, exist_ok=True)
    image = path.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-N", str(inodes), image], check=True, stdin=subprocess.DEVNULL)
    mount("-o", "loop", image, path)


def take_every_inode(path: Path) -> None:
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (path / f"filler-{number}").touch()


def take_every_block(path: Path) -> None:
    with contextlib.suppress(OSError), (path / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(OSError), (path / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x")


def can_make_a_file(path: Path) -> bool:
    try:
        fd = os.open(path / "one-more", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except OSError:
        return False
    os.close(fd)
    (path / "one-more").unlink()
    return True
