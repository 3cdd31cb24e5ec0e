#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix_maildrop
short_description: Purge, archive, restore and mend the maildrop queue of Postfix
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Local mail waits in C(maildrop) until Postfix collects it. When nobody does, such as while Postfix is stopped and
    cron goes on mailing, it fills with files until the file system has no inode left.
  - V(purged) removes what the options select and says what it kept and why. It works while no inode and no block is
    free. V(present) sees to the directory itself and puts back what was archived.
  - The directory is opened once, by way of directories that only root can change, checked against the owner and the
    file system that Postfix wants, and never left. Files are removed by the descriptor of that directory. No symbolic
    link is followed, no subdirectory entered.
  - Regular files with one link are mail. Everything else, such as links, subdirectories and sockets, is kept and
    counted.
extends_documentation_fragment:
  - hostcare.remediation._attributes
attributes:
  check_mode:
    details: An archive is not written, so whether it fits is estimated.
  diff_mode:
    details: Shows the mail by submitter, or the directories with owner, group and mode.
  one_process:
    details: A second thread helps to remove files where one can be had and removing is slow. It is never needed.
options:
  state:
    description:
      - V(purged) removes the files that meet all of O(older_than), O(submitter), O(include_incomplete) and
        O(keep_requeued). A directory that does not exist is empty.
      - V(present) makes C(maildrop) and C(public) or mends their owner, group and mode, makes C(public/pickup) where
        C(master.cf) says that it is a FIFO, and undoes a O(swap) that was interrupted.
    type: str
    choices: [purged, present]
    required: true
  config_directory:
    description: The directory of C(main.cf), which is read without C(postconf) and so without a fork.
    type: path
    default: /etc/postfix
  instance:
    description:
      - Name of an instance of a host with several, as C(postmulti -l) shows it. By default the one of
        O(config_directory).
    type: str
  queue_directory:
    description: The queue directory, instead of the one that C(main.cf) names.
    type: path
  older_than:
    description:
      - The least age of a file, by its time of modification, such as V(30s), V(2h), V(7d). A file from the future is
        never older.
    type: str
  submitter:
    description:
      - Users, by name or number, who own the files, which are those who submitted the mail. By default all.
    type: list
    elements: str
    default: []
  include_incomplete:
    description:
      - What to do with files that are not complete (mode 0644, where complete mail has 0744).
      - V(none) keeps them all.
      - V(abandoned) removes those that no process has open. Where that cannot be told they are kept.
      - V(all) removes them all, also from under a process that still writes.
    type: str
    choices: [none, abandoned, all]
    default: abandoned
  keep_requeued:
    description:
      - Keep the files of C(mail_owner), mostly C(postfix). They are mail that was accepted already, possibly from other
        hosts, and put back by C(postsuper -r).
    type: bool
    default: true
  account:
    description:
      - Count RV(by_submitter), RV(by_age) and RV(bytes_freed), which takes a look at each file.
      - V(false) leaves them out and saves about a tenth of the time, if nothing else asks for a look. That takes
        O(keep_requeued=false), O(include_incomplete=all) and no O(older_than), O(submitter) and O(archive).
    type: bool
    default: true
  max_files:
    description: The brake. If more files than this were to be removed, nothing is touched and the module fails.
    type: int
    default: 100000
  time_budget:
    description:
      - How long the module may take, such as V(5m). What is left then is said, with RV(partial=true) and
        RV(converged=false), and is no failure. By default as long as it takes.
    type: str
  archive:
    description:
      - A directory for an archive of all that is removed, one C(tar.gz) file for each run. It is complete, synced to
        disk and has been read back before the first file is removed, and a file that changed since is kept.
      - The directory is made if its parent exists. A directory that others than root may write to is refused, and so is
        a file system without room for the mail uncompressed.
    type: path
  swap:
    description:
      - Put an empty directory with the same owner, mode, ACL and labels in the place of C(maildrop) in one step, so
        that Postfix has an empty queue at once, bring back what is kept, and remove the rest.
      - A run that was killed in between is finished by the next V(purged) and undone by the next V(present).
      - It takes one free inode. Where there is none, or the file system cannot rename the directory, the mail is
        removed in place, with a warning.
      - A program that submits mail at the very moment of the swap may be told to try again later.
    type: bool
    default: false
  from_archive:
    description:
      - With O(state=present), an archive to put back, with owner, group, mode and times. Only what this module archived
        is taken.
      - Each mail is put back once. The archive is renamed to end in C(.restored), and repeating the task changes
        nothing, or finishes a run that was killed. To put it back once more rename it first.
    type: path
notes:
  - Needs root.
  - Silence what submits the mail first. RV(arrived) tells whether more came in meanwhile.
seealso:
  - module: hostcare.remediation.headroom_info
  - module: hostcare.remediation.rogue_process
"""

EXAMPLES = r"""
- name: See who filled the queue, and change nothing
  hostcare.remediation.postfix_maildrop:
    state: purged
  check_mode: true
  register: maildrop

- name: Remove the mail of root's and the application's cron jobs and keep an archive of it
  hostcare.remediation.postfix_maildrop:
    state: purged
    submitter: [root, app]
    archive: /var/backups/hostcare
    swap: true
    max_files: 2000000

- name: Remove what has waited for more than a day, for at most five minutes
  hostcare.remediation.postfix_maildrop:
    state: purged
    older_than: 1d
    time_budget: 5m

- name: Mend the directory
  hostcare.remediation.postfix_maildrop:
    state: present

- name: Put archived mail back, so that Postfix delivers it
  hostcare.remediation.postfix_maildrop:
    state: present
    from_archive: /var/backups/hostcare/maildrop-20260301T120000Z-1a2b3c4d.tar.gz
"""

RETURN = r"""
state:
  description: The state that was asked for.
  type: str
  returned: always
  sample: purged
queue_directory:
  description: The queue directory.
  type: str
  returned: always
  sample: /var/spool/postfix
instance:
  description: The name of the instance, C(-) for one that has none.
  type: str
  returned: always
  sample: "-"
instances:
  description: All instances that O(config_directory) knows of, the own one first. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
    instance:
      description: Its name for O(instance), C(-) where it has none.
      type: str
      sample: postfix-out
    config_directory:
      description: Where its C(main.cf) is.
      type: str
      sample: /etc/postfix-out
    queue_directory:
      description: Its queue directory. Null where its C(main.cf) cannot be read.
      type: str
      sample: /var/spool/postfix-out
matched:
  description: Files that are to be removed.
  type: int
  returned: always
  sample: 90210
removed:
  description: Files that were removed, in check mode that would be.
  type: int
  returned: always
  sample: 90210
inodes_freed:
  description: Inodes that this frees.
  type: int
  returned: always
  sample: 90210
bytes_freed:
  description: Bytes on disk that this frees. Null with O(account=false).
  type: int
  returned: always
  sample: 369500160
by_submitter:
  description: The removed files by owner, most first. At most 50.
  type: list
  elements: dict
  returned: always
  contains:
    submitter:
      description: The name of the user, or the number where there is none.
      type: str
      sample: root
    uid:
      description: The number of the user.
      type: int
      sample: 0
    files:
      description: How many files.
      type: int
    bytes:
      description: Bytes on disk.
      type: int
submitters_total:
  description: How many users they are.
  type: int
  returned: always
  sample: 1
by_age:
  description: The removed files by age, the youngest first. Ages without files are left out.
  type: list
  elements: dict
  returned: always
  contains:
    age:
      description: C(from the future), C(under 1m), C(1m to 1h), C(1h to 1d), C(1d to 7d) or C(over 7d).
      type: str
      sample: 1h to 1d
    files:
      description: How many files.
      type: int
    bytes:
      description: Bytes on disk.
      type: int
kept:
  description: What was kept and why. Reasons without files are left out.
  type: list
  elements: dict
  returned: always
  contains:
    reason:
      description:
        - V(foreign) (no regular file with one link), V(requeued) (owned by C(mail_owner)), V(submitter) (of others),
          V(young), V(incomplete) (open somewhere, or nobody can tell), V(changed) (after it was archived),
          V(undeletable) (refused by the file system).
      type: str
      sample: requeued
    files:
      description: How many.
      type: int
      sample: 3
    detail:
      description: The reason in words, with an example.
      type: str
      sample: "owned by postfix: mail that was put back by Postfix itself, such as 4F1A2240970"
kept_total:
  description: How many were kept.
  type: int
  returned: always
  sample: 3
remaining:
  description: Entries of the directory at the end, in check mode those that would remain.
  type: int
  returned: always
  sample: 3
arrived:
  description: How many of them came in during the run. Whoever sends them has not been silenced. 0 in check mode.
  type: int
  returned: always
  sample: 0
swapped:
  description: Whether the directory was swapped, in check mode whether it would be.
  type: bool
  returned: always
leftovers:
  description: Directories of interrupted runs that were finished or undone, in check mode that would be.
  type: list
  elements: str
  returned: always
  sample: []
archive:
  description: The archive. Null without O(archive), or where there was nothing to put into it.
  type: dict
  returned: always
  contains:
    path:
      description: Where it is, for O(from_archive). Null in check mode.
      type: str
      sample: /var/backups/hostcare/maildrop-20260301T120000Z-1a2b3c4d.tar.gz
    files:
      description: How many files are in it.
      type: int
      sample: 90210
    bytes:
      description: The length of these files together.
      type: int
      sample: 92375040
    size:
      description: The size of the archive. In check mode what it may grow to at the worst.
      type: int
      sample: 20450304
    free:
      description: Bytes free on its file system before.
      type: int
      sample: 4294967296
restored:
  description: Files that were put back from O(from_archive), in check mode that would be.
  type: int
  returned: always
  sample: 0
objects:
  description: C(maildrop), C(public) and C(public/pickup) as they were found. Empty when O(state=purged).
  type: list
  elements: dict
  returned: always
  contains:
    path:
      description: The path.
      type: str
      sample: /var/spool/postfix/maildrop
    kind:
      description: C(directory), C(fifo), C(socket), C(missing) or C(other).
      type: str
      sample: directory
    owner:
      description: The owner. Null where it is missing.
      type: str
      sample: postfix
    group:
      description: The group. Null where it is missing.
      type: str
      sample: postdrop
    mode:
      description: The mode. Null where it is missing.
      type: str
      sample: "1730"
    verdict:
      description:
        - V(right), V(made), V(mended), or V(left) where Postfix has to make it at its start, as it does with the socket
          C(public/pickup).
      type: str
      sample: right
spool:
  description: The file system of the queue at the end.
  type: dict
  returned: always
  contains:
    inodes:
      description: Inodes. 0 where the file system does not count them.
      type: int
      sample: 655360
    inodes_free:
      description: Inodes that users other than root may still take.
      type: int
      sample: 601234
    bytes:
      description: Its size.
      type: int
      sample: 10737418240
    bytes_free:
      description: Bytes that users other than root may still take.
      type: int
      sample: 5368709120
actions:
  description: What was done, or would be done, in plain words.
  type: list
  elements: str
  returned: always
  sample:
    - archived 90210 files to /var/backups/hostcare/maildrop-20260301T120000Z-1a2b3c4d.tar.gz
    - removed 90210 files
converged:
  description:
    - Whether all that matched is gone, or the directory is as it should be. False in check mode where something is to
      be done.
  type: bool
  returned: always
partial:
  description: Whether something could not be seen or done.
  type: bool
  returned: always
partial_reasons:
  description: What, and why.
  type: list
  elements: str
  returned: always
  sample: []
elapsed_ms:
  description: How long the module took, in milliseconds, its start apart.
  type: int
  returned: always
  sample: 2304
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import remedy
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds


def options_of(module: AnsibleModule) -> remedy.Options:
    """The parameters, checked. Raises Refused."""
    given = module.params
    only = {"purged": ("older_than", "submitter", "time_budget", "archive", "swap"), "present": ("from_archive",)}
    for state, options in only.items():
        misplaced = [option for option in options if given[option] and given["state"] != state]
        if misplaced:
            raise Refused(f"{misplaced[0]} is for state={state}: leave it out, or ask for that state.")
    if given["max_files"] < 0:
        raise Refused(f"max_files: {given['max_files']} is no number of files: give 0 or more.")
    lengths = {name: seconds(given[name], name) if given[name] else None for name in ("older_than", "time_budget")}
    return remedy.Options(
        state=given["state"],
        config_directory=given["config_directory"],
        instance=given["instance"],
        queue_directory=given["queue_directory"],
        older_than=lengths["older_than"],
        submitters=tuple(given["submitter"]),
        include_incomplete=given["include_incomplete"],
        keep_requeued=given["keep_requeued"],
        account=given["account"],
        max_files=given["max_files"],
        time_budget=lengths["time_budget"],
        archive=given["archive"],
        swap=given["swap"],
        from_archive=given["from_archive"],
        check_mode=module.check_mode,
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["purged", "present"], "required": True},
            "config_directory": {"type": "path", "default": "/etc/postfix"},
            "instance": {"type": "str"},
            "queue_directory": {"type": "path"},
            "older_than": {"type": "str"},
            "submitter": {"type": "list", "elements": "str", "default": []},
            "include_incomplete": {"type": "str", "choices": ["none", "abandoned", "all"], "default": "abandoned"},
            "keep_requeued": {"type": "bool", "default": True},
            "account": {"type": "bool", "default": True},
            "max_files": {"type": "int", "default": 100000},
            "time_budget": {"type": "str"},
            "archive": {"type": "path"},
            "swap": {"type": "bool", "default": False},
            "from_archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        outcome = remedy.run(options_of(module))
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    for warning in outcome.warnings:
        module.warn(warning)
    result = outcome.result
    if module._diff:
        result["diff"] = {"before": outcome.diff[0], "after": outcome.diff[1]}
    if not module.check_mode:
        module.log(f"hostcare: maildrop {result['state']}: {'; '.join(result['actions']) or 'nothing to do'}")
    if outcome.problem:
        module.fail_json(msg=outcome.problem, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
