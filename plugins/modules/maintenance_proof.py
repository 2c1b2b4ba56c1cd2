#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_proof
short_description: Prove over HTTP that a web host is closed or open
version_added: 0.1.0
description:
  - Asks a web host as a visitor would, with each method, until the answer is the expected one or the time is over.
  - Closed means status 503 with the complete page, C(Retry-After) and C(Cache-Control: no-store). Changes nothing.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  url:
    description: What to ask for.
    type: str
    required: true
  host:
    description: The C(Host) header.
    type: str
    required: true
  expected:
    description: What to prove; V(any) tells what is there and never fails.
    type: str
    choices: [closed, open, any]
    required: true
  methods:
    description: The HTTP methods to ask with.
    type: list
    elements: str
    default: [GET, POST]
  seconds:
    description: How long to keep asking, in seconds.
    type: float
    default: 10
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 10
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Nobody gets in
  intermission.django.maintenance_proof:
    url: http://192.0.2.10/
    host: shop.example.com
    expected: closed
  delegate_to: localhost
"""

RETURN = r"""
seen:
  description: With O(expected=any), V(closed), V(open) or what is wrong; else the expected state.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.proof import (
    observe,
    prove,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "expected": {"type": "str", "choices": ["closed", "open", "any"], "required": True},
            "methods": {"type": "list", "elements": "str", "default": ["GET", "POST"]},
            "seconds": {"type": "float", "default": 10},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["expected"] == "any":
        module.exit_json(seen=observe(params["url"], params["host"], params["timeout"]))
    faults = prove(
        params["expected"], params["url"], params["host"], params["methods"], params["seconds"], params["timeout"]
    )
    wrong = [f"{method} {params['url']}: {fault}" for method, fault in faults.items() if fault]
    if wrong:
        module.fail_json(msg=f"not proven to be {params['expected']}: " + "; ".join(wrong), seen="unproven")
    module.exit_json(seen=params["expected"])


if __name__ == "__main__":
    main()
