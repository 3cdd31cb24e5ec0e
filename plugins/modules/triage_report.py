#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: triage_report
short_description: Report on what the hosts of a fleet are running out of
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Takes what M(hostcare.remediation.headroom_info) returned on each host and says, the worst host first, what is
    running out where, who holds it, and which remedy is meant for it.
  - Returns lines for a terminal and a small summary as data, and writes a self-contained HTML page, Markdown, JSON,
    and metrics for the textfile collector of node_exporter. Each file is written whole or not at all.
  - Works on the controller and connects to no host. Let it run once, after the hosts were measured.
  - Whatever a host answered is checked and escaped. Hosts that are unreachable or failed stand in the report as such.
extends_documentation_fragment:
  - hostcare.remediation._attributes.controller
options:
  hosts:
    description: The names of the hosts.
    type: list
    elements: str
    required: true
  variable:
    description: The name of the variable of each host that holds its registered result.
    type: str
    default: triage_headroom
  incidents:
    description:
      - The incidents that there is a role for, in the order of their remedies.
      - An incident counts for a host where a limit that points to it is critical.
    type: list
    elements: str
    default: []
  warning:
    description: From which used part of a limit on it is a warning.
    type: float
    default: 0.8
  critical:
    description:
      - From which used part of a limit on it is critical. So it is, whatever the part, where fewer than 2 semaphores or
        arrays or 16 process slots of a host are left, and never for a control group with a limit below 16 tasks.
    type: float
    default: 0.95
  horizon:
    description: It is a warning, too, where a limit that grows would be reached within this time.
    type: str
    default: 1h
  directory:
    description:
      - Where to write the report, on the controller. A relative path begins where the playbook was started. It is made
        if it is missing. When empty, no file is written.
    type: str
    default: ""
  formats:
    description: What to write there, V(triage.html), V(triage.md) and V(triage.json).
    type: list
    elements: str
    choices: [html, markdown, json]
    default: [html, markdown, json]
  metrics_directory:
    description:
      - Where to write V(hostcare.prom), on the controller. That is the directory of the textfile collector of a
        node_exporter there. It has to be there already. When empty, no metrics are written.
    type: str
    default: ""
  width:
    description: How many columns a line for the terminal may take, at least V(40). Lines to paste are never cut.
    type: int
    default: 100
  top:
    description: How many hosts the lines and the summary name at most.
    type: int
    default: 30
notes:
  - The files are a part of the report, as the lines on the terminal are. They are written in check mode, too, and are
    no change.
  - A file that cannot be written does not fail the task. It is named in RV(not_written), and the role C(triage) fails
    once it has shown the rest.
seealso:
  - module: hostcare.remediation.headroom_info
"""

EXAMPLES = r"""
- name: Measure
  hostcare.remediation.headroom_info:
  register: triage_headroom
  ignore_unreachable: true
  failed_when: false

- name: Report
  hostcare.remediation.triage_report:
    hosts: "{{ ansible_play_hosts_all }}"
    incidents: [process_storm]
    directory: triage
  register: report
  run_once: true

- name: Show
  ansible.builtin.debug:
    msg: "{{ report.lines }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: The report for a terminal.
  type: list
  elements: str
  returned: always
summary:
  description: The report in short, small enough for C(set_stats).
  type: dict
  returned: always
  contains:
    schema_version:
      description: Version of this structure. Keys may be added within a version.
      type: int
      sample: 1
    generated:
      description: When the report was made, UTC.
      type: str
      sample: "2026-11-21T12:00:00Z"
    hosts:
      description: How many hosts there are.
      type: int
    counts:
      description: How many of them are C(critical), C(unreachable), C(failed), C(warning) and C(fine).
      type: dict
    plan:
      description: For each incident that was found the hosts, in the order of O(incidents).
      type: dict
      sample: {process_storm: [web1]}
    worst:
      description: The hosts that are not fine, the worst first, at most O(top).
      type: list
      elements: dict
      contains:
        host:
          description: The host.
          type: str
        state:
          description: C(critical), C(unreachable), C(failed) or C(warning).
          type: str
        reason:
          description: Why it could not be measured. Empty where it could.
          type: str
        resource:
          description: The resource that is scarcest. Empty where nothing could be measured, and so are the next two.
          type: str
        scope:
          description: Whose limit it is.
          type: str
        limit:
          description: The name of the limit.
          type: str
        percent:
          description: How much of it is used. Null where that is not known.
          type: int
    worst_total:
      description: How many hosts are not fine.
      type: int
files:
  description: The files that were written, by format, and C(metrics).
  type: dict
  returned: always
  sample: {html: /home/me/triage/triage.html}
not_written:
  description: Why a file could not be written.
  type: list
  elements: str
  returned: always
"""

# The work is that of the action plugin of the same name.
