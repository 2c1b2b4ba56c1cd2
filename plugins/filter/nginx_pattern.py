# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``nginx_pattern``."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.module_utils.nginx_text import map_key

DOCUMENTATION = r"""
name: nginx_pattern
short_description: Write a pattern of paths as a key of Nginx's map
version_added: 0.1.0
description:
  - The pattern is written as Nginx's C(location) writes it, C(= /exact), C(/prefix), C(~ expression) or C(~* expression).
  - A prefix ends at a slash.
options:
  _input:
    description: The pattern.
    type: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '/admin/' | intermission.django.nginx_pattern }}"
"""

RETURN = r"""
_value:
  description: The key, quoted.
  type: str
"""


def nginx_pattern(text: str) -> str:
    """Write the text; see the documentation above. Raises AnsibleFilterError."""
    try:
        return map_key(str(text))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"nginx_pattern": nginx_pattern}
