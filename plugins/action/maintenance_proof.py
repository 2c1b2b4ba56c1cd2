# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Asks from the controller in the task's own process, and from another host by the module of this name, from its copy there."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.proof import tls_context
from ansible_collections.intermission.django.plugins.modules import maintenance_proof
from ansible_collections.intermission.django.plugins.plugin_utils.in_process import answer

__all__ = ["ActionModule", "maintenance_proof"]

# The system's certificates are read once, in Ansible's main process, of which each task's process is a fork
tls_context(True, "")


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask; of a fleet each question would start a Python on the controller."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **answer(self, task_vars or {}, maintenance_proof)}
