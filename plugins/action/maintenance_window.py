# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module of this name from its copy on the host, with the options that stand in one mapping, and names who does it."""

from __future__ import annotations

import os
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.controller import identity, user
from ansible_collections.intermission.django.plugins.modules import maintenance_window
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "maintenance_window"]


def completed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Name who does it, and as a deploy the run: Ansible's main process, of which each task's process is a fork."""
    holder = {"holder": identity(os.getppid())} if arguments.get("of_deploy") else {}
    return {"by": user(), "from": socket.gethostname(), **holder, **arguments}


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        beside = dict(self._task.args)
        if beside.get("options") == {}:
            return {**result, "changed": False, "skipped": True}
        options = beside.pop("options", None) or {}
        if not isinstance(options, dict):
            return {**result, "failed": True, "msg": "options is not a mapping of the module's other options"}
        return {**result, **execute(self, task_vars or {}, completed({**options, **beside}))}
