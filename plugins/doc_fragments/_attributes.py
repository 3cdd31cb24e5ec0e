# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection promises.

PRIVATE: may change in any release.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  platform:
    description: Target systems that the module works on.
    platforms: posix
    support: full
    details: Linux.
  check_mode:
    description: Can run in check mode and return what a real run would do, without doing it.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in check mode, when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run reports no change.
    support: full
  one_process:
    description:
      - Runs in a single process on the managed node. It forks nothing, starts no thread, and writes nothing to disk
        before it has freed something, so it works where the process table, the inodes or the disk are used up.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
    INFO = r"""
options: {}
attributes:
  platform:
    description: Target systems that the module works on.
    platforms: posix
    support: full
    details: Linux.
  check_mode:
    description: Can run in check mode and return what a real run would do, without doing it.
    support: full
    details: The module changes nothing.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode, when in diff mode.
    support: N/A
    details: The module changes nothing.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run reports no change.
    support: full
    details: The module changes nothing.
  one_process:
    description:
      - Runs in a single process on the managed node. It forks nothing, starts no thread and writes nothing to disk, so
        it works where the process table, the inodes or the disk are used up.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
    CONTROLLER = r"""
options: {}
attributes:
  platform:
    description: Target systems that the module works on.
    platforms: posix
    support: full
    details: It works on the controller.
  action:
    description: Indicates this has a corresponding action plugin, so that parts of it run on the controller.
    support: full
    details: All of it is the action plugin.
  check_mode:
    description: Can run in check mode and return what a real run would do, without doing it.
    support: full
    details: The module changes nothing on a managed node, and writes its files in check mode, too.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode, when in diff mode.
    support: N/A
    details: The module changes nothing.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run reports no change.
    support: full
    details: The module changes nothing.
  one_process:
    description: Runs in a single process on the managed node.
    support: N/A
    details: It connects to no managed node.
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
    BATCH = r"""
options: {}
attributes:
  platform:
    description: Target systems that the module works on.
    platforms: posix
    support: full
    details: Linux.
  action:
    description: Indicates this has a corresponding action plugin, so that parts of it run on the controller.
    support: full
    details: It wraps the modules; they run on the host.
  check_mode:
    description: Can run in check mode and return what a real run would do, without doing it.
    support: partial
    details: As far as the modules of the steps can.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode, when in diff mode.
    support: partial
    details: As far as the modules of the steps do.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run reports no change.
    support: partial
    details: As far as the modules of the steps are.
  one_process:
    description:
      - Runs in a single process on the managed node. It forks nothing, starts no thread, and writes nothing to disk
        before it has freed something, so it works where the process table, the inodes or the disk are used up.
    support: partial
    details: As far as the modules of the steps do; those of this collection all do.
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
