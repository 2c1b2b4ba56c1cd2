#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: app_hold
short_description: Let requests wait at an app's socket while a deploy migrates
version_added: 0.1.0
description:
  - The app is stopped, and its socket stays open. Who connects waits there, until the app is started, or until more of them wait than Nginx and
    the socket have room for, or for longer than is set. Then a window is opened that was made before, and they get its page.
  - A unit on the host sees to that, whatever becomes of the controller.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  state_root:
    description: Directory that holds the state directories of all sites on the host.
    type: path
    default: /var/lib/intermission
  site:
    description: The site's name.
    type: str
    required: true
  state:
    description: Let requests wait, or let them go on to the app, which is started then.
    type: str
    choices: [held, released]
    required: true
  service:
    description: Name of the app's socket and service, which are units of systemd. Required with O(state=held).
    type: str
  socket:
    description: The unix socket that the app listens on. Required with O(state=held).
    type: path
  backlog:
    description: How many connections the socket's unit lets wait, its C(Backlog=).
    type: int
    default: 4096
  dump:
    description: Command that dumps the configuration of Nginx, in which its C(worker_connections) are looked up.
    type: str
    default: nginx -T
  seconds:
    description: How long requests may wait, in seconds.
    type: float
    default: 15
  release:
    description: The release that is deployed, of which the window gets its name.
    type: str
    default: ""
  reason:
    description: What the window's page says why, where it takes over.
    type: str
    default: ""
  visitor_message:
    description: What else it says to visitors.
    type: str
    default: ""
  by:
    description: Who does this, for the journal.
    type: str
    default: unknown
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Let requests wait
  intermission.django.app_hold:
    site: shop
    state: held
    service: shop
    socket: /run/shop/app.sock
    release: 1a2b3c4d5e6f
"""

RETURN = r"""
most:
  description: How many requests may wait.
  returned: with O(state=held)
  type: int
served:
  description: Whether those who wait are served by the app; else the page has taken over before.
  returned: with O(state=released)
  type: bool
"""

from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.hold import Hold, files_of, most_waiting, queue_of
from ansible_collections.intermission.django.plugins.module_utils.service import ServiceError, run
from ansible_collections.intermission.django.plugins.module_utils.state import (
    StateDirectory,
    StateError,
    Window,
    window_request,
)
from ansible_collections.intermission.django.plugins.module_utils.units import UnitError, systemctl

DUMP_SECONDS = 60.0

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["held", "released"], "required": True},
        "service": {"type": "str"},
        "socket": {"type": "path"},
        "backlog": {"type": "int", "default": 4096},
        "dump": {"type": "str", "default": "nginx -T"},
        "seconds": {"type": "float", "default": 15},
        "release": {"type": "str", "default": ""},
        "reason": {"type": "str", "default": ""},
        "visitor_message": {"type": "str", "default": ""},
        "by": {"type": "str", "default": "unknown"},
    },
    "required_if": [("state", "held", ("service", "socket"))],
    "supports_check_mode": True,
}


def hold(directory: StateDirectory, params: dict[str, Any]) -> int:
    """Stop the app and keep its socket; gives how many requests may wait. Raises StateError, ServiceError, UnitError and OSError."""
    most = most_waiting(run(params["dump"], DUMP_SECONDS).stdout, files_of("nginx"), queue_of(params["backlog"]))
    window = Window(
        site=directory.site,
        reason=params["reason"],
        message=params["visitor_message"],
        opened_by=params["by"],
        **window_request(f"deploy-{params['release']}", None, None, datetime.now(timezone.utc)),
    )
    socket, service = f"{params['service']}.socket", f"{params['service']}.service"
    Hold(directory).begin(window, [socket, service], params["socket"], params["seconds"], most)
    try:
        systemctl("start", f"intermission-{directory.site}-hold.service")
    except UnitError:
        Hold(directory).release()
        raise
    systemctl("stop", service)
    return most


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    directory = StateDirectory(params["state_root"], params["site"])
    try:
        if module.check_mode:
            module.exit_json(changed=True)
        if params["state"] == "held":
            module.exit_json(changed=True, most=hold(directory, params))
        served = Hold(directory).release()
        module.exit_json(changed=served, served=served)
    except (StateError, ServiceError, UnitError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
