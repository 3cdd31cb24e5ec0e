# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in which limits are set, line by line: units and drop-ins, limits.d, sysctl.d, sshd_config.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import re
import typing as t

_LIMIT = re.compile(r"^(\S+)\s+(soft|hard|-)\s+(\S+)\s+(\S+)$")
_SYSCTL = re.compile(r"^-?([\w./*-]+?)\s*=\s*(.*)$")


class Text(t.NamedTuple):
    """A file as it was read."""

    path: str
    content: str


class Setting(t.NamedTuple):
    """One line that sets something: ``scope`` is a section of a unit or the domain of a limit."""

    path: str
    line: int
    scope: str
    name: str
    value: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


def unit_settings(text: Text) -> list[Setting]:
    """systemd.syntax(7): sections, ``Name=value``, a line that ends in a backslash goes on."""
    found, section, begun, number = [], "", "", 0
    for at, raw in enumerate(text.content.split("\n"), 1):
        line = raw.strip()
        if begun and line[:1] in ("#", ";"):
            continue  # a comment within a line that goes on
        number = number if begun else at
        line = f"{begun} {line}".strip()
        begun = ""
        if line.endswith("\\"):
            begun = line[:-1].rstrip()
            continue
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        name, equals, value = line.partition("=")
        if equals:
            found.append(Setting(text.path, number, section, name.strip(), value.strip()))
    return found


def limit_settings(text: Text) -> list[Setting]:
    """limits.conf(5): domain, type, item, value. The name of a setting is ``type item``."""
    found = []
    for at, raw in enumerate(text.content.split("\n"), 1):
        match = _LIMIT.match(raw.partition("#")[0].strip())
        if match:
            domain, kind, item, value = match.groups()
            kinds = ("soft", "hard") if kind == "-" else (kind,)
            found += [Setting(text.path, at, domain, f"{one} {item}", value) for one in kinds]
    return found


def sysctl_settings(text: Text) -> list[Setting]:
    """sysctl.d(5): the first separator tells whether dots or slashes part the name."""
    found = []
    for at, raw in enumerate(text.content.split("\n"), 1):
        line = raw.strip()
        match = None if line[:1] in ("", "#", ";") else _SYSCTL.match(line)
        if match:
            name = match.group(1)
            first = re.search(r"[./]", name)
            if first and first.group() == "/":
                name = name.replace("/", ".")
            found.append(Setting(text.path, at, "", name, " ".join(match.group(2).split())))
    return found


def sshd_setting(texts: t.Iterable[Text], name: str) -> str:
    """Its first word; the first of one name counts (sshd_config(5)). Empty where nobody sets it."""
    for text in texts:
        for raw in text.content.split("\n"):
            words = raw.split("#")[0].replace("=", " ").split()
            if len(words) > 1 and words[0].lower() == name.lower():
                return words[1].strip('"')
    return ""


def startups(texts: t.Iterable[Text]) -> int:
    """The most connections of sshd that have not logged in yet."""
    most = sshd_setting(texts, "MaxStartups").split(":")[-1]
    return int(most) if most.isdigit() else 100  # sshd_config(5): 10:30:100
