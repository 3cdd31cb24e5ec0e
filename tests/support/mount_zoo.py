# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Mounts of every sort, and what headroom_info and df say of them: mount_zoo.py DIRECTORY, in a mount namespace.

Prints JSON. The daemons of the file systems that hang are this program, which never answers.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".work" / "collections"))

from ansible_collections.hostcare.remediation.plugins.module_utils._headroom import resources

MS_BIND = 4096
_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, data: str = "", flags: int = 0) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if _LIBC.mount(source.encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind}: {os.strerror(number)}", str(target))


def fill(directory: Path) -> None:
    """Until there is no inode left."""
    number = 0
    while True:
        try:
            os.close(os.open(directory / f"filler-{number}", os.O_CREAT | os.O_WRONLY))
        except OSError:
            return
        number += 1


def build(home: Path) -> None:
    mount("small", home / "small", "tmpfs", "size=1m,nr_inodes=50")
    (home / "small" / "below").mkdir()
    (home / "small" / "data").write_bytes(bytes(300_000))
    mount(str(home / "small"), home / "bound", "none", flags=MS_BIND)
    mount("full", home / "full", "tmpfs", "size=1m,nr_inodes=20")
    fill(home / "full")
    mount("covered", home / "covered", "tmpfs", "size=3m")
    mount("covering", home / "covered", "tmpfs", "size=5m")
    for name in ("lower", "upper", "work"):
        (home / "small" / name).mkdir()
    layers = f"lowerdir={home}/small/lower,upperdir={home}/small/upper,workdir={home}/small/work"
    mount("overlay", home / "union", "overlay", layers)
    device = os.open("/dev/fuse", os.O_RDWR)
    mount("dead", home / "fuse", "fuse.sshfs", f"fd={device},rootmode=40000,user_id=0,group_id=0")
    _reader, writer = os.pipe()
    mount("dead", home / "auto", "autofs", f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct")
    # A path that only a walk through the dead one would find; mounted before it was covered.
    mount("below", home / "dead", "tmpfs", "size=7m")
    mount("deeper", home / "dead" / "deeper", "tmpfs", "size=9m")
    mount(
        "dead", home / "dead", "fuse.nfs", f"fd={os.open('/dev/fuse', os.O_RDWR)},rootmode=40000,user_id=0,group_id=0"
    )


def hangs(path: Path) -> bool:
    """For whoever is not its daemon."""
    asked = subprocess.Popen(["stat", "-f", str(path)], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        asked.wait(timeout=1)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.wait()
        return True
    return False


def df(*columns: str, path: Path) -> list[int]:
    done = subprocess.run(
        ["df", "-B1", f"--output={','.join(columns)}", path], stdout=subprocess.PIPE, check=True, text=True
    )
    return [int(field) for field in done.stdout.splitlines()[1].split()]


def main(home: Path) -> None:
    build(home)
    started = time.monotonic()
    report = resources.report(1000, 20.0, only=["inodes", "blocks"])
    took = time.monotonic() - started
    print(
        json.dumps(
            {
                "took": took,
                "report": report,
                "hangs": {name: hangs(home / name) for name in ("small", "fuse", "auto", "dead", "dead/deeper")},
                "inodes": df("itotal", "iused", "iavail", path=home / "small"),
                "blocks": df("size", "used", "avail", path=home / "small"),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
