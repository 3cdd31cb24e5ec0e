# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Debian's Postfix as its package installs it, in a root and in PID, mount and network namespaces of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from .tool import module

ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / ".work" / "mail"
SUITE = "bookworm"
_PACKAGES = "postfix,python3,rsync,acl,e2fsprogs"

_ENTER = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
cp -a "$1/var/spool/postfix" "$2/spool" # overlayfs renames no directory that comes from below
mount --bind "$2/spool" "$2/root/var/spool/postfix"
mkdir -p "$2/root$3"
mount --bind "$3" "$2/root$3"
cd "$2/root"
exec chroot . sh -c 'while :; do sleep 60 & wait $!; done'
"""
_SETTINGS = (
    "myhostname=test.example",
    "mydestination=test.example",
    "inet_interfaces=loopback-only",
    "inet_protocols=ipv4",
    "master_service_disable=inet",
    "maillog_file=/var/log/mail.log",
    "defer_transports=smtp",
    "alias_maps=",
    "alias_database=",
)
# Postfix insists on an interface: lo goes up (SIOCSIFFLAGS, netdevice(7)).
_LOOPBACK = """
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 1))
"""


def root() -> Path:
    """A Debian with Postfix, made once and never written to again."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (WORK / SUITE).is_dir():
            draft = WORK / f"{SUITE}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={_PACKAGES}", SUITE]
            done = subprocess.run(
                [*command, str(draft)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"no Debian with Postfix could be made: {done.stderr}")
            draft.rename(WORK / SUITE)
    return WORK / SUITE


class PostfixHost:
    """`with PostfixHost(home) as host:`. Postfix is configured and not running; nothing leaves the namespaces."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.pid = 0
        self._outer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostfixHost:
        for name in ("upper", "work", "root"):
            (self.home / name).mkdir(parents=True)
        space = ["unshare", "--mount", "--pid", "--net", "--propagation", "private", "--fork", "--kill-child"]
        self._outer = subprocess.Popen(
            [*space, "sh", "-ec", _ENTER, "sh", str(root()), str(self.home), str(ROOT)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._wait_for_init(self._outer.pid)
        self.run("useradd", "--create-home", "--uid", "2001", "alice")
        self.run("python3", "-c", _LOOPBACK)
        self.run("postconf", *_SETTINGS)
        self.run("install", "-o", "postfix", "-m", "0644", "/dev/null", "/var/log/mail.log")
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._outer is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._outer.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _wait_for_init(self, outer: int) -> int:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for child in Path(f"/proc/{outer}/task/{outer}/children").read_text().split():
                if os.readlink(f"/proc/{child}/root") != "/":
                    return int(child)
            time.sleep(0.01)
        raise RuntimeError("the host did not start")

    @property
    def inside(self) -> list[str]:
        """A command prefix: run it there."""
        spaces = ("--mount", "--pid", "--net", "--root", "--wd")
        environment = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPYCACHEPREFIX=/var/cache/python")
        return ["nsenter", "--target", str(self.pid), *spaces, "env", "-i", *environment]

    def run(self, *command: str, check: bool = True, text: str = "", user: str = "") -> str:
        """Its output; `text` is what it reads."""
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        done = subprocess.run(
            [*self.inside, *prefix, *command], input=text, capture_output=True, text=True, check=False, timeout=120
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def popen(self, *command: str, user: str = "root") -> subprocess.Popen[bytes]:
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return subprocess.Popen(
            [*self.inside, *prefix, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def path(self, inside: str) -> Path:
        return Path(f"/proc/{self.pid}/root{inside}")

    def module(self, state: str = "purged", **options: t.Any) -> dict[str, t.Any]:
        """The module's work, by the Python of that host."""
        return module(state, prefix=self.inside, python="/usr/bin/python3", **options)

    # --- mail ---

    @property
    def maildrop(self) -> Path:
        return self.path("/var/spool/postfix/maildrop")

    def queue(self) -> dict[str, str]:
        """The names in the maildrop, and who sent each."""
        names = {path.name: path.lstat().st_uid for path in self.maildrop.iterdir()}
        lines = [line.split(":") for line in self.path("/etc/passwd").read_text().splitlines()]
        users = {int(fields[2]): fields[0] for fields in lines}
        return {name: users[uid] for name, uid in names.items()}

    def submit(self, *subjects: str, user: str = "root", to: str = "alice") -> None:
        """By the real sendmail and postdrop."""
        script = 'for one in "$@"; do printf "Subject: $one\\n\\nbody of $one\\n" | sendmail "$0" || exit; done'
        self.run("sh", "-c", script, to, *subjects, user=user)

    def start(self) -> None:
        self.run("postfix", "start")

    def stop(self) -> None:
        """As `postfix stop` does, which takes seconds to look whether it has."""
        script = "kill $1 && while kill -0 $1; do sleep 0.05; done; true"
        pid = self.path("/var/spool/postfix/pid/master.pid")
        if pid.exists():
            self.run("sh", "-c", script, "sh", pid.read_text().strip())

    def delivered(self, user: str = "alice") -> list[str]:
        """The subjects in a mailbox, sorted."""
        box = self.path(f"/var/mail/{user}")
        lines = box.read_text().splitlines() if box.exists() else []
        return sorted(line[9:] for line in lines if line.startswith("Subject: "))

    def wait_for(self, condition: t.Callable[[], t.Any], what: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}\n{self.log()}"
            time.sleep(0.05)

    def log(self) -> str:
        path = self.path("/var/log/mail.log")
        return path.read_text() if path.exists() else ""
