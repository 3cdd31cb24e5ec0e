# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

"""Several modules as one task: wrapped one by one by ansible-core, and run by one process on the host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import action_loader, module_loader

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _batch, _lean, _session

STEP: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "module": {"type": "str", "required": True},
    "args": {"type": "dict", "default": {}},
    "when": {"type": "bool", "default": True},
    "each": {"type": "list", "elements": "dict"},
    "check_mode": {"type": "bool", "default": False},
    "ignore_errors": {"type": "bool", "default": False},
    "always": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "steps": {"type": "list", "elements": "dict", "required": True, "options": STEP},
}
# Their action plugins do nothing that a module in a batch would miss.
_PLAIN = {"ansible.builtin.command": "ansible.legacy.command"}


class ActionModule(_lean.ActionModule):
    def _execute(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        core: t.Any = self
        _validation, options = core.validate_argument_spec(ARGUMENTS)
        given = options["steps"]
        self._check(given)
        self._steps = _batch.steps(given)
        self._task_vars = task_vars
        self._check_mode = self._task.check_mode
        self._wrappers: list[bytes] = []
        self._results: list[dict[str, t.Any]] = [{} for _step in self._steps]
        if self._lean:
            self._wrap_next()
        else:
            self._run_one_by_one()
        return _batch.combined(given, list(zip(self._steps, self._results, strict=True)))

    def _check(self, given: list[dict[str, t.Any]]) -> None:
        names = [step["name"] for step in given]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise AnsibleActionFail(f"steps: the name {twice[0]} is given twice. Results are told apart by it.")
        for module in sorted({step["module"] for step in given}):
            if not module_loader.has_plugin(module):
                raise AnsibleActionFail(
                    f"steps: there is no module {module}. Give its full name, such as ansible.builtin.stat."
                )
            if module in _PLAIN or not (plugin := action_loader.get(module, class_only=True)):
                continue
            if plugin.run is not _lean.ActionModule.run or plugin is ActionModule:
                raise AnsibleActionFail(
                    f"steps: {module} works on the controller, too, by an action plugin. Give it a task of its own."
                )

    # Wrapping a module and reading its answer are two ends of one function of ansible-core, so the next module is
    # wrapped from within, and the innermost one sends them all.

    def _wrap_next(self) -> None:
        number = len(self._wrappers)
        if number < len(self._steps):
            self._results[number] = self._run_step(self._steps[number])
        elif self._steps:
            answer = self._send(_batch.script(self._steps, self._wrappers))
            self._answers = _batch.answers(len(self._steps), answer["rc"], answer["stdout"], answer["stderr"])

    def _low_level_execute_command(self, cmd: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if not self._lean:
            return super()._low_level_execute_command(cmd, *arguments, **options)
        number = len(self._wrappers)
        self._wrappers.append(_session.in_memory(options["in_data"]))
        self._wrap_next()
        answer = self._answers[number]
        return {
            **answer,
            "stdout_lines": answer["stdout"].splitlines(),
            "stderr_lines": answer["stderr"].splitlines(),
        }

    def _run_one_by_one(self) -> None:
        failed = None
        for number, step in enumerate(self._steps):
            if failed is not None and step.name != failed and not step.always:
                self._results[number] = _batch.skipped(_batch.STOPPED)
                continue
            self._results[number] = self._run_step(step)
            if self._results[number].get("failed") and not step.ignore_errors and failed is None:
                failed = step.name

    def _run_step(self, step: _batch.Step) -> dict[str, t.Any]:
        outer = self._task.check_mode  # that of the step before, where this one is wrapped from within it
        self._task.check_mode = self._check_mode or step.check_mode
        try:
            result = dict(
                self._execute_module(
                    module_name=_PLAIN.get(step.module, step.module),
                    module_args=dict(step.args),
                    task_vars=self._task_vars,
                )
            )
        finally:
            self._task.check_mode = outer
        return {key: value for key, value in result.items() if not key.startswith("_ansible") and key != "invocation"}
