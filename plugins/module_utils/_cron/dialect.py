# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each cron daemon takes for an assignment, for a job, and for "no mail".

Sources: load_env(), load_entry() and safe_p() of ISC cron 4.1, cronie 1.7, Debian's cron 3.0pl1 and FreeBSD;
readtab.c of anacron 2.3 and of cronie's; load_crontab() of busybox; parse_crontab() of the generator of systemd-cron.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import functools
import re
import typing as t

from . import entries
from .document import ASSIGNMENT, BAD, BLANK, JOB, UNSEEN, Line, split

_SPACE = b" \t\n\v\f\r"  # isspace(3) in the C locale
_LETTERS_AND_DIGITS = b"0-9A-Za-z"

Reader = t.Callable[[bytes, "Dialect"], t.Tuple[str, bytes, bytes, bool]]


class Dialect(t.NamedTuple):
    """One daemon. ``classify`` reads the text of a line, without its end, as (kind, name, value, bare)."""

    name: str
    title: str
    classify: Reader
    nobody: bytes  # what stands after the equals sign for "no mail"
    joins_lines: bool = False
    needs_last_newline: bool = False
    takes_crlf: bool = True
    silent_by_default: bool = False  # no mail without a MAILTO line
    takes_bare: bool = False  # MAILTO= is an assignment, for certain in every version that may be running
    reads_bare: bool = False  # it may be one
    dies_of_bare: bool = False  # for a version that cannot be told: it may make it ignore the whole file
    quotes_twice: bool = False
    knows_nobody: bool = True  # there is a form for "no mail" at all
    punctuation: bytes = b""  # what an address may hold besides letters and digits
    checks_addresses: bool = True  # mails to nobody where an address holds anything else
    expands: bool = False  # takes a dollar sign for a variable
    buffer: int = 999  # bytes of an assignment that count

    def read(self, raw: bytes) -> tuple[Line, ...]:
        return _read(self, raw)

    def line(self, raw: bytes, number: int) -> Line:
        text = raw[:-1] if raw.endswith(b"\n") else raw
        kind, name, value, bare = self.classify(text, self)
        if self.needs_last_newline and kind != BLANK and not raw.endswith(b"\n"):
            return Line(raw, number, UNSEEN)
        return Line(raw, number, kind, name, value, bare)

    def says(self, line: Line, wanted: bytes) -> bool:
        """Whether a line that sets MAILTO sets it to this, for certain in every version of the daemon."""
        if line.bare and not self.takes_bare:
            return False
        return line.value == wanted and (bool(wanted) or self.knows_nobody)

    def form(self, wanted: bytes, end: bytes) -> bytes:
        """The line to write."""
        if end == b"\r\n" and not self.takes_crlf:
            end = b"\n"
        return b"MAILTO=" + (wanted or self.nobody) + end

    def recipient(self, line: Line | None) -> bytes | None:
        """Whom a job after this MAILTO line, or after none, is mailed to; None for nobody."""
        if line is None:
            return None if self.silent_by_default else b"(owner)"
        if not line.value:
            return None if self.knows_nobody else b""
        if self.checks_addresses and not self.is_address(line.value):
            return line.value if self.expands and b"$" in line.value else None
        return line.value

    def is_address(self, value: bytes) -> bool:
        """safe_p(): a value that does not start with a letter or digit, or holds anything unusual, is not mailed to."""
        pattern = b"[%s][%s%s]*\\Z" % (_LETTERS_AND_DIGITS, _LETTERS_AND_DIGITS, re.escape(self.punctuation))
        return bool(re.match(pattern, value))

    def recipients(self, lines: t.Iterable[Line]) -> list[bytes | None]:
        """For each job that the daemon sees, whom its output is mailed to."""
        found: list[bytes | None] = []
        setting: Line | None = None
        for line in lines:
            if line.sets_mailto:
                setting = line
            elif line.kind == JOB:
                found.append(self.recipient(setting))
        return found


@functools.lru_cache(maxsize=16)  # a plan looks at the old and the new content several times
def _read(dialect: Dialect, raw: bytes) -> tuple[Line, ...]:
    lines: list[Line] = []
    number = 1
    for part in split(raw, dialect.joins_lines):
        lines.append(dialect.line(part, number))
        number += part.count(b"\n")
    return tuple(lines)


_OTHER = (BLANK, b"", b"", False)


def _vixie(text: bytes, dialect: Dialect) -> tuple[str, bytes, bytes, bool]:
    body = text.lstrip(b" \t")
    if not body or body.startswith(b"#"):
        return _OTHER
    found = _load_env(body[: dialect.buffer])
    if found is None or (found[2] and not dialect.reads_bare):
        return (JOB if _is_job(body) else BAD), b"", b"", False
    name, value, bare = found
    if dialect.quotes_twice:
        value = _unquoted(value.rstrip(_SPACE))
    return ASSIGNMENT, name, value, bare


def _load_env(body: bytes) -> tuple[bytes, bytes, bool] | None:
    """NAME = VALUE, each of them quoted or not. Nothing but white space may follow a closing quote."""
    quote = body[:1]
    if quote in (b'"', b"'"):
        name, closing, rest = body[1:].partition(quote)
        if not closing or b"=" in name:
            return None
    else:
        name = re.match(rb"[^=\s]*", body).group()  # type: ignore[union-attr]
        rest = body[len(name) :]
    rest = rest.lstrip(_SPACE)
    if not rest.startswith(b"="):
        return None
    value = rest[1:].lstrip(_SPACE)
    quote = value[:1]
    if quote not in (b'"', b"'"):
        return name, value.rstrip(_SPACE), not value
    value, closing, rest = value[1:].partition(quote)
    return None if not closing or rest.strip(_SPACE) else (name, value, False)


def _unquoted(value: bytes) -> bytes:
    """One pair of quotes around the whole."""
    if len(value) >= 2 and value[:1] in (b'"', b"'") and value[:1] == value[-1:]:
        return value[1:-1]
    return value


def _is_job(body: bytes) -> bool:
    """Times, and something after them; cronie takes a minus sign before them."""
    return entries.after_the_times(body[1:] if body.startswith(b"-") else body).strip(_SPACE) != b""


# sscanf("%[^ =] = %[^\n#]"): white space in the format stands for any amount of it.
_FREEBSD = re.compile(rb"([^ =]+)[ \t\n\v\f\r]*=[ \t\n\v\f\r]*([^ \t\n\v\f\r#][^\n#]*)", re.DOTALL)


def _freebsd(text: bytes, _dialect: Dialect) -> tuple[str, bytes, bytes, bool]:
    body = text.lstrip(b" \t")
    if not body or body.startswith(b"#"):
        return _OTHER
    found = _FREEBSD.match(body)
    if found is None:
        return (JOB if _is_job(body) else BAD), b"", b"", False
    return ASSIGNMENT, found.group(1), _unquoted(found.group(2).rstrip(_SPACE)), False


_ANACRON_BLANK = re.compile(rb"[ \t]*(\Z|#)")
_ANACRON_ENV = re.compile(rb"[ \t]*([^ \t=]+)[ \t]*=(.*)\Z", re.DOTALL)
_ANACRON_JOB = re.compile(rb"[ \t]*(@[^ \t]+|[0-9]+)[ \t]+[0-9]+[ \t]+[^ \t/]+[ \t]+[^ \t].*\Z", re.DOTALL)


def _anacron(text: bytes, _dialect: Dialect) -> tuple[str, bytes, bytes, bool]:
    """The value is whatever stands after the equals sign: blanks, quotes, a carriage return and all."""
    text = text.replace(b"\\\n", b" ").replace(b"\0", b"")
    if _ANACRON_BLANK.match(text):
        return _OTHER
    found = _ANACRON_ENV.match(text)
    if found is not None:
        return ASSIGNMENT, found.group(1), found.group(2), not found.group(2)
    return (JOB if _ANACRON_JOB.match(text) else BAD), b"", b"", False


_BUSYBOX_SPECIALS = (b"@yearly", b"@annually", b"@monthly", b"@weekly", b"@daily", b"@midnight", b"@hourly", b"@reboot")


def _busybox(text: bytes, _dialect: Dialect) -> tuple[str, bytes, bytes, bool]:
    """Words between blanks; only the first one counts in a MAILTO line."""
    text = text.replace(b"\\\n", b"").lstrip(b" \t")
    if not text or text.startswith(b"#"):
        return _OTHER
    words = re.split(rb"[ \t]+", text, maxsplit=5)
    if words[0].startswith(b"MAILTO="):
        value = words[0][len(b"MAILTO=") :]
        return ASSIGNMENT, b"MAILTO", value, not value
    if words[0].startswith((b"SHELL=", b"PATH=")):
        name, _equals, value = words[0].partition(b"=")
        return ASSIGNMENT, name, value, not value
    if words[0].startswith(b"@"):
        return (JOB if words[0] in _BUSYBOX_SPECIALS and len(words) > 1 else BAD), b"", b"", False
    return (JOB if len(words) == 6 and words[5] else BAD), b"", b"", False


_SYSTEMD_ENV = re.compile(rb"([A-Za-z_0-9]+)[ \t\n\v\f\r]*=[ \t\n\v\f\r]*(.*)\Z", re.DOTALL)


def _systemd_cron(text: bytes, _dialect: Dialect) -> tuple[str, bytes, bytes, bool]:
    """Any number of quotes around a value is stripped."""
    body = text.strip(_SPACE)
    if not body or body.startswith(b"#"):
        return _OTHER
    found = _SYSTEMD_ENV.match(body)
    if found is not None:
        value = found.group(2).strip(b"'").strip(b'"')
        return ASSIGNMENT, found.group(1), value, not found.group(2)
    return (JOB if len(body.split()) >= 2 else BAD), b"", b"", False


_VIXIE_PUNCTUATION = b"@!:%-.,"

VIXIE = Dialect("vixie", "ISC cron", _vixie, b'""', needs_last_newline=True, punctuation=_VIXIE_PUNCTUATION)
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        VIXIE,
        VIXIE._replace(
            name="cronie", title="cronie", reads_bare=True, expands=True, buffer=131071,
            punctuation=_VIXIE_PUNCTUATION + b"_+",
        ),
        VIXIE._replace(
            name="debian", title="Debian's cron", quotes_twice=True, buffer=998, punctuation=_VIXIE_PUNCTUATION + b"_+"
        ),
        VIXIE._replace(
            name="freebsd", title="FreeBSD's cron", classify=_freebsd, punctuation=b"@!:%-.,_+=/",
            checks_addresses=False,
        ),
        Dialect(
            "anacron", "anacron", _anacron, b"", joins_lines=True, takes_crlf=False, takes_bare=True, reads_bare=True,
            punctuation=b"@!:%-.,_+=/", checks_addresses=False,
        ),
        Dialect(
            "busybox", "busybox crond", _busybox, b"", joins_lines=True, takes_crlf=False, silent_by_default=True,
            takes_bare=True, reads_bare=True, punctuation=b"@!:%-.,_+=/", checks_addresses=False,
        ),
        Dialect(
            "systemd_cron", "systemd-cron", _systemd_cron, b'""', takes_bare=True, reads_bare=True,
            punctuation=b"@!:%-.,_+=/", checks_addresses=False,
        ),
    )
}  # fmt: skip
