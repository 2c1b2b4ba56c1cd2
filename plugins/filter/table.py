# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``table``."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.intermission.django.plugins.module_utils.terminal import table

DOCUMENTATION = r"""
name: table
short_description: Write rows as a table for people
version_added: 0.1.0
description:
  - Aligns a list of dictionaries in columns below their keys, in the order of the first row. Nothing is shown as C(-).
  - Each character that does not print is shown as C(?), so that a cell cannot steer the terminal.
options:
  _input:
    description: The rows, all with the same keys.
    type: list
    elements: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ [{'host': 'web1', 'state': 'open'}] | intermission.django.table }}"
"""

RETURN = r"""
_value:
  description: The table, one line for each row below a line of titles.
  type: str
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"table": table}
