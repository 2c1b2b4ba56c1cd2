# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module ``maintenance_doctor`` on the host and the doctor's rules here; the dump goes no further than this."""

from __future__ import annotations

import sys
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.modules import maintenance_doctor
from ansible_collections.intermission.django.plugins.plugin_utils.doctor_rules import examine
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import DoctorError, available
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "maintenance_doctor"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Read the host, look at what the configuration names, and give the findings."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if not available():
            return {
                **result,
                "failed": True,
                "msg": "The doctor needs the Python package crossplane where ansible-playbook runs, and it is not there. "
                f"Install it: {sys.executable} -m pip install crossplane",
            }
        arguments = self._task.args
        problem: dict[str, Any] = {}

        def ask(**more: Any) -> dict[str, Any]:
            answer = execute(self, task_vars, {**arguments, **more})
            if answer.get("failed") or answer.get("unreachable"):
                problem.update(answer)
                raise DoctorError(str(answer.get("msg")))
            return answer

        try:
            reading = ask()["reading"]
            findings = examine(
                reading,
                lambda paths, user, pid_file: ask(look=paths, configured_user=user, pid_file=pid_file)["looks"],
            )
        except DoctorError as error:
            return {**result, **(problem or {"failed": True, "msg": f"{arguments['dump']}: {error}"})}
        host = task_vars["inventory_hostname"]
        return {
            **result,
            "changed": False,
            "closed": reading["status"]["on"],
            "read_only": (reading["status"]["window"] or {}).get("read_only", False),
            "findings": [finding.told(host) for finding in findings],
        }
