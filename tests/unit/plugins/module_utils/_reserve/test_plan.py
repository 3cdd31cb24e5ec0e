# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and back: what is done to a host, what is refused, and that the way back leads to what was there."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.host import EMPTY_STORE, File, Host, Pool
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.plan import Plan, plan
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.store import parse as parse_store
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.store import render
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.syntax import Text
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import DEBIAN, asked, become

EVERYTHING: dict[str, t.Any] = {
    "operators": ["root", "operator"], "pid_max": 65536, "ipc": {"kernel.sem": "250 32000 32 512"},
    "log_interval": "30s", "log_burst": 1000, "log_most": "512M", "postfix": {"default_process_limit": 50},
    "postfix_services": {"smtp/inet": 20}, "apache_mutex": "pthread",
}  # fmt: skip
REVERTED = asked(state="reverted")


def states(found: Plan) -> dict[str, str]:
    return {one.name: one.state for one in found.controls}


def told(found: Plan) -> str:
    return " ".join(one.text for one in found.conflicts)


def stored(host: Host) -> Host:
    """What is kept goes through the file."""
    return host._replace(store=parse_store(json.dumps(render(host.store)).encode(), "there"))


class TestThere:
    def test_a_host_as_it_comes(self) -> None:
        found = plan(asked(), DEBIAN)
        assert found.conflicts == ()
        assert states(found) == {
            "slots": "due", "protected": "due", "rlimits": "due", "pid_max": "not_asked", "ipc": "not_asked",
            "log_rate": "not_asked", "cron_mailto": "not_asked", "postfix": "not_asked", "apache_mutex": "not_asked",
        }  # fmt: skip
        assert found.tell == ("systemd", "sshd")
        assert not found.proved
        assert not found.sysctls
        written = {change.path: change.content for change in found.changes}
        assert written["/etc/systemd/system/user.slice.d/60-hostcare-harden.conf"].endswith("[Slice]\nTasksMax=4168\n")
        assert "* hard nproc 2084\n" in written["/etc/security/limits.d/60-hostcare-harden.conf"]
        manager = written["/etc/systemd/system.conf.d/60-hostcare-harden-rlimits.conf"]
        assert "DefaultLimitNPROC=2084\nDefaultLimitNOFILE=1024:524288\n" in manager
        made = found.directories
        assert all(made.index(one.rsplit("/", 1)[0]) < made.index(one) for one in made if one.rsplit("/", 1)[0] in made)

    @pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["defaults", "everything"])
    def test_a_hardened_host_has_nothing_to_do(self, options: dict[str, t.Any]) -> None:
        first = plan(asked(**options), DEBIAN)
        hard = stored(become(DEBIAN, first))
        second = plan(asked(**options), hard)
        assert not second.is_due
        assert (second.findings, second.changes, second.tell) == ((), (), ())
        assert second.proved, second.unproved
        assert set(states(second).values()) <= {"in_place", "not_asked"}
        assert second.store == hard.store

    def test_everything(self) -> None:
        found = plan(asked(**EVERYTHING), DEBIAN)
        assert found.sysctls == {"kernel.pid_max": "65536", "kernel.sem": "250 32000 32 512"}
        assert found.tell == ("systemd", "journald", "sshd", "postfix", "apache")
        assert found.store.sysctls == {"kernel.pid_max": "32768", "kernel.sem": "32000 1024000000 500 32000"}
        main_cf = next(change for change in found.changes if change.path == "/etc/postfix/main.cf")
        assert (main_cf.mode, main_cf.gid) == (0o640, 105), "whoever may read it still may, and nobody else"

    def test_other_numbers_on_a_hardened_host(self) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))
        options = asked(shares={"users": 20, "services": 60, "containers": 20})
        second = plan(options, hard)
        assert second.tell == ("systemd",), "sshd stays as it is"
        harder = become(hard, second)
        assert not plan(options, harder).is_due
        assert become(harder, plan(REVERTED, harder)).files == DEBIAN.files

    @pytest.mark.parametrize("name", ["user.slice", "system.slice", "machine.slice", "hostcare.slice"])
    def test_a_limit_that_the_kernel_does_not_have(self, name: str) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))
        pools = tuple(pool._replace(limit=None) if pool.name == name else pool for pool in hard.pools)
        found = plan(asked(), hard._replace(pools=pools))
        assert [one.text.split()[0] for one in found.findings] == [name]
        assert "systemd" in found.tell
        assert not found.proved

    def test_an_sshd_elsewhere(self) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))._replace(sshd_cgroup="/system.slice/ssh.service")
        found = plan(asked(), hard)
        assert found.tell == ("systemd", "sshd")
        assert "sshd runs in /system.slice/ssh.service" in found.findings[0].text


class TestBack:
    @pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["defaults", "everything"])
    def test_everything_is_as_it_was(self, options: dict[str, t.Any]) -> None:
        hard = stored(become(DEBIAN, plan(asked(**options), DEBIAN)))
        found = plan(REVERTED, hard)
        back = become(hard, found)
        assert (back.files, back.sysctls, back.directories) == (DEBIAN.files, DEBIAN.sysctls, DEBIAN.directories)
        assert {"systemd", "sshd"} <= set(found.tell)
        assert not plan(REVERTED, back._replace(store=EMPTY_STORE)).is_due

    @given(st.integers(0, 30), st.integers(0, 30), st.booleans())
    def test_a_run_that_died_is_finished_or_undone(self, first: int, second: int, undo: bool) -> None:
        """Two runs that died, with other numbers, after any of their steps."""
        other = {**EVERYTHING, "shares": {"users": 30, "services": 40, "containers": 30}}
        dead = stored(become(DEBIAN, plan(asked(**EVERYTHING), DEBIAN), only=first))
        dead = stored(become(dead, plan(asked(**other), dead), only=second))
        found = plan(REVERTED if undo else asked(**EVERYTHING), dead)
        assert found.is_due
        assert {"systemd", "sshd"} <= set(found.tell), "the run that died may have told nobody"
        after = become(dead, found)
        if not undo:
            assert not plan(asked(**EVERYTHING), after).is_due
            after = become(after, plan(REVERTED, after))
        assert (after.files, after.directories) == (DEBIAN.files, DEBIAN.directories)

    def test_a_waived_control_is_put_back_and_the_others_stay(self) -> None:
        hard = become(DEBIAN, plan(asked(**EVERYTHING), DEBIAN))
        options = asked(**EVERYTHING, waivers={"postfix": "another role does it", "pid_max": "not wanted"})
        found = plan(options, hard)
        assert states(found)["postfix"] == "waived"
        assert {change.path for change in found.changes if change.control == "postfix"} == {
            "/etc/postfix/main.cf", "/etc/postfix/master.cf",
        }  # fmt: skip
        assert found.sysctls == {"kernel.pid_max": "32768"}
        after = become(hard, found)
        assert after.files["/etc/postfix/main.cf"] == DEBIAN.files["/etc/postfix/main.cf"]
        assert "/etc/postfix/main.cf" not in after.store.files

    def test_what_was_edited_since_is_not_overwritten_unless_forced(self) -> None:
        hard = become(DEBIAN, plan(asked(), DEBIAN))
        path = "/etc/pam.d/sshd"
        edited = hard._replace(
            files={**hard.files, path: hard.files[path]._replace(content="session substack other\n")}
        )
        assert f"{path} was edited after it was hardened" in told(plan(REVERTED, edited))
        assert f"{path} was edited after it was hardened" in told(plan(asked(), edited))
        forced = plan(asked(state="reverted", force=True), edited)
        assert become(edited, forced).files == DEBIAN.files

    def test_an_edited_main_cf_keeps_what_was_edited(self) -> None:
        options = asked(postfix={"default_process_limit": 50})
        hard = become(DEBIAN, plan(options, DEBIAN))
        path = "/etc/postfix/main.cf"
        edited = hard._replace(
            files={**hard.files, path: hard.files[path]._replace(content=f"b = 2\n{hard.files[path].content}")}
        )
        found = plan(options, edited)
        assert not found.changes
        found = plan(asked(postfix={"default_process_limit": 60}), edited)
        after = become(edited, found)
        assert become(after, plan(REVERTED, after)).files[path].content == "b = 2\na = 1\n"

    def test_nothing_was_done(self) -> None:
        found = plan(REVERTED, DEBIAN)
        assert not found.is_due
        assert found.changes == ()


class TestRefused:
    @pytest.mark.parametrize(
        "control, changes, text",
        [
            ("slots", {"pids": False}, "no pids controller"),
            (
                "slots",
                {"pools": (Pool("user.slice", 9999, None),)},
                "user.slice has 9999 tasks now, and would get 4168",
            ),
            ("slots", {"pools": (Pool("docker", 3, None),)}, "docker has 3 tasks and is in none of the pools"),
            ("slots", {"units": (Pool("user-7.slice", 3000, None),)}, "user-7.slice has 3000 tasks now"),
            ("slots", {"units": (Pool("db.service", 3000, None),)}, "db.service has 3000 tasks now"),
            ("slots", {"kernel_threads": 400}, "Give kernel_slots: 800"),
            ("slots", {"size": DEBIAN.size._replace(pid_max=900)}, "Raise kernel.pid_max"),
            ("protected", {"accounts": frozenset()}, "operators: root is no account of this host"),
            ("protected", {"sshd_files": ()}, "Set UsePAM yes in sshd_config"),
            ("protected", {"files": {}}, "/etc/pam.d/sshd is missing"),
            ("protected", {"files": {"/etc/pam.d/sshd": File(None, 0, 0, 0)}}, "no UTF-8 text, or cannot be read"),
            ("rlimits", {"users": {"1000": 2085}}, "1000 has 2085 processes and threads now, and would get 2084"),
            ("rlimits", {"open_files": 600000}, "a process has 600000 files open now"),
        ],
    )
    def test_what_this_host_cannot_have(self, control: str, changes: dict[str, t.Any], text: str) -> None:
        found = plan(asked(), DEBIAN._replace(**changes))
        assert text in told(found)
        assert states(found)[control] == "refused"
        assert not found.proved

    @pytest.mark.parametrize(
        "changes, text",
        [
            ({"nproc": 5000}, "nproc: 5000 for one user is more than all of them together may have (4168)"),
            ({"nofile": "1024:2000000"}, "more than fs.nr_open"),
            ({"protected_memory": "4G"}, "more than a quarter of the memory"),
            ({"ipc": {"kernel.sem": "250 300 32 10"}}, "less than what is there now: up to 1 in one, 400 semaphores"),
            ({"pid_max": 1024, "waivers": {"slots": "x", "rlimits": "x"}}, "less than twice what runs now"),
        ],
    )
    def test_what_contradicts_the_host(self, changes: dict[str, t.Any], text: str) -> None:
        host = DEBIAN._replace(semaphores=(1, 400, 5), kernel_threads=600 if "pid_max" in changes else 120)
        assert text in told(plan(asked(**changes), host))

    def test_a_login_that_may_not_raise_its_limit_would_be_refused(self) -> None:
        host = DEBIAN._replace(may_raise=False, nofile_hard=20000)
        assert "* hard nofile 20000" in str(plan(asked(), host).changes)
        assert "whoever logs in would be refused" in told(plan(asked(nofile="1024:30000"), host))

    def test_where_nproc_would_count_others_it_is_left_out(self) -> None:
        """In a container without users of its own: RLIMIT_NPROC counts all processes of a uid on the machine."""
        host = DEBIAN._replace(shares_users=True)
        found = plan(asked(), host)
        assert "NPROC" not in str(found.changes)
        assert "nproc" not in str(found.changes)
        control = next(one for one in plan(asked(), become(host, found)).controls if one.name == "rlimits")
        assert (control.state, "without nproc" in control.reason) == ("in_place", True)
        assert "* hard nproc 500" in str(plan(asked(nproc=500), host).changes)

    @pytest.mark.parametrize(
        "field, text, told_of",
        [
            ("unit_files", "[Slice]\nTasksMax=99\n", "/etc/x.conf:2 sets TasksMax to 99, and this one "),
            ("manager_files", "[Manager]\n\nDefaultTasksMax=5\n", "/etc/x.conf:3 sets DefaultTasksMax to 5"),
            ("manager_files", "[Manager]\nDefaultLimitNPROC=5\n", "/etc/x.conf:2 sets DefaultLimitNPROC to 5"),
            ("limit_files", "# x\n* - nproc 7\n", "/etc/x.conf:2 sets * soft nproc to 7, and this one "),
            (
                "sysctl_files",
                "kernel.pid_max = 40000\n",
                "/etc/x.conf:1 sets kernel.pid_max to 40000, and this one 65536",
            ),
            ("journal_files", "[Journal]\nRateLimitBurst=0\n", "/etc/x.conf:2 sets RateLimitBurst to 0"),
        ],
    )
    def test_what_is_set_elsewhere_is_named_by_file_and_line(self, field: str, text: str, told_of: str) -> None:
        texts: t.Any = (Text("/etc/x.conf", text),)
        host = DEBIAN._replace(**{field: {"user.slice": texts} if field == "unit_files" else texts})
        found = plan(asked(**EVERYTHING), host)
        assert told_of in told(found)
        conflict = found.conflicts[0]
        assert (conflict.path, conflict.line > 0) == ("/etc/x.conf", True)

    @pytest.mark.parametrize(
        "path, is_conflict",
        [
            ("/usr/lib/sysctl.d/50-pid-max.conf", False),
            ("/usr/lib/sysctl.d/99-x.conf", True),
            ("/run/sysctl.d/1.conf", True),
        ],
    )
    def test_a_package_may_say_something_else_before_us(self, path: str, is_conflict: bool) -> None:
        host = DEBIAN._replace(sysctl_files=(Text(path, "kernel.pid_max = 4194304"),))
        assert bool(plan(asked(pid_max=65536), host).conflicts) == is_conflict

    def test_what_cannot_be_read_may_say_anything(self) -> None:
        found = plan(asked(), DEBIAN._replace(unread=("/etc/sysctl.conf cannot be read: run as root",)))
        assert told(found) == "/etc/sysctl.conf cannot be read: run as root, so what is set there is not known."
        assert not found.proved

    def test_the_same_elsewhere_is_no_conflict(self) -> None:
        host = DEBIAN._replace(sysctl_files=(Text("/etc/sysctl.conf", "kernel.pid_max=65536"),))
        assert plan(asked(pid_max=65536), host).conflicts == ()

    def test_who_has_a_limit_of_his_own_is_no_conflict(self) -> None:
        host = DEBIAN._replace(limit_files=(Text("/etc/security/limits.d/90-db.conf", "oracle - nproc 16384\n"),))
        assert plan(asked(), host).conflicts == ()

    def test_a_service_with_a_limit_of_its_own(self) -> None:
        host = DEBIAN._replace(
            units=(Pool("db.service", 3000, 8000),),
            unit_files={"db.service": (Text("/etc/systemd/system/db.service", "[Service]\nTasksMax=8000\n"),)},
        )
        assert plan(asked(), host).conflicts == ()


class TestWithoutSystemd:
    def test_what_can_be_done_is_done_and_the_rest_is_said(self) -> None:
        host = DEBIAN._replace(systemd=False, pids=False, pools=(), units=())
        found = plan(asked(**EVERYTHING), host)
        assert found.conflicts == ()
        assert states(found) == {
            "slots": "impossible", "protected": "impossible", "rlimits": "due", "pid_max": "due", "ipc": "due",
            "log_rate": "impossible", "cron_mailto": "not_asked", "postfix": "due", "apache_mutex": "due",
        }  # fmt: skip
        assert found.tell == ("postfix", "apache")
        assert not any(change.path.startswith("/etc/systemd") for change in found.changes)
        assert not found.proved

    @pytest.mark.parametrize("changes, state", [({"sshd_unit": ""}, "impossible"), ({"pam_systemd": False}, "due")])
    def test_without_a_part_of_it(self, changes: dict[str, t.Any], state: str) -> None:
        found = plan(asked(), DEBIAN._replace(**changes))
        assert states(found)["protected"] == state
        assert not found.proved


def test_waivers_are_told_with_their_reasons() -> None:
    found = plan(asked(waivers={"slots": "no pids controller here"}), DEBIAN._replace(pids=False))
    assert found.conflicts == ()
    control = next(one for one in found.controls if one.name == "slots")
    assert (control.state, control.reason) == ("waived", "no pids controller here")
    assert "slots is waived: no pids controller here" in found.unproved


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'{"version": 1, "done": true, "files": {"/x": {}}}', b"[]"])
def test_a_damaged_store_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match="there is damaged"):
        parse_store(raw, "there")


def test_a_store_of_a_later_version_is_refused() -> None:
    with pytest.raises(Refused, match="later version"):
        parse_store(b'{"version": 2}', "there")
