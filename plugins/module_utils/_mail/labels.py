# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux labels, on hosts that have any: a file in a directory of another label is one that Postfix may not touch.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

_LABEL = "security.selinux"


def copy(source: int, target: int) -> None:
    """What is made in the target from here on is labelled as it would be in the source."""
    with contextlib.suppress(OSError):
        os.setxattr(target, _LABEL, os.getxattr(source, _LABEL))


def set_default(path: str, fd: int) -> None:
    """The label that the policy has for the path, as restorecon(8) would give it."""
    try:
        from ansible.module_utils.compat import selinux as libselinux
    except ImportError:
        return
    selinux: t.Any = libselinux
    if selinux.is_selinux_enabled() != 1:
        return
    with contextlib.suppress(OSError):
        code, label = selinux.matchpathcon(path, stat.S_IFDIR)
        if code == 0:
            os.setxattr(fd, _LABEL, os.fsencode(label) + b"\0")
