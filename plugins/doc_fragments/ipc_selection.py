# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which the modules for System V IPC are told which objects are meant and who could hold them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  owner:
    description:
      - Only objects of these users, by name or number. This is the owner as C(ipcs) shows it, not the creator. Apache
        creates its arrays as root and gives them to its worker's user; those it lost before that are still root's.
    type: list
    elements: str
  id:
    description: Only these objects, by identifier. Naming an object also lifts the rule that spares keyed ones.
    type: list
    elements: int
  key:
    description:
      - Only objects with these keys, as numbers such as V(0x0052e2c1). Naming an object also lifts the rule that spares
        keyed ones.
    type: list
    elements: str
  service:
    description:
      - Whose processes could hold the objects. A process belongs to it that meets any of O(service.name),
        O(service.exe) and O(service.unit). It is fine if none runs.
      - Beside them every process of the object's own user could hold it, root aside, and every daemon that is seen to
        use something of that user's. With a process its parents count as far as it has its memory from them.
        O(bystanders) takes some out.
      - Without it every process of root could hold what root created or owns, so nothing of that is ever orphaned.
    type: dict
    suboptions: &service
      name:
        description: The comm of the process, exactly, at most the 15 bytes that the kernel keeps.
        type: list
        elements: str
      exe:
        description: The path of the program, exactly, as the link C(/proc/PID/exe) shows it.
        type: list
        elements: str
      unit:
        description: A systemd unit that the process belongs to, such as C(apache2.service).
        type: list
        elements: str
  bystanders:
    description:
      - Services of the same user that hold no System V IPC, as in O(service), such as a PHP-FPM that runs as the user
        of the web server. Without this they keep what is younger than they are from being called orphaned.
      - A bystander that is seen to use an object keeps that object all the same.
    type: list
    elements: dict
    default: []
    suboptions: *service
notes:
  - Use of a System V semaphore cannot be proven in general, since the kernel keeps no list of who uses it. What is
    proven here is that nobody can be using it. Whatever is left open makes the verdict V(unknown).
  - An identifier that was given to another process by hand, say in a file, is followed only to processes of
    O(service), of the object's user, and of daemons seen to use System V IPC.
  - Verdicts rest on the start times of processes and on the times of objects. Steps of the clock are looked for, and
    where one is found these times prove nothing any more.
"""
