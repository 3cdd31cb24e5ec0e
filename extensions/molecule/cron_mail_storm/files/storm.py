# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A storm of cron mail on a test host, by its real cron, sendmail and postdrop, and what has become of everybody.

storm.py provoke CAUSE JOBS   fill crontabs, let innocents submit mail, break the queue, run the jobs, wait
storm.py check                nothing is stuck, the innocent mail is there, every crontab's jobs run and mail nothing

It is handed to the host's Python on standard input: a full host has no inode for it.

CAUSE is directory (maildrop is missing), group (of maildrop), bit (setgid of postdrop), inodes (none is free) or
stopped (Postfix does not run).
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import typing as t
from pathlib import Path

MEMORY = Path("/run/storm.json")
MARKERS = Path("/run/markers")
ARCHIVES = Path("/var/lib/hostcare/maildrop")
SPOOL = Path("/var/spool/postfix")
MAILDROP = SPOOL / "maildrop"
MAILBOXES = Path("/var/mail")
POSTDROP = Path("/usr/sbin/postdrop")

SYSTEM, DROP_IN, BOBS = Path("/etc/crontab"), Path("/etc/cron.d/storm"), Path("/var/spool/cron/crontabs/bob")
# What tells each daemon that it has run the jobs of @reboot since the boot.
REBOOTED = (Path("/run/crond.reboot"), Path("/run/cron.reboot"))
# Of jobs of bob there are as many as can be stuck, each in three processes, with some slots left: on a host that has
# none jobs only wait for one, and nobody ever gets in.
JOBS_OF_ROOT, JOBS_EACH_MINUTE = 20, 3
SAY = "echo at $(date +\\%s)"
NAP = "3333"
ORPHANS = 3
LOCK = Path("/run/hostcare/lock")
QUEUED = ("inodes", "stopped")


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def wait(what: str, truth: t.Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}; {describe()}")
        time.sleep(0.2)


def describe() -> str:
    return f"{len(named('postdrop'))} postdrops, {len(queued())} files in maildrop, {inodes_free()} inodes free"


def named(name: str) -> list[int]:
    """The processes of that name, without starting one: the host may be full."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and Path("/proc", entry, "comm").read_text().strip() == name:
                found.append(int(entry))
        except OSError:
            continue
    return found


def owner(pid: int) -> int:
    """The real user."""
    try:
        return int(re.findall(r"^Uid:\s+(\d+)", Path("/proc", str(pid), "status").read_text(), re.MULTILINE)[0])
    except OSError:
        return -1


def parent(pid: int) -> int:
    try:
        return int(re.findall(r"^PPid:\s+(\d+)", Path("/proc", str(pid), "status").read_text(), re.MULTILINE)[0])
    except OSError:
        return -1


def queued(uid: int | None = None) -> list[Path]:
    try:
        return [path for path in MAILDROP.iterdir() if uid is None or path.lstat().st_uid == uid]
    except FileNotFoundError:
        return []


def uid_of(user: str) -> int:
    return pwd.getpwnam(user).pw_uid


def inodes_free() -> int:
    return os.statvfs(SPOOL).f_favail


def provoke(cause: str, jobs: int) -> None:
    shutil.rmtree(MARKERS, ignore_errors=True)
    MARKERS.mkdir()
    MARKERS.chmod(0o1777)
    MEMORY.write_text(json.dumps({"cause": cause, "jobs": jobs}))
    run("systemctl", "stop", *cron())
    for mailbox in MAILBOXES.iterdir():
        mailbox.unlink()
    if cause in QUEUED:
        let_innocents_queue(jobs * 6 // 10 if cause == "inodes" else 0)
    else:
        break_queue(cause)
        let_innocent_wait()
    write_crontabs(jobs)
    for lock in REBOOTED:
        lock.unlink(missing_ok=True)
    run("systemctl", "start", *cron())
    wait(f"the storm of {cause}", lambda: is_stormy(cause, jobs))
    if cause != "stopped":
        orphan_some()
    print(f"{cause}: {describe()}")


def is_stormy(cause: str, jobs: int) -> bool:
    if cause == "stopped":
        return len(queued()) >= jobs
    if cause == "inodes":
        return len(named("postdrop")) >= jobs // 4 and inodes_free() == 0
    return len(named("postdrop")) >= jobs * 9 // 10


def orphan_some() -> None:
    """As somebody would who kills sendmail first: its postdrop goes on for ever."""
    parents = {parent(pid) for pid in named("postdrop") if owner(pid) != uid_of("operator")} & set(named("sendmail"))
    for pid in sorted(parents)[:ORPHANS]:
        os.kill(pid, signal.SIGKILL)
    wait("orphans", lambda: sum(parent(pid) == 1 for pid in named("postdrop")) >= ORPHANS)


def cron() -> list[str]:
    return ["cronie.service"] if Path("/usr/sbin/crond").exists() else ["cron.service"]


def write_crontabs(jobs: int) -> None:
    def line(user: str, name: str) -> str:
        return f"* * * * * {user} touch {MARKERS}/{name}; {SAY} {name}\n"

    original = SYSTEM.with_name("crontab.original")
    if not original.exists():
        shutil.copy2(SYSTEM, original)
    SYSTEM.write_text(original.read_text() + line("root", "system"))
    storm = [f"@reboot bob echo job {number}\n" for number in range(jobs)]
    storm += [f"@reboot root echo job {number}\n" for number in range(JOBS_OF_ROOT)]
    storm += [f"* * * * * bob {SAY} each minute\n" for _number in range(JOBS_EACH_MINUTE)]
    DROP_IN.write_text("".join(storm) + f"@reboot operator sleep {NAP}\n" + line("root", "drop-in"))
    DROP_IN.chmod(0o644)
    run("crontab", "-u", "bob", "-", text=line("", "bobs").replace("  ", " "))


def submit(subject: str) -> None:
    run("runuser", "-u", "operator", "--", "sendmail", "bob", text=f"Subject: {subject}\n\nIt must not be lost.\n")


def stop_postfix() -> None:
    """On Debian 12 and before the unit that is stopped is not the one that runs, and does not wait for it."""
    run("systemctl", "stop", "postfix")
    wait("Postfix stops", lambda: not named("master"))


def let_innocents_queue(inodes: int) -> None:
    """A mail that Postfix had accepted already and that was put back, and one that nobody has collected yet."""
    stop_postfix()
    if inodes and not os.path.ismount(SPOOL):
        copy = SPOOL.with_name("postfix.copy")
        shutil.rmtree(copy, ignore_errors=True)
        run("cp", "-a", str(SPOOL), str(copy))
        inodes += sum(len(files) + len(directories) for _path, directories, files in os.walk(copy))
        run("mount", "-t", "tmpfs", "-o", f"nr_inodes={inodes},mode=755", "small", str(SPOOL))
        run("cp", "-a", f"{copy}/.", str(SPOOL))
    run("postconf", "defer_transports=local")
    run("systemctl", "restart", "postfix")
    submit("requeued")
    wait("a mail is deferred", lambda: [path for path in (SPOOL / "deferred").rglob("*") if path.is_file()])
    stop_postfix()
    run("postsuper", "-r", "ALL")
    run("postconf", "-X", "defer_transports")
    submit("innocent")
    owners = sorted(path.lstat().st_uid for path in queued())
    assert owners == sorted([uid_of("postfix"), uid_of("operator")]), owners


def break_queue(cause: str) -> None:
    run("systemctl", "restart", "postfix")
    if cause == "directory":
        shutil.rmtree(MAILDROP)
    elif cause == "group":
        os.chown(MAILDROP, -1, 0)
    elif cause == "bit":
        POSTDROP.chmod(0o555)


def let_innocent_wait() -> None:
    """One who submits mail by hand is stuck as the jobs are, and has to live until it is taken."""
    mail = "Subject: innocent\n\nIt must not be lost.\n"
    run("systemd-run", "--unit=innocent", "--uid=operator", "sh", "-c", f"printf %s '{mail}' | sendmail bob; true")
    wait("the innocent is stuck", lambda: [pid for pid in named("postdrop") if owner(pid) == uid_of("operator")])


def check() -> list[str]:
    memory = json.loads(MEMORY.read_text())
    cause, jobs = memory["cause"], memory["jobs"]
    innocents = ["innocent"] + (["requeued"] if cause in QUEUED else [])
    wrong = []
    if cause == "bit":
        # Its group was lost when it started: nothing but a new try can help it, and that is for who submitted it.
        wrong += [] if innocent_postdrops() else ["the innocent postdrop was ended"]
    else:
        # Who is stuck tries again every ten seconds.
        wait(f"{innocents} are delivered", lambda: all(has_come(subject) for subject in innocents), 20)
    if not is_napping():
        wrong += ["the long job of the operator was ended"]
    if cause in QUEUED and archived() < jobs // 3:
        wrong += [f"only {archived()} mails are in the archives"]
    # Of a minute that began after the jobs were silenced.
    since = max(path.stat().st_mtime for path in (SYSTEM, DROP_IN, BOBS)) + 3
    wait("jobs in every crontab run", lambda: all(has_run(name, since) for name in ("system", "drop-in", "bobs")), 75)
    time.sleep(2)
    stuck = [pid for pid in named("postdrop") if owner(pid) != uid_of("operator")] + [
        pid for pid in named("sendmail") if owner(pid) != uid_of("operator")
    ]
    wrong += [f"{len(stuck)} processes are stuck"] if stuck else []
    late = [moment for moment in mailed() if moment > since]
    wrong += [f"{len(late)} mails of cron were produced"] if late else []
    wrong += [f"{len(queued())} files wait in maildrop"] if queued() else []
    wrong += [f"{LOCK} was left behind"] if LOCK.exists() else []
    print(f"{cause}: {describe()}, {archived()} in archives, {len(mailed())} mails of each minute delivered before")
    return wrong


def innocent_postdrops() -> list[int]:
    return [pid for pid in named("postdrop") if owner(pid) == uid_of("operator")]


def has_come(subject: str) -> bool:
    mailbox = MAILBOXES / "bob"
    return mailbox.exists() and f"Subject: {subject}\n" in mailbox.read_text(errors="replace")


def is_napping() -> bool:
    return any(f"\0{NAP}\0" in Path("/proc", str(pid), "cmdline").read_text() for pid in named("sleep"))


def has_run(name: str, since: float) -> bool:
    marker = MARKERS / name
    return marker.exists() and marker.stat().st_mtime > since


def mailed() -> list[int]:
    """When the jobs ran whose output was delivered."""
    mailboxes = [path.read_text(errors="replace") for path in MAILBOXES.iterdir()]
    return [int(moment) for mailbox in mailboxes for moment in re.findall(r"^at (\d+) ", mailbox, re.MULTILINE)]


def archived() -> int:
    count = 0
    for path in ARCHIVES.glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            count += sum(1 for member in archive.getmembers() if member.isfile())
    return count


def main(verb: str, *arguments: str) -> int:
    if verb == "check":
        wrong = check()
        print("\n".join(wrong))
        return 1 if wrong else 0
    provoke(arguments[0], int(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
