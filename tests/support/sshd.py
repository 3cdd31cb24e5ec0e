# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A real OpenSSH server on a loopback port, with keys and a configuration of its own, apart from the machine's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# sshd insists on its privilege separation directory; packages make it when the service starts.
PRIVILEGE_SEPARATION = Path("/run/sshd")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateSshd:
    """`preexec` runs in the server before exec: the place to enter a cgroup. `wrapper` goes in front of its command.
    `settings` are further lines of its configuration."""

    def __init__(
        self, preexec: Callable[[], None] | None = None, wrapper: tuple[str, ...] = (), settings: str = ""
    ) -> None:
        self._settings = settings
        self._preexec = preexec
        self._wrapper = wrapper
        self._server: subprocess.Popen[bytes] | None = None
        # Not below a temp directory: the tests fill those. Short: a socket's path has at most 108 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="hcssh-", dir="/var/cache"))
        self.port = _free_port()
        self.log = self.home / "log"

    def __enter__(self) -> PrivateSshd:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close_masters()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self.home)

    def _start(self) -> None:
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.home / name], check=True)
        self.home.chmod(0o755)  # a login that is not root reads its authorized keys here
        shutil.copy(self.home / "client.pub", self.home / "authorized")
        (self.home / "authorized").chmod(0o644)
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        config = self.home / "config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.home}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.home}/authorized\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nMaxStartups 100\nMaxSessions 100\n"
            "PrintMotd no\nAcceptEnv LC_MESSAGES PYTHONUNBUFFERED\nSubsystem sftp internal-sftp\nLogLevel VERBOSE\n"
            f"{self._settings}\n"
        )
        sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if sshd is None:
            raise RuntimeError("no sshd here: install openssh-server")
        self._server = subprocess.Popen(
            [*self._wrapper, sshd, "-D", "-f", config, "-E", self.log],
            preexec_fn=self._preexec,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        )
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        assert self._server is not None
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"sshd did not start: {self.log.read_text() if self.log.exists() else 'no log'}")

    def options(self, persist: bool, user: str = "root") -> list[str]:
        """ssh's options; with `persist` the connection stays open and later sessions ride on it."""
        options = {
            "IdentityFile": f"{self.home}/client",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": f"{self.home}/known",
            "StrictHostKeyChecking": "no",
            "ConnectTimeout": "10",
            "BatchMode": "yes",
        }
        if persist:
            options |= {"ControlMaster": "auto", "ControlPersist": "120", "ControlPath": f"{self.home}/cp-{user}"}
        else:
            options |= {"ControlMaster": "no", "ControlPath": "none"}
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def ssh(self, command: str, persist: bool = False, user: str = "root") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", *self.options(persist, user), "-p", str(self.port), f"{user}@127.0.0.1", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def inventory(self, persist: bool, user: str = "root") -> dict[str, str | int]:
        """The variables that let Ansible take the same way."""
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": user,
            "ansible_ssh_args": " ".join(self.options(persist, user)),
            # ansible-core adds a control path of its own otherwise
            "ansible_control_path": f"{self.home}/cp-{user}" if persist else "none",
        }

    @property
    def pid(self) -> int:
        """Of the server, in whose namespaces what is beside it has to run."""
        assert self._server is not None
        return self._server.pid

    def open_master(self, user: str = "root") -> None:
        """Opens the connection that later sessions ride on, as an operator does before the storm."""
        done = self.ssh("true", persist=True, user=user)
        if done.returncode:
            raise RuntimeError(f"cannot open the connection: {done.stderr}")

    def close_masters(self) -> None:
        for master in self.home.glob("cp-*"):
            end = ["ssh", "-O", "exit", "-o", f"ControlPath={master}", "127.0.0.1"]
            subprocess.run(end, capture_output=True, check=False)
            master.unlink(missing_ok=True)
