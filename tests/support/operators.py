# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A user who is not root and may become it by sudo: made for one test, removed after it."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path


class Operator:
    """`settings` are further lines of its sudoers file, such as `Defaults:{user} requiretty`; with a `password` sudo
    asks for it.
    """

    def __init__(self, settings: str = "", password: str | None = None) -> None:
        self.name = f"hc{uuid.uuid4().hex[:8]}"
        self.home = Path("/var/cache", self.name)
        self._sudoers = Path("/etc/sudoers.d", self.name)
        self._settings = settings
        self._password = password

    def __enter__(self) -> Operator:
        # "*" is no password, yet the account is not locked, which sshd would refuse.
        subprocess.run(
            ["useradd", "-m", "-k", "/var/empty", "-d", self.home, "-p", "*", "-s", "/bin/bash", self.name],
            check=True,
            capture_output=True,
        )
        if self._password:
            subprocess.run(["chpasswd"], input=f"{self.name}:{self._password}", text=True, check=True)
        tag = "PASSWD" if self._password else "NOPASSWD"
        self._sudoers.write_text(f"{self.name} ALL=(ALL:ALL) {tag}: ALL\n{self._settings.format(user=self.name)}\n")
        self._sudoers.chmod(0o440)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._sudoers.unlink(missing_ok=True)
        subprocess.run(["userdel", "-f", "-r", self.name], check=False, capture_output=True)
