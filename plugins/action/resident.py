# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs a module of this collection from the copy that stays on the host; ``meta/runtime.yml`` names those that go this way."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the documentation of the module that the task names."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **execute(self, task_vars or {}, self._task.args)}
