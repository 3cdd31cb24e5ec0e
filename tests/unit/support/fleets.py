# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of headroom_info as the hosts of a fleet give them: plain ones, hostile ones, and a thousand."""

from __future__ import annotations

import random
import typing as t

import pytest

# What a process, a directory or a mount point may call itself, to be more than text to whoever shows it.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style></title></textarea></pre></code><h1>",
    "<!-- ",
    "]]>",
    "&lt;b&gt; &amp;",
    "{{ 7*191 }}",
    "{% raw %}",
    "{# x #}",
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "https://example.org/ www.example.org <https://example.org>",
    "| a | b |",
    "`code` ``` *bold* _it_ ~~no~~",
    "\\",
    '\\"} 1\nforged{x="',
    "a\nb\r\nc\td",
    "\x1b[2J\x07\x00\x9b",
    "\u202eevil\u2066\u200b\ufeff",
    "z\u0301\u0301\u0301algo",
    "\udcff stray",
    "x" * 5000,
    "",
    " ",
)

whatever_the_name = pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name)[:30] for name in HOSTILE])

INCIDENTS = ("process_storm", "semaphore_leak", "cron_mail_storm", "fd_leak")


def limit(
    resource: str = "process_slots", share: float | None = 0.5, total: int = 1000, **changes: t.Any
) -> dict[str, t.Any]:
    """One limit of a result."""
    used = int(total * (share if share is not None else 0.5))
    incidents = {"process_slots": "process_storm", "semaphores": "semaphore_leak", "descriptors": "fd_leak"}
    plain = {
        "resource": resource,
        "scope": "host",
        "limit_name": "kernel.pid_max",
        "measure": "bytes" if resource == "blocks" else "count",
        "used": used,
        "limit": total if share is not None else None,
        "free": max(0, total - used) if share is not None else None,
        "share": share,
        "binding": True,
        "stops_root": True,
        "growth": None,
        "holders": [holder("worker", used // 2)],
        "incident": incidents.get(resource, ""),
        "options": {},
        "remedy": "rm -rf /",  # of the host's making: shown by nobody
    }
    return {**plain, **changes}


def holder(name: str, used: int = 1, **changes: t.Any) -> dict[str, t.Any]:
    return {"name": name, "used": used, "user": "app", "unit": "app.service", "pid": None, **changes}


def suspect(name: str = "worker", processes: int = 600) -> dict[str, t.Any]:
    return {
        "selector": {"name": [name], "user": ["app"]},
        "processes": processes,
        "share": 0.9,
        "young": processes,
        "reasons": [f"{processes} of 1000 processes are {name} of app"],
    }


def result(*limits: dict[str, t.Any], **changes: t.Any) -> dict[str, t.Any]:
    """What headroom_info returns, and Ansible registers."""
    plain = {
        "changed": False,
        "schema_version": 2,
        "resources": list(limits),
        "process_table": {"processes": 100, "threads": 250, "kernel_threads": 90, "zombies": 0},
        "suspects": [],
        "context": {
            "memory": {"total": 16 << 30, "available": 8 << 30, "swap_total": 2 << 30, "swap_free": 1 << 30},
            "pressure": {"cpu": {"some_avg60": 12.3}, "memory": None, "io": {"some_avg60": 0.0}},
            "load": [0.5, 0.4, 0.3],
            "processors": 4,
            "uptime_s": 90061,
        },
        "coverage": [],
        "left_out": [],
        "left_out_total": 0,
        "partial": False,
        "partial_reasons": [],
        "elapsed_ms": 12,
    }
    return {**plain, **changes}


def silent(message: str, unreachable: bool = False) -> dict[str, t.Any]:
    return {"changed": False, "msg": message, "unreachable" if unreachable else "failed": True}


def hostile(name: str) -> dict[str, t.Any]:
    """A host on which everything is called like this."""
    growth = {"per_minute": 10.0, "full_in_s": 60}
    named = limit(
        share=0.99, scope=name, limit_name=name, growth=growth, holders=[holder(name, 5, user=name, unit=name, pid=7)]
    )
    options = {"semaphore_leak_selector": {"owner": [name]}}
    return result(
        named,
        limit("semaphores", 1.0, scope=name, limit_name=name, options=options),
        suspects=[suspect(name)],
        partial=True,
        partial_reasons=[name],
        left_out=[{"what": name, "reason": name}],
    )


def fleet(count: int, seed: int = 1) -> dict[str, t.Any]:
    """Results of that many hosts: some critical, some silent, most fine; nine resources, fourteen limits each."""
    draw = random.Random(seed)
    resources = (
        "process_slots",
        "semaphores",
        "descriptors",
        "inotify",
        "maildrop",
        "inodes",
        "blocks",
        "one_more",
        "another",
    )
    results: dict[str, t.Any] = {}
    for number in range(count):
        name = f"node{number:04d}.example.org"
        fate = draw.random()
        if 0.01 < fate < 0.02:
            results[name] = silent("ssh: connect to host: No route to host", unreachable=True)
            continue
        shares = [min(0.79, draw.betavariate(1.2, 8)) for _resource in resources]
        if number == 0 or fate < 0.01:
            shares[number % 3] = 0.99
        elif fate < 0.05:
            shares[5] = 0.85
        limits = [limit(resource, round(share, 4), 32768) for resource, share in zip(resources, shares)]
        limits += [limit("process_slots", 0.1, scope=f"cgroup /system.slice/app{extra}.service") for extra in range(5)]
        suspects = [suspect()] if shares[0] > 0.9 else []
        results[name] = result(*limits, suspects=suspects)
    return results
