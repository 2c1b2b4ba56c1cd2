# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``table``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

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


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows; see the documentation above."""
    if not rows:
        return ""
    titles = list(rows[0])
    cells = [[title.upper() for title in titles]]
    cells += [
        ["-" if row[title] in (None, "") else printable(" ".join(str(row[title]).split())) for title in titles]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
    return "\n".join(lines)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"table": table}
