# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host to plan for, and one that has become what was planned."""

from __future__ import annotations

import typing as t

from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.arithmetic import Size
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.host import File, Host, Pool
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.options import Options, parse
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.plan import Plan
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve.syntax import Text

ASKED: dict[str, t.Any] = {
    "state": "present", "waivers": {}, "shares": {"users": 40, "services": 40, "containers": 20},
    "container_slices": ["machine.slice"], "operators": ["root"], "operator_slots": 64, "kernel_slots": 0,
    "tasks_per_core": 4096, "memory_per_task": "256K", "numbers_per_task": 3, "protected_memory": "",
    "protected_weight": 1000, "protected_nice": -20, "nproc": 0, "nofile": "", "pid_max": 0, "ipc": {},
    "log_interval": "", "log_burst": 0, "log_most": "", "postfix": {}, "postfix_services": {}, "apache_mutex": "",
    "cron_mailto": False, "force": False,
}  # fmt: skip
PAM = "auth required pam_unix.so\n@include common-session\n"
DEBIAN = Host(
    size=Size(pid_max=32768, threads_max=60000, cores=4, memory=8 << 30),
    systemd=True,
    pids=True,
    pools=(
        Pool("init.scope", 1, None), Pool("system.slice", 60, None), Pool("user.slice", 12, 10813),
        Pool("machine.slice", 0, None),
    ),
    units=(Pool("apache2.service", 55, 4915), Pool("user-1000.slice", 12, 10813)),
    cpu=True,
    kernel_threads=120,
    users={"33": 54, "1000": 12},
    accounts=frozenset({"root", "operator", "bob"}),
    sysctls={"kernel.pid_max": "32768", "kernel.sem": "32000 1024000000 500 32000"},
    nofile_hard=1048576,
    nproc_hard=30000,
    may_nice=True,
    files={
        "/etc/pam.d/sshd": File(PAM, 0o644, 0, 0), "/etc/postfix/main.cf": File("a = 1", 0o640, 0, 105),
        "/etc/postfix/master.cf": File("smtp inet n - y - - smtpd\n", 0o644, 0, 0),
    },
    directories=frozenset({
        "/etc", "/etc/systemd", "/etc/systemd/system", "/etc/security", "/etc/security/limits.d", "/etc/pam.d",
        "/etc/sysctl.d", "/etc/postfix", "/etc/apache2", "/etc/apache2/conf-enabled",
    }),
    sshd_files=(Text("/etc/ssh/sshd_config", "UsePAM yes\n"),),
    sshd_unit="ssh.service",
    sshd_cgroup="/system.slice/ssh.service",
    pam_systemd=True,
    pam_limits=True,
)  # fmt: skip


def asked(**changes: t.Any) -> Options:
    return parse({**ASKED, **changes})


def become(host: Host, plan: Plan, only: int | None = None) -> Host:
    """The host after the plan; with ``only`` after so many of its changes, when the run died."""
    assert not plan.conflicts
    files = dict(host.files)
    for change in plan.changes[:only]:
        if change.content is None:
            del files[change.path]
        else:
            files[change.path] = File(change.content, change.mode, change.uid, change.gid)
    directories = (host.directories | set(plan.directories)) - set(plan.leftovers)
    if only is not None:
        return host._replace(files=files, directories=directories, store=plan.store._replace(done=False))
    reserve = plan.reserve
    limits: dict[str, int | None] = {}
    if reserve is not None and "systemd" in plan.tell:
        limits = {name: reserve.tasks(pool) for name, pool in (
            ("user.slice", "users"), ("system.slice", "services"), ("machine.slice", "containers"),
        )}  # fmt: skip
    pools = [pool._replace(limit=limits.get(pool.name, pool.limit)) for pool in host.pools]
    slice_of_sshd = "hostcare.slice" if "/etc/systemd/system/hostcare.slice" in files else "system.slice"
    if (
        slice_of_sshd == "hostcare.slice"
        and reserve is not None
        and "hostcare.slice" not in [one.name for one in pools]
    ):
        pools.append(Pool("hostcare.slice", 1, reserve.tasks("protected")))
    return host._replace(
        files=files,
        directories=directories,
        weights=_weights(host, files),
        sshd_nice=_setting(files, "/etc/systemd/system/ssh.service.d/60-hostcare-harden.conf", "Nice"),
        sysctls={**host.sysctls, **plan.sysctls},
        pools=tuple(pools),
        sshd_cgroup=f"/{slice_of_sshd}/ssh.service",
        store=plan.store._replace(done=True),
    )


def _weights(host: Host, files: t.Mapping[str, File]) -> dict[str, int]:
    """Of all slices, as soon as one asks for a weight (systemd.resource-control(5))."""
    weight = _setting(files, "/etc/systemd/system/hostcare.slice", "CPUWeight")
    return {**{pool.name: 100 for pool in host.pools}, "hostcare.slice": weight} if host.cpu and weight else {}


def _setting(files: t.Mapping[str, File], path: str, name: str) -> int:
    text = files[path].content or "" if path in files else ""
    return next((int(line.partition("=")[2]) for line in text.splitlines() if line.startswith(name + "=")), 0)
