# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.once
def test_every_module_takes_the_lean_way_and_is_in_the_action_group() -> None:
    modules = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert modules
    assert sorted(runtime["action_groups"]["remediation"]) == modules
    routed = runtime["plugin_routing"]["modules"]
    assert {module: entry["action_plugin"] for module, entry in routed.items()} == dict.fromkeys(
        modules, "hostcare.remediation.lean"
    )
