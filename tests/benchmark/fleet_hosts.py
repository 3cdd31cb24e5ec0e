# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Up to a hundred podman containers with an sshd, an IPC namespace and a network address each, and their incident.

The network, the key and the list of known hosts are the fleet's own; all of it is removed at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ansible_collections.hostcare.remediation.tests.support.ipc.bench import program

ROOT = Path(__file__).resolve().parents[2]
NAME = "hostcare-fleetbench"
IMAGE = "localhost/hostcare-testhost:fleet"  # goes with those of the test hosts: make testhosts-clean
SUBNET, FIRST, MOST = "10.89.78", 10, 200
USER = "app"
APP, OTHER = 701, 702  # system users of the image
SLOTS = 256  # SEMMNI
LEAKED = 250
# Capabilities that root of a real host has: to look into processes and arrays of others, and to remove these.
CAPABILITIES = ("SYS_PTRACE", "IPC_OWNER", "SYS_ADMIN")
_SETTINGS = ROOT / ".work" / "testhosts" / "containers.conf"
_TOLD_APART = 3.0  # seconds: who was started so much later made none of the arrays
_LEFT_FOR = 12.0  # seconds: older than semaphore_leak_min_age


class Host(NamedTuple):
    name: str
    address: str
    pid: int

    def enter(self, *namespaces: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", *(f"--{name}" for name in namespaces), "--"]

    def arrays(self) -> set[int]:
        table = _run([*self.enter("ipc"), "cat", "/proc/sysvipc/sem"])
        return {int(line.split()[1]) for line in table.splitlines()[1:]}

    def sessions(self) -> int:
        """How many sshd has started so far."""
        log = Path(f"/proc/{self.pid}/root/var/log/sshd.log").read_text(errors="replace")
        return log.count("Starting session:")


class Holder:
    """A process on a host with an array that it made and touched last."""

    def __init__(self, host: Host, uid: int) -> None:
        self.host = host
        command = [*host.enter("ipc", "pid"), program("holder"), "set", str(uid)]
        self._entry = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._entry.stdout is not None
        self.array = int(self._entry.stdout.readline())
        children = Path(f"/proc/{self._entry.pid}/task/{self._entry.pid}/children").read_text().split()
        self._pid = int(children[0])

    def lives(self) -> bool:
        return self._entry.poll() is None

    def end(self) -> None:
        if self.lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, 9)
        self._entry.wait()


class Fleet:
    def __init__(self, count: int) -> None:
        if not 0 < count <= MOST:
            raise ValueError(f"a fleet has 1 to {MOST} hosts")
        self._names = [f"{NAME}-{number:03}" for number in range(1, count + 1)]
        self.hosts: list[Host] = []
        self._services: dict[str, Holder] = {}
        self._others: dict[str, Holder] = {}

    # --- life ---

    def __enter__(self) -> Fleet:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # all is removed then, too
        # Short: the path of a control socket has at most 108 characters.
        self.home = Path(tempfile.mkdtemp(prefix="hcfleet-", dir="/tmp"))
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close()

    def _open(self) -> None:
        _run([sys.executable, str(ROOT / "tests" / "toolchain" / "testhosts.py")])  # base images, settings for podman
        build = ["build", "--quiet", "--pull=never", "--tag", IMAGE, str(ROOT / "tests" / "benchmark" / "fleet_host")]
        podman(*build)
        _remove_all()  # of a run that was cut off
        podman("network", "create", "--subnet", f"{SUBNET}.0/24", "--disable-dns", NAME)
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / "key")])
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
            list(workers.map(self._start, range(len(self._names))))
        told = json.loads(podman("inspect", *self._names))
        pids = {one["Name"]: one["State"]["Pid"] for one in told}
        self.hosts = [Host(name, _address(number), pids[name]) for number, name in enumerate(self._names)]
        for host in self.hosts:
            _wait_for_sshd(host)
        keys = ((host, Path(f"/proc/{host.pid}/root/etc/ssh/ssh_host_ed25519_key.pub")) for host in self.hosts)
        (self.home / "known_hosts").write_text("".join(f"{host.address} {key.read_text()}" for host, key in keys))
        self._others = {host.name: Holder(host, OTHER) for host in self.hosts}

    def _start(self, number: int) -> None:
        podman(
            "run", "--detach", "--name", self._names[number], "--hostname", self._names[number],
            "--network", NAME, "--ip", _address(number), "--mac-address", f"02:00:00:00:4e:{FIRST + number:02x}",
            "--ipc", "private", "--sysctl", f"kernel.sem=250 32000 32 {SLOTS}", "--pids-limit", "400",
            *(f"--cap-add={capability}" for capability in CAPABILITIES),
            "--volume", f"{self.home}/key.pub:/root/.ssh/authorized_keys:ro", IMAGE,
        )  # fmt: skip

    def _close(self) -> None:
        try:
            for holder in [*self._services.values(), *self._others.values()]:
                holder.end()
        finally:
            _remove_all()
            shutil.rmtree(self.home, ignore_errors=True)

    # --- its incident ---

    def leak(self, hosts: Sequence[Host]) -> None:
        """Each has the arrays of processes that are dead, and those of two that live: of the same user, and another."""
        for host in hosts:
            if host.name in self._services:
                self._services.pop(host.name).end()
            for array in host.arrays() - {self._others[host.name].array}:
                _run([*host.enter("ipc"), "ipcrm", "-s", str(array)])
            _run([*host.enter("ipc", "pid"), program("csem"), "make", str(LEAKED), str(APP)])
        leaked = time.monotonic()
        time.sleep(_TOLD_APART)
        self._services.update({host.name: Holder(host, APP) for host in hosts})
        time.sleep(max(0.0, leaked + _LEFT_FOR - time.monotonic()))

    def check(self, hosts: Iterable[Host]) -> None:
        """Of each host's arrays those are left that are in use, and no others; who uses them lives."""
        for host in hosts:
            users = (self._services[host.name], self._others[host.name])
            left, used = host.arrays(), {one.array for one in users}
            if left != used or not all(one.lives() for one in users):
                raise RuntimeError(f"{host.name}: lost {sorted(used - left)}, left {len(left - used)} that leaked")

    # --- the way to it ---

    def inventory(self, hosts: Sequence[Host]) -> dict[str, object]:
        known = f"-F none -o UserKnownHostsFile={self.home}/known_hosts -o IdentitiesOnly=yes -o LogLevel=ERROR"
        shared = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": f"{self.home}/key",
            "ansible_ssh_common_args": known,
            "ansible_control_path_dir": f"{self.home}/cp",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        return {"all": {"hosts": {host.name: {"ansible_host": host.address} for host in hosts}, "vars": shared}}


def _address(number: int) -> str:
    return f"{SUBNET}.{FIRST + number}"


def podman(*arguments: str) -> str:
    return _run(["podman", *arguments], dict(os.environ, CONTAINERS_CONF=str(_SETTINGS)))


def _remove_all() -> None:
    found = podman("ps", "--all", "--quiet", "--filter", f"name=^{NAME}-").split()
    if found:
        podman("rm", "--force", "--time", "0", *found)
    with contextlib.suppress(RuntimeError):  # there may be none
        podman("network", "rm", NAME)


def _wait_for_sshd(host: Host) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host.address, 22)) == 0 and probe.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    raise RuntimeError(f"{host.name}: no sshd answers at {host.address}")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]}: {done.stderr.strip()[-1000:]}")
    return done.stdout
