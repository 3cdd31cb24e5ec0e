# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# This file is private to the collection and may change at any time.

"""What a session on a host without free process slots looks like from the controller, and how to wait for one."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator

# The shell on the target prints this before it becomes Python. Without it nothing of the module has run and another try
# is safe; with it the module may have acted, and is never sent twice.
STARTED = "hostcare-session-started"

DEFAULT_PATIENCE = "60s"
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.05, 1.5, 1.0

# ssh ends with 255 and often no word when the host cannot fork, so of its failures all are worth another try but those
# that name a cause which time does not cure.
_LASTING = re.compile(
    r"permission denied|host key verification failed|remote host identification has changed|no matching .* found"
    r"|could not resolve hostname|name or service not known|name resolution|no address associated"
    r"|connection refused|no route to host|network is unreachable|host is down|timed out(?! during banner exchange)"
    r"|too many authentication failures|received disconnect"
    r"|bad configuration option|bad owner or permissions|command-line line|usage: ssh|percent_expand"
    r"|cannot execute command-line and remote command|too long for unix domain socket|sshpass",
    re.IGNORECASE,
)

# What sshd's shell, sudo, a container runtime or the controller itself say when a fork fails.
_NO_SLOT = re.compile(
    r"resource temporarily unavailable|cannot allocate memory|(cannot|can't|unable to|failed to) fork|fork: |fork failed",
    re.IGNORECASE,
)

_NEEDS_TERMINAL = re.compile(r"must have a tty|a terminal is required|no tty present", re.IGNORECASE)

# Said on success too, or only because the user asked ssh to be talkative: no reason for anything.
_CHATTER = re.compile(
    r"^(debug\d: .*|openssh_\S+ .*)$|warning: permanently added .*$|^data could not be sent to remote host .* over ssh:",
    re.IGNORECASE | re.MULTILINE,
)

# The wrapper's zip file goes to memory, which needs no inode and nothing to clean up. Where that cannot be had (not
# Linux, no /proc) its own line stays, and it takes the first of TMPDIR, TEMP and TMP that can be written.
_MAKES_DIRECTORY = re.compile(rb"^( +)(temp_path = .*mkdtemp\(.*)$", re.MULTILINE)
_NAMES_FILE = re.compile(rb"^( +)(zipped_mod = .*join\(temp_path, .*)$", re.MULTILINE)


def seconds(duration: object) -> float:
    """`90`, `90s`, `1.5m`, `1h` in seconds; ValueError for all else."""
    if not isinstance(duration, bool):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(duration).strip())
        if match and math.isfinite(value := float(match[1]) * _UNITS[match[2]]):
            return value
    raise ValueError(
        f"{duration!r} is not a duration: give seconds, or a number with s, m or h, such as {DEFAULT_PATIENCE}"
    )


def pauses() -> Iterator[float]:
    """Short at first, since a live fork bomb leaves a slot for moments; uneven, so that a fleet does not fall into step."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def reason(text: str) -> str:
    """The one line worth showing of what a failed session said."""
    lines = [line.strip() for line in _CHATTER.sub("", text.replace(STARTED, "")).splitlines()]
    return next((line for line in reversed(lines) if line), "")


def refused(text: str, connection_failed: bool) -> bool:
    """Whether the target had no room to start anything: nothing ran, and it may run in a moment."""
    if STARTED in text:
        return False
    said = _CHATTER.sub("", text)
    if _NO_SLOT.search(said):
        return True
    return connection_failed and not _LASTING.search(said)


def needs_terminal(text: str) -> bool:
    return STARTED not in text and bool(_NEEDS_TERMINAL.search(text))


def in_memory(wrapper: bytes) -> bytes:
    """The AnsiballZ wrapper, keeping its zip file in memory; one that looks different from those known stays as it is."""
    changed, directories = _MAKES_DIRECTORY.subn(
        rb"\1try:\n"
        rb"\1    temp_path = '/proc/self/fd/%d' % os.memfd_create('module')\n"
        rb"\1    os.stat(temp_path)\n"
        rb"\1except (AttributeError, OSError):\n"
        rb"\1    \2",
        wrapper,
    )
    changed, files = _NAMES_FILE.subn(
        rb"\1if temp_path.startswith('/proc/'):\n\1    zipped_mod = temp_path\n\1else:\n\1    \2", changed
    )
    return changed if directories == files == 1 else wrapper
