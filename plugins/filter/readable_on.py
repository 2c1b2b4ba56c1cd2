# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``readable_on``."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: readable_on
short_description: Give the colour of text, black or white, that can be read best on a colour
version_added: 0.1.0
description:
  - Compares the contrast ratios as WCAG 2 defines them. The better of the two is 4.58 or more on every colour.
options:
  _input:
    description: The colour below the text, as V(#rrggbb).
    type: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '#0b6e4f' | intermission.django.readable_on }}"
"""

RETURN = r"""
_value:
  description: V(#000000) or V(#ffffff).
  type: str
"""


def luminance(colour: str) -> float:
    """Give the relative luminance of a colour, from 0 to 1. Raises ValueError."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(colour)
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable_on(colour: str) -> str:
    """Give the colour; see the documentation above. Raises AnsibleFilterError."""
    try:
        below = luminance(str(colour))
    except ValueError as error:
        raise AnsibleFilterError(f"'{colour}' is no colour as #rrggbb, for instance #0b6e4f") from error
    return "#ffffff" if 1.05 / (below + 0.05) >= (below + 0.05) / 0.05 else "#000000"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"readable_on": readable_on}
