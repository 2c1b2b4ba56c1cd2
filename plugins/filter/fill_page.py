# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``fill_page``."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.intermission.django.plugins.module_utils.state import Window
from ansible_collections.intermission.django.plugins.module_utils.state import fill_page as fill

DOCUMENTATION = r"""
name: fill_page
short_description: Make a window's page from its template, as a host does when the window is opened
version_added: 0.1.0
description:
  - Puts a window's reason, message, start and end in place of their marks, escaped as the format needs it. A line whose mark has no
    value is left out, and so is one with C(%%closed%%) in a read-only window and with C(%%read_only%%) in another.
options:
  _input:
    description: The template, with marks such as C(%%reason%%).
    type: str
    required: true
  name:
    description: Name of the page's file, whose ending tells the format, V(.html), V(.json) or V(.txt).
    type: str
    required: true
  window:
    description:
      - C(start) and C(end) as ISO 8601, C(reason) and C(message), each where it is known, and C(read_only).
    type: dict
    default: {}
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '<p>%%reason%%</p>' | intermission.django.fill_page('503.en.html', {'reason': 'New disks'}) }}"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


def fill_page(template: str, name: str, window: Any = None) -> str:
    """Make the page; see the documentation above."""
    return fill(template, name, Window(**{"id": "page", "site": "site", "start": "", **(window or {})}))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"fill_page": fill_page}
