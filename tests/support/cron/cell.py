# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A cron daemon of Debian in a root of its own: its jobs leave a mark, and its mail goes no further than a file.

The root is a Debian that was unpacked once, below an overlay, in namespaces of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import typing as t
from pathlib import Path

# $1: what is to be seen besides; $2: the unpacked root; $3: the cell's directory; then the command.
_ENTER = """
what=$1 lower=$2 home=$3
shift 3
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$home/upper,workdir=$home/work" "$home/root"
mount -t proc proc "$home/root/proc"
mount --rbind "$home/dev" "$home/root/dev"
for device in null zero random urandom; do
    : >"$home/root/dev/$device"
    mount --bind "/dev/$device" "$home/root/dev/$device"
done
if [ "$what" = systemd ]; then
    rm "$home/root/dev/log"
    mount -t sysfs -o ro sysfs "$home/root/sys"
    mount -t cgroup2 cgroup2 "$home/root/sys/fs/cgroup"
    mount -t tmpfs tmpfs "$home/root/run"
    export container=oci
fi
mount --bind "$home/caught" "$home/root/caught"
mount --bind "$home/ran" "$home/root/ran"
exec chroot "$home/root" sh -c 'read -r _go </gate; exec "$@"' sh "$@"
"""

# Shell builtins only: not every root has coreutils.
_SENDMAIL = """#!/bin/sh
set -C
number=0
until { : >"/caught/$$-$number"; } 2>/dev/null; do number=$((number + 1)); done
set +C
{
    for argument in "$@"; do printf '<%s>' "$argument"; done
    printf '\\n'
    while IFS= read -r line; do printf '%s\\n' "$line"; done
} >"/caught/$$-$number"
"""
_JOB = """#!/bin/sh
echo "$1 has something to say"
echo x >>"/ran/$1"
"""

USERS = {"root": 0, "daemon": 1, "alice": 2001, "bob": 2002, "nobody": 65534}
_PAM = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n"


class Mail(t.NamedTuple):
    """What sendmail was called with and given."""

    arguments: list[str]
    text: str

    @property
    def job(self) -> str:
        """Whose output it is."""
        said = re.search(r"(\S+) has something to say|^Subject: .* /job ([^\s\"]+)", self.text, re.MULTILINE)
        assert said is not None, self.text
        return said.group(1) or said.group(2)

    @property
    def recipient(self) -> str:
        """An argument, or where sendmail reads the header, the address in that."""
        if {"-t", "-ti"} & set(self.arguments):
            return next(line[4:] for line in self.text.split("\n") if line.startswith("To: "))
        return self.arguments[-1]


class Cell:
    """`with Cell(root(...), home) as cell:`; files are staged, `start` makes the root, `go` lets the daemon loose."""

    def __init__(self, lower: Path, home: Path, users: t.Iterable[str] = ()) -> None:
        self.lower, self.home = lower, home
        self.users = USERS | {name: 3000 + number for number, name in enumerate(users)}
        self.pid: int | None = None
        self.log: list[str] = []
        self._outer: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None

    def __enter__(self) -> Cell:
        for name in ("upper", "work", "root", "dev", "caught", "ran"):
            (self.home / name).mkdir(parents=True)
        for name in ("caught", "ran"):
            (self.home / name).chmod(0o1777)
            self.path(f"/{name}").mkdir()
        os.mkfifo(self.path("/gate"))
        self.stage("/usr/sbin/sendmail", _SENDMAIL.encode(), mode=0o755)
        self.stage("/job", _JOB.encode(), mode=0o755)
        passwd = "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in self.users.items())
        groups = "".join(f"{name}:x:{uid}:\n" for name, uid in self.users.items())
        self.stage("/etc/passwd", passwd.encode())
        self.stage("/etc/group", (groups + "crontab:x:101:\n").encode())
        for service in ("cron", "cronie", "other"):
            self.stage(f"/etc/pam.d/{service}", _PAM.encode())
        # The packages' own jobs are not seen: at their minute they would have something to say.
        self.path("/etc/cron.d").mkdir()
        os.setxattr(self.path("/etc/cron.d"), "trusted.overlay.opaque", b"y")
        spool = self.path("/var/spool/cron/crontabs")
        spool.mkdir(parents=True)
        spool.chmod(0o1730)
        os.chown(spool, 0, 101)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def view(self) -> str:
        """The root as the daemon sees it; before the start as far as it is staged."""
        return f"/proc/{self.pid}/root" if self.pid else f"{self.home}/upper"

    def path(self, inside: str) -> Path:
        return Path(self.view + inside)

    def stage(self, inside: str, content: bytes, mode: int = 0o644, owner: int = 0) -> Path:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chown(path, owner, owner)
        path.chmod(mode)
        return path

    def start(self, *command: str, systemd: bool = False) -> None:
        """The root is there, and the command waits in it to become PID 1 of its namespace."""
        self._listen()
        space = ["--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--propagation", "private"]
        space += ["--fork", "--kill-child"]
        what = "systemd" if systemd else "daemon"
        with (self.home / "stderr").open("wb") as errors:
            self._outer = subprocess.Popen(
                ["unshare", *space, "sh", "-ec", _ENTER, "sh", what, str(self.lower), str(self.home), *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while self.pid is None:
            children = self._tree(self._outer.pid)
            if children and Path(f"/proc/{children[0]}/root/gate").exists():
                self.pid = children[0]
            elif time.monotonic() > deadline or self._outer.poll() is not None:
                raise RuntimeError(f"{command} did not start: {self.errors()}")
            else:
                time.sleep(0.005)

    def go(self) -> None:
        self.path("/gate").write_text("go\n")

    def stop(self) -> None:
        if self._outer is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid or self._outer.pid, signal.SIGKILL)
            self._outer.wait()
            self.pid = self._outer = None
        if self._listener is not None:
            self._read_log()
            self._listener.close()
            self._listener = None

    def settle(self, jobs: t.Collection[str] = (), quiet: float = 0.5, timeout: float = 60.0) -> None:
        """Until these jobs ran, and nothing but the daemon has run for a while; or the program has ended by itself."""
        assert self._outer is not None
        deadline = time.monotonic() + timeout
        still = time.monotonic()
        while self._outer.poll() is None and time.monotonic() - still < quiet:
            if len(self._tree(self._outer.pid)) > 1 or not all((self.home / "ran" / name).exists() for name in jobs):
                still = time.monotonic()
            if time.monotonic() > deadline:
                break  # what is missing is for the test to say
            self._read_log()  # who writes to a full socket waits
            time.sleep(0.02)
        self._read_log()

    def inside(self, *command: str) -> str:
        """What a command says that is run there beside the daemon."""
        space = ["nsenter", "--target", str(self.pid), "--all", f"--root={self.view}", "--wd=/"]
        done = subprocess.run([*space, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ran(self) -> dict[str, int]:
        """How often each job ran."""
        return {path.name: len(path.read_bytes().splitlines()) for path in sorted((self.home / "ran").iterdir())}

    def caught(self) -> list[Mail]:
        mails = []
        for path in sorted((self.home / "caught").iterdir()):
            arguments, _newline, text = path.read_bytes().decode("latin-1").partition("\n")
            mails.append(Mail(arguments[1:-1].split("><"), text))
        return mails

    def mailed(self) -> dict[str, str]:
        """Each job that was mailed, and to whom."""
        return {mail.job: mail.recipient for mail in self.caught()}

    def forget(self) -> None:
        """What ran and was mailed so far."""
        for name in ("caught", "ran"):
            for path in (self.home / name).iterdir():
                path.unlink()

    def errors(self) -> str:
        return (self.home / "stderr").read_text(errors="backslashreplace")

    def _tree(self, pid: int) -> list[int]:
        found: list[int] = []
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                found += [int(child), *self._tree(int(child))]
        return found

    def _listen(self) -> None:
        here = os.open(self.home / "dev", os.O_RDONLY)
        try:  # by a short name, as the path of a socket has to be
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._listener.bind(f"/proc/self/fd/{here}/log")
            (self.home / "dev" / "log").chmod(0o666)
            self._listener.setblocking(False)
        finally:
            os.close(here)

    def _read_log(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                self.log.append(self._listener.recv(65536).decode(errors="backslashreplace"))
