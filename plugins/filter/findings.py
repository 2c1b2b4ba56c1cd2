# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``findings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

DOCUMENTATION = r"""
name: findings
short_description: Write the doctor's findings for people
version_added: 0.1.0
description:
  - Writes a paragraph for each finding, errors first. What several hosts have in common is written once.
options:
  _input:
    description: The findings of all hosts, as M(intermission.django.maintenance_doctor) returns them.
    type: list
    elements: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- intermission.django.report:
    text: "{{ doctor.findings | intermission.django.findings }}"
"""

RETURN = r"""
_value:
  description: The paragraphs; empty where nothing was found.
  type: str
"""


def findings(found: Sequence[dict[str, Any]]) -> str:
    """Write findings; see the documentation above."""
    hosts: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    for finding in sorted(found, key=lambda finding: finding["severity"] != "error"):
        rest = tuple((name, value) for name, value in finding.items() if name != "host")
        hosts.setdefault(rest, []).append(finding["host"])
    paragraphs = []
    for rest, names in hosts.items():
        finding = dict(rest)
        place = finding["file"] if finding["line"] is None else f"{finding['file']}:{finding['line']}"
        lines = [f"{finding['severity'].upper()} {finding['id']}  {place}  ({', '.join(names)})"]
        lines += [f"  {title:5}{finding[name]}" for title, name in (("", "what"), ("why", "why"), ("fix", "fix"))]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"findings": findings}
