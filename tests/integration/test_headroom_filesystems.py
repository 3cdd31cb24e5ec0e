# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""headroom_info among real mounts: full, bound, stacked, covered, and dead ones that hang whoever asks them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no FUSE in this kernel: nothing here can hang"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def zoo(home: Path) -> dict[str, t.Any]:
    program = ROOT / "tests" / "support" / "mount_zoo.py"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, program, home],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    return dict(json.loads(done.stdout))


def limits(zoo: dict[str, t.Any], resource: str) -> dict[str, dict[str, t.Any]]:
    found = [one for one in zoo["report"]["resources"] if one["resource"] == resource]
    assert len({one["scope"] for one in found}) == len(found)
    return {one["scope"].removeprefix("filesystem "): one for one in found}


def test_the_dead_ones_would_have_hung_it_and_did_not(zoo: dict[str, t.Any]) -> None:
    assert zoo["hangs"] == {"small": False, "fuse": True, "auto": True, "dead": True, "dead/deeper": True}
    assert zoo["took"] < 2


def test_what_was_not_asked_is_named(zoo: dict[str, t.Any], home: Path) -> None:
    left_out = {one["what"]: one["reason"] for one in zoo["report"]["left_out"]}
    assert left_out[f"{home}/fuse"] == "fuse.sshfs: a file system that may hang is not asked"
    assert left_out[f"{home}/auto"] == "autofs: a file system that may hang is not asked"
    assert left_out[f"{home}/dead/deeper"] == f"lies below {home}/dead (fuse.nfs), which may hang"
    assert not zoo["report"]["partial"]


def test_figures_are_those_of_df(zoo: dict[str, t.Any], home: Path) -> None:
    for resource in ("inodes", "blocks"):
        limit = limits(zoo, resource)[f"{home}/small"]
        assert [limit["limit"], limit["used"], limit["free"]] == zoo[resource]


def test_the_full_one_comes_first(zoo: dict[str, t.Any], home: Path) -> None:
    worst = zoo["report"]["resources"][0]
    assert (worst["scope"], worst["limit_name"], worst["free"], worst["binding"]) == (
        f"filesystem {home}/full",
        "inodes",
        0,
        True,
    )


def test_bind_mounts_and_unions_are_the_file_system_below_them(zoo: dict[str, t.Any], home: Path) -> None:
    found = limits(zoo, "inodes")
    assert f"{home}/small" in found
    assert f"{home}/bound" not in found
    assert f"{home}/union" not in found


def test_what_is_covered_is_not_taken_for_what_covers_it(zoo: dict[str, t.Any], home: Path) -> None:
    assert limits(zoo, "blocks")[f"{home}/covered"]["limit"] == 5 * 1024 * 1024
