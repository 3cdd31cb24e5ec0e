#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cron_mailto
short_description: Say who gets the mail of all cron jobs, or that nobody does
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Sets E(MAILTO) in every crontab of a host in one pass, in a form that the daemon of this host reads as it is meant.
    No form is read so by all. C(MAILTO="") means no mail to most, and mail to the address C("") to anacron and to
    busybox; C(MAILTO=) means no mail to those, and makes the cron of Debian up to 12 ignore the whole crontab.
  - A line holds for the jobs after it only. So one is put before the first job, and later ones are rewritten.
  - Nothing else is touched, not one byte. Lines that a daemon does not understand, or does not see for want of a final
    newline, are warned of and left as they are, because mending them could start jobs.
  - Each crontab is replaced in one step by a file with the same owner, mode, access list and extended attributes, or is
    left as it was. Where no file can be made, for want of inodes or blocks, it is written in place after a copy of
    it has been saved, see RV(files[].method).
  - A crontab that its daemon does not read is left alone. One that its daemon reads, and that cannot be
    rewritten safely, is left alone too, the others are rewritten, and the task fails.
extends_documentation_fragment:
  - hostcare.remediation._attributes
attributes:
  check_mode:
    details: Whether a crontab can be replaced or has to be written in place is then foretold from the free inodes.
  diff_mode:
    support: full
    details: Shows each crontab, at most 100 of them and 400 lines of each.
  one_process:
    details: It writes the crontabs and a copy of those it changes. The copy goes to C(/run) where the disk is full.
options:
  state:
    description:
      - V(present) sets E(MAILTO) for every job.
      - V(absent) removes the lines that set E(MAILTO), whatever they say, so that most daemons mail to the owner of
        each job again. With O(mailto) only lines with that value are removed.
      - V(restored) gives the crontabs back the content that is kept in O(backup_file). One that was edited since is
        refused.
    type: str
    choices: [present, absent, restored]
    default: present
  mailto:
    description:
      - The addresses. An empty string, or an empty list, means that nobody gets mail.
      - Required with O(state=present).
    type: list
    elements: str
  scope:
    description:
      - Which crontabs. V(system) are C(/etc/crontab) and the files in C(/etc/cron.d), V(users) those in the spool of
        the daemon, V(anacron) is C(/etc/anacrontab). The default is all of them.
      - What the daemon of this host does not read is left alone, and missing files and directories are no error.
    type: list
    elements: str
    choices: [system, users, anacron]
  paths:
    description:
      - Crontabs by name, instead of O(scope). They have to be absolute paths. A file outside the places of O(scope) is
        taken for a system crontab, with a user in each line, and one named C(anacrontab) for one of anacron.
    type: list
    elements: path
  override:
    description:
      - With V(true) every line that sets E(MAILTO) to something else is rewritten.
      - With V(false) a crontab that has such a line is left as it is.
    type: bool
    default: true
  dialect:
    description:
      - Which daemon reads the crontabs. C(/etc/anacrontab) is always read by anacron or by systemd-cron.
      - V(auto) finds it among the running programs, then among the installed ones, by what is inside the program.
      - Only needed where no daemon is installed, or more than one. V(vixie) is ISC cron and its descendants other than
        V(debian), V(cronie) and V(freebsd).
    type: str
    choices: [auto, cronie, vixie, debian, anacron, busybox, systemd_cron, freebsd]
    default: auto
  backup:
    description:
      - Save what is about to be rewritten into one file, before anything is touched, see RV(backup_file).
      - Without it nothing is written in place.
    type: bool
    default: true
  backup_directory:
    description:
      - Where it is saved. No daemon may look for crontabs there. It is made where it is missing; one that others than
        root and the user of this task may write to is refused.
      - Where it has no room, C(/run/hostcare/cron) is taken, with a warning, since that is gone after a boot.
    type: path
    default: /var/lib/hostcare/cron
  backup_file:
    description:
      - With O(state=restored), the file to restore from. The default is the newest one in O(backup_directory).
      - It is a tar file. C(tar -xpf FILE -C /) restores it without this module.
    type: path
  max_files:
    description: The brake. If more crontabs than this would be rewritten, nothing is touched and the module fails.
    type: int
    default: 1000
seealso:
  - module: ansible.builtin.cron
  - module: hostcare.remediation.postfix_maildrop
"""

EXAMPLES = r"""
- name: End all cron mail of a host
  hostcare.remediation.cron_mailto:
    mailto: ""
  register: silenced

- name: Undo it
  hostcare.remediation.cron_mailto:
    state: restored
    backup_file: "{{ silenced.backup_file }}"
  when: silenced.backup_file is not none

- name: Send the mail of the system's jobs to the operators, where nobody has said otherwise
  hostcare.remediation.cron_mailto:
    mailto: [ops@example.org, root]
    scope: [system, anacron]
    override: false

- name: Take a silence back, but leave other addresses alone
  hostcare.remediation.cron_mailto:
    state: absent
    mailto: ""
    scope: [system]

- name: Silence two crontabs of a container image, in which no daemon runs
  hostcare.remediation.cron_mailto:
    mailto: ""
    paths:
      - /etc/crontab
      - /etc/cron.d/app
    dialect: cronie
"""

RETURN = r"""
state:
  description: The state that was asked for.
  type: str
  returned: always
  sample: present
mailto:
  description: The addresses as they are written, parted by commas. Empty for nobody, null when none were given.
  type: str
  returned: always
  sample: ""
daemons:
  description: The daemons that were found, or that O(dialect) names.
  type: list
  elements: dict
  returned: always
  contains:
    dialect:
      description: The choice of O(dialect) that fits.
      type: str
      sample: debian
    program:
      description: The path of the program. Null where O(dialect) names it and it is not installed.
      type: str
      sample: /usr/sbin/cron
    pid:
      description: The number of its process. Null where it does not run, and for what is started only now and then.
      type: int
      sample: 612
    reason:
      description: How it was told.
      type: str
      sample: runs as process 612; the program says that a crontab file will be ignored for one bad line
files:
  description: The crontabs, at most 200, those that need attention first.
  type: list
  elements: dict
  returned: always
  contains:
    path:
      description: The path.
      type: str
      sample: /etc/crontab
    place:
      description: V(system), V(users), V(anacron).
      type: str
      sample: system
    dialect:
      description: How it was read. Null where no daemon reads it.
      type: str
      sample: debian
    status:
      description:
        - V(changed) was rewritten, in check mode would be.
        - V(unchanged) says what it should already, or is left as it is because O(override) is V(false).
        - V(ignored) is not read by its daemon.
        - V(refused) is read by its daemon, or may be, and cannot be rewritten safely.
        - V(missing) is not there.
      type: str
      sample: changed
    reason:
      description: Why.
      type: str
      sample: MAILTO is inserted as line 7
    method:
      description:
        - V(replaced) by a new file in one step, or V(in_place). V(none) when it was not written.
        - A file of at most 4096 bytes that is written in place cannot be seen half written by a process, nor be left so
          by the death of this module. A larger one can, and both can by a loss of power; RV(backup_file) has the
          content then.
      type: str
      sample: replaced
    inserted:
      description: The number of the line that was inserted, in the new file. Null for none.
      type: int
      sample: 7
    rewritten:
      description: The numbers of the lines that were rewritten, in the old file. At most 50.
      type: list
      elements: int
      sample: [3]
    removed:
      description: The numbers of the lines that were removed, in the old file. At most 50.
      type: list
      elements: int
      sample: [3]
    jobs:
      description: How many jobs its daemon sees in it.
      type: int
      sample: 4
    mailing_before:
      description: For how many of them the daemon calls sendmail when they print something, before the change.
      type: int
      sample: 4
    mailing_after:
      description: The same after the change.
      type: int
      sample: 0
    recipients:
      description: Whom it mailed to before the change. V((owner)) is the user of the job. At most 10.
      type: list
      elements: str
      sample: [(owner)]
    warnings:
      description: Lines that its daemon does not read as they were meant. At most 10.
      type: list
      elements: str
      sample: ["line 9 has no newline at its end: cronie does not see the job in it"]
files_total:
  description: How many crontabs there are.
  type: int
  returned: always
  sample: 12
totals:
  description: How many crontabs have each status, and how many jobs there are.
  type: dict
  returned: always
  contains:
    changed:
      description: As in RV(files[].status).
      type: int
      sample: 5
    unchanged:
      description: As in RV(files[].status).
      type: int
      sample: 6
    ignored:
      description: As in RV(files[].status).
      type: int
      sample: 1
    refused:
      description: As in RV(files[].status).
      type: int
      sample: 0
    missing:
      description: As in RV(files[].status).
      type: int
      sample: 0
    jobs:
      description: The sum of RV(files[].jobs).
      type: int
      sample: 31
    mailing_before:
      description: The sum of RV(files[].mailing_before).
      type: int
      sample: 22
    mailing_after:
      description: The sum of RV(files[].mailing_after).
      type: int
      sample: 0
converged:
  description:
    - Whether every crontab that a daemon reads says now what it should. In check mode false if something would change.
  type: bool
  returned: always
  sample: true
restart_needed:
  description:
    - Whether a daemon does not notice the change by itself within a minute. For systemd-cron it is waited up to ten
      seconds for systemd to make the units anew.
  type: bool
  returned: always
  sample: false
restart_reasons:
  description: Why, and what to do.
  type: list
  elements: str
  returned: always
  sample:
    - "systemd-cron: systemd has not made its units anew; run systemctl daemon-reload && systemctl restart cron.target"
backup_file:
  description: Where the old content was saved, or what was restored from. Null when nothing was.
  type: str
  returned: always
  sample: /var/lib/hostcare/cron/20260301T120000Z-4711.tar
actions:
  description: What was done, in check mode what would be done. At most 50.
  type: list
  elements: str
  returned: always
  sample:
    - save 5 crontabs in /var/lib/hostcare/cron/20260301T120000Z-4711.tar
    - "rewrite /etc/crontab: MAILTO is inserted as line 7"
partial:
  description: Whether something could not be read.
  type: bool
  returned: always
  sample: false
partial_reasons:
  description: What could not be read, and what to do about it.
  type: list
  elements: str
  returned: always
  sample: []
elapsed_ms:
  description: Milliseconds the module took, its start apart.
  type: int
  returned: always
  sample: 7
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._cron import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._cron.dialect import DIALECTS
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused

SCOPES = ["system", "users", "anacron"]


def options_of(module: AnsibleModule) -> remedy.Options:
    """The parameters, checked. Raises Refused."""
    given = module.params
    for path in given["paths"] or []:
        if not path.startswith("/"):
            raise Refused(f"paths: {path} is not an absolute path: give one, such as /etc/cron.d/jobs.")
    if given["state"] == "present" and given["mailto"] is None:  # null counts as given to required_if
        raise Refused('mailto is null, which state=present cannot set: give "" for nobody, or state=absent.')
    return remedy.Options(
        state=given["state"],
        value=remedy.value_of(given["mailto"]),
        scope=tuple(SCOPES if given["scope"] is None else given["scope"]),
        paths=tuple(given["paths"] or ()),
        override=given["override"],
        dialect=given["dialect"],
        backup=given["backup"],
        backup_directory=given["backup_directory"],
        backup_file=given["backup_file"],
        max_files=given["max_files"],
        check_mode=module.check_mode,
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "mailto": {"type": "list", "elements": "str"},
            "scope": {"type": "list", "elements": "str", "choices": SCOPES},
            "paths": {"type": "list", "elements": "path"},
            "override": {"type": "bool", "default": True},
            "dialect": {"type": "str", "choices": ["auto", *DIALECTS], "default": "auto"},
            "backup": {"type": "bool", "default": True},
            "backup_directory": {"type": "path", "default": "/var/lib/hostcare/cron"},
            "backup_file": {"type": "path"},
            "max_files": {"type": "int", "default": 1000},
        },
        mutually_exclusive=[("scope", "paths")],
        required_if=[("state", "present", ["mailto"])],
        supports_check_mode=True,
    )
    try:
        report = remedy.run(options_of(module))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    for warning in report.warnings:
        module.warn(warning)
    result = report.render()
    if module._diff:
        result["diff"] = report.diff()
    if report.problem:
        module.fail_json(msg=report.problem, **result)
    if not module.check_mode:
        module.log(f"hostcare: cron mail {report.state}: {'; '.join(result['actions']) or 'nothing to do'}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
