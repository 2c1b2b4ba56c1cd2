# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Works the window out in the task's own process on the controller, and by the module of this name elsewhere."""

from __future__ import annotations

from typing import Any

from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.modules import maintenance_request
from ansible_collections.intermission.django.plugins.plugin_utils.in_process import answer
from ansible_collections.intermission.django.plugins.plugin_utils.resident import NAME

__all__ = ["ActionModule", "maintenance_request"]

INPUTS = ("maintenance_window_", "intermission_")


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Work it out."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **answer(self, task_vars or {}, maintenance_request), "plays_own": speaks(self._task)}


def speaks(task: Task) -> bool:
    """Tell whether a play may say of a host's window what the inventory does not, and what can differ from host to host."""
    play, above = task.get_play(), task.get_dep_chain() or []
    names = {*play.get_vars(), *task.get_vars(), *task.get_include_params()}
    if task._role:
        names.update(task._role.get_role_params(above))
    foreign = [role for role in [*play.roles, *above] if not role.get_name().startswith(f"{NAME}.")]
    return bool(foreign or play.get_vars_files() or any(name.startswith(INPUTS) for name in names))
