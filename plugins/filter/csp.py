# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``csp``."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: csp
short_description: Write the Content-Security-Policy that lets pages run what is in them, and nothing else
version_added: 0.1.0
description:
  - Reads pages that need nothing but themselves, and allows their C(<style>) and C(<script>) elements by their hashes. One value fits
    all pages that are given.
  - What such a policy would block without a word is refused, such as a C(style) attribute, a handler like C(onclick), or a script from
    elsewhere.
options:
  _input:
    description: The pages, as HTML.
    type: list
    elements: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ ['<style>p {margin: 0}</style><p>Back soon</p>'] | intermission.django.csp }}"
"""

RETURN = r"""
_value:
  description: The value of the header.
  type: str
"""

POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
FROM_ELSEWHERE = {
    "link": "href", "script": "src", "img": "src", "iframe": "src", "video": "src", "audio": "src", "source": "src",
    "embed": "src", "object": "data",
}  # fmt: skip


class _Reader(HTMLParser):
    """Collects what a page's ``<style>`` and ``<script>`` elements hold, and what a policy by hashes would block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {"style": [], "script": []}
        self.blocked: list[str] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        if tag in self.found:
            self.inside = tag
            self.found[tag].append("")
        for name, value in attrs:
            value = (value or "").strip()
            outside = name == FROM_ELSEWHERE.get(tag) and not value.startswith("data:")
            if name == "style" or name.startswith("on") or value.startswith("javascript:") or outside:
                self.blocked.append(f'<{tag} {name}="{value[:60]}">')

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[self.inside][-1] += data


def csp(pages: Iterable[str]) -> str:
    """Write the policy; see the documentation above. Raises AnsibleFilterError."""
    hashes: dict[str, dict[str, None]] = {"style": {}, "script": {}}
    for page in pages:
        reader = _Reader(page)
        for tag, contents in reader.found.items():
            for content in contents:
                if re.search(r"%%\w+%%", content):
                    reader.blocked.append(f"a mark of a window inside <{tag}>")
                digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
                hashes[tag][f"'sha256-{digest}'"] = None
        if reader.blocked:
            raise AnsibleFilterError(
                f"the page has {', '.join(reader.blocked)}, and a browser would not take it: its Content-Security-Policy allows "
                "only what is in its <style> and <script> elements, and images as data: addresses"
            )
    return POLICY.format(**{tag: " ".join(found) or "'none'" for tag, found in hashes.items()})


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"csp": csp}
