# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Postfix is told in ``main.cf`` and ``master.cf`` (postconf(5), master(5)), read without ``postconf``.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from .._kernel.errors import Refused

# What postconf -d says on every platform that Postfix runs on (mail_params.h); Linux distributions keep to it.
DEFAULTS = {
    "queue_directory": "/var/spool/postfix",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "multi_instance_directories": "",
    "multi_instance_name": "",
}
NO_NAME = "-"  # as postmulti -l shows an instance without a name
_MOST_BYTES = 4 << 20
_DEEPEST = 20
_REFERENCE = re.compile(r"\$(?:(\$)|\{([^{}]*)\}|\(([^()]*)\)|(\w+)|)", re.ASCII)
_CONDITIONAL = re.compile(r"^(\w+)\s*(?:([?:])(.*))?$", re.ASCII | re.DOTALL)


class Instance(t.NamedTuple):
    """One instance of postmulti(1); ``queue_directory`` is None where its main.cf does not tell."""

    name: str
    config_directory: str
    queue_directory: str | None


class Settings(t.NamedTuple):
    """What matters to the maildrop. ``pickup`` is the type of that service in master.cf, empty where it has none."""

    instance: str
    config_directory: str
    queue_directory: str
    mail_owner: str
    setgid_group: str
    pickup: str
    instances: tuple[Instance, ...]
    missing: bool


def logical_lines(text: str) -> t.Iterator[str]:
    """Comments and blank lines count for nothing, even within a line that goes on; a blank at the start continues."""
    line = ""
    for physical in text.split("\n"):
        bare = physical.strip()
        if not bare or bare.startswith("#"):
            continue
        if physical[0].isspace() and line:
            line += " " + bare
            continue
        if line:
            yield line
        line = bare
    if line:
        yield line


def parameters(text: str) -> dict[str, str]:
    """The parameters of a main.cf, not expanded; the last of one name counts."""
    found = {}
    for line in logical_lines(text):
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def expand(value: str, known: t.Mapping[str, str], depth: int = 0) -> str:
    """Replace ``$name``, ``${name}``, ``${name?text}``, ``${name:text}``. Raises LookupError with what it cannot."""
    if depth > _DEEPEST:
        raise LookupError(value)

    def replace(match: re.Match[str]) -> str:
        dollar, braced, bracketed, bare = match.groups()
        if dollar:
            return "$"
        conditional = _CONDITIONAL.match(next((text for text in (braced, bracketed, bare) if text), ""))
        if conditional is None:
            raise LookupError(match.group() or value)
        name, mark, text = conditional.groups()
        if name not in known:  # another built-in value than those above, which only postconf knows
            raise LookupError("$" + name)
        found = expand(known[name], known, depth + 1)
        if not mark:
            return found
        return expand(text.strip(), known, depth + 1) if bool(found) == (mark == "?") else ""

    return _REFERENCE.sub(replace, value)


def pickup_type(text: str) -> str:
    """The type of the service ``pickup`` in a master.cf: unix, fifo or another; empty where there is none."""
    for line in logical_lines(text):
        fields = line.split(None, 2)
        if fields[0] == "pickup" and len(fields) > 1:
            return fields[1]
    return ""


def settings(config_directory: str, instance: str | None = None, queue_directory: str | None = None) -> Settings:
    """Of ``instance``, or of the one that ``config_directory`` is for. Raises Refused."""
    text = _read(config_directory, "main.cf")
    primary = _Parameters(config_directory, parameters(text or ""))
    # The first of them asked for is the primary: it names all others (postmulti(1)).
    family = [primary, *(_of(directory) for directory in primary.words("multi_instance_directories"))]
    chosen = primary
    if instance is not None:
        named = [one for one in family if one is not None and one.name == instance]
        if not named:
            known = ", ".join(one.name for one in family if one is not None)
            raise Refused(f"instance: {config_directory}/main.cf knows of no instance {instance!r}, only of {known}.")
        chosen = named[0]
    return Settings(
        chosen.name,
        chosen.directory,
        _directory(queue_directory, "queue_directory") if queue_directory else chosen.queue_directory(),
        primary.value("mail_owner"),
        primary.value("setgid_group"),
        pickup_type(_read(chosen.directory, "master.cf") or ""),
        tuple(one.instance() for one in family if one is not None),
        text is None,
    )


class _Parameters:
    """The main.cf of one instance."""

    def __init__(self, directory: str, given: dict[str, str]) -> None:
        self.directory = directory
        self._known = {**DEFAULTS, "config_directory": directory, **given}

    @property
    def name(self) -> str:
        return self.value("multi_instance_name") or NO_NAME

    def value(self, name: str) -> str:
        try:
            return expand(self._known[name], self._known).strip()
        except LookupError as error:
            raise Refused(
                f"{self.directory}/main.cf: {name} = {self._known[name]} uses {error.args[0]}, which only postconf can "
                f"tell. Give queue_directory, as `postconf -h queue_directory` shows it, or a plain value there."
            ) from None

    def words(self, name: str) -> list[str]:
        return [word for word in re.split(r"[,\s]+", self.value(name)) if word]

    def queue_directory(self) -> str:
        return _directory(self.value("queue_directory"), f"{self.directory}/main.cf: queue_directory")

    def instance(self) -> Instance:
        try:
            queue_directory: str | None = self.queue_directory()
        except Refused:
            queue_directory = None
        return Instance(self.name, self.directory, queue_directory)


def _of(directory: str) -> _Parameters | None:
    text = _read(directory, "main.cf")
    return None if text is None else _Parameters(directory, parameters(text))


def _directory(path: str, what: str) -> str:
    if not path.startswith("/") or "\0" in path or os.path.normpath(path) == "/":
        raise Refused(f"{what}: {path!r} is not the absolute path of a queue directory: correct it.")
    return os.path.normpath(path)


def _read(directory: str, name: str) -> str | None:
    """None where there is none. Raises Refused where it cannot be read."""
    path = os.path.join(directory, name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}): run as root, or give queue_directory.") from None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            raise Refused(f"{path} is no file that Postfix would read: give config_directory.")
        return file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
