# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``environment_file``."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.module_utils.environment import dump

DOCUMENTATION = r"""
name: environment_file
short_description: Write a dictionary as an environment file
version_added: 0.1.0
description:
  - Writes one quoted C(NAME="value") line for each variable, as systemd's C(EnvironmentFile=) and a shell read it.
options:
  _input:
    description: The variables.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.copy:
    content: "{{ {'SHOP_DEBUG': '0'} | intermission.django.environment_file }}"
    dest: /srv/shop/environment
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The file's content.
  type: str
"""


def environment_file(variables: dict[str, Any]) -> str:
    """Write variables; see the documentation above. Raises AnsibleFilterError."""
    try:
        return dump(variables)
    except (ValueError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            f"django_release_environment: {error}. Give names and values, for instance SHOP_DEBUG: '0'"
        ) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"environment_file": environment_file}
