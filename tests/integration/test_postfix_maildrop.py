# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""postfix_maildrop against Debian's own Postfix: mail by the real sendmail and postdrop, judged by the real pickup."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.mail import PostfixHost
from ansible_collections.hostcare.remediation.tests.support.mail.host import ROOT

pytestmark = pytest.mark.once

SPOOL = "/var/spool/postfix"
ARCHIVES = "/var/backups/hostcare"
_CLEAR = f"""
cd {SPOOL} && rm -rf {ARCHIVES} maildrop.* /var/mail/*
find maildrop incoming active deferred defer hold bounce corrupt -type f -delete
: >/var/log/mail.log
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[PostfixHost]:
    home = Path(tempfile.mkdtemp(prefix="hostcare-mail-", dir="/var/tmp"))
    with PostfixHost(home / "host") as host:
        yield host
    home.rmdir()


@pytest.fixture
def host(machine: PostfixHost) -> Iterator[PostfixHost]:
    """Postfix is stopped, its queues are empty, nothing was archived."""
    yield machine
    machine.run("sh", "-c", f"kill -9 -1; {_CLEAR}", check=False)


def reasons(result: dict[str, t.Any]) -> dict[str, int]:
    return {row["reason"]: row["files"] for row in result["kept"]}


class Submission:
    """A sendmail that still reads its message, so that its postdrop has a file open."""

    def __init__(self, host: PostfixHost, subject: str, user: str) -> None:
        before = set(host.queue())
        self.host = host
        self.sendmail = host.popen("sendmail", "alice", user=user)
        assert self.sendmail.stdin is not None
        # enough for sendmail to hand on a part of it
        self.sendmail.stdin.write(f"Subject: {subject}\n\n".encode() + b"line after line\n" * 2000)
        self.sendmail.stdin.flush()
        host.wait_for(lambda: set(host.queue()) - before, "the file of postdrop")
        (self.name,) = set(host.queue()) - before

    def finish(self) -> None:
        out, _errors = self.sendmail.communicate()
        assert self.sendmail.returncode == 0, out.decode()

    def kill_postdrop(self) -> None:
        for pid in host_pids(self.host, "postdrop"):
            os.kill(pid, signal.SIGKILL)
        self.sendmail.communicate()


def host_pids(host: PostfixHost, name: str) -> list[int]:
    """Of the processes in the PID namespace of that host."""
    space = os.readlink(f"/proc/{host.pid}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "comm").read_text().strip() == name and os.readlink(path / "ns" / "pid") == space:
                found.append(int(path.name))
        except OSError:
            continue
    return found


# --- purge ---


@pytest.mark.parametrize("swap", [False, True], ids=["in place", "swap"])
def test_what_cron_sent_goes_and_all_other_mail_is_delivered(host: PostfixHost, swap: bool) -> None:
    relay(host)
    host.submit(*(f"cron {number}" for number in range(30)), user="root")
    host.submit("innocent", user="alice")
    being_written = Submission(host, "slow", user="root")
    foreseen = host.module(submitters=["root"], swap=swap, check_mode=True)
    assert len(host.queue()) == 33
    result = host.module(submitters=["root"], swap=swap, archive=ARCHIVES)
    assert result["problem"] == ""
    assert (result["removed"], foreseen["removed"], result["archive"]["files"]) == (30, 30, 30)
    assert reasons(result) == reasons(foreseen) == {"requeued": 1, "submitter": 1, "incomplete": 1}
    assert (result["remaining"], result["swapped"], result["converged"]) == (3, swap, True)
    assert [row["submitter"] for row in result["by_submitter"]] == ["root"]
    assert sorted(host.queue().values()) == ["alice", "postfix", "root"]
    being_written.finish()
    host.start()
    host.wait_for(lambda: host.delivered() == ["innocent", "slow"], "the delivery of the innocent")
    host.wait_for(lambda: deferred(host) == 1, "the relayed mail to be tried again")
    assert host.queue() == {}


def relay(host: PostfixHost) -> None:
    """Mail to another host that was accepted, could not be sent on, and was put back."""
    host.start()
    host.submit("relayed", user="alice", to="somebody@remote.example")
    host.wait_for(lambda: deferred(host) == 1, "the deferral")
    host.stop()
    host.run("postsuper", "-r", "ALL")
    assert list(host.queue().values()) == ["postfix"]


def deferred(host: PostfixHost) -> int:
    return sum(1 for path in host.path(f"{SPOOL}/deferred").rglob("*") if path.is_file())


def test_mail_put_back_goes_only_where_asked_for(host: PostfixHost) -> None:
    relay(host)
    host.submit("cron")
    assert host.module(keep_requeued=True)["removed"] == 1
    assert host.module(keep_requeued=False)["removed"] == 1
    assert host.queue() == {}


def test_a_part_left_by_a_killed_postdrop_goes_and_one_being_written_stays(host: PostfixHost) -> None:
    dead = Submission(host, "dead", user="root")
    dead.kill_postdrop()
    alive = Submission(host, "alive", user="root")
    assert set(host.queue()) == {dead.name, alive.name}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in host.maildrop.iterdir())
    assert reasons(host.module(include_incomplete="none")) == {"incomplete": 2}
    result = host.module()
    assert (result["removed"], reasons(result)) == (1, {"incomplete": 1})
    assert set(host.queue()) == {alive.name}
    alive.finish()
    host.start()
    host.wait_for(lambda: host.delivered() == ["alive"], "the delivery of what was being written")


def test_what_is_open_is_seen_without_the_right_to_leases(host: PostfixHost) -> None:
    """As in a container: by the links in /proc. A file whose processes cannot be seen is kept."""
    dead = Submission(host, "dead", user="root")
    dead.kill_postdrop()
    alive = Submission(host, "alive", user="alice")
    tool = ["python3", str(ROOT / "tests/support/mail/maildrop_tool.py"), json.dumps({"state": "purged"})]
    drop = ["setpriv", "--bounding-set", "-lease", "--inh-caps", "-lease"]
    result = json.loads(host.run(*drop, *tool).splitlines()[-1])
    assert (result["removed"], reasons(result), result["partial"]) == (1, {"incomplete": 1}, False)
    assert set(host.queue()) == {alive.name}
    drop = ["setpriv", "--bounding-set", "-lease,-sys_ptrace", "--inh-caps", "-lease,-sys_ptrace"]
    alive.kill_postdrop()
    result = json.loads(host.run(*drop, *tool).splitlines()[-1])
    if result["partial"]:  # where some process may not be looked into
        assert reasons(result) == {"incomplete": 1}
    else:
        assert result["removed"] == 1


def test_mail_that_comes_in_during_swaps_is_not_lost(host: PostfixHost) -> None:
    """Swap after swap among steady submissions: what sendmail took is delivered, once."""
    accepted: list[str] = []
    script = (
        "n=0; while [ $n -lt 60 ]; do n=$((n + 1));"
        " printf 'Subject: %s-%s\\n\\nx\\n' $1 $n | sendmail alice 2>/dev/null && echo $1-$n; done"
    )
    senders = [host.popen("sh", "-c", script, "sh", name, user="alice") for name in ("a", "b", "c")]
    swaps = 0
    while any(sender.poll() is None for sender in senders):
        host.submit("cron", user="root")
        swaps += host.module(submitters=["root"], swap=True)["swapped"]
    for sender in senders:
        accepted += sender.communicate()[0].decode().split()
    assert swaps > 3
    assert len(accepted) > 170, "more than a few were told to try again"
    assert set(host.queue().values()) == {"alice"}
    host.start()
    host.wait_for(lambda: len(mine(host)) >= len(accepted), "all that was accepted")
    time.sleep(0.5)
    assert mine(host) == sorted(accepted)


def mine(host: PostfixHost) -> list[str]:
    return [subject for subject in host.delivered() if "-" in subject]


# --- restore ---


def test_archived_mail_is_delivered_by_postfix_after_its_restore(host: PostfixHost) -> None:
    for user in ("root", "alice"):
        host.submit(*(f"mail {number:02} of {user}" for number in range(10)), user=user)
    before = {path.name: (path.read_bytes(), tuple(path.stat())[:8]) for path in host.maildrop.iterdir()}
    archive = host.module(archive=ARCHIVES)["archive"]["path"]
    assert host.queue() == {}
    assert host.module("present", from_archive=archive)["restored"] == 20
    for path in host.maildrop.iterdir():
        content, facts = before.pop(path.name)
        now = path.stat()
        assert path.read_bytes() == content
        assert (now.st_mode, now.st_uid, now.st_gid, now.st_size) == (facts[0], facts[4], facts[5], facts[6])
    assert before == {}
    host.start()
    host.wait_for(lambda: len(host.delivered()) == 20, "the delivery of all")
    assert host.delivered() == [f"mail {number:02} of {user}" for number in range(10) for user in ("alice", "root")]
    assert host.module("present", from_archive=archive)["restored"] == 0
    time.sleep(0.5)
    assert len(host.delivered()) == 20


# --- present ---


def facts(host: PostfixHost, name: str) -> tuple[int, int, int]:
    found = host.path(f"{SPOOL}/{name}").lstat()
    return found.st_mode, found.st_uid, found.st_gid


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf maildrop",
        "chown root maildrop",
        "chgrp root maildrop",
        "chmod 0700 maildrop",
        "chmod 1777 maildrop",
        "chown root:root public",
        "chmod 0755 public",
        "rm -rf maildrop public",
    ],
)
def test_it_mends_what_postfix_itself_complains_of(host: PostfixHost, harm: str) -> None:
    right = {name: facts(host, name) for name in ("maildrop", "public")}
    host.run("sh", "-c", f"cd {SPOOL} && {harm}")
    for check_mode in (True, False):
        result = host.module("present", check_mode=check_mode)
        assert (result["changed"], result["converged"]) == (True, not check_mode)
        assert result["diff"][0] != result["diff"][1]
    assert {name: facts(host, name) for name in ("maildrop", "public")} == right
    assert host.module("present")["changed"] is False
    assert "warning" not in host.run("postfix", "check")
    host.submit("after", user="alice")
    assert list(host.queue().values()) == ["alice"]


def test_what_set_permissions_leaves_is_right(host: PostfixHost) -> None:
    host.run("postfix", "set-permissions", check=False)
    result = host.module("present")
    assert [one["verdict"] for one in result["objects"]][:2] == ["right", "right"], result["objects"]


def test_orphaned_postdrops_end_by_their_age_and_all_others_go_on(host: PostfixHost) -> None:
    """The storm: without its directory postdrop tries for ever, every ten seconds, its sendmail dead or not."""
    host.run("rm", "-rf", f"{SPOOL}/maildrop")
    waiting = [host.popen("sendmail", "alice", user=user) for user in ("alice",) * 5 + ("root",) * 3]
    for sendmail in waiting:
        assert sendmail.stdin is not None
        sendmail.stdin.write(b"Subject: patient\n\nx\n")
        sendmail.stdin.close()
    host.wait_for(lambda: len(host_pids(host, "postdrop")) == 8, "eight that wait")
    for pid in host_pids(host, "sendmail"):
        if Path(f"/proc/{pid}").stat().st_uid == 0:
            os.kill(pid, signal.SIGKILL)
    ancestry = "postdrop < sh"  # PID 1 of that host
    host.wait_for(lambda: rogues(host, ancestry, "1s", check_mode=True) == 3, "three orphans")
    assert rogues(host, ancestry, "1h") == 0
    assert rogues(host, ancestry, "1s") == 3
    assert len(host_pids(host, "postdrop")) == 5
    assert host.module()["converged"] is True
    assert host.module("present")["converged"] is True
    for sendmail in waiting[:5]:
        assert sendmail.wait(30) == 0
    assert list(host.queue().values()) == ["alice"] * 5


def rogues(host: PostfixHost, ancestry: str, min_age: str, **options: t.Any) -> int:
    """How many rogue_process ended there."""
    wanted = {"state": "terminated", "selector": {"ancestry": ancestry, "min_age": min_age}, **options}
    ladder = {"signals": [signal.SIGTERM, signal.SIGINT], "grace_period": 5}
    command = ["python3", str(ROOT / "tests/support/remedy_tool.py"), json.dumps(wanted | ladder)]
    found = json.loads(host.run(*command, text="\n").splitlines()[-1])
    assert found.get("problem") == "", found
    return int(found["matched"])


@pytest.mark.parametrize("maker", ["postfix", "ours"])
def test_the_fifo_of_pickup(host: PostfixHost, maker: str) -> None:
    """With the form of master.cf that Postfix had before version 2.11 and still takes."""
    master = host.path("/etc/postfix/master.cf")
    before = master.read_text()
    try:
        master.write_text(before.replace("pickup    unix", "pickup    fifo"))
        host.run("rm", "-f", f"{SPOOL}/public/pickup")
        if maker == "ours":
            assert host.module("present")["objects"][2]["verdict"] == "made"
            assert facts(host, "public/pickup")[0] & 0o7777 == 0o622
        host.start()
        result = host.module("present")
        assert result["changed"] is False
        assert result["objects"][2]["kind"] == "fifo"
        assert result["objects"][2]["verdict"] == "right"
        host.submit("by fifo", user="alice")
        host.wait_for(lambda: host.delivered() == ["by fifo"], "the delivery", timeout=30)
    finally:
        host.stop()
        master.write_text(before)
        host.run("rm", "-f", f"{SPOOL}/public/pickup")


# --- main.cf ---

MAIN_CF = [
    "",
    "queue_directory = /var/spool/other\n",
    "queue_directory=/var/spool/other/\n",
    "base = /srv\nqueue_directory = $base/queue\n",
    "base = /srv\nqueue_directory = ${base}/queue\n",
    "base = /srv\nqueue_directory = $(base)/queue\n",
    "base = /srv\nqueue_directory = ${base?/yes}${base:/no}\n",
    "base =\nqueue_directory = /x${base?/yes}${base:/no}\n",
    "one = $two\ntwo = /srv\nqueue_directory = $one/$$x\n",
    "queue_directory =\n  /srv/queue\n",
    "queue_directory = /srv\n# a comment\n  /queue\n",
    "queue_directory = /srv/one\nqueue_directory = /srv/two\n",
    "   # a comment\nqueue_directory = /srv/queue\n",
    "queue_directory = ${config_directory}/queue\n",
    "queue_directory = /srv/$mail_owner-$setgid_group\n",
]


READ_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import main_cf
for directory in sys.argv[2:]:
    print(main_cf.settings(directory).queue_directory)
"""


def test_main_cf_is_read_as_postconf_reads_it(machine: PostfixHost) -> None:
    directories = [f"/etc/postfix-read-{number}" for number in range(len(MAIN_CF))]
    for directory, text in zip(directories, MAIN_CF, strict=True):
        machine.path(directory).mkdir()
        machine.path(f"{directory}/master.cf").touch()
        machine.path(f"{directory}/main.cf").write_text(text)
    read = machine.run("python3", "-c", READ_ALL, str(ROOT / ".work/collections"), *directories).splitlines()
    asked = 'for one in "$@"; do postconf -c $one -xh queue_directory 2>/dev/null; done'
    said = machine.run("sh", "-c", asked, "sh", *directories).splitlines()
    expected = [os.path.normpath(path) for path in said]
    assert list(zip(MAIN_CF, read, strict=True)) == list(zip(MAIN_CF, expected, strict=True))


def test_an_instance_of_its_own(host: PostfixHost) -> None:
    host.run("postmulti", "-e", "init")
    host.run("postmulti", "-e", "create", "-I", "postfix-out")
    try:
        host.run("postconf", "-c", "/etc/postfix-out", "authorized_submit_users=static:anyone")
        host.run("sendmail", "alice", text="Subject: main\n\nx\n")
        host.run("sendmail", "-C", "/etc/postfix-out", "alice", text="Subject: out\n\nx\n")
        result = host.module(check_mode=True)
        assert [(one["instance"], one["queue_directory"]) for one in result["instances"]] == [
            ("-", SPOOL), ("postfix-out", "/var/spool/postfix-out"),
        ]  # fmt: skip
        result = host.module(instance="postfix-out")
        assert (result["queue_directory"], result["removed"]) == ("/var/spool/postfix-out", 1)
        assert len(host.queue()) == 1
        assert host.module("present", instance="postfix-out")["changed"] is False
        assert "knows of no instance" in host.module(instance="postfix-in")["refused"]
    finally:
        host.run("sh", "-c", "rm -rf /etc/postfix-out /var/spool/postfix-out /var/lib/postfix-out")
        host.run("postconf", "-X", "multi_instance_directories", "multi_instance_enable", "multi_instance_wrapper")


def test_without_postfix_it_says_so(host: PostfixHost) -> None:
    assert "is Postfix installed" in host.module(queue_directory="/var/spool/nowhere")["refused"]
    result = host.module(config_directory="/etc/nowhere", check_mode=True)
    assert "main.cf does not exist" in result["warnings"][0]
    assert result["queue_directory"] == SPOOL


# --- its peer ---


def test_postsuper_takes_what_ours_leaves(host: PostfixHost) -> None:
    """Why not `postsuper -d ALL maildrop`: it asks for no sender, and takes relayed mail and mail being written."""
    relay(host)
    host.submit("innocent", user="alice")
    being_written = Submission(host, "slow", user="alice")
    host.run("postsuper", "-d", "ALL", "maildrop")
    assert host.queue() == {}
    subprocess.run(["kill", "-9", *map(str, host_pids(host, "postdrop"))], check=False)
    being_written.sendmail.communicate()
