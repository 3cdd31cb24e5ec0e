# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# This file is private to the collection and may change at any time.

"""The action plugin of all modules: runs them on hosts that have run out of process slots or inodes.

ansible-core starts several processes for a task and writes below the home and temp directories of the target. The lean
way sends the module on the standard input of one shell command that becomes Python: one process, no file. A session
that the host refuses for want of a slot is asked for again until `hostcare_session_timeout` has passed. With
`hostcare_standby` the host's standby runs the module instead, which needs no slot at all.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import time
import typing as t

from ansible.constants import config
from ansible.errors import AnsibleActionFail, AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._process.selection import seconds
from ansible_collections.hostcare.remediation.plugins.plugin_utils import _session, _standby

display = Display()

# Python tries TMPDIR, TEMP, TMP in this order; all are memory on Linux. LC_ALL keeps AnsibleModule from asking
# `locale -a`, a fork, for a locale the host does not have.
SETTINGS = {"TMPDIR": "/dev/shm", "TEMP": "/run", "TMP": "/run/lock", "LC_ALL": "C"}

PATIENCE = "hostcare_session_timeout"
DEFAULT_PATIENCE = "60s"
STANDBY = "hostcare_standby"
DEFAULT_PYTHON = "/usr/bin/python3"

# Connections that hand the command to a shell. Others may run it as it is, where a leading `exec` names no program.
SHELLS = ("ssh", "local")

SLOTS = {
    "ssh": "1 free process slot over a live connection (the session, which becomes Python), over a fresh one 1 to 3 "
    "more (what sshd starts for it, by login and version: 1 for root with OpenSSH 9.2, 2 with 10.0)",
    "local": "1 free process slot (the shell, which becomes Python)",
}

Answer = tuple[int, str, str]


class GiveWay(Exception):
    """The lean way is barred on this host; the text says by what."""


class SessionRefused(Exception):
    """The host had no room for a session; the text says how it put it."""


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        self._lean = True
        self._host = self._task.delegate_to or task_vars.get("inventory_hostname") or "the host"
        self._warnings: list[str] = []
        self._patience = self._read_patience(task_vars)
        self._has_standby = self._read_standby(task_vars)
        self._standby_problem = ""
        self._python = self._choose_python(task_vars)
        try:
            self._look_for_obstacles()
            self._set_pipelining(True)
            display.vvv(f"{self._task.action}: {self._slots()}", host=self._host)
            answer = self._execute(self._with_python(task_vars))
        except GiveWay as obstacle:
            self._lean = False
            self._set_pipelining(False)
            self._warnings.append(
                f"{self._task.action} takes the ordinary way: {obstacle}. It needs several sessions, 3 process slots "
                "or more, and room for files below the remote temp directory; on a host without these it fails."
            )
            answer = self._execute(task_vars)
        result.update(answer)
        if self._warnings:
            result["warnings"] = [*result.get("warnings", []), *self._warnings]
        return result

    def _execute(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(self._execute_module(task_vars=task_vars))

    # --- what ansible-core asks of an action plugin while it executes a module ---

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        return self._lean and module_style == "new" and not wrap_async

    def _low_level_execute_command(self, cmd: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if not self._lean:
            return super()._low_level_execute_command(cmd, *arguments, **options)
        return self._send(_session.in_memory(options["in_data"]))

    def _send(self, module: bytes) -> dict[str, t.Any]:
        """What the Python of the host answers to this script, in the form that ansible-core knows."""
        command = self._command()
        rc, out, err = self._persist(
            lambda: self._connection.exec_command(command, in_data=module, sudoable=True),
            lambda left: self._ask_standby(module, left),
        )
        if rc in (126, 127) and not out.strip() and self._python in err:
            raise AnsibleActionFail(
                f"{self._host} cannot run {self._python}. Set ansible_python_interpreter to its Python 3.8 or later: "
                "looking for one would take the process slots that this way saves."
            )
        return {
            "rc": rc,
            "stdout": out,
            "stdout_lines": out.splitlines(),
            "stderr": err,
            "stderr_lines": err.splitlines(),
        }

    # --- the way to the host ---

    def _look_for_obstacles(self) -> None:
        connection, become = self._connection, self._connection.become
        if not connection.has_pipelining:
            raise GiveWay(f"the {connection.transport} connection cannot send a module on standard input (pipelining)")
        core: t.Any = self
        ssh_arguments = [core.get_connection_option(f"ssh_{kind}args") or "" for kind in ("", "common_", "extra_")]
        if _session.asks_for_terminal(" ".join(ssh_arguments)):
            raise GiveWay("ssh is told to ask for a terminal (-t or RequestTTY), and Python reads no module from one")
        if become and (become.name == "su" or become.require_tty or not getattr(become, "pipelining", True)):
            raise GiveWay(f"the become method {become.name} wants a terminal, and Python reads no module from one")

    def _set_pipelining(self, on: bool) -> None:
        """Connections also look at this option by themselves, to decide on a terminal."""
        with contextlib.suppress(KeyError):
            self._connection.get_option("pipelining")
            self._connection.set_option("pipelining", on)

    def _command(self) -> str:
        """One command in which each program becomes the next; only become may have to stay, as the parent."""
        settings = [f"{name}={value}" for name, value in self._settings().items()]
        # Unbuffered, Python would read the module one byte at a time.
        python = shlex.join(["env", "-u", "PYTHONUNBUFFERED", *settings, *shlex.split(self._python)])
        command = f"echo {_session.STARTED} >&2; exec {python}"
        is_shell = self._connection.transport in SHELLS
        if become := self._become():
            command = str(become.build_become_command(command, self._connection._shell))
            if not command.startswith("cd "):
                command = f"exec {command}"
            return command if is_shell else f"/bin/sh -c {shlex.quote(command)}"
        return f"{'exec ' if is_shell else ''}/bin/sh -c {shlex.quote(command)}"

    def _settings(self) -> dict[str, str]:
        given: dict[str, object] = {}
        self._compute_environment_string(given)
        return {**SETTINGS, **{name: str(value) for name, value in given.items()}}

    def _become(self) -> t.Any:
        """The become plugin, unless ansible-core's own rule leaves it out for one and the same user."""
        core: t.Any = self
        remote, wanted = core._get_remote_user(), core.get_become_option("become_user")
        if wanted != remote or not (wanted or remote) or config.get_config_value("BECOME_ALLOW_SAME_USER"):
            return self._connection.become
        return None

    def _slots(self) -> str:
        transport = self._connection.transport
        needs = SLOTS.get(transport, f"1 free process slot and what the {transport} connection takes to enter")
        if become := self._become():
            needs += f", and what {become.name} keeps beside it (sudo: 1, with use_pty 2)"
        if self._has_standby:
            needs += "; none where the host's standby has to run it"
        return f"the lean way needs {needs}; no file, no interpreter discovery"

    # --- patience ---

    def _persist(
        self, attempt: t.Callable[[], tuple[int, t.Any, t.Any]], instead: t.Callable[[float], Answer | None]
    ) -> Answer:
        """Tries until the host has started the module, or the patience has ended, or waiting would not help. Each
        refusal is followed by what can be done ``instead``, told how much patience is left."""
        began = time.monotonic()
        refusal = ""
        for number, pause in zip(itertools.count(1), _session.pauses(), strict=False):
            try:
                answer = self._try(attempt)
            except SessionRefused as refused:
                refusal = str(refused)
                if (other := instead(max(0.0, began + self._patience - time.monotonic()))) is not None:
                    self._warnings.append(
                        f"{self._host} refused {number} session{'s' if number > 1 else ''} for want of a process slot, "
                        f"so its standby, which needs none, ran {self._task.action}. The last refusal: {refusal}"
                    )
                    return other
            else:
                if refusal:
                    self._warnings.append(
                        f"{self._host} refused {number - 1} sessions in {time.monotonic() - began:.1f} s before it had "
                        f"a free process slot ({PATIENCE} allows {self._patience:g} s). The last refusal: {refusal}"
                        f"{self._standby_problem}"
                    )
                return answer
            waited = time.monotonic() - began
            if waited >= self._patience:
                raise AnsibleConnectionFailure(
                    f"{self._host} gave no session in {number} attempt{'s' * (number > 1)} over {waited:.1f} s: it has "
                    f"no free process slot, or is not to be reached. The last refusal: {refusal}. Raise {PATIENCE} to "
                    f"try longer; a connection opened before the trouble (ControlPersist) needs a slot less than a "
                    f"fresh one, and with a standby ({STANDBY}) none; if nothing helps, the console is left."
                    f"{self._standby_problem}"
                )
            left = self._patience - waited
            display.vv(f"session refused ({refusal}), attempt {number}, {left:.1f} s left", host=self._host)
            time.sleep(min(pause, left))
        raise AssertionError("the pauses never end")

    def _try(self, attempt: t.Callable[[], tuple[int, t.Any, t.Any]]) -> Answer:
        try:
            rc, stdout, stderr = attempt()
        except AnsibleAuthenticationFailure:
            raise
        except (AnsibleError, OSError) as error:
            said = f"{error}\n{error.__cause__ or ''}"
            connection_failed = isinstance(error, AnsibleConnectionFailure)
            self._judge(said, ssh_failed=connection_failed and self._connection.transport == "ssh")
            if connection_failed and _session.STARTED in said:
                raise AnsibleConnectionFailure(
                    f"{self._host} had started {self._task.action} when the session ended without an answer: "
                    f"{_session.reason(said)}. It may have acted, so it is not sent again: look with check_mode, and "
                    "run it again."
                ) from error
            raise
        core: t.Any = self
        out = core._strip_success_message(to_text(stdout, errors="surrogate_then_replace"))
        err = to_text(stderr, errors="surrogate_then_replace")
        if rc and not out.strip():
            self._judge(err, ssh_failed=False)
        return rc or 0, out, err.replace(f"{_session.STARTED}\n", "")

    def _judge(self, said: str, ssh_failed: bool) -> None:
        """Raises what the failure of a session stands for; returns where it is a failure like any other."""
        if _session.needs_terminal(said):
            raise GiveWay(_session.reason(said))
        if _session.refused(said, ssh_failed):
            # what ssh said may hold what the user wants hidden
            raise SessionRefused("not shown due to no_log" if self._task.no_log else _session.reason(said))

    # --- where not one slot is left ---

    def _ask_standby(self, module: bytes, patience: float) -> Answer | None:
        """None where there is no standby, or it ran nothing of the module; why is said in the end."""
        if not self._has_standby:
            return None
        try:
            self._look_for_obstacles_to_standby()
            answer = _standby.run(self._ssh, module, self._settings(), patience)
        except _standby.Unavailable as problem:
            self._standby_problem = (
                f" Its standby did not help: {'hidden by no_log' if self._task.no_log else problem}."
            )
            display.vv(self._standby_problem, host=self._host)
            return None
        except _standby.Lost as loss:
            raise AnsibleConnectionFailure(
                f"the standby of {self._host} had been given {self._task.action} when it ended without an answer: "
                f"{loss}. It may have acted, so it is not sent again: look with check_mode, and run it again. Systemd "
                "starts the standby anew as soon as there is a process slot."
            ) from loss
        if answer.overdue and not answer.stdout.strip():
            raise AnsibleActionFail(
                f"the standby of {self._host} ended {self._task.action}, whose time was over. It may have done a part "
                "of its work: look with check_mode, and run it again."
            )
        out, err = (to_text(said, errors="surrogate_then_replace") for said in (answer.stdout, answer.stderr))
        return answer.rc, out, err

    def _look_for_obstacles_to_standby(self) -> None:
        core: t.Any = self
        if self._connection.transport != "ssh":
            raise _standby.Unavailable(
                f"it is reached over ssh, and this is the {self._connection.transport} connection"
            )
        if become := self._become():
            wanted = core.get_become_option("become_user")
            raise _standby.Unavailable(
                f"it answers logins as root only, and runs modules as root; this task logs in as "
                f"{core._get_remote_user() or 'another user'} and becomes {wanted} by {become.name}. Set ansible_user "
                "to root, and become to false"
            )

    def _ssh(self, *words: str) -> list[bytes]:
        """A command line of ssh with all that the user has set for this host, as ansible-core makes it."""
        ssh: t.Any = self._connection
        host = ssh.get_option("host") or self._play_context.remote_addr
        made = ssh._build_command(ssh.get_option("ssh_executable"), "ssh", *words, host)
        display.vvv(f"standby: {shlex.join(map(to_text, made))}", host=self._host)
        for end in getattr(ssh, "sshpass_pipe", None) or ():  # made with it, for a password that is not asked for here
            with contextlib.suppress(OSError):
                os.close(end)
        return list(made)

    # --- what the user has set ---

    def _host_vars(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The variables of the host the module runs on."""
        if not self._task.delegate_to:
            return task_vars
        return dict(task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {}))

    def _read_patience(self, task_vars: dict[str, t.Any]) -> float:
        given = self._host_vars(task_vars).get(PATIENCE, task_vars.get(PATIENCE, DEFAULT_PATIENCE))
        try:
            return seconds(self._templar.template(given), PATIENCE)
        except Refused as refusal:
            raise AnsibleActionFail(str(refusal)) from None

    def _read_standby(self, task_vars: dict[str, t.Any]) -> bool:
        given = self._templar.template(self._host_vars(task_vars).get(STANDBY, task_vars.get(STANDBY, False)))
        try:
            return bool(boolean(given))
        except TypeError:
            raise AnsibleActionFail(
                f"{STANDBY}: {given!r} is neither true nor false. Set it to true for hosts whose standby is armed."
            ) from None

    def _choose_python(self, task_vars: dict[str, t.Any]) -> str:
        host_vars = self._host_vars(task_vars)
        configured = config.get_config_value("INTERPRETER_PYTHON", variables=host_vars)
        python = to_text(self._templar.template(configured) or "").strip()
        if python and not python.startswith("auto"):
            return python
        return (host_vars.get("ansible_facts") or {}).get("discovered_interpreter_python") or DEFAULT_PYTHON

    def _with_python(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The variables with the interpreter settled, so that ansible-core has nothing to discover."""
        settled = {**self._host_vars(task_vars), "ansible_python_interpreter": self._python}
        if not self._task.delegate_to:
            return settled
        delegated = {**task_vars.get("ansible_delegated_vars", {}), self._task.delegate_to: settled}
        return {**task_vars, "ansible_delegated_vars": delegated}
