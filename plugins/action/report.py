# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Prints a text on the controller's terminal; its documentation is the module's."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

ARGUMENTS = {
    "text": {"type": "str", "required": True},
    "stderr": {"type": "bool", "default": False},
    "screen_only": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Print and change nothing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        text = printable(arguments["text"], kept="\n\t")
        Display().display(text, stderr=arguments["stderr"], screen_only=arguments["screen_only"])
        result["changed"] = False
        return result
