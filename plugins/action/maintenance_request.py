# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Works the window out in the task's own process on the controller, and by the module of this name elsewhere."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.modules import maintenance_request
from ansible_collections.intermission.django.plugins.plugin_utils.in_process import answer

__all__ = ["ActionModule", "maintenance_request"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Work it out."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **answer(self, task_vars or {}, maintenance_request)}
