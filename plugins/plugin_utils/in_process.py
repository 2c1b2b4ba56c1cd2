"""Answers what a module would, in the task's own process, where that is the controller's and of the same account."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute


def answer(action: ActionBase, task_vars: dict[str, Any], module: ModuleType) -> dict[str, Any]:
    """Give the result of a module that changes nothing, by its ``answered`` where no Python has to be started for it."""
    if action._connection.transport != "local" or action._connection.become or any(action._task.environment or []):
        return execute(action, task_vars, action._task.args)
    return answer_of(module, action._task.args)


def answer_of(module: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a module answers from here."""
    rules = {name: rule for name, rule in module.ARGUMENTS.items() if name != "supports_check_mode"}
    given = ArgumentSpecValidator(**rules).validate(dict(arguments))
    if given.error_messages:
        return {"failed": True, "msg": "; ".join(given.error_messages)}
    return {"changed": False, **module.answered(given.validated_parameters)}
