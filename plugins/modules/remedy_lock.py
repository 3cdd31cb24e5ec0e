#!/usr/bin/python
# Copyright (c) 2026 The hostcare.remediation authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remedy_lock
short_description: Let one remedy at a time work on a host, and only so often
version_added: 0.1.0
author: The hostcare.remediation authors (!UNKNOWN)
description:
  - Takes or releases the lock of the host, so that two runs never work on it at the same time. The lock is made in one
    atomic step and says who holds it, for which remedy and since when.
  - Keeps a remedy budget on the host. Only O(max_remedies) remedies of one name may begin within O(window); after that
    the lock is refused until the first of them is older than the window. So a caller that runs by itself, such as an
    event rule or a timer, never loops for ever.
  - A lock that is refused fails the task with RV(refused=true), RV(reason) says why and until when.
  - A lock is stale, and taken over, once it is older than O(stale_after) or when the host was booted since. Ages are
    counted by a clock that cannot be set back.
  - Runs in one process, starts no other, and needs neither a temp directory nor a free block on disk. Where the disk is
    full or read-only the budget is kept beside the lock, with a warning.
extends_documentation_fragment:
  - hostcare.remediation._attributes
attributes:
  check_mode:
    details: Without the right to read the directories RV(partial=true) is returned.
  idempotent:
    details: An O(owner) that holds the lock for O(remedy) already changes and spends nothing.
options:
  state:
    description:
      - V(held) takes the lock and debits the budget by one, V(released) gives the lock back.
      - V(released) is no change when nobody holds the lock, or somebody else does.
    type: str
    choices: [held, released]
    required: true
  remedy:
    description:
      - Name of the remedy, such as V(process_storm), of lower-case letters, digits and underscores. Each name has a
        budget of its own, all share the one lock of the host.
    type: str
    required: true
  owner:
    description:
      - Who takes the lock. Has to differ from run to run and to be the same within one run, such as the number of a
        job. It is shown to whoever is refused.
    type: str
    required: true
  stale_after:
    description:
      - Age from which a lock counts as left behind by a run that died, such as V(90s), V(30m), V(2h). Has to be longer
        than a remedy takes.
    type: str
    default: 1h
  max_remedies:
    description:
      - How many remedies of this name may begin within O(window). V(0) refuses all, for as long as it is set.
    type: int
    default: 3
  window:
    description:
      - The length of time the budget is for, such as V(1h) or V(1d).
    type: str
    default: 1h
  remedied:
    description:
      - With O(state=released), whether something was remedied. With V(false) the budget gets back what this run took.
    type: bool
    default: true
  force:
    description:
      - With O(state=released), release the lock whoever holds it. For people who know that the other run is dead.
    type: bool
    default: false
  lock_directory:
    description:
      - Where the lock is. Should be on a file system that is empty after a boot. Its parent has to exist; a symbolic
        link, or a directory that others than root and the user of this task may write to, is refused.
    type: path
    default: /run/hostcare
  budget_directory:
    description:
      - Where the budget is remembered. The same holds as for O(lock_directory).
    type: path
    default: /var/lib/hostcare
"""

EXAMPLES = r"""
- name: Begin, unless another run is at work on this host or the budget is spent
  hostcare.remediation.remedy_lock:
    state: held
    remedy: process_storm
    owner: "job {{ awx_job_id }}"
    max_remedies: 3
    window: 1h

- name: End
  hostcare.remediation.remedy_lock:
    state: released
    remedy: process_storm
    owner: "job {{ awx_job_id }}"

- name: Clear the lock of a run that was interrupted
  hostcare.remediation.remedy_lock:
    state: released
    remedy: process_storm
    owner: operator
    force: true
"""

RETURN = r"""
state:
  description: The state that was asked for.
  returned: always
  type: str
  sample: held
held:
  description: Whether O(owner) holds the lock for O(remedy) now, in check mode whether it would.
  returned: always
  type: bool
  sample: true
refused:
  description: Whether the lock was refused, because another run holds it or the budget is spent. The task fails then.
  returned: always
  type: bool
  sample: false
verdict:
  description:
    - How it was decided. V(taken), V(kept) (held already), V(busy) (held by another), V(exhausted) (budget spent),
      V(released), V(free) (nobody held it), V(foreign) (held by another and left to it).
  returned: always
  type: str
  sample: taken
reason:
  description: The verdict in words, with who holds the lock since when, or when the budget is free again.
  returned: always
  type: str
  sample: taken, nobody held it
holder:
  description: Who holds the lock now, in check mode who would. Null when nobody does.
  returned: always
  type: dict
  contains:
    owner:
      description: Who took it. V(unknown) when the lock file is damaged.
      type: str
      sample: job 4711
    remedy:
      description: The remedy it was taken for.
      type: str
      sample: process_storm
    since:
      description: When, by the clock of the host, in UTC.
      type: str
      sample: "2026-03-01T12:00:00Z"
    age:
      description: Seconds since then.
      type: int
      sample: 4
taken_over_from:
  description: The stale holder whose lock was taken over, like RV(holder). Null when there was none.
  returned: always
  type: dict
  sample: null
budget:
  description: The budget of O(remedy) after this task, in check mode as it would be.
  returned: always
  type: dict
  contains:
    max_remedies:
      description: The limit.
      type: int
      sample: 3
    window:
      description: The window in seconds.
      type: int
      sample: 3600
    used:
      description: Remedies that began within the window.
      type: int
      sample: 1
    left:
      description: Remedies that may still begin.
      type: int
      sample: 2
    free_again_in:
      description: Seconds until the next remedy may begin. Null when one may begin now, or none ever.
      type: int
      sample: null
    free_again_at:
      description: The same as a time in UTC.
      type: str
      sample: null
    file:
      description: The file the budget was written to. Null when it was not written.
      type: str
      sample: /var/lib/hostcare/budget-process_storm.json
actions:
  description: What was done, in check mode what would be done.
  returned: always
  type: list
  elements: str
  sample:
    - "take the lock /run/hostcare/lock for job 4711"
    - "write the budget of process_storm: 1 of 3 used"
partial:
  description: Whether something could not be read, so that the preview may be wrong. Only in check mode.
  returned: always
  type: bool
  sample: false
partial_reasons:
  description: What could not be read, and what to do about it.
  returned: always
  type: list
  elements: str
  sample: []
elapsed_ms:
  description: Milliseconds the module took.
  returned: always
  type: int
  sample: 2
"""

import os
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import clock
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.lock import (
    LOCK,
    Outcome,
    Places,
    preview,
    settle,
)
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.planning import Request, budget, is_stale
from ansible_collections.hostcare.remediation.plugins.module_utils._remedy.records import Claim

MAX_OWNER = 200
MAX_REMEDIES = 200


def request_of(params: dict[str, t.Any]) -> Request:
    remedy, owner = params["remedy"], params["owner"].strip()
    if not re.match(r"^[a-z0-9_]{1,64}\Z", remedy):
        raise Refused(f"remedy: {remedy!r} is not a name of at most 64 lower-case letters, digits and underscores.")
    if not owner or len(owner) > MAX_OWNER or not owner.isprintable():
        raise Refused(f"owner: give one line of at most {MAX_OWNER} printable characters, not {owner[:MAX_OWNER]!r}.")
    if not 0 <= params["max_remedies"] <= MAX_REMEDIES:
        raise Refused(f"max_remedies: {params['max_remedies']} is not between 0 and {MAX_REMEDIES}.")
    lengths = {option: seconds(params[option], option) for option in ("stale_after", "window")}
    for option, length in lengths.items():
        if not length:
            raise Refused(f"{option}: has to be longer than 0 seconds.")
    return Request(
        state=params["state"],
        remedy=remedy,
        owner=owner,
        max_remedies=params["max_remedies"],
        remedied=params["remedied"],
        force=params["force"],
        **lengths,
    )


def holder_of(claim: Claim | None, now: clock.Moment) -> dict[str, t.Any] | None:
    if claim is None:
        return None
    since = clock.utc(claim.moment.wall)
    return {"owner": claim.owner, "remedy": claim.remedy, "since": since, "age": int(clock.age(claim.moment, now))}


def budget_of(outcome: Outcome, request: Request) -> dict[str, t.Any]:
    now = outcome.snapshot.now
    after = budget(outcome.plan.spent, now, request)
    free_again_in = None if after.free_again is None else int(after.free_again) + 1
    return {
        "max_remedies": request.max_remedies,
        "window": int(request.window),
        "used": after.used,
        "left": after.left,
        "free_again_in": free_again_in,
        "free_again_at": None if free_again_in is None else clock.utc(now.wall + free_again_in),
        "file": outcome.budget_file,
    }


def actions_of(outcome: Outcome, request: Request, lock_file: str) -> list[str]:
    actions = []
    if outcome.plan.write_lock:
        actions.append(f"take the lock {lock_file} for {request.owner}")
    if outcome.plan.remove_lock:
        actions.append(f"remove the lock {lock_file}")
    if outcome.plan.write_budget:
        used = budget(outcome.plan.spent, outcome.snapshot.now, request).used
        actions.append(f"write the budget of {request.remedy}: {used} of {request.max_remedies} used")
    return actions


def result_of(outcome: Outcome, request: Request, lock_file: str) -> dict[str, t.Any]:
    decided, now, before = outcome.plan, outcome.snapshot.now, outcome.snapshot.holder
    stale = before is not None and is_stale(before, now, request.stale_after)
    return {
        "changed": decided.changed,
        "state": request.state,
        "held": decided.verdict in ("taken", "kept"),
        "refused": decided.refused,
        "verdict": decided.verdict,
        "reason": decided.reason,
        "holder": holder_of(decided.holder, now),
        "taken_over_from": holder_of(before, now) if decided.verdict == "taken" and stale else None,
        "budget": budget_of(outcome, request),
        "actions": actions_of(outcome, request, lock_file),
        "partial": bool(outcome.partial_reasons),
        "partial_reasons": outcome.partial_reasons,
    }


def diff_of(outcome: Outcome, request: Request) -> dict[str, str]:
    def page(holder: Claim | None, spent: tuple[Claim, ...]) -> str:
        who = "nobody" if holder is None else f"{holder.owner} for {holder.remedy}"
        used = budget(spent, outcome.snapshot.now, request).used
        return f"lock held by: {who}\n{request.remedy} remedies within the window: {used}\n"

    snapshot, decided = outcome.snapshot, outcome.plan
    return {"before": page(snapshot.holder, snapshot.spent), "after": page(decided.holder, decided.spent)}


def run(module: AnsibleModule) -> dict[str, t.Any]:
    started = time.monotonic()
    places = Places(module.params["lock_directory"], module.params["budget_directory"])
    request = request_of(module.params)
    outcome = (preview if module.check_mode else settle)(places, request)
    for warning in outcome.warnings:
        module.warn(warning)
    result = result_of(outcome, request, os.path.join(places.lock_directory, LOCK))
    if module._diff:
        result["diff"] = diff_of(outcome, request)
    if not module.check_mode:
        module.log(f"hostcare: lock {request.state} for {request.remedy} by {request.owner}: {outcome.plan.reason}")
    result["elapsed_ms"] = int((time.monotonic() - started) * 1000)
    return result


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "released"], "required": True},
            "remedy": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "stale_after": {"type": "str", "default": "1h"},
            "max_remedies": {"type": "int", "default": 3},
            "window": {"type": "str", "default": "1h"},
            "remedied": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": False},
            "lock_directory": {"type": "path", "default": "/run/hostcare"},
            "budget_directory": {"type": "path", "default": "/var/lib/hostcare"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except Refused as error:
        module.fail_json(msg=str(error))
    except PermissionError as error:
        # Files are reached by the descriptor of their directory, so the error knows the last part of the path only.
        path = os.path.join(module.params["lock_directory"], os.fsdecode(error.filename or ""))
        module.fail_json(
            msg=f"{path}: {error.strerror}. The lock of the host is root's: log in as root or set become: true "
            f"(this ran as uid {os.geteuid()})."
        )
    except OSError as error:
        module.fail_json(
            msg=f"The lock cannot be kept in {module.params['lock_directory']}: {error.strerror}. "
            f"Free space there or set lock_directory to another directory on a tmpfs."
        )
    if result["refused"]:
        module.fail_json(msg=result["reason"], **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
