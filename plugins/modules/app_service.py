#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: app_service
short_description: Start, stop or reload a service that is known by its commands
version_added: 0.1.0
description:
  - The seam between the platforms. What a service is, systemd unit, supervisor program or daemon, only its four commands know.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  name:
    description: The service's name, for messages.
    type: str
    required: true
  commands:
    description:
      - Commands C(start), C(stop), C(reload) and C(status); C(status) ends with 0 while the service runs.
      - C(idle) may be given too, and ends with 0 while there is nothing to stop, and C(log), which prints what the service said last.
    type: dict
    required: true
  state:
    description: The wanted state; V(reloaded) starts a service that does not run, V(told) only asks.
    type: str
    choices: [started, stopped, reloaded, told]
    required: true
  drain_socket:
    description: Unix socket on which nobody may be connected any more before the service is stopped.
    type: path
  drain_seconds:
    description: How long to wait for that, in seconds; the service is stopped all the same when they are over.
    type: float
    default: 30
  watch_seconds:
    description: How long to look afterwards whether a started or reloaded service goes on running, in seconds.
    type: float
    default: 0
  seconds:
    description: How long each command may take, in seconds.
    type: float
    default: 60
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Stop the app when the last request is answered
  intermission.django.app_service:
    name: shop
    commands: "{{ django_release_commands }}"
    state: stopped
    drain_socket: /run/shop/app.sock
"""

RETURN = r"""
running:
  description: Whether the service ran before.
  returned: always
  type: bool
cut_off:
  description: How many requests were still in flight when the service was stopped.
  returned: when stopped
  type: int
"""


from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.service import (
    Service,
    ServiceError,
)
from ansible_collections.intermission.django.plugins.module_utils.sockets import wait_until_drained

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "commands": {"type": "dict", "required": True},
        "state": {"type": "str", "choices": ["started", "stopped", "reloaded", "told"], "required": True},
        "drain_socket": {"type": "path"},
        "drain_seconds": {"type": "float", "default": 30},
        "watch_seconds": {"type": "float", "default": 0},
        "seconds": {"type": "float", "default": 60},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    service = Service(params["name"], params["commands"], params["seconds"])
    cut_off = 0
    try:
        running = service.running()
        changed = {"started": not running, "reloaded": True, "told": False}.get(params["state"])
        if changed is None:
            changed = not service.idle()
        if changed and not module.check_mode:
            if params["state"] == "stopped":
                if params["drain_socket"]:
                    cut_off = wait_until_drained(params["drain_socket"], params["drain_seconds"])
                service.stop()
            elif running:
                service.reload()
            else:
                service.start()
        if params["watch_seconds"] and not module.check_mode:
            service.watch(params["watch_seconds"])
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, running=running, cut_off=cut_off)


if __name__ == "__main__":
    main()
