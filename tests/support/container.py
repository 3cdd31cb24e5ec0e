# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A podman container that needs no image: it runs the machine's own programs, read-only."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

# Works without CAP_SYS_RESOURCE, without systemd and on hybrid cgroups; nothing of the user's is read or changed.
_SETTINGS = """[containers]
default_ulimits = ["nofile=1024:20000", "nproc=10000:10000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Container:
    def __init__(self, directory: Path) -> None:
        self.name = f"hostcare-test-{uuid.uuid4().hex[:8]}"
        self._root = directory / "rootfs"
        self._settings = directory / "containers.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {"CONTAINERS_CONF": str(self._settings)}

    def __enter__(self) -> Container:
        self._settings.write_text(_SETTINGS)
        for directory in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "root"):
            (self._root / directory).mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (self._root / link).symlink_to(f"usr/{link}")
        self._podman(
            *("run", "--detach", "--name", self.name, "--network", "none", "--pids-limit", "100"),
            *("--volume", "/usr:/usr:ro", "--volume", "/etc:/etc:ro", "--rootfs", str(self._root), "sleep", "600"),
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        self._podman("rm", "--force", "--time", "0", self.name)

    def _podman(self, *arguments: str) -> None:
        done = subprocess.run(
            ["podman", *arguments], env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"podman {arguments[0]}: {done.stderr}")

    def inventory(self) -> dict[str, str]:
        return {"ansible_connection": "containers.podman.podman", "ansible_host": self.name}
