# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module of this name from its copy on the host, and compares the host's clock with the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.module_utils.schedule import CLOCK_TOLERANCE, clock_fault
from ansible_collections.intermission.django.plugins.plugin_utils.resident import execute


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation.

    The host reads its clock between two readings of the controller's. Whether it is behind, the host knows by the first, before it
    changes anything. Whether it is ahead only shows when it has answered: what it has scheduled is then taken back.
    """

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments, asked = self._task.args, time.time()
        result.update(execute(self, task_vars or {}, {**arguments, "asked_at": asked}))
        answered = time.time()
        if result.get("failed"):
            return result
        read = result.pop("read_at")
        result["clock"] = {
            "ahead": round(read - (asked + answered) / 2, 3),
            "within": round((answered - asked) / 2, 3),
        }
        fault = (
            clock_fault(read - answered, float(arguments.get("tolerance", CLOCK_TOLERANCE)))
            if read > answered
            else None
        )
        if fault and arguments.get("state") == "present":
            if result["changed"] and not self._task.check_mode:
                execute(self, task_vars or {}, {**arguments, "state": "cancelled", "id": result["id"]})
            result.update(failed=True, changed=False, msg=fault)
        return result
