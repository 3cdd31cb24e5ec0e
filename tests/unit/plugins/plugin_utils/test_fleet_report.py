# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report: written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import typing as t
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _fleet_report
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import Thresholds
from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet_report import Wanted, report, write
from ansible_collections.hostcare.remediation.tests.unit.support import fleets
from ansible_collections.hostcare.remediation.tests.unit.support.fleets import limit, result

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def report_of(**wanted: t.Any) -> dict[str, t.Any]:
    return report({"a": result(limit(share=0.99))}, Thresholds(), fleets.INCIDENTS, Wanted(**wanted), NOW)


def test_every_form(tmp_path: Path) -> None:
    metrics = tmp_path / "textfile"
    metrics.mkdir()
    done = report_of(directory=str(tmp_path / "new" / "triage"), metrics_directory=str(metrics))
    assert done["not_written"] == []
    assert {kind: Path(path).name for kind, path in done["files"].items()} == {
        "html": "triage.html", "markdown": "triage.md", "json": "triage.json", "metrics": "hostcare.prom",
    }  # fmt: skip
    assert json.loads(Path(done["files"]["json"]).read_text())["generated"] == "2026-11-21T12:00:00Z"
    assert Path(done["files"]["html"]).read_text().startswith("<!DOCTYPE html>")
    assert os.listdir(metrics) == ["hostcare.prom"], "nothing temporary is left"


def test_what_is_not_wanted_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_of()["files"] == {}
    assert os.listdir(tmp_path) == []
    assert list(report_of(directory="here", formats=["json"])["files"]) == ["json"]
    assert os.listdir(tmp_path / "here") == ["triage.json"]


def test_what_cannot_be_written_says_why_and_the_rest_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = report_of(directory=str(tmp_path / "file" / "x"), metrics_directory=str(tmp_path / "missing"))
    assert done["files"] == {}
    assert len(done["not_written"]) == 4
    assert all(
        "cannot be written (" in reason and "choose another directory" in reason for reason in done["not_written"]
    )
    assert done["lines"][0] == "TRIAGE  1 host: 1 critical"
    assert not (tmp_path / "missing").exists(), "a collector's directory is never made"


def test_an_old_file_stays_whole_where_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hostcare.prom"
    write(str(path), "old\n", make_directory=False)

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_fleet_report.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(str(path), "new\n", make_directory=False)
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["hostcare.prom"]


def test_another_user_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write(str(tmp_path / "x"), "", make_directory=False)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "x").symlink_to(tmp_path / "target")
    write(str(tmp_path / "x"), "new", make_directory=False)
    assert (tmp_path / "target").read_text() == "precious"
    assert (tmp_path / "x").read_text() == "new"
