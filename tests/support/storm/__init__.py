# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storm bench: real bombs, real innocents, on a process table of their own (root, Linux, gcc).

    from ansible_collections.hostcare.remediation.tests.support.storm import Arena

    with Arena(slots=500) as arena:                   # PID namespace, /proc, kernel.pid_max, cgroups
        twin = arena.innocent(name="rogue")           # same name, other user ("news")
        job = arena.innocent(name="rogue", user="games", stopped=True)     # stopped by an operator, cgroup "innocents"
        tree = arena.innocent(name="sh", generations=3)
        tool = arena.arm([sys.executable, "tool.py"], gate=False)          # inside, before the storm: see Armed
        arena.bomb("nap", name="rogue")               # user "games", cgroup "rogues"; kinds and options: src/bomb.c
        arena.wait_full()                             # from here on no fork succeeds inside
        tool.go()
        outcome = tool.outcome(timeout=10)            # returncode, seconds, cpu_seconds, out, err
        assert arena.population("rogues") == 0        # slots, zombies included; living() looks at each process
        twin.assert_unharmed()                        # pid, start time, state, heartbeat, no signal (SIGCONT too)

- The table is full by ``kernel.pid_max`` of the namespace (Linux 6.14; nobody in it can fork, root neither), on older
  kernels or with ``full_by="pids.max"`` by the limit of the arena's cgroup.
- ``arena.spare(2)`` keeps two slots free for tools that must fork; call it after all others have been started.
- ``arena.start(command, cgroup)`` runs anything inside, ``arena.run`` collects its output; a cgroup's name may be a
  path (``system.slice/rogue.service``). Both return 75 once the table is full, as it should be.
- A tool armed with ``gate=True`` (the default) is a process that waits to exec its program; with ``gate=False`` the
  program itself prints "ready\\n" once it is loaded and reads one line before it begins.
- ``hierarchies``: which cgroup trees a cgroup of the arena is made in beside that of pids: "unified" (v2), "freezer",
  "systemd", ...
- ``arena.proc`` is the arena's /proc seen from outside; ``Task.inside`` and ``Innocent.pids`` are numbers in it.
- The end of the with block, and the death of this process however it comes, ends all that lives in the arena.
"""

from .arena import INNOCENTS, OTHER_USER, ROGUE_USER, ROGUES, TOOLS, Arena, Task, pid_max_is_private, wait_until
from .armed import Armed, Outcome
from .cgroups import hierarchies
from .innocents import Harmed, Innocent, Life
from .programs import program

__all__ = [
    "INNOCENTS",
    "OTHER_USER",
    "ROGUES",
    "ROGUE_USER",
    "TOOLS",
    "Arena",
    "Armed",
    "Harmed",
    "Innocent",
    "Life",
    "Outcome",
    "Task",
    "hierarchies",
    "pid_max_is_private",
    "program",
    "wait_until",
]
