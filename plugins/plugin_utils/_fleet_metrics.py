# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as metrics for the textfile collector of node_exporter.

The text format: https://prometheus.io/docs/instrumenting/exposition_formats/

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.plugin_utils._fleet import STATES, Fleet, Limit


def fleet_metrics(fleet: Fleet, timestamp: float) -> str:
    """Of each host and resource the scarcest limit. A label ``host`` says whose it is: all hosts are in one file."""
    cells = [(host.name, limit) for host in fleet.hosts for limit in host.cells.values()]
    return "".join(
        [
            *_metric("hostcare_triage_timestamp_seconds", "When the fleet was measured.", [({}, timestamp)]),
            *_metric(
                "hostcare_hosts",
                "How many hosts are in this state.",
                [({"state": state}, fleet.counts[state]) for state in STATES],
            ),
            *_metric(
                "hostcare_host_measured",
                "Whether the host could be measured.",
                [({"host": host.name}, 0 if host.reason else 1) for host in fleet.hosts],
            ),
            *_metric(
                "hostcare_resource_used",
                "What counts against the scarcest limit of the resource; bytes for blocks.",
                [(_labels(name, limit), limit.used) for name, limit in cells],
            ),
            *_metric(
                "hostcare_resource_limit",
                "That limit; none where nothing limits it.",
                [(_labels(name, limit), limit.limit) for name, limit in cells if limit.limit is not None],
            ),
            *_metric(
                "hostcare_resource_used_ratio",
                "The used part of it.",
                [(_labels(name, limit), limit.share) for name, limit in cells if limit.share is not None],
            ),
        ]
    )


def _labels(host: str, limit: Limit) -> dict[str, str]:
    return {"host": host, "resource": limit.resource, "scope": limit.scope, "limit": limit.name}


def _metric(name: str, text: str, samples: t.Sequence[tuple[t.Mapping[str, str], float]]) -> t.Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        yield f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n"


def _escaped(content: str) -> str:
    """As the format wants it; what is no text (a stray byte of a name) is replaced."""
    clean = content.encode("utf-8", "replace").decode("utf-8")
    return clean.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
