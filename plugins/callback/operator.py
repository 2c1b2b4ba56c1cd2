# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Ansible's default output, and nothing but the document where an operator asks for JSON."""

from __future__ import annotations

DOCUMENTATION = r"""
name: operator
type: stdout
short_description: Ansible's default output, silent where JSON is asked for
version_added: 0.1.0
description:
  - Shows what C(ansible.builtin.default) shows. With C(-e maintenance_window_format=json) or C(-e maintenance_page_doctor_format=json)
    only the JSON document goes to standard output, and failures to standard error.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in ansible.cfg
"""

from typing import Any

from ansible.plugins.callback.default import CallbackModule as DefaultCallback

FORMATS = ("maintenance_window_format", "maintenance_page_doctor_format")


class ErrorsOnly:
    """Ansible's display without what it would write to standard output."""

    def __init__(self, display: Any) -> None:
        """Wrap a display."""
        self._wrapped = display

    def __getattr__(self, name: str) -> Any:
        """Leave all else as it is."""
        return getattr(self._wrapped, name)

    def display(self, msg: str, *args: Any, stderr: bool = False, **kwargs: Any) -> None:
        """Write what is meant for standard error."""
        if stderr:
            self._wrapped.display(msg, *args, stderr=True, **kwargs)

    def banner(self, *args: Any, **kwargs: Any) -> None:
        """Write no banner."""


class CallbackModule(DefaultCallback):  # type: ignore[misc]
    """See the documentation above."""

    CALLBACK_NAME = "intermission.django.operator"
    _display: Any

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Look, before the first line is printed, whether JSON is wanted."""
        given = play.get_variable_manager().extra_vars
        if "json" in [given.get(name) for name in FORMATS] and not isinstance(self._display, ErrorsOnly):
            self.set_option("display_failed_stderr", True)
            self._display = ErrorsOnly(self._display)
        super().v2_playbook_on_play_start(play)
