# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

"""Runs the collection's modules on hosts that have run out of process slots, inodes or patience.

ansible-core starts several processes for a task and writes below the home and temp directories of the target. This
plugin sends the module on the standard input of one shell command that becomes Python: one process, no file. A session
the host refuses for want of a slot is asked for again until `hostcare_session_timeout` has passed.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import time
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _session

display = Display()

# Python tries TMPDIR, TEMP, TMP in this order; all are memory on Linux. LC_ALL keeps AnsibleModule from asking
# `locale -a`, a fork, for a locale the host does not have.
SETTINGS = {"TMPDIR": "/dev/shm", "TEMP": "/run", "TMP": "/run/lock", "LC_ALL": "C"}

PATIENCE = "hostcare_session_timeout"
DEFAULT_PYTHON = "/usr/bin/python3"

# Connections that hand the command to a shell. Others may run it as it is, where a leading `exec` names no program.
SHELLS = ("ssh", "local")


class GiveWay(Exception):
    """The lean way is barred on this host; the text says by what."""


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        self._lean = True
        self._warnings: list[str] = []
        self._patience = self._read_patience(task_vars)
        self._python = self._choose_python(task_vars)
        try:
            self._look_for_bars()
            self._set_pipelining(True)
            display.vvv(f"{self._task.action}: {self._slots()}", host=self._host())
            answer = self._execute_module(task_vars=self._with_python(task_vars))
        except GiveWay as bar:
            self._lean = False
            self._set_pipelining(False)
            self._warnings.append(
                f"{self._task.action} takes the ordinary way: {bar}. It needs several sessions, 3 process slots or more, "
                "and room for files below the remote temp directory; on a host that has run out of these it fails."
            )
            answer = self._execute_module(task_vars=task_vars)
        result.update(answer)
        if self._warnings:
            result["warnings"] = [*result.get("warnings", []), *self._warnings]
        return result

    # --- what ansible-core asks of an action plugin while it executes a module ---

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        return self._lean and module_style == "new" and not wrap_async

    def _low_level_execute_command(
        self, cmd: str, sudoable: bool = True, in_data: t.Any = None, *args: t.Any, **options: t.Any
    ) -> dict[str, t.Any]:
        if not self._lean:
            return super()._low_level_execute_command(cmd, sudoable, in_data, *args, **options)
        command = self._command()
        module = _session.in_memory(in_data)
        rc, stdout, stderr = self._persist(lambda: self._connection.exec_command(command, in_data=module, sudoable=True))
        if rc in (126, 127) and not stdout.strip() and self._python in stderr:
            raise AnsibleActionFail(
                f"{self._host()} has no {self._python}. Set ansible_python_interpreter to its Python 3.8 or later: "
                "looking for one would take the process slots that this way saves."
            )
        return {
            "rc": rc, "stdout": stdout, "stdout_lines": stdout.splitlines(),
            "stderr": stderr, "stderr_lines": stderr.splitlines(),
        }

    # --- the way to the host ---

    def _look_for_bars(self) -> None:
        connection, become = self._connection, self._connection.become
        if not connection.has_pipelining:
            raise GiveWay(f"the {connection.transport} connection cannot send a module on standard input (pipelining)")
        if getattr(connection, "_is_tty_requested", bool)():
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
        given: dict[str, object] = {}
        self._compute_environment_string(given)
        settings = [f"{name}={value}" for name, value in {**SETTINGS, **given}.items()]
        # Unbuffered, Python would read the module one byte at a time.
        python = shlex.join(["env", "-u", "PYTHONUNBUFFERED", *settings, *shlex.split(self._python)])
        command = f"echo {_session.STARTED} >&2; exec {python}"
        shell = self._connection._shell
        if self._becomes_another():
            command = self._connection.become.build_become_command(command, shell)
            if not command.startswith("cd "):
                command = f"exec {command}"
            return command if self._connection.transport in SHELLS else f"/bin/sh -c {shlex.quote(command)}"
        return f"{'exec ' if self._connection.transport in SHELLS else ''}/bin/sh -c {shlex.quote(command)}"

    def _becomes_another(self) -> bool:
        """ansible-core's own rule for when become is left out."""
        if not self._connection.become:
            return False
        remote, wanted = self._get_remote_user(), self.get_become_option("become_user")
        return bool(C.BECOME_ALLOW_SAME_USER or wanted != remote or not (wanted or remote))

    def _slots(self) -> str:
        transport = self._connection.transport
        if transport == "ssh":
            needs = (
                "1 free process slot over a live connection (the session's process, which becomes Python) and 1 more over "
                "a fresh one (sshd's process for it; 2 more where the login is not root)"
            )
        elif transport == "local":
            needs = "1 free process slot (the shell, which becomes Python)"
        else:
            needs = f"1 free process slot and what the {transport} connection takes to enter"
        if self._becomes_another():
            needs += f", and what {self._connection.become.name} keeps beside it (sudo: 1, with use_pty 2)"
        return f"the lean way needs {needs}; no file, no interpreter discovery"

    # --- patience ---

    def _persist(self, attempt: t.Callable[[], tuple[int, t.Any, t.Any]]) -> tuple[int, str, str]:
        """Tries until the host has started the module, or the patience has ended, or waiting would not help."""
        began = time.monotonic()
        for number, pause in zip(itertools.count(1), _session.pauses(), strict=False):
            answer, failure = self._try(attempt)
            waited = time.monotonic() - began
            if answer is not None:
                if number > 1:
                    self._warnings.append(
                        f"{self._host()} refused {number - 1} sessions in {waited:.1f} s before it had a free process slot "
                        f"({PATIENCE} allows {self._patience:g} s). The last refusal: {failure}"
                    )
                return answer
            left = self._patience - waited
            if left <= 0:
                raise AnsibleConnectionFailure(
                    f"{self._host()} had no free process slot in {number} attempts over {waited:.1f} s. "
                    f"The last refusal: {failure}. Raise {PATIENCE} to try longer; a connection opened before the trouble "
                    "(ControlPersist) needs a slot less than a fresh one; else the console is left."
                )
            display.vv(f"session refused ({failure}), attempt {number}, {left:.1f} s left", host=self._host())
            time.sleep(min(pause, left))
        raise AssertionError("pauses never end")

    def _try(self, attempt: t.Callable[[], tuple[int, t.Any, t.Any]]) -> tuple[tuple[int, str, str] | None, str]:
        """The answer, or None and why the session was refused."""
        try:
            rc, stdout, stderr = attempt()
        except AnsibleAuthenticationFailure:
            raise
        except (AnsibleError, OSError) as error:
            return None, self._judge(error)
        out = self._strip_success_message(to_text(stdout, errors="surrogate_then_replace"))
        err = to_text(stderr, errors="surrogate_then_replace")
        if rc and not out.strip():
            if _session.needs_terminal(err):
                raise GiveWay(_session.reason(err))
            if _session.refused(err, connection_failed=False):
                return None, self._shown(err)
        return (rc or 0, out, err.replace(f"{_session.STARTED}\n", "")), ""

    def _judge(self, error: AnsibleError | OSError) -> str:
        """The reason of a refusal; any other failure is raised again."""
        text = f"{to_text(error)}\n{to_text(error.__cause__ or '')}"
        if _session.needs_terminal(text):
            raise GiveWay(_session.reason(text)) from error
        if not _session.refused(text, connection_failed=isinstance(error, AnsibleConnectionFailure)):
            raise error
        return self._shown(text)

    def _shown(self, text: str) -> str:
        if self._task.no_log:
            return "not shown due to no_log"
        return _session.reason(text) or "the session ended without a word"

    # --- what the user has set ---

    def _host(self) -> str:
        return self._task.delegate_to or self._play_context.remote_addr or "the host"

    def _host_vars(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The variables of the host the module runs on."""
        if not self._task.delegate_to:
            return task_vars
        return task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})

    def _read_patience(self, task_vars: dict[str, t.Any]) -> float:
        given = self._host_vars(task_vars).get(PATIENCE, task_vars.get(PATIENCE, _session.DEFAULT_PATIENCE))
        try:
            return _session.seconds(self._templar.template(given))
        except ValueError as error:
            raise AnsibleActionFail(f"{PATIENCE}: {error}") from error

    def _choose_python(self, task_vars: dict[str, t.Any]) -> str:
        host_vars = self._host_vars(task_vars)
        configured = C.config.get_config_value("INTERPRETER_PYTHON", variables=host_vars)
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
