# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""ansible-builder takes the description of the image, and the collection asks it for nothing more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.hostcare.remediation.tests.support.automation import PROGRAMS, environment
from ansible_collections.hostcare.remediation.tests.support.controller import ROOT

pytestmark = pytest.mark.once


def builder(home: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [PROGRAMS / "ansible-builder", *arguments],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ansible_builder_makes_the_recipe_of_the_image(tmp_path: Path) -> None:
    builder(tmp_path, "create", "--file", ROOT / "execution-environment.yml", "--context", tmp_path / "context")
    recipe = (tmp_path / "context" / "Containerfile").read_text()
    wanted = yaml.safe_load((ROOT / "execution-environment.yml").read_text())
    assert f'EE_BASE_IMAGE="{wanted["images"]["base_image"]["name"]}"' in recipe
    built = {path.name: path.read_text() for path in (tmp_path / "context" / "_build").iterdir() if path.is_file()}
    assert yaml.safe_load(built["requirements.yml"]) == wanted["dependencies"]["galaxy"]
    assert "psutil" not in recipe + "".join(built.values())


def test_the_collection_needs_nothing_of_the_image(tmp_path: Path) -> None:
    """Not even psutil, which it uses where it is: on managed nodes. The neighbour shows that it would be seen."""
    ours, other = (tmp_path / "ansible_collections" / name for name in ("hostcare/remediation", "a/b"))
    ours.parent.mkdir(parents=True)
    ours.symlink_to(ROOT)
    other.mkdir(parents=True)
    for name, content in (("galaxy.yml", "{}"), ("requirements.txt", "psutil"), ("bindep.txt", "lsof [platform:rpm]")):
        (other / name).write_text(content)
    found = yaml.safe_load(builder(tmp_path, "introspect", "--sanitize", tmp_path))
    assert [line.split()[0] for line in found["python"] + found["system"]] == ["psutil", "lsof"]
    assert "hostcare" not in str(found)
