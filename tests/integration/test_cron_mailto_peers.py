# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Side by side with what else there is: each silences the same crontabs, and real daemons say what became of it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import sys
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils import basic

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.document import BLANK
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.remedy import Options
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.processes import ProcessTable
from ansible_collections.hostcare.remediation.tests.support.cron import CORPUS, Cell, crontab, root
from ansible_collections.hostcare.remediation.tests.unit.support.children import in_child

pytestmark = pytest.mark.once

TABS = "/etc/cron.d"
DAEMONS = {"bookworm": (("/usr/sbin/cron", "-f"), "debian"), "cronie": (("/usr/sbin/crond", "-n"), "cronie")}
THIRD_PARTY = Path(__file__).resolve().parents[2] / ".work" / "thirdparty"
PEERS = {
    "ansible.builtin.cron": (
        "ansible.modules.cron",
        {"name": "MAILTO", "env": True, "job": "", "user": "root"},
    ),
    "community.general.cronvar": (
        "ansible_collections.community.general.plugins.modules.cronvar",
        {"name": "MAILTO", "value": '""'},
    ),
}
OURS = "hostcare.remediation.cron_mailto"


class Score(t.NamedTuple):
    """What became of the corpus on one daemon; all but the first should be 0."""

    silenced: int
    mailed: int  # jobs that are mailed all the same
    lost: int  # jobs that ran before and do not now
    woken: int  # jobs that run only now
    failed: int  # crontabs that it could not do
    touched: int  # crontabs of which other lines were changed
    restless: int  # crontabs that a second run changes again


def job(name: str) -> bytes:
    return b"@reboot root /job " + name.encode()


def by_peer(peer: str, directory: Path, commands: str) -> tuple[int, int]:
    """The crontabs it could not do, and those that it is not done with after the first run."""
    name, arguments = PEERS[peer]

    def work() -> list[list[bool | None]]:
        sys.path.insert(0, str(THIRD_PARTY))
        os.environ["PATH"] = commands
        importlib.import_module("ansible_collections").__path__.append(str(THIRD_PARTY / "ansible_collections"))
        basic._ANSIBLE_PROFILE = "legacy"  # how results are written, from ansible-core 2.19 on
        module = importlib.import_module(name)
        paths = [str(directory / tab) for tab in sorted(CORPUS)]
        return [[run_peer(module, arguments | {"cron_file": path}) for _run in range(2)] for path in paths]

    outcomes = in_child(work, seconds=120)
    return sum(first is None for first, _second in outcomes), sum(bool(second) for _first, second in outcomes)


def run_peer(module: t.Any, arguments: dict[str, t.Any]) -> bool | None:
    """Whether it says that it changed the crontab; None where it failed."""
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    said = io.StringIO()
    code: object = None
    try:
        with contextlib.redirect_stdout(said):
            module.main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # a traceback is what the user would see
        return None
    return bool(json.loads(said.getvalue())["changed"]) if code == 0 else None


def by_us(directory: Path, daemon: str) -> tuple[int, int]:
    dialect = DAEMONS[daemon][1]
    for name, content in (
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
        ("var/lib/dpkg/status", (root(daemon) / "var/lib/dpkg/status").read_bytes()),
    ):
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_bytes(content)
    paths = tuple(f"/{name}" for name in sorted(CORPUS))
    wish = Options("present", b"", paths=paths, dialect=dialect)
    table = ProcessTable(str(directory / "proc"))
    first = remedy.run(wish, str(directory), table).render()
    second = remedy.run(wish, str(directory), table).render()
    return first["totals"]["refused"], second["totals"]["changed"]


def outcome(daemon: str, home: Path, directory: Path) -> tuple[set[str], set[str]]:
    """The jobs that run, and those that are mailed."""
    command, _dialect = DAEMONS[daemon]
    with Cell(root(daemon), home) as cell:
        for path in directory.iterdir():
            if path.is_file():
                cell.stage(f"{TABS}/{path.name}", path.read_bytes())
        cell.start(*command)
        cell.go()
        cell.settle(quiet=1.5)
        return set(cell.ran()), set(cell.mailed())


def other_lines(raw: bytes, dialect: str) -> list[bytes]:
    """All but MAILTO and blank lines, which a crontab may lose or get without harm."""
    lines = DIALECTS[dialect].read(raw)
    return [line.raw for line in lines if not line.sets_mailto and (line.kind != BLANK or line.raw.strip())]


def score(
    daemon: str, home: Path, before: tuple[set[str], set[str]], old: Path, new: Path, failed: int, restless: int
) -> Score:
    dialect = DAEMONS[daemon][1]
    ran, mailed = before
    ran_now, mailed_now = outcome(daemon, home, new)
    touched = sum(
        other_lines((old / name).read_bytes(), dialect) != other_lines((new / name).read_bytes(), dialect)
        for name in CORPUS
    )
    return Score(
        len(mailed - mailed_now), len(mailed_now), len(ran - ran_now), len(ran_now - ran), failed, touched, restless
    )


def table(scores: dict[tuple[str, str], Score]) -> str:
    lines = [f"{len(CORPUS)} crontabs, MAILTO to nobody {'':20}" + "".join(f"{field:>10}" for field in Score._fields)]
    for (daemon, contender), one in scores.items():
        lines.append(f"{DAEMONS[daemon][1]:8} {contender:40}" + "".join(f"{count:>10}" for count in one))
    return "\n".join(lines)


def test_side_by_side(tmp_path: Path, show: Callable[[str], None]) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in CORPUS:
        (old / name).write_bytes(crontab(name, job))
    before = {daemon: outcome(daemon, tmp_path / "cell", old) for daemon in DAEMONS}
    scores: dict[tuple[str, str], Score] = {}
    for peer in PEERS:
        new = tmp_path / peer
        shutil.copytree(old, new)
        done = by_peer(peer, new, f"{root('bookworm')}/usr/bin")
        for daemon in DAEMONS:
            scores[daemon, peer] = score(daemon, tmp_path / "cell", before[daemon], old, new, *done)
    for daemon in DAEMONS:
        new = tmp_path / f"ours-{daemon}"
        shutil.copytree(old, new)
        scores[daemon, OURS] = score(daemon, tmp_path / "cell", before[daemon], old, new, *by_us(new, daemon))
    show(table(scores))
    for daemon in DAEMONS:
        ours = scores[daemon, OURS]
        assert ours[1:] == (0,) * 6
        for peer in PEERS:
            assert scores[daemon, peer].silenced <= ours.silenced
            assert sum(scores[daemon, peer][1:]) > 10, f"{peer} has become as good as ours"
