# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Write the table of variables in the README of each role from its argument spec, or only say which one differs:
role_readmes.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
HEADING = "## Variables\n"
# What module documentation marks up: C(), V(), O(), I() and their like are names and values, M() and R() links.
MARKED = re.compile(r"\b[CVOIRE]\(((?:[^)\\]|\\.)*)\)")
MODULE = re.compile(r"\bM\(hostcare\.remediation\.([a-z_]+)\)")


def plain(text: str) -> str:
    text = MODULE.sub(r"`\1`", text)
    text = MARKED.sub(lambda found: "`" + found[1].replace("\\", "") + "`", text)
    return re.sub(r"\b[MBUL]\(([^)]*)\)", r"\1", text).replace("|", "\\|").replace("\n", " ")


def shown(default: object) -> str:
    if default is None:
        return ""
    return f"`{json.dumps(default)}`" if not isinstance(default, str) or not default else f"`{default}`"


def row(name: str, option: Mapping[str, Any]) -> str:
    description = option.get("description", "")
    words = plain(" ".join(description) if isinstance(description, list) else description).strip()
    if option.get("choices"):
        words += " One of " + ", ".join(map(shown, option["choices"])) + "."
    kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
    default = "required" if option.get("required") else shown(option.get("default"))
    return f"| `{name}` | {kind} | {default} | {words} |"


def section(spec: Mapping[str, Any]) -> str:
    options = spec["argument_specs"]["main"].get("options", {})
    lines = ["| variable | type | default | |", "|---|---|---|---|"]
    lines += [row(name, option) for name, option in options.items()]
    return HEADING + "\n" + "\n".join(lines) + "\n"


def written(readme: str, spec: Mapping[str, Any]) -> str:
    """The README with its section of variables up to the next heading, or to its end, made anew."""
    before, _heading, after = readme.partition(HEADING)
    following = re.search(r"^(?=## )", after, re.MULTILINE)
    rest = after[following.start() :] if following else ""
    return before.rstrip("\n") + "\n\n" + section(spec) + ("\n" + rest if rest else "")


def main(check: bool) -> int:
    differing = []
    for role in sorted(path.parent.parent for path in ROLES.glob("*/meta/argument_specs.yml")):
        readme = role / "README.md"
        spec = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        if not readme.exists():
            differing.append(f"roles/{role.name}/README.md is missing")
            continue
        old = readme.read_text(encoding="utf-8")
        new = written(old, spec)
        if new == old:
            continue
        differing.append(f"roles/{role.name}/README.md")
        if not check:
            readme.write_text(new, encoding="utf-8")
    if differing and check:
        print(f"not what the argument specs say: {', '.join(differing)}; run: make readmes")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
