# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``icalendar``."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.intermission.django.plugins.module_utils.icalendar import calendar_of

DOCUMENTATION = r"""
name: icalendar
short_description: Write windows as an iCalendar file
version_added: 0.1.0
description:
  - Writes the windows as RFC 5545 has it, those of several hosts once, and of what recurs those that follow.
options:
  _input:
    description: The windows, as M(intermission.django.maintenance_schedule) returns them.
    type: list
    elements: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.copy:
    content: "{{ schedule.windows | intermission.django.icalendar }}"
    dest: ~/windows.ics
"""

RETURN = r"""
_value:
  description: The content of the file.
  type: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"icalendar": calendar_of}
