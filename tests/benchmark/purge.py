# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A full maildrop, emptied by the peers, by a C program, and by ours: on ext4 and in memory, taking turns.

Ours is timed without the start of its interpreter and the loading of what it imports, which is AnsiballZ's, and its
memory is the peak over what was there by then; the others are timed and weighed whole, from the first instruction.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hostcare.remediation.tests.support.mail import Spool, mount
from ansible_collections.hostcare.remediation.tests.support.mail.host import root
from ansible_collections.hostcare.remediation.tests.support.mail.spools import program
from ansible_collections.hostcare.remediation.tests.support.mail.tool import Purger

LIMIT = "C"
FIND = "find -delete"
FIND_LOOKING = "find -size +0 -delete"  # looks at each file, as whoever accounts for it has to
BYTES = 1200  # of one mail
KINDS = ("ext4", "tmpfs")

# What ours is asked for. Without an account it does what find does: it looks at no file.
OURS: dict[str, dict[str, Any]] = {
    "ours, one thread": {"threads": 1},
    "ours": {"threads": 2},
    "ours, no account, one thread": {
        "threads": 1, "account": False, "keep_requeued": False, "include_incomplete": "all",
    },
    "ours, no account": {"threads": 2, "account": False, "keep_requeued": False, "include_incomplete": "all"},
}  # fmt: skip
CONTENDERS = [
    LIMIT, "C with a look at each", FIND, FIND_LOOKING, "rm -r", "rsync --delete", "postsuper -d ALL", *OURS,
]  # fmt: skip

# The peers that this machine may not have are those of a Debian, which sees the same directory.
_INSIDE = """
mount --bind "$2" "$1/var/spool/postfix/maildrop"
root=$1
shift 2
exec chroot "$root" "$@"
"""


class Turn(NamedTuple):
    """What one took to remove all files."""

    kind: str
    files: int
    contender: str
    seconds: float
    cpu_seconds: float
    memory_kb: int


def measure(
    files: Sequence[int],
    tries: int,
    only: str = "",
    kinds: Sequence[str] = KINDS,
    report: Callable[[str], None] = lambda _line: None,
) -> list[dict[str, Any]]:
    """A row for each contender, number of files and kind of file system: the best try, since others at work on the
    machine can only add to it."""
    contenders = [one for one in CONTENDERS if only in one or one in (LIMIT, FIND)]
    turns: list[Turn] = []
    order = random.Random(0)
    for kind in kinds:
        for count in sorted(files):
            with mount(kind, size=f"{max(256, count // 150)}M", inodes=count + count // 8 + 1000) as point:
                spool = Spool(point, maildrop=False)
                for number in range(tries):
                    turn = order.sample(contenders, len(contenders))
                    turns += [take_turn(spool, kind, count, contender) for contender in turn]
                    report(f"{kind}, {count} files: try {number + 1} of {tries} done")
    return rows(turns)


def take_turn(spool: Spool, kind: str, files: int, contender: str) -> Turn:
    spool.make()
    owner = int(_line_of_postfix()[2]) if contender == "postsuper -d ALL" else spool.maildrop.stat().st_uid
    os.chown(spool.maildrop, owner, -1)
    spool.fill(files, BYTES)
    subprocess.run(["sync", "--file-system", spool.path], check=True)
    seconds, cpu_seconds, memory = _work(spool, contender)
    left = len(spool.names()) if spool.maildrop.exists() else 0
    assert left == 0, f"{contender} left {left} of {files} files"
    shutil.rmtree(spool.maildrop, ignore_errors=True)
    return Turn(kind, files, contender, seconds, cpu_seconds, memory)


def _work(spool: Spool, contender: str) -> tuple[float, float, int]:
    if contender in OURS:
        purger = Purger("purged", config_directory=str(spool.etc), max_files=1 << 24, **OURS[contender])
        purger.go()
        said = purger.result()
        assert said.get("problem") == "", said
        return said["seconds"], said["cpu_seconds"], said["memory_kb"]
    maildrop = str(spool.maildrop)
    inside = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", _INSIDE, "sh", str(root()), maildrop)
    commands: dict[str, tuple[str, ...]] = {
        LIMIT: (program("purge"), maildrop),
        "C with a look at each": (program("purge"), maildrop, "look"),
        FIND: ("find", maildrop, "-type", "f", "-delete"),
        FIND_LOOKING: ("find", maildrop, "-type", "f", "-size", "+0", "-delete"),
        "rm -r": ("rm", "-r", maildrop),
        "rsync --delete": (*inside, "rsync", "-a", "--delete", "/srv/", "/var/spool/postfix/maildrop/"),
        "postsuper -d ALL": (*inside, "postsuper", "-d", "ALL", "maildrop"),
    }
    done = subprocess.run([program("gauge"), *commands[contender]], capture_output=True, text=True, check=True)
    seconds, cpu_seconds, memory = done.stdout.split()
    return float(seconds), float(cpu_seconds), int(memory)


def _line_of_postfix() -> list[str]:
    lines = [line.split(":") for line in Path(root(), "etc/passwd").read_text().splitlines()]
    return next(fields for fields in lines if fields[0] == "postfix")


def rows(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    found = []
    for kind, files, contender in dict.fromkeys((one.kind, one.files, one.contender) for one in turns):
        own = [one for one in turns if (one.kind, one.files, one.contender) == (kind, files, contender)]
        found.append({
            "kind": kind,
            "files": files,
            "contender": contender,
            "seconds": min(one.seconds for one in own),
            "cpu_seconds": min(one.cpu_seconds for one in own),
            "memory_kb": max(one.memory_kb for one in own),
        })  # fmt: skip
    times = {(row["kind"], row["files"], row["contender"]): row for row in found}
    for row in found:
        for name, peer in (("x_c", LIMIT), ("x_find", FIND)):
            other = times[row["kind"], row["files"], peer]
            row[name] = row["seconds"] / other["seconds"]
            row[f"cpu_{name}"] = row["cpu_seconds"] / other["cpu_seconds"]
    return sorted(found, key=lambda row: (row["kind"], row["files"], CONTENDERS.index(row["contender"])))


def is_bounded(found: Sequence[dict[str, Any]]) -> bool:
    """Ours take less than 16 MiB, and no more for a million files than for a hundred thousand."""
    wrong = [row for row in found if row["contender"] in OURS and row["memory_kb"] >= 16 << 10]
    for kind, contender in {(row["kind"], row["contender"]) for row in found if row["contender"] in OURS}:
        own = [row for row in found if (row["kind"], row["contender"]) == (kind, contender) and row["files"] >= 100_000]
        wrong += [row for row in own if row["memory_kb"] > own[0]["memory_kb"] + 1024]
    for row in wrong:
        print(f"{row['contender']} took {row['memory_kb']} KiB for {row['files']} files on {row['kind']}")
    return not wrong


def table(found: Sequence[dict[str, Any]]) -> str:
    lines = []
    heading = ""
    for row in found:
        title = f"purge {row['files']} files, {row['kind']}"
        if title != heading:
            heading = title
            columns = ("seconds", "x C", "x find", "cpu s", "x C", "x find", "MiB")
            lines.append(f"\n{title:<34}" + "".join(f"{column:>9}" for column in columns))
        figures = (row["seconds"], row["x_c"], row["x_find"], row["cpu_seconds"], row["cpu_x_c"], row["cpu_x_find"])
        lines.append(
            f"{row['contender']:<34}" + "".join(f"{one:>9.2f}" for one in figures) + f"{row['memory_kb'] / 1024:>9.1f}"
        )
    return "\n".join(lines)
