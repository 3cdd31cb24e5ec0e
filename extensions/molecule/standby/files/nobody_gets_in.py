# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What an unprivileged user gets from the standby, by the modes and without them: prints what was wrong."""

from __future__ import annotations

import os
import socket
import sys

PATH = "/run/hostcare-standby/socket"


def attempt() -> str:
    """In a child without rights: what it met."""
    end, told = os.pipe()
    if os.fork() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(PATH)
                os.write(told, repr(connection.recv(1)).encode())
        except OSError as error:
            os.write(told, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(told)
    os.wait()
    return os.read(end, 100).decode()


found = [attempt()]
os.chmod(os.path.dirname(PATH), 0o755)
os.chmod(PATH, 0o666)
try:
    found.append(attempt())
finally:
    os.chmod(PATH, 0o600)
    os.chmod(os.path.dirname(PATH), 0o700)
sys.exit(None if found == ["PermissionError", "b''"] else f"an unprivileged user met {found}")
