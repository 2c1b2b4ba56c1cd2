# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module ``deploy_record`` with the identity of this run, and takes a lock over whose holder has died."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.controller import identity, is_dead


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module; a second time, taking over, where the lock's holder was on this controller and is dead."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {**self._task.args, "holder": identity(os.getppid())}
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if result.get("failed") and is_dead((result.get("held_by") or {}).get("holder") or {}):
            result = dict(self._execute_module(module_args={**arguments, "take_over": True}, task_vars=task_vars))
        return result
