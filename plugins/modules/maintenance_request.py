#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_request
short_description: Make a window out of what an operator asked for
version_added: 0.1.0
description:
  - Turns a duration or an end into absolute instants, once for all hosts, and names who asks. Runs on the controller and changes nothing.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  begins:
    description:
      - When a scheduled window begins, such as V(in 2h), V(2026-12-01T02:00Z), or what recurs (systemd.time(7)), such as
        V(Sun 02:00 Europe/Berlin). Left out, the window begins now.
    type: str
  duration:
    description: How long the window lasts, such as V(30m), V(1h30m) or V(2d).
    type: str
  until:
    description: When the window ends, ISO 8601 with a zone, such as V(2026-12-01T02:00Z).
    type: str
  name:
    description: Start of the window's id.
    type: str
    default: window
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Half an hour from now
  intermission.django.maintenance_request:
    duration: 30m
  delegate_to: localhost
  run_once: true
  register: request
"""

RETURN = r"""
id:
  description: An id for the window.
  returned: without O(begins)
  type: str
start:
  description: Now, ISO 8601 in UTC.
  returned: without O(begins)
  type: str
end:
  description: The end, ISO 8601 in UTC, or none.
  returned: without O(begins)
  type: str
times:
  description:
    - The times of a scheduled window, C(start) and C(end), or where it recurs, C(calendar) and C(seconds). What does not apply is none.
  returned: with O(begins)
  type: dict
by:
  description: The user who runs this.
  returned: always
  type: str
from:
  description: The host on which this runs.
  returned: always
  type: str
plays_own:
  description:
    - Whether the play that the task is in, or a role in it that is not this collection's, may set inputs of its roles beside the inventory.
      These can differ from host to host, and of each host only the host itself knows them.
  returned: always
  type: bool
"""

import socket
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.controller import user
from ansible_collections.intermission.django.plugins.module_utils.schedule import requested_times
from ansible_collections.intermission.django.plugins.module_utils.state import window_request

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "begins": {"type": "str"},
        "duration": {"type": "str"},
        "until": {"type": "str"},
        "name": {"type": "str", "default": "window"},
    },
    "supports_check_mode": True,
}

FROM_NOW = (
    "Set maintenance_window_for to a duration, for instance 30m or 1h30m, or maintenance_window_until to an end with its zone, for instance "
    "2026-12-01T02:00Z; or neither, where the end is not known."
)
SCHEDULED = (
    "Set maintenance_window_from to a begin, for instance 'in 2h', 2026-12-01T02:00Z or 'Sun 02:00 Europe/Berlin', and one of "
    "maintenance_window_for and maintenance_window_until."
)


def answered(params: dict[str, Any]) -> dict[str, Any]:
    """Work the window out, with validated parameters, and give the module's result."""
    now = datetime.now(timezone.utc)
    request: dict[str, Any]
    try:
        if params["begins"]:
            request = {"times": requested_times(params["begins"], params["duration"], params["until"], now)}
        else:
            request = window_request(params["name"], params["duration"], params["until"], now)
    except ValueError as error:
        return {"failed": True, "msg": f"{error}. {SCHEDULED if params['begins'] else FROM_NOW}"}
    return {**request, "by": user(), "from": socket.gethostname()}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    result = answered(module.params)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
