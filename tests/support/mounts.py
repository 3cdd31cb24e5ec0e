# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What a program started by the tests finds in place of the machine's own directories."""

from __future__ import annotations

TEMP_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/run")

# sshd insists on its privilege separation directory.
_FOR_SSHD = "mkdir -p /run/sshd && chmod 0755 /run/sshd"

_FILL = """
number=0
while true >{path}/filler-$number; do number=$((number + 1)); done 2>/dev/null
"""


def _private(script: str) -> tuple[str, ...]:
    """A command prefix: the program runs in a mount namespace of its own, which the script has furnished."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}\nexec "$@"', "sh")


def empty(*paths: str) -> tuple[str, ...]:
    """Nothing is in these directories: no shell's start-up file that forks, no state of the machine's to change."""
    mounts = [f"mount -t tmpfs -o mode=0755 tmpfs {path}" for path in paths]
    return _private("\n".join([*mounts, _FOR_SSHD]))


def full(*paths: str) -> tuple[str, ...]:
    """In each of the directories no file can be made: all inodes are taken."""
    mounts = [f"mount -t tmpfs -o nr_inodes=40,size=1m,mode=1777 tmpfs {path}" for path in paths]
    return _private("\n".join([*mounts, _FOR_SSHD, *(_FILL.format(path=path) for path in paths)]))
