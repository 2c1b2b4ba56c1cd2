#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: manage
short_description: Run a command of a site's manage.py in its own environment
version_added: 0.1.0
description:
  - Runs C(manage.py) with the release's Python and the variables of the environment file, which therefore stand in no process list and in no log.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  python:
    description: The release's Python.
    type: path
    required: true
  project:
    description: Directory of C(manage.py).
    type: path
    required: true
  command:
    description: The command and its arguments.
    type: list
    elements: str
    required: true
  environment_file:
    description: The site's environment file.
    type: path
  user:
    description: The account that the site's code runs as; this one where it is not named.
    type: str
  seconds:
    description: For how many seconds it may run. Then it is killed, and the module fails. Left out, it may run for as long as it wants.
    type: float
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Check the project
  intermission.django.manage:
    python: /srv/shop/current/.venv/bin/python
    project: /srv/shop/current
    command: [check]
    environment_file: /srv/shop/environment
"""

RETURN = r"""
stdout:
  description: What the command said.
  returned: always
  type: str
"""

import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.account import run_as
from ansible_collections.intermission.django.plugins.module_utils.migrations import process_environment

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "python": {"type": "path", "required": True},
        "project": {"type": "path", "required": True},
        "command": {"type": "list", "elements": "str", "required": True},
        "environment_file": {"type": "path"},
        "user": {"type": "str"},
        "seconds": {"type": "float"},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True, stdout="")
    try:
        result = subprocess.run(
            [params["python"], "manage.py", *params["command"]],
            cwd=params["project"],
            env=process_environment(params["environment_file"], params["user"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=params["seconds"],
            check=False,
            **run_as(params["user"]),
        )
    except subprocess.TimeoutExpired:
        module.fail_json(msg=f"manage.py {' '.join(params['command'])} was not done after {params['seconds']:g} s")
    if result.returncode != 0:
        said = (result.stdout + result.stderr).strip()[-4000:]
        module.fail_json(msg=f"manage.py {' '.join(params['command'])} ended with {result.returncode}:\n{said}")
    module.exit_json(changed=True, stdout=result.stdout)


if __name__ == "__main__":
    main()
