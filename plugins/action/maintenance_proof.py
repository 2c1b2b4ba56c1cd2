# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Asks from the controller in the task's own process, and from another host by the module of this name, from its copy there."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.proof import tls_context
from ansible_collections.intermission.django.plugins.modules import maintenance_proof
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "maintenance_proof"]

# The system's certificates are read once, in Ansible's main process, of which each task's process is a fork
tls_context(True, "")


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask; of a fleet each question would start a Python on the controller."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._connection.transport != "local" or self._connection.become or any(self._task.environment or []):
            return {**result, **execute(self, task_vars or {}, self._task.args)}
        given = ArgumentSpecValidator(maintenance_proof.ARGUMENTS["argument_spec"]).validate(dict(self._task.args))
        if given.error_messages:
            return {**result, "failed": True, "msg": "; ".join(given.error_messages)}
        return {**result, "changed": False, **maintenance_proof.asked(given.validated_parameters)}
