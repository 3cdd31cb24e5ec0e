# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""systemd-cron's own word, with systemd as PID 1: its units run every job, and mail what the module says they mail."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.document import JOB
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.watching import Watch
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.support.cron import CORPUS, Cell, crontab, root

pytestmark = pytest.mark.once

TABS = "/etc/cron.d"
_NAME = re.compile(rb"/job ([^\s%]+)")
# The generator leaves the time of a bad line out, and the unit with it.
_NO_UNIT = {"bad_time.1"}
# To the versions that were written in Python that is an address.
_BLANK = b" "


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with Cell(root("systemd-cron"), tmp_path_factory.mktemp("systemd") / "cell") as cell:
        for name in CORPUS:
            cell.stage(f"{TABS}/{name}", crontab(name, lambda job: b"1 1 1 1 * root /job " + job.encode()))
        # Failed jobs are mailed whether the journal has their output yet or not.
        cell.stage("/job", cell.path("/job").read_bytes() + b"exit 1\n", mode=0o755)
        cell.start("/lib/systemd/systemd", "--log-level=warning", "--log-target=console", systemd=True)
        cell.go()
        wait_for_systemd(cell)
        yield cell


def wait_for_systemd(cell: Cell) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if cell.path("/run/systemd/private").exists() and cell.path("/run/systemd/generator").exists():
            state = cell.inside("sh", "-c", "systemctl is-system-running || true").strip()
            if state in ("running", "degraded"):
                return
        time.sleep(0.2)
    raise AssertionError(f"systemd did not start: {cell.errors()[-2000:]}")


def units(cell: Cell) -> list[str]:
    return sorted(path.name for path in cell.path("/run/systemd/generator").glob("cron-*-root-*.service"))


def foretold(cell: Cell) -> dict[str, bytes | None]:
    dialect = DIALECTS["systemd_cron"]
    said: dict[str, bytes | None] = {}
    for path in sorted(cell.path(TABS).iterdir()):
        lines = dialect.read(path.read_bytes())
        names = [_NAME.search(line.raw) for line in lines if line.kind == JOB]
        for name, whom in zip(names, dialect.recipients(lines), strict=True):
            if name is not None and name.group(1).decode() not in _NO_UNIT:
                said[name.group(1).decode()] = None if whom == _BLANK else whom
    return said


def run_all(cell: Cell, said: dict[str, bytes | None]) -> None:
    """Every job once, as its timer would, and the mail of each."""
    cell.forget()
    cell.inside("sh", "-c", f"systemctl start {' '.join(units(cell))} || true")
    wanted = {name for name, whom in said.items() if whom is not None}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (set(cell.ran()) >= set(said) and len(cell.caught()) >= len(wanted)):
        time.sleep(0.3)
    time.sleep(2)  # for a mail that should not be


def table(cell: Cell) -> ProcessTable:
    return ProcessTable(f"{cell.view}/proc")


def test_it_runs_and_mails_as_foretold_then_runs_and_is_silent(cell: Cell) -> None:
    said = foretold(cell)
    run_all(cell, said)
    assert sorted(cell.ran()) == sorted(said)
    assert sorted(cell.mailed()) == sorted(name for name, whom in said.items() if whom is not None)
    assert len(cell.mailed()) > 30
    ran = cell.ran()

    report = remedy.run(Options("present", b"", scope=("system",)), cell.view, table(cell))
    result = report.render()
    assert result["daemons"][0]["dialect"] == "systemd_cron"
    assert (result["changed"], result["totals"]["refused"]) == (True, 0)
    if result["restart_needed"]:  # a slow machine: systemd had enough of it while the crontabs were written
        assert "start-limit-hit" in cell.inside("systemctl", "show", "cron-update.path", "cron-update.service")
        cell.inside("sh", "-c", "systemctl daemon-reload && systemctl restart cron.target")
    silent = foretold(cell)
    assert set(silent.values()) == {None}
    made = [cell.path(f"/run/systemd/generator/{unit}").read_text() for unit in units(cell)]
    assert not [text for text in made if "OnFailure" in text or "OnSuccess" in text], "the units are the new ones"
    wait_for_systemd(cell)
    run_all(cell, silent)
    assert sorted(cell.ran()) == sorted(ran)
    assert cell.mailed() == {}


def test_without_the_path_unit_a_reload_is_called_for(cell: Cell) -> None:
    wait_for_systemd(cell)
    assert Watch(table(cell), cell.view, is_needed=True).problem is None
    cell.inside("systemctl", "stop", "cron-update.path")
    assert "cron-update.path does not run" in str(Watch(table(cell), cell.view, is_needed=True).problem)
    result = remedy.run(Options("absent", None, scope=("system",)), cell.view, table(cell)).render()
    assert result["changed"]
    assert result["restart_needed"]
    assert "systemctl daemon-reload" in result["restart_reasons"][0]
