# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``alike``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable

DOCUMENTATION = r"""
name: alike
short_description: Tell whether the inventory says the same for all of some hosts
version_added: 0.1.0
description:
  - Compares what variables of the inventory come to on each of them, as C(hostvars) has it.
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
  names:
    description: The variables that are compared; one that none of the hosts has is alike.
    type: list
    elements: str
    required: true
positional: hostvars, names
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: All of them have the same port.
  when: ansible_play_hosts | intermission.django.alike(hostvars, ['ansible_port'])
"""

RETURN = r"""
_value:
  description: Whether each of the variables has one value on all of the hosts, or is on none.
  type: bool
"""


def alike(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> bool:
    """Tell whether they are; see the documentation above."""
    compared = [*names]
    said = ({name: its[name] for name in compared if name in its} for its in map(hostvars.__getitem__, hosts))
    first = next(said, {})
    return all(other == first for other in said)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"alike": alike}
