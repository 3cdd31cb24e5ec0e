# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# This file is private to the collection and may change at any time.

"""What a session on a host without free process slots looks like from the controller, and how to wait for one."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterator

# The shell on the target prints this before it becomes Python. Without it nothing of the module has run and another try
# is safe; with it the module may have acted, and is never sent twice.
STARTED = "hostcare-session-started"

# OpenSSH 9.8 and later book a penalty of a second for each connection that ends before it has authenticated, and shut
# the client out for a while once 15 have gathered: never ask more often than once a second for long.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.05, 1.5, 1.0

# ssh ends with 255 and often no word when the host cannot fork, so of its failures all are worth another try but those
# that name a cause which time does not cure.
_LASTING = re.compile(
    r"permission denied( \(|, please)|host key verification failed|identification has changed|no matching .* found"
    r"|could not resolve hostname|name or service not known|name resolution|no address associated"
    r"|connect to host .* timed out|connection refused|no route to host|network is unreachable|host is down"
    r"|too many authentication failures|received disconnect"
    r"|bad configuration option|bad owner or permissions|command-line line|usage: ssh|percent_expand"
    r"|cannot execute command-line and remote command|too long for unix domain socket|sshpass",
    re.IGNORECASE,
)

# What sshd's shell, sudo, a container runtime or the controller itself say when a fork fails.
_NO_SLOT = re.compile(
    r"resource temporarily unavailable|cannot allocate memory|fork: |fork failed|(cannot|can't|unable to) fork"
    r"|unable to start container process: read init-p",
    re.IGNORECASE,
)

_NEEDS_TERMINAL = re.compile(r"must have a tty|a terminal is required|no tty present", re.IGNORECASE)

# What ansible-core puts in front of ssh's own words, and lines that say nothing: they come on success too, or only
# because the user asked ssh to be talkative.
_PREFACE = re.compile(r"^data could not be sent .* over ssh: ?", re.IGNORECASE | re.MULTILINE)
_CHATTER = re.compile(r"^(debug\d: |openssh_\S+ |warning: permanently added ).*$", re.IGNORECASE | re.MULTILINE)

# The wrapper's zip file goes to memory, which needs no inode and nothing to clean up. Where that cannot be had (not
# Linux, no /proc) its own line stays, and it takes the first of TMPDIR, TEMP and TMP that can be written.
_MAKES_DIRECTORY = re.compile(rb"^( +)(temp_path = .*mkdtemp\(.*)$", re.MULTILINE)
_NAMES_FILE = re.compile(rb"^( +)(zipped_mod = .*join\(temp_path, .*)$", re.MULTILINE)


def pauses() -> Iterator[float]:
    """Short at first: a live fork bomb leaves a slot for moments. Uneven: a fleet must not fall into step."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(1.0, 1.4)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def reason(text: str) -> str:
    """The one line worth showing of what a failed session said."""
    lines = [line.strip() for line in _words(text.replace(STARTED, "")).splitlines()]
    return next((line for line in reversed(lines) if line), "the session ended without a word")


def refused(text: str, ssh_failed: bool) -> bool:
    """Whether the target had no room to start anything: nothing ran, and it may run in a moment."""
    if STARTED in text:
        return False
    words = _words(text)
    return bool(_NO_SLOT.search(words)) or (ssh_failed and not _LASTING.search(words))


def _words(text: str) -> str:
    return _CHATTER.sub("", _PREFACE.sub("", text))


def asks_for_terminal(ssh_arguments: str) -> bool:
    """Whether ssh is told to give the command a terminal, from which Python would read no module."""
    words = " ".join(shlex.split(ssh_arguments))
    return bool(re.search(r"(^| )(-t+|-o ?(?i:requesttty[= ](yes|force)))( |$)", words))


def needs_terminal(text: str) -> bool:
    return STARTED not in text and bool(_NEEDS_TERMINAL.search(text))


def in_memory(wrapper: bytes) -> bytes:
    """The AnsiballZ wrapper, keeping its zip file in memory; one unlike those known stays as it is."""
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
