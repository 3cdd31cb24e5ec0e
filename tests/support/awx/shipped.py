# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""What the collection ships for AWX, as data."""

from __future__ import annotations

import typing as t

import yaml

from ansible_collections.hostcare.remediation.tests.support.controller import ROOT


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's tag for text that is no template here."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))

DATA: dict[str, t.Any] = yaml.load((ROOT / "playbooks" / "vars" / "awx.yml").read_text(), _Loader)
TEMPLATES: dict[str, dict[str, t.Any]] = {one["name"]: one for one in DATA["controller_templates"]}
