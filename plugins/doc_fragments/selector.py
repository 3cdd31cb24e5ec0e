# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The selector: the options by which every process module is told which processes are meant."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name: &name
    description:
      - The comm of the process, exactly, as C(ps -o comm) shows it. The kernel keeps 15 bytes of it; a longer name is
        refused, since other programs may share its beginning.
    type: list
    elements: str
  name_regex: &name_regex
    description: A Python regular expression that is searched for in the comm.
    type: str
  exe: &exe
    description:
      - The path of the program, exactly, as the link C(/proc/PID/exe) shows it. A program that was replaced while it
        runs is still recognised.
    type: list
    elements: str
  exe_regex: &exe_regex
    description: A Python regular expression that is searched for in the path of the program.
    type: str
  cmdline_regex: &cmdline_regex
    description:
      - A Python regular expression that is searched for in the arguments, joined by blanks.
      - A command line can be read safely only once its process is stopped. So what meets all other criteria is stopped
        first, and what turns out not to match is woken at once. Give at least one other criterion to keep this narrow.
    type: str
  user: &user
    description: The real user of the process, by name or number. This is the user that C(RLIMIT_NPROC) counts.
    type: list
    elements: str
  unit: &unit
    description:
      - A systemd unit that the process belongs to, such as C(app.service), C(user-1000.slice) or C(session-3.scope).
    type: list
    elements: str
  cgroup: &cgroup
    description:
      - A control group that the process is in or below, as C(/proc/PID/cgroup) shows its path in any hierarchy.
    type: list
    elements: str
  pid: &pid
    description: The number of the process.
    type: list
    elements: int
  descends_from: &descends_from
    description:
      - The number of a process that is the parent, the parent's parent and so on of the process.
    type: list
    elements: int
  tree: &tree
    description:
      - The number of a process that is meant together with all that descends from it.
    type: list
    elements: int
  ancestry: &ancestry
    description:
      - The names of the process, its parent and so on, such as C(postdrop < sendmail < crond). Where any of several
        names will do, they have C(|) between them, as in C(postdrop < sendmail < cron | crond).
    type: str
  min_age: &min_age
    description: The process has been running for at least this long, such as V(30s), V(5m), V(2h), V(1d).
    type: str
  min_count:
    description: Do nothing where fewer processes than this match.
    type: int
    default: 0
  protect:
    description:
      - More selectors, each with the criteria above. What one of them matches is never touched.
    type: list
    elements: dict
    default: []
    suboptions:
      name: *name
      name_regex: *name_regex
      exe: *exe
      exe_regex: *exe_regex
      cmdline_regex: *cmdline_regex
      user: *user
      unit: *unit
      cgroup: *cgroup
      pid: *pid
      descends_from: *descends_from
      tree: *tree
      ancestry: *ancestry
      min_age: *min_age
"""
    # for modules that can do harm
    SAFEGUARDS = r"""
options: {}
notes:
  - All criteria that are given must hold. A list holds if one of its members does.
  - Never touched, whatever the selector says, are PID 1 and its helpers, kernel threads, the module itself, its
    ancestors and the session it was started from with the ssh connection it came in by, the sshd of the host and the
    login shells of its sessions, processes with an C(oom_score_adj) of -1000 and, unless asked for, containers. They
    are known by ancestry, session, control group and program file, never by name.
"""
