# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which daemon reads the crontabs, told from a tree that looks like a host; integration tests have real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import daemons
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.daemons import Survey
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.unit.support.proc_tree import NAMESPACE, ProcTree, process

# What is in the programs of the packages, among the rest.
CRONIE = b"\x7fELF\0cronie\0/var/spool/cron\0/etc/cron.d\0Copyright by Paul Vixie\0"
DEBIAN = b"\x7fELF\0Syntax error, this crontab file will be ignored\0crontabs\0/var/spool/cron\0by Paul Vixie\0"
VIXIE = b"\x7fELF\0Copyright 1988 by Paul Vixie\0tabs\0/var/cron\0"
BUSYBOX = b"\x7fELF\0BusyBox v1.37.0\0/var/spool/cron/crontabs\0"
DCRON = b"\x7fELF\0dillon's cron daemon\0"
FCRON = b"\x7fELF\0fcron\0fcrontab\0"


class Host:
    """A root with programs, and its /proc."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ProcTree(path / "proc")

    def install(self, path: str, content: bytes) -> Host:
        file = self.path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return self

    def run(self, pid: int, comm: bytes, program: str, start: int = 100, namespace: str = NAMESPACE) -> Host:
        exe = str(self.path / program.lstrip("/"))
        self.tree.add(process(pid, comm, start=start), exe=exe, namespace=namespace)
        (self.tree.root / str(pid) / "root").symlink_to("/")
        return self

    def survey(self, dialect: str = "auto") -> Survey:
        return daemons.survey(ProcessTable(str(self.tree.root)), str(self.path), dialect)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(
    "content,name,spool",
    [
        (CRONIE, "cronie", "/var/spool/cron"),
        (CRONIE.replace(b"/var/spool/cron", b"/var/spool/cron/tabs"), "cronie", "/var/spool/cron/tabs"),
        (DEBIAN, "debian", "/var/spool/cron/crontabs"),
        (VIXIE, "vixie", None),
        (BUSYBOX, "busybox", "/var/spool/cron/crontabs"),
        (DCRON, "dcron", None),
        (FCRON, "fcron", None),
    ],
)
def test_a_program_is_known_by_what_is_in_it(host: Host, content: bytes, name: str, spool: str | None) -> None:
    host.install("/usr/sbin/crond", content)
    (found,) = host.survey().crons
    assert (found.name, found.program, found.pid, found.spool) == (name, "/usr/sbin/crond", None, spool)
    assert (found.dialect is None) is (name in ("dcron", "fcron"))
    host.run(77, b"crond", "/usr/sbin/crond")
    (found,) = host.survey().crons
    assert (found.name, found.pid) == (name, 77)
    assert found.reason.startswith("runs as process 77; ")


def test_the_children_of_a_storm_are_not_taken_for_the_daemon(host: Host) -> None:
    host.install("/usr/sbin/cron", DEBIAN)
    for pid in range(200, 260):
        host.run(pid, b"cron", "/usr/sbin/cron", start=5000 + pid)
    host.run(300, b"cron", "/usr/sbin/cron", start=50)
    (found,) = host.survey().crons
    assert found.pid == 300


def test_what_runs_counts_and_not_what_is_installed_beside_it(host: Host) -> None:
    host.install("/usr/sbin/cron", DEBIAN).install("/usr/sbin/crond", CRONIE)
    assert {found.name for found in host.survey().crons} == {"debian", "cronie"}
    host.run(77, b"crond", "/usr/sbin/crond")
    assert [found.name for found in host.survey().crons] == ["cronie"]


def test_the_daemon_of_a_container_is_none_of_this_host(host: Host) -> None:
    host.install("/usr/sbin/crond", CRONIE).run(77, b"crond", "/usr/sbin/crond", namespace="pid:[2]")
    assert host.survey().crons[0].pid is None


def test_a_program_of_that_name_that_is_none(host: Host) -> None:
    host.install("/usr/sbin/crond", b"#!/bin/sh\n").install("/usr/sbin/cron", b"")
    host.run(77, b"crond", "/usr/sbin/crond").run(78, b"busybox", "/usr/sbin/crond")
    assert host.survey().crons == ()


def test_busybox_is_a_daemon_only_as_crond(host: Host) -> None:
    host.install("/bin/busybox", BUSYBOX).run(77, b"busybox", "/bin/busybox")
    (host.tree.root / "77" / "cwd").symlink_to("/srv/www")
    assert host.survey().crons == ()
    host.run(78, b"busybox", "/bin/busybox", start=200)
    (host.tree.root / "78" / "cwd").symlink_to("/etc/crontabs")
    (found,) = host.survey().crons
    assert (found.pid, found.spool) == (78, "/etc/crontabs")


def test_busybox_goes_where_its_crontabs_are(host: Host) -> None:
    host.install("/bin/busybox", BUSYBOX).run(78, b"crond", "/bin/busybox")
    assert host.survey().crons[0].spool == "/var/spool/cron/crontabs"
    (host.tree.root / "78" / "cwd").symlink_to("/srv/root/srv/tabs")
    assert host.survey().crons[0].spool == "/srv/root/srv/tabs"
    (host.tree.root / "78" / "root").unlink()
    (host.tree.root / "78" / "root").symlink_to("/srv/root")
    assert host.survey().crons[0].spool == "/srv/tabs"


def test_systemd_cron_is_a_generator(host: Host) -> None:
    host.install("/lib/systemd/system-generators/systemd-crontab-generator", b"#!/usr/bin/python3\n")
    (found,) = host.survey().crons
    assert (found.name, found.pid, found.spool) == ("systemd_cron", None, "/var/spool/cron/crontabs")
    assert host.survey().anacron == found


def test_the_user_has_the_last_word(host: Host) -> None:
    host.install("/usr/sbin/crond", CRONIE).install("/var/spool/cron/crontabs/x", b"")
    (found,) = host.survey("debian").crons
    assert (found.name, found.program, found.reason) == ("debian", None, "dialect names it")
    assert found.spool == "/var/spool/cron/crontabs"
    assert host.survey("cronie").crons[0].program == "/usr/sbin/crond"


@pytest.mark.parametrize(
    "content,knows", [(b"Anacron 2.3\0", False), (b"Empty MAILTO set, not mailing output\0", True)]
)
def test_the_two_anacrons(host: Host, content: bytes, knows: bool) -> None:
    assert host.survey().anacron is None
    host.install("/usr/sbin/anacron", content)
    found = host.survey().anacron
    assert found is not None
    assert found.dialect is not None
    assert found.dialect.knows_nobody is knows


STATUS = b"Package: adduser\nVersion: 3.0pl1-999\n\nPackage: cron\nStatus: install ok installed\nVersion: %s\n\n"


@pytest.mark.parametrize(
    "status,revision",
    [
        (STATUS % b"3.0pl1-162", 162),
        (STATUS % b"1:3.0pl1-197ubuntu2", 197),
        (STATUS % b"4.1-1", None),
        (b"Package: cron\nVersion: 3.0pl1-137+deb11u1\n\n", 137),
        (b"Package: cron-daemon-common\nVersion: 3.0pl1-162\n\n", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_version_of_debians_cron(host: Host, status: bytes | None, revision: int | None) -> None:
    if status is not None:
        host.install("/var/lib/dpkg/status", status)
    assert daemons.debian_revision(str(host.path)) == revision
    host.install("/usr/sbin/cron", DEBIAN)
    dialect = host.survey().crons[0].dialect
    assert dialect is not None
    assert dialect.takes_bare is (revision is None or revision >= 187)
    assert dialect.dies_of_bare is (revision is None)


def test_options_are_read_from_where_distributions_keep_them(host: Host) -> None:
    host.install("/usr/sbin/cron", DEBIAN)
    host.install("/etc/default/cron", b'# EXTRA_OPTS="-p"\nEXTRA_OPTS="-l -L 5"\nfoo-x\n')
    assert host.survey().crons[0].options == {"-l", "-L"}


def test_without_proc_what_is_installed_is_found(host: Host) -> None:
    host.install("/usr/sbin/cron", DEBIAN)
    survey = daemons.survey(ProcessTable(str(host.path / "nowhere")), str(host.path))
    assert [found.name for found in survey.crons] == ["debian"]
