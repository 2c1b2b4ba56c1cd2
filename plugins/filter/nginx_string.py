# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``nginx_string``."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.module_utils.nginx_text import quoted

DOCUMENTATION = r"""
name: nginx_string
short_description: Write a string of Nginx's configuration
version_added: 0.1.0
description:
  - Quotes a text so that Nginx reads it as it is. Nginx's variables in it keep their meaning.
options:
  _input:
    description: The text.
    type: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ 'Disallow: \n' | intermission.django.nginx_string }}"
"""

RETURN = r"""
_value:
  description: The string, quoted.
  type: str
"""


def nginx_string(text: str) -> str:
    """Write the text; see the documentation above. Raises AnsibleFilterError."""
    try:
        return quoted(str(text))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"nginx_string": nginx_string}
