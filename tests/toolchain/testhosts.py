# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Make what Molecule's test hosts stand on: base images, a key for ssh, settings for podman. Each once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from environments import WORK

FILES = WORK / "testhosts"
SUITES = ("bookworm", "trixie", "bullseye")

# runc, for crun refuses hybrid cgroup trees; limits that can be set without CAP_SYS_RESOURCE; nothing that needs a
# journal or a bus on the machine.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=10000:10000"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[network]
network_backend = "netavark"
"""


def podman(*arguments: str, **keywords: object) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, CONTAINERS_CONF=str(FILES / "containers.conf"))
    return subprocess.Popen(["podman", *arguments], env=environment, **keywords)  # type: ignore[call-overload, no-any-return]


def make_base_image(suite: str) -> None:
    """From the Debian mirror, which is there where no image registry is."""
    name = f"localhost/hostcare-base:{suite}"
    if podman("image", "exists", name).wait() == 0:
        return
    started = time.monotonic()
    log = FILES / f"{suite}.log"
    with log.open("wb") as output:
        bootstrap = subprocess.Popen(
            ["mmdebstrap", "--variant=minbase", "--mode=root", suite, "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output,
        )  # fmt: skip
        imported = podman(
            "import",
            "--quiet",
            "--change",
            'CMD ["bash"]',
            "-",
            name,
            stdin=bootstrap.stdout,
            stdout=output,
            stderr=output,
        )
        assert bootstrap.stdout is not None
        bootstrap.stdout.close()
        if imported.wait() or bootstrap.wait():
            podman("image", "rm", "--ignore", name, stdout=subprocess.DEVNULL).wait()
            raise SystemExit(f"{name} could not be made:\n{log.read_text(errors='replace')}")
    print(f"made {name} in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    if os.geteuid() != 0:
        print("the test hosts are rootful containers: run this as root")
        return 1
    FILES.mkdir(parents=True, exist_ok=True)
    (FILES / "containers.conf").write_text(CONTAINERS_CONF)
    key = FILES / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hostcare tests", "-f", key], check=True)
    with ThreadPoolExecutor(max_workers=2) as workers:
        list(workers.map(make_base_image, SUITES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
