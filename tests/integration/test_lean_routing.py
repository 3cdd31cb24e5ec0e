# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from ansible_collections.hostcare.remediation.plugins.plugin_utils._lean import ActionModule

ROOT = Path(__file__).resolve().parents[2]
ON_THE_CONTROLLER = "hostcare.remediation._attributes.controller"  # the fragment of those that go to no host
MODULES = sorted(
    path.stem
    for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")
    if ON_THE_CONTROLLER not in path.read_text(encoding="utf-8")
)


@pytest.mark.once
@pytest.mark.parametrize("module", MODULES)
def test_every_module_takes_the_lean_way(module: str) -> None:
    """ansible-core takes the action plugin that has the module's name."""
    plugin = importlib.import_module(f"ansible_collections.hostcare.remediation.plugins.action.{module}")
    assert issubclass(plugin.ActionModule, ActionModule)
    assert plugin.ActionModule.run is ActionModule.run


@pytest.mark.once
def test_every_module_is_in_the_action_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["remediation"]) == MODULES
