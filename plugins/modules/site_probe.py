#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: site_probe
short_description: Count what visitors of a site get while a run works on it
version_added: 0.1.0
description:
  - Asks each web host for a page as a visitor would, again and again, in a process of its own that goes on while other tasks run.
  - It ends when it is told to, when the run that began it is gone, and after an hour.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  state:
    description: Begin to ask, or end and tell what was counted.
    type: str
    choices: [started, stopped]
    required: true
  directory:
    description: Directory of the account's own on the host that asks, which tells of it meanwhile. It is made where it is not there.
    type: path
    default: ~/.cache/intermission/probes
  targets:
    description: The web hosts. Required with O(state=started).
    type: list
    elements: dict
    suboptions:
      name:
        description: What the host is called.
        type: str
        required: true
      url:
        description: What to ask for.
        type: str
        required: true
      host:
        description: The C(Host) header, and the name that the certificate has to be for where O(targets[].url) is https.
        type: str
        required: true
      validate_certs:
        description: Whether the certificate has to be trusted and for O(targets[].host).
        type: bool
        default: true
      ca:
        description: File of CA certificates in PEM that are trusted instead of the system's.
        type: path
        default: ""
  rate:
    description: How many times a second each host is asked, at most, more than 0; the next request waits for the answer to the one before.
    type: float
    default: 2
  holder:
    description: The run that does this; set by the action plugin.
    type: dict
    default: {}
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Count from here on what visitors get
  intermission.django.site_probe:
    state: started
    targets:
      - name: web1
        url: http://192.0.2.10/
        host: shop.example.com
  delegate_to: localhost
"""

RETURN = r"""
answers:
  description: How many answers there were of each kind, such as V(open) and V(closed); else what was wrong with them, in words.
  returned: with O(state=stopped), where something was counted
  type: dict
hosts:
  description: Likewise for each host.
  returned: with O(state=stopped), where something was counted
  type: dict
longest_seconds:
  description: How long the slowest answer took, in seconds.
  returned: with O(state=stopped), where something was counted
  type: float
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.site_probe import Probe, Target

TARGET_SPEC = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca": {"type": "path", "default": ""},
}
ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
        "directory": {"type": "path", "default": "~/.cache/intermission/probes"},
        "targets": {"type": "list", "elements": "dict", "options": TARGET_SPEC},
        "rate": {"type": "float", "default": 2},
        "holder": {"type": "dict", "default": {}},
    },
    "required_if": [("state", "started", ("targets",))],
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    if params["rate"] <= 0:
        module.fail_json(
            msg=f"rate is {params['rate']:g}. Write how many times a second each host is asked, for instance 2."
        )
    if module.check_mode:
        module.exit_json(changed=False)
    probe = Probe(Path(params["directory"]), params["holder"])
    try:
        if params["state"] == "stopped":
            module.exit_json(changed=False, **(probe.end() or {}))
        probe.begin([Target(**target) for target in params["targets"]], params["rate"])
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
