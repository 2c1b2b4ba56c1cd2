# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module ``deploy_record`` with the identity of this run, and takes a lock over whose holder has died."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.controller import identity, is_dead
from ansible_collections.intermission.django.plugins.modules import deploy_record
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "deploy_record"]


def completed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Name who holds the deploy lock: Ansible's main process, of which each task's process is a fork."""
    return {**arguments, "holder": identity(os.getppid())}


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module; a second time, taking over, where the lock's holder was on this controller and is dead."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = completed(self._task.args)
        result.update(execute(self, task_vars, arguments))
        if result.get("failed") and is_dead((result.get("held_by") or {}).get("holder") or {}):
            result = execute(self, task_vars, {**arguments, "take_over": True})
        return result
