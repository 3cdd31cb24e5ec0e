# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that cannot be meant, what was probably meant, and the files that make them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import glob
import os
import typing as t

from .limits import NO_LIMIT, pages

# What kernels and vendors have set for SEMMSL: the first number of kernel.sem, to which a lost blank glues the second.
_USUAL_SEMMSL = (250, 256, 500, 510, 512, 1000, 1024, 1250, 1500, 2000, 2048, 4096, 5010, 32000, 32767, 65535)
_MOST_SEMOPM = 32000
_DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_FILE_BYTES = 1 << 20


class Oddity(t.NamedTuple):
    """``proposal`` is None where it cannot be told what was meant."""

    parameter: str
    value: str
    problem: str
    proposal: str | None = None


def oddities(settings: t.Mapping[str, int], page: int) -> list[Oddity]:
    return [found for find in (_sem, _shm, _msg) for found in find(settings, page)]


def _sem(now: t.Mapping[str, int], _page: int) -> t.Iterator[Oddity]:
    if not {"SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI"} <= now.keys():
        return
    value = "{SEMMSL} {SEMMNS} {SEMOPM} {SEMMNI}".format(**now)
    if now["SEMMNS"] < now["SEMMSL"]:
        problem = f"one array may hold {now['SEMMSL']} semaphores and the whole host {now['SEMMNS']}"
        yield Oddity("kernel.sem", value, problem, _with_blank(now) or _with_room(now))
    elif now["SEMMNS"] < now["SEMMNI"]:
        problem = f"there may be {now['SEMMNI']} arrays and only {now['SEMMNS']} semaphores for them all"
        yield Oddity("kernel.sem", value, problem, _with_room(now))


def _with_blank(now: t.Mapping[str, int]) -> str | None:
    """``250 32000 32 512`` without its first blank is three numbers: each but the first stands one place too early, and
    the kernel keeps the fourth as it was."""
    digits = str(now["SEMMSL"])
    for semmsl in _USUAL_SEMMSL:
        rest = digits[len(str(semmsl)) :]
        if not digits.startswith(str(semmsl)) or rest[:1] in ("", "0") or now["SEMMNS"] > _MOST_SEMOPM:
            continue
        if int(rest) >= semmsl:
            return f"{semmsl} {rest} {now['SEMMNS']} {now['SEMOPM']}"
    return None


def _with_room(now: t.Mapping[str, int]) -> str | None:
    """As many semaphores as all arrays can hold, which is how the kernel's own defaults are made."""
    if now["SEMMSL"] > max(_USUAL_SEMMSL):
        return None
    return f"{now['SEMMSL']} {now['SEMMSL'] * now['SEMMNI']} {now['SEMOPM']} {now['SEMMNI']}"


def _shm(now: t.Mapping[str, int], page: int) -> t.Iterator[Oddity]:
    if not {"SHMMAX", "SHMALL"} <= now.keys():
        return
    if now["SHMMAX"] < page:
        yield Oddity(
            "kernel.shmmax", str(now["SHMMAX"]), f"no segment may be as large as one page, which is {page} bytes"
        )
    elif now["SHMALL"] < pages(now["SHMMAX"], page) and now["SHMMAX"] not in NO_LIMIT:
        yield Oddity(
            "kernel.shmall",
            str(now["SHMALL"]),
            f"all segments together may have {now['SHMALL']} pages, and a single one of SHMMAX would have "
            f"{pages(now['SHMMAX'], page)}",
            str(pages(now["SHMMAX"], page)),
        )


def _msg(now: t.Mapping[str, int], _page: int) -> t.Iterator[Oddity]:
    if {"MSGMAX", "MSGMNB"} <= now.keys() and now["MSGMAX"] > now["MSGMNB"]:
        yield Oddity(
            "kernel.msgmnb",
            str(now["MSGMNB"]),
            f"a message may have {now['MSGMAX']} bytes and a whole queue {now['MSGMNB']}",
            str(now["MSGMAX"]),
        )


class Source(t.NamedTuple):
    """A line that sets a parameter."""

    path: str
    line: int
    value: str


def sources(parameter: str, root: str = "") -> list[Source]:
    """In the order in which sysctl(8) applies them: by file name, ``/etc/sysctl.conf`` at the end (sysctl.d(5))."""
    by_name: dict[str, str] = {}
    for directory in reversed(_DIRECTORIES):
        by_name.update({os.path.basename(path): path for path in glob.glob(f"{root}{directory}/*.conf")})
    paths = [*(by_name[name] for name in sorted(by_name)), f"{root}/etc/sysctl.conf"]
    files = {os.path.realpath(path): path for path in paths}  # a link to a later file adds nothing
    last = {os.path.realpath(path): number for number, path in enumerate(paths)}
    return [source for real in sorted(files, key=last.__getitem__) for source in _lines(files[real], parameter)]


def _lines(path: str, parameter: str) -> t.Iterator[Source]:
    if not os.path.isfile(path):
        return
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            content = file.read(_FILE_BYTES)
    except OSError:
        return
    for number, line in enumerate(content.split("\n"), 1):
        name, equals, value = line.strip().partition("=")
        if equals and name.strip().lstrip("-").replace("/", ".") == parameter:
            yield Source(path, number, value.strip())
