#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: app_smoke_test
short_description: Ask the app itself, past Nginx, whether it works
version_added: 0.1.0
description:
  - Asks for URLs over the app's unix socket, until each has the expected status or the time is over. Changes nothing.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  socket:
    description: The app's unix socket.
    type: path
    required: true
  host:
    description: The C(Host) header.
    type: str
    required: true
  checks:
    description: What to ask for.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path and query.
        type: str
        required: true
      status:
        description: The expected status.
        type: int
        default: 200
      contains:
        description: Text that the body must have.
        type: str
        default: ""
  seconds:
    description: How long to keep asking, in seconds.
    type: float
    default: 30
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: The front page works
  intermission.django.app_smoke_test:
    socket: /run/shop/app.sock
    host: shop.example.com
    checks:
      - path: /
"""

RETURN = r"""
{}
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.proof import (
    POLL_SECONDS,
    ask,
)


def fault(params: dict[str, Any], check: dict[str, Any]) -> str:
    """Say what is wrong with the answer to one check, nothing where it is right."""
    answer = ask(f"http://app{check['path']}", params["host"], unix_socket=params["socket"])
    if answer.status != check["status"]:
        return f"{check['path']}: {answer.error or answer.status}, expected {check['status']}"
    if check["contains"].encode() not in answer.body:
        return f"{check['path']}: the answer does not contain '{check['contains']}'"
    return ""


def main() -> None:
    """Run the module."""
    check_spec = {
        "path": {"type": "str", "required": True},
        "status": {"type": "int", "default": 200},
        "contains": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "host": {"type": "str", "required": True},
            "checks": {"type": "list", "elements": "dict", "required": True, "options": check_spec},
            "seconds": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["seconds"]
    left = module.params["checks"]
    while True:
        faults = [(check, said) for check in left if (said := fault(module.params, check))]
        if not faults:
            module.exit_json()
        if time.monotonic() >= deadline:
            module.fail_json(msg="the app fails its smoke test: " + "; ".join(said for _, said in faults))
        left = [check for check, _ in faults]
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
