# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module of this name from its copy on the host, and compares the host's clock with the controller's."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.schedule import CLOCK_TOLERANCE, clock_fault
from ansible_collections.intermission.django.plugins.modules import maintenance_schedule
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute

__all__ = ["ActionModule", "maintenance_schedule"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation.

    The host reads its clock between two readings of the controller's. Whether it is behind, the host knows by the first, before it
    changes anything. Whether it is ahead only shows when it has answered: what it has scheduled is then taken back. Where that would
    not bring back what was there before, it is asked for its clock beforehand.
    """

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments, task_vars = self._task.args, task_vars or {}
        schedules = arguments.get("state") == "present"
        merges = schedules and arguments.get("overlap") == "merge"
        fault = self._ask({**arguments, "state": "listed"}, task_vars)[1] if merges else None
        if fault is None:
            answer, fault = self._ask(arguments, task_vars)
            result.update(answer)
        if schedules and fault:
            if result.get("changed") and not merges and not self._task.check_mode:
                execute(self, task_vars, {**arguments, "state": "cancelled", "id": result["id"]})
            result.update(failed=True, changed=False, msg=fault)
        return result

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> tuple[dict[str, Any], Optional[str]]:
        """Run the module; gives its answer, and what is wrong with a clock that is ahead."""
        asked = time.time()
        answer = execute(self, task_vars, {**arguments, "asked_at": asked})
        answered = time.time()
        if answer.get("failed"):
            return answer, None
        read = answer.pop("read_at")
        answer["clock"] = {
            "ahead": round(read - (asked + answered) / 2, 3),
            "within": round((answered - asked) / 2, 3),
        }
        tolerance = float(arguments.get("tolerance", CLOCK_TOLERANCE))
        return answer, clock_fault(max(0.0, read - answered), tolerance)
