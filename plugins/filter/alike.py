# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``alike``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleError

DOCUMENTATION = r"""
name: alike
short_description: Tell whether the inventory says the same for all of some hosts
version_added: 0.1.0
description:
  - Compares what variables come to on each of them, as C(hostvars) has it, which knows nothing of a role's defaults. What cannot be
    worked out so is not alike.
options:
  _input:
    description: The hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  beginnings:
    description: The variables that begin with one of these are compared.
    type: list
    elements: str
    required: true
  own:
    description: Variables that are not compared, as each host has its own.
    type: list
    elements: str
    default: []
positional: hostvars, beginnings
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: All of them have the same inputs.
  when: ansible_play_hosts | intermission.django.alike(hostvars, ['maintenance_window_'], own=['maintenance_window_proof_url'])
"""

RETURN = r"""
_value:
  description: Whether each of the variables has one value on all of the hosts, or is on none.
  type: bool
"""


def alike(
    hosts: Iterable[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    beginnings: Iterable[str],
    own: Iterable[str] = (),
) -> bool:
    """Tell whether they are; see the documentation above."""
    wanted, not_compared = tuple(beginnings), {*own}
    said = (
        {name: its[name] for name in its if name.startswith(wanted) and name not in not_compared}
        for its in map(hostvars.__getitem__, hosts)
    )
    try:
        first = next(said, {})
        return all(other == first for other in said)
    except AnsibleError:
        return False


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"alike": alike}
