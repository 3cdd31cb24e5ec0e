# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The daemons' own word: each runs the jobs of every crontab of the corpus, and mails what the module says it mails.

Debian's cron and cronie run what is to run at boot as soon as they start. busybox has no such jobs, and whether a
daemon notices an edit shows at the next minute only; both are waited for beside the other tests.
"""

from __future__ import annotations

import random
import re
import threading
import time
import typing as t
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import acceptance, daemons, remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.discovery import Discovery, Item
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.document import JOB, Line
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.support.cron import CORPUS, Cell, crontab, root

pytestmark = pytest.mark.once

CRON = ("/usr/sbin/cron", "-f")
CROND = ("/usr/sbin/crond", "-n")
BUSYBOX = ("/bin/busybox", "crond", "-f")
BOOTING = {"bullseye": CRON, "bookworm": CRON, "trixie": CRON, "cronie": CROND}
ANACRONS = ("bookworm", "trixie")

SYSTEM, SPOOL = "/etc/cron.d", "/var/spool/cron/crontabs"

# cronie 1.7.2 looks into its own environment only; what it finds there cannot be known.
UNKNOWN = {("cronie", "variable.1")}
# To busybox a minute 99 is a job, whose time does not come.
NEVER = "bad_time.1"

_NAME = re.compile(rb"/job (\S+)")


def job(when: bytes, place: str) -> t.Callable[[str], bytes]:
    user = b"root " if place == SYSTEM else b""
    return lambda name: when + b" " + user + b"/job " + name.encode()


def stage(cell: Cell, place: str, when: bytes = b"@reboot") -> None:
    for name in CORPUS:
        mode = 0o644 if place == SYSTEM else 0o600
        cell.stage(f"{place}/{name}", crontab(name, job(when, place)), mode)


def table(cell: Cell) -> ProcessTable:
    return ProcessTable(f"{cell.view}/proc")


def remedied(cell: Cell, value: bytes | None, **options: t.Any) -> dict[str, t.Any]:
    """What the module answers; a second run has to find nothing to do."""
    wish = Options("present", value, **options)
    result = remedy.run(wish, cell.view, table(cell)).render()
    again = remedy.run(wish, cell.view, table(cell)).render()
    assert not again["changed"], again["actions"]
    return result


def foretold(cell: Cell, **options: t.Any) -> dict[str, bytes | None]:
    """Every job that the module says is run, and whom it says it is mailed to."""
    survey = daemons.survey(table(cell), cell.view, options.get("dialect", "auto"))
    discovery = Discovery(survey, cell.view)
    paths = options.get("paths")
    items = (
        discovery.by_paths(paths, options.get("dialect") == "anacron")
        if paths
        else discovery.by_scope(["system", "users"])
    )
    found: dict[str, bytes | None] = {}
    for item in items:
        found.update(_of_one(item))
    return found


def _of_one(item: Item) -> dict[str, bytes | None]:
    if item.status in ("ignored", "missing") or item.found is None or item.dialect is None:
        return {}
    lines: list[Line] = acceptance.seen(item.dialect, item.crontab, item.dialect.read(item.found.raw))
    names = [_NAME.search(line.raw) for line in lines if line.kind == JOB]
    owner = item.crontab.name.encode() if item.crontab.place == "users" else b"root"
    recipients = [owner if whom == b"(owner)" else whom for whom in item.dialect.recipients(lines)]
    return {name.group(1).decode(): whom for name, whom in zip(names, recipients, strict=True) if name}


def compare(cell: Cell, daemon: str, said: dict[str, bytes | None]) -> None:
    """The daemon did as the module said it would."""
    ran, mailed = cell.ran(), cell.mailed()
    unknown = {name for who, name in UNKNOWN if who == daemon}
    assert sorted(ran) == sorted(said), cell.errors() + "".join(cell.log[-20:])
    assert _shortened(mailed, unknown) == _shortened(recipients(said), unknown)


def recipients(said: dict[str, bytes | None]) -> dict[str, str]:
    return {name: whom.decode("latin-1") for name, whom in said.items() if whom is not None}


def _shortened(mailed: dict[str, str], without: set[str]) -> dict[str, str]:
    """The command line that Debian's cron makes has room for less than a thousand bytes."""
    return {name: whom[:900] for name, whom in mailed.items() if name not in without}


def run_to_the_end(
    cell: Cell, command: tuple[str, ...], value: bytes | None, **options: t.Any
) -> dict[str, t.Any] | None:
    cell.start(*command)
    result = None if value is None else remedied(cell, value, **options)
    said = foretold(cell, **options)
    cell.go()
    cell.settle(said)
    compare(cell, cell.lower.name, said)
    return result


# --- once a minute: busybox, and whether the others notice ---

LIVE = {
    "bullseye": CRON, "bookworm": CRON, "trixie": CRON, "cronie": CROND,
    "busybox of bullseye": BUSYBOX, "busybox of bookworm": BUSYBOX, "busybox of trixie": BUSYBOX,
}  # fmt: skip
_FEW = ("none", "address", "alternating", "address_after_a_job", "red_hat", "debian")


class Ticks:
    """All daemons at once, for two minutes: as found, then edited while they run."""

    def __init__(self, home: Path) -> None:
        self.cells: dict[str, Cell] = {}
        self.outcomes: dict[str, list[tuple[dict[str, bytes | None], dict[str, int], dict[str, str]]]] = {}
        self.results: dict[str, dict[str, t.Any]] = {}
        self.problem: BaseException | None = None
        self._home = home
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Ticks:
        for number, (name, command) in enumerate(LIVE.items()):
            lower = name.rsplit(" ", 1)[-1]
            cell = self._stack.enter_context(Cell(root(lower), self._home / f"live-{number}", users=CORPUS))
            if command == BUSYBOX:
                stage(cell, SPOOL, b"* * * * *")
                cell.path(f"{SPOOL}/{NEVER.split('.', 1)[0]}").unlink()
            else:
                for tab in _FEW:
                    cell.stage(f"{SYSTEM}/{tab}", crontab(tab, job(b"* * * * *", SYSTEM)))
                    cell.stage(
                        f"{SPOOL}/{tab}", crontab(tab, job(b"* * * * *", SPOOL)).replace(b"/job ", b"/job u-"), 0o600
                    )
            cell.start(*command)
            self.cells[name] = cell
        if time.time() % 60 > 55:
            time.sleep(6)  # so that the edit of nobody falls into the minute's turn
        for cell in self.cells.values():
            cell.go()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.join()
        self._stack.close()

    def join(self) -> None:
        self._thread.join()
        if self.problem is not None:
            raise self.problem

    def _run(self) -> None:
        try:
            self._wait_for_the_minute()
            for name, cell in self.cells.items():
                self.results[name] = remedied(cell, b"", scope=("system", "users"))
                cell.forget()
            self._wait_for_the_minute()
        except BaseException as problem:
            self.problem = problem

    def _wait_for_the_minute(self) -> None:
        said = {name: foretold(cell) for name, cell in self.cells.items()}
        deadline = time.time() // 60 * 60 + 61.5
        while time.time() < deadline:
            time.sleep(0.1)
            for cell in self.cells.values():
                cell._read_log()
        for name, cell in self.cells.items():
            cell.settle(said[name], quiet=1.0, timeout=20)
            self.outcomes.setdefault(name, []).append((said[name], cell.ran(), cell.mailed()))


@pytest.fixture(scope="module")
def ticks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticks]:
    with Ticks(tmp_path_factory.mktemp("ticks")) as ticks:
        yield ticks


def test_the_minutes_are_waited_for_beside_the_other_tests(ticks: Ticks) -> None:
    assert ticks.problem is None


# --- at boot: Debian's cron and cronie, the whole corpus ---


@pytest.mark.parametrize("place", [SYSTEM, SPOOL], ids=["system", "users"])
@pytest.mark.parametrize("name", BOOTING)
def test_every_daemon_runs_the_jobs_and_mails_nothing(name: str, place: str, tmp_path: Path) -> None:
    ran: dict[str, dict[str, int]] = {}
    for what, value in (("as found", None), ("silenced", b""), ("to alice", b"alice")):
        with Cell(root(name), tmp_path / "cell", users=CORPUS) as cell:
            stage(cell, place)
            result = run_to_the_end(cell, BOOTING[name], value, scope=("system", "users"))
            ran[what] = cell.ran()
            if result is None:
                assert len(set(cell.mailed().values())) > 3, "the corpus mails to all kinds of people"
                continue
            refused = {file["path"].split("/")[-1] for file in result["files"] if file["status"] == "refused"}
            assert refused <= {"many_assignments"}
            left = {
                mail.split(".")[0]: whom for mail, whom in cell.mailed().items() if mail.split(".")[0] not in refused
            }
            assert set(left.values()) == ({value.decode()} if value else set())
    assert ran["silenced"] == ran["to alice"] == ran["as found"]
    assert len(ran["as found"]) > 55


def test_a_daemon_that_was_not_edited_for_would_show(tmp_path: Path) -> None:
    """The comparison fails where the module is wrong: cronie's form, given to Debian's cron."""
    with Cell(root("bookworm"), tmp_path / "cell", users=CORPUS) as cell:
        cell.stage(f"{SYSTEM}/app", b"@reboot root /job app.1\n")
        cell.start(*CRON)
        said = foretold(cell)
        cell.stage(f"{SYSTEM}/app", b"MAILTO=\n@reboot root /job app.1\n")
        cell.go()
        cell.settle()
        with pytest.raises(AssertionError):
            compare(cell, "bookworm", said)
        assert any("Syntax error, this crontab file will be ignored" in line for line in cell.log)


# --- anacron, one table at a time ---

_EACH = 'for tab in /tabs/*; do /usr/sbin/anacron -t "$tab" -S /var/spool/anacron -s -f -n -d; done'


@pytest.mark.parametrize("name", ANACRONS)
def test_the_original_anacron_mails_as_foretold(name: str, tmp_path: Path) -> None:
    tabs = [f"/tabs/{tab}" for tab in CORPUS]
    for value in (None, b"", b"alice"):
        with Cell(root(name), tmp_path / "cell") as cell:
            for tab in CORPUS:
                cell.stage(f"/tabs/{tab}", crontab(tab, lambda one: b"1 0 " + one.encode() + b" /job " + one.encode()))
            cell.path("/var/spool/anacron").mkdir(parents=True)
            options = {"paths": tuple(tabs), "dialect": "anacron"}
            result = run_to_the_end(cell, ("/bin/sh", "-c", _EACH), value, **options)
            assert len(cell.ran()) > 60
            if value == b"alice":
                assert set(cell.mailed().values()) == {"alice"}
            elif value == b"" and result is not None:  # it has no form for that, and is left as it is
                assert result["totals"]["changed"] == 0
                assert {file["path"]: file["status"] for file in result["files"] if file["status"] != "refused"} == {}
                assert "calls sendmail even where MAILTO is empty" in result["files"][0]["reason"]


@pytest.mark.parametrize("name", ANACRONS)
def test_the_scope_of_anacron_is_the_table_that_it_reads(name: str, tmp_path: Path) -> None:
    with Cell(root(name), tmp_path / "cell") as cell:
        cell.stage("/etc/anacrontab", b"MAILTO=root\n1 0 daily /job daily\n")
        cell.path("/var/spool/anacron").mkdir(parents=True)
        cell.start("/usr/sbin/anacron", "-s", "-f", "-n", "-d")
        nobody = remedy.run(Options("present", b"", scope=("anacron",)), cell.view, table(cell)).render()
        assert (nobody["totals"]["refused"], nobody["changed"]) == (1, False)
        result = remedied(cell, b"alice", scope=("anacron",))
        assert [(file["path"], file["status"]) for file in result["files"]] == [("/etc/anacrontab", "changed")]
        cell.go()
        cell.settle(["daily"])
        assert (cell.ran(), cell.mailed()) == ({"daily": 1}, {"daily": "alice"})


# --- what Debian's crontab(1) says of a line, which the daemon asks the same ---

_TIMES = (
    "*", "*", "*", "0", "5", "59", "60", "23", "24", "31", "32", "1-5", "5-1", "*/5", "*/0", "1/5", "1-10/3", "1-10/0",
    "1,2,3", "1,,2", ",1", "1,", "-1", "1-", "*-5", "*5", "5*", "jan", "Dec", "foo", "mon", "SUN", "7", "8", "mon-fri",
    "jan-mar/2", "00", "007", "1.5", "5;", "a", "", "@", "0x1", "99999999999", "4294967297", "1~5", "~", "#", "%", "\\",
    "\xe9",
)  # fmt: skip
_LINES = (
    "@reboot",
    "@daily",
    "@never",
    "@",
    "@ daily",
    "@reboot\t",
    "MAILTO",
    "MAILTO ",
    "export MAILTO=x",
    "=",
    "-* * * * *",
)
_COMMANDS = (" x", " x", "\tx y", "", " ", " *", " * x", " " + "x" * 997, " " + "x" * 998, " " + "x" * 1200, "\r")
_ASK = 'for tab in /fuzz/*; do crontab -u alice "$tab" >/dev/null 2>&1 && : >"/ran/${tab##*/}"; done; : >/ran/done'


def lines_of_all_kinds(count: int) -> list[bytes]:
    chance = random.Random(4)
    lines = [time + command for time in _LINES for command in _COMMANDS]
    while len(lines) < count:
        times = chance.choice((" ", " ", "\t", "  ")).join(
            chance.choice(_TIMES) if chance.random() < 0.3 else "*"
            for _field in range(chance.choice((4, 5, 5, 5, 5, 6)))
        )
        lines.append(chance.choice(("", "", " ", "\t")) + times + chance.choice(_COMMANDS))
    return [line.encode("latin-1") for line in lines]


@pytest.mark.parametrize("name", ["bullseye", "bookworm", "trixie"])
def test_a_crontab_that_is_said_to_be_ignored_is_refused_by_crontab_too(name: str, tmp_path: Path) -> None:
    lines = {f"{number:04}": line for number, line in enumerate(lines_of_all_kinds(800))}
    with Cell(root(name), tmp_path / "cell") as cell:
        for number, line in lines.items():
            cell.stage(f"/fuzz/{number}", line + b"\n")
        cell.start("/bin/sh", "-c", _ASK)
        cell.go()
        cell.settle(["done"], timeout=240)
        taken = {path.name for path in (cell.home / "ran").iterdir()}
    taken.remove("done")
    assert len(taken) > 100
    is_newer = (daemons.debian_revision(str(root(name))) or 0) >= 187
    dialect = DIALECTS["debian"]._replace(takes_bare=is_newer, reads_bare=is_newer)
    crontab_of_alice = acceptance.Crontab("/var/spool/cron/crontabs/alice", "users", uid=2001)
    ignored = {
        number
        for number, line in lines.items()
        if acceptance.ignored_content(dialect, crontab_of_alice, dialect.read(line + b"\n"), lambda _name: True)
    }
    assert {lines[number] for number in ignored & taken} == set(), "what is said to be ignored is read"
    if not is_newer:  # those refuse some more
        left = {lines[number] for number in lines.keys() - ignored - taken}
        assert {line for line in left if b"~" not in line} == set(), "what is said to be read is ignored"


# --- what the minutes brought ---


@pytest.mark.parametrize("name", LIVE)
def test_a_running_daemon_notices_and_is_silent_from_the_next_minute_on(ticks: Ticks, name: str) -> None:
    ticks.join()
    result = ticks.results[name]
    daemon = result["daemons"][0]
    assert daemon["dialect"] == ("busybox" if "busybox" in name else "cronie" if name == "cronie" else "debian")
    assert daemon["pid"] == 1
    assert (result["restart_needed"], result["totals"]["refused"]) == (False, 0)
    (said, ran, mailed), (said_then, ran_then, mailed_then) = ticks.outcomes[name]
    assert sorted(ran) == sorted(said)
    assert mailed == recipients(said)
    assert len(mailed) > 5
    assert sorted(ran_then) == sorted(said_then) == sorted(ran)
    assert set(ran_then.values()) == {1}
    assert mailed_then == {}
