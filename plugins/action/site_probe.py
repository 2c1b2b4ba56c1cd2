# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module ``site_probe`` with the identity of this run, with which it ends."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.controller import identity
from ansible_collections.intermission.django.plugins.modules import site_probe
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "site_probe"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **execute(self, task_vars or {}, {**self._task.args, "holder": identity(os.getppid())})}
