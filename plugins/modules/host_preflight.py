#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_preflight
short_description: Find what would make an installation fail, before anything changes
version_added: 0.1.0
description:
  - Checks the ports that Nginx is to listen on, the way of the Nginx worker to the state directory, and the length of the app's socket path.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  listen:
    description: Values of Nginx's C(listen) directive.
    type: list
    elements: str
    default: []
  readable:
    description: Directories that the Nginx worker has to traverse.
    type: list
    elements: path
    default: []
  worker_user:
    description: The user that Nginx's workers run as.
    type: str
    required: true
  socket:
    description: Path of the app's unix socket.
    type: path
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Look before installing
  intermission.django.host_preflight:
    listen: ["80"]
    readable: [/var/lib/intermission]
    worker_user: www-data
"""

RETURN = r"""
{}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.preflight import (
    closed_ancestor,
    port_fault,
    socket_path_fault,
)


def faults(params: dict[str, Any]) -> list[str]:
    """Say what is wrong, each with the variable to set."""
    found = []
    for listen in params["listen"]:
        try:
            fault = port_fault(listen)
        except ValueError as error:
            fault = f"{error}, as in 80, 127.0.0.1:8081 or [::]:443"
        if fault:
            found.append(f"maintenance_page_listen '{listen}': {fault}. Name a free port, for instance 127.0.0.1:8081.")
    for directory in params["readable"]:
        try:
            closed = closed_ancestor(directory, params["worker_user"])
        except KeyError:
            found.append(
                f"maintenance_page_worker_user '{params['worker_user']}': there is no such user. "
                "Name the user of Nginx's workers, for instance www-data."
            )
            continue
        if closed:
            found.append(
                f"intermission_state_root: Nginx's worker ({params['worker_user']}) may not traverse {closed}, so it "
                f"would never see the flag below {directory}. Choose another place, for instance /var/lib/intermission, "
                f"or allow it: chmod o+x {closed}"
            )
    if params["socket"] and (fault := socket_path_fault(params["socket"])):
        found.append(f"django_release_socket: {fault}. Choose a shorter one, for instance /run/shop/app.sock.")
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "listen": {"type": "list", "elements": "str", "default": []},
            "readable": {"type": "list", "elements": "path", "default": []},
            "worker_user": {"type": "str", "required": True},
            "socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    found = faults(module.params)
    if found:
        module.fail_json(msg="\n".join(found))
    module.exit_json()


if __name__ == "__main__":
    main()
