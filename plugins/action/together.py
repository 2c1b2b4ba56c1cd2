# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs several modules of this collection in one go; its documentation is the module's."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.action import deploy_record
from ansible_collections.intermission.django.plugins.modules import (
    app_hold,
    app_service,
    app_smoke_test,
    release,
    systemd_units,
)
from ansible_collections.intermission.django.plugins.plugin_utils.resident import NAME, execute_all

__all__ = ["ActionModule", "app_hold", "app_service", "app_smoke_test", "release", "systemd_units"]

ARGUMENTS = {"steps": {"type": "list", "elements": "dict", "required": True}}
# The modules that need nothing else of the controller, and what those need that do
COMPLETED = {"deploy_record": deploy_record.completed}
KNOWN = {"app_hold", "app_service", "app_smoke_test", "release", "systemd_units", *COMPLETED}


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the modules."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        steps = self.validate_argument_spec(ARGUMENTS)[1]["steps"]
        try:
            wanted = [step for step in map(read, steps) if step is not None]
        except (TypeError, ValueError) as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, **merged(execute_all(self, task_vars or {}, wanted) if wanted else [])}


def read(step: Any) -> tuple[str, dict[str, Any]] | None:
    """Give the module of a step and its arguments, None where it is not to be done. Raises TypeError and ValueError."""
    if isinstance(step, dict):
        named = {name.removeprefix(f"{NAME}."): arguments for name, arguments in step.items() if name != "when"}
        for name, arguments in named.items():
            if len(named) == 1 and name in KNOWN and isinstance(arguments, dict):
                wanted = boolean(step.get("when", True))
                return (name, COMPLETED.get(name, dict)(arguments)) if wanted else None
    raise ValueError(f"a step is one of {', '.join(sorted(KNOWN))} with its options, and a condition: {step}")


def merged(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the results of the steps into one."""
    result = {name: value for each in said for name, value in each.items()}
    result["changed"] = any(each.get("changed") for each in said)
    diffs = [diff for each in said for diff in listed(each.get("diff", []))]
    return {**result, "diff": diffs} if diffs else result


def listed(value: Any) -> list[Any]:
    """Give a list as it is, and anything else as one of one."""
    return value if isinstance(value, list) else [value]
