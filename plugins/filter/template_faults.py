# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``template_faults``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.filter.csp import csp

DOCUMENTATION = r"""
name: template_faults
short_description: Say what is wrong with pages that were made from a template
version_added: 0.1.0
description:
  - Looks whether a proof could tell each page from others, whether its end can be told, and whether a browser takes it under its
    Content-Security-Policy.
options:
  _input:
    description: Name of each page's file, and the page. Those that are no HTML are passed over.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.assert:
    that: __maintenance_page_rendered | intermission.django.template_faults | length == 0
"""

RETURN = r"""
_value:
  description: What is wrong with the first page that is not as it has to be; empty where all is well.
  type: str
"""


def template_faults(pages: Mapping[str, str]) -> str:
    """Say what is wrong; see the documentation above."""
    if not any(".html" in name for name in pages):
        return (
            'there is none with data-intermission="maintenance", so that no proof could tell it from another page. Begin the '
            'template with {% extends "page.html.j2" %} and override blocks, the block page at most'
        )
    for name, page in pages.items():
        if ".html" not in name:
            continue
        kind = "fallback" if name.startswith("50x.") else "maintenance"
        if f'data-intermission="{kind}"' not in page:
            return f'{name} is without data-intermission="{kind}", so that no proof could tell it from another page'
        if not page.endswith("</html>\n"):
            return f"{name} does not end with </html> and a new line, so that nobody could tell that all of it has come"
        try:
            csp([page])
        except AnsibleFilterError as error:
            return f"{name} is none that visitors could use: {error.message}"
    return ""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"template_faults": template_faults}
