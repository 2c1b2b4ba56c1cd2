#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_schedule
short_description: Schedule, cancel, extend or list the windows of a site on a host
version_added: 0.1.0
description:
  - Stages a window whole, and proves that Nginx will be able to read its page. The host opens and closes it at its time by itself.
  - Compares the host's clock with the controller's before and after, and schedules nothing where they are known to differ by too much.
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
    description: Whether a window is to be scheduled, not any more, to have another end, or whether all are only listed.
    type: str
    choices: [present, cancelled, extended, listed]
    default: listed
  id:
    description:
      - With V(cancelled) and V(extended), the window that is meant. Left out, it is the open one with V(extended), or else the only one
        that is scheduled.
    type: str
  start:
    description: With O(state=present), when the window begins, ISO 8601 with a zone.
    type: str
  end:
    description: When it ends, ISO 8601 with a zone. Required with V(extended).
    type: str
  calendar:
    description: In place of O(start) and O(end), when it recurs, as in systemd.time(7), with a zone at the end.
    type: str
  seconds:
    description: With O(calendar), how long each window lasts.
    type: int
  reason:
    description: Why, shown to visitors and kept in the journal.
    type: str
    default: ""
  visitor_message:
    description: What else visitors are to read.
    type: str
    default: ""
  layer:
    description: Which part answers during the window, see M(intermission.django.maintenance_window).
    type: str
    choices: [nginx, django]
    default: nginx
  read_only:
    description: Let GET and HEAD go on to the app.
    type: bool
    default: false
  command:
    description:
      - With O(state=present), what the host runs by itself when the window has opened. A program's path and its arguments, with quotes as in a
        shell, which there is none. The window stays open until it has ended well. Only root may schedule it, and it is kept where only
        root may write.
    type: str
  command_user:
    description: The account that runs O(command). Left out, it is root.
    type: str
  command_seconds:
    description: After how many seconds O(command) is ended, and has failed. Left out, it may take as long as it likes.
    type: float
  command_closes:
    description: Let the window close as soon as O(command) has ended well, and not at its end.
    type: bool
    default: false
  secret:
    description:
      - With O(state=present), 43 letters, digits, V(-) and V(_) that let pass who shows them while the window is open. Refused where it recurs.
      - Where the same window is scheduled already with a secret, that one stays, and nothing changes. Where windows become one, the secret
        of one of them stays; that more than one has a secret is refused.
    type: str
  overlap:
    description: Whether a window that overlaps others is refused, or becomes one with them.
    type: str
    choices: [refuse, merge]
    default: refuse
  once:
    description: With O(state=cancelled), where the window recurs, cancel this one time only.
    type: bool
    default: false
  tolerance:
    description: By how many seconds the host's clock may differ from the controller's.
    type: float
    default: 2
  asked_at:
    description: The controller's clock, which the controller adds by itself.
    type: float
  by:
    description: Who does this, for the journal.
    type: str
    default: unknown
  from:
    description: From where, for the journal.
    type: str
    default: unknown
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Close the shop tonight
  intermission.django.maintenance_schedule:
    site: shop
    state: present
    start: 2099-12-01T01:30:00Z
    end: 2099-12-01T02:00:00Z
    reason: A disk is changed
"""

RETURN = r"""
id:
  description: The window that was scheduled, or stands for it where it was merged.
  returned: with O(state=present)
  type: str
windows:
  description:
    - The scheduled windows, those that were missed during the last day, and the open one where it has an end, by their begin. Each with
      C(id), C(site), C(state), C(start), C(end), C(recurs), C(following), C(reason), C(message), C(layer), C(read_only), C(by), C(written),
      C(command).
  returned: always
  type: list
  elements: dict
clock:
  description: By how many seconds the host's clock is C(ahead) of the controller's, give or take those C(within).
  returned: always
  type: dict
"""

import time
from datetime import datetime, timezone
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.schedule import (
    CLOCK_TOLERANCE,
    OverlapError,
    Schedule,
    clock_fault,
    placed,
)
from ansible_collections.intermission.django.plugins.module_utils.state import (
    LAYERS,
    StateDirectory,
    StateError,
    Window,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable
from ansible_collections.intermission.django.plugins.module_utils.window_job import Command, parse_command

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "cancelled", "extended", "listed"], "default": "listed"},
        "id": {"type": "str"},
        "start": {"type": "str"},
        "end": {"type": "str"},
        "calendar": {"type": "str"},
        "seconds": {"type": "int"},
        "reason": {"type": "str", "default": ""},
        "visitor_message": {"type": "str", "default": ""},
        "layer": {"type": "str", "choices": list(LAYERS), "default": "nginx"},
        "read_only": {"type": "bool", "default": False},
        "command": {"type": "str"},
        "command_user": {"type": "str"},
        "command_seconds": {"type": "float"},
        "command_closes": {"type": "bool", "default": False},
        "secret": {"type": "str", "no_log": True},
        "overlap": {"type": "str", "choices": ["refuse", "merge"], "default": "refuse"},
        "once": {"type": "bool", "default": False},
        "tolerance": {"type": "float", "default": CLOCK_TOLERANCE},
        "asked_at": {"type": "float"},
        "by": {"type": "str", "default": "unknown"},
        "from": {"type": "str", "default": "unknown"},
    },
    "required_if": [("state", "extended", ("end",)), ("state", "present", ("start", "calendar"), True)],
    "required_together": [("calendar", "seconds")],
    "mutually_exclusive": [("start", "calendar"), ("end", "calendar")],
    "supports_check_mode": True,
}


def wanted_window(params: dict[str, Any]) -> Window:
    """Make the window that the options describe, without its place in time."""
    return Window(
        id="",
        site=params["site"],
        start="",
        reason=params["reason"],
        message=params["visitor_message"],
        opened_by=params["by"],
        layer=params["layer"],
        read_only=params["read_only"],
    )


def wanted_command(params: dict[str, Any]) -> Optional[Command]:
    """Make the command that the options describe, None where there is none. Raises ValueError where this host could not run it."""
    if not params["command"]:
        return None
    return parse_command(
        params["command"], params["command_user"] or "", params["command_seconds"], params["command_closes"]
    )


def change(schedule: Schedule, params: dict[str, Any], only_tell: bool) -> dict[str, Any]:
    """Bring the schedule to the wanted state; gives what is said of it. Raises StateError, ValueError and OSError."""
    by, source, merge = params["by"], params["from"], params["overlap"] == "merge"
    if params["state"] == "present":
        if fault := clock_fault(min(0.0, time.time() - (params["asked_at"] or 0)), params["tolerance"]):
            raise StateError(fault)
        window, series = placed(wanted_window(params), params, datetime.now(timezone.utc))
        changed, window = schedule.add(
            window, series, by, source, merge, only_tell, wanted_command(params), params["secret"]
        )
        return {"changed": changed, "id": window.id}
    if params["state"] == "cancelled":
        return {"changed": bool(schedule.cancel(params["id"], by, source, params["once"], only_tell))}
    if params["state"] == "extended":
        return {"changed": schedule.extend(params["id"], params["end"], by, source, merge, only_tell)}
    return {"changed": False}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    read_at = time.time()
    schedule = Schedule(StateDirectory(module.params["state_root"], module.params["site"]))
    try:
        said = change(schedule, module.params, module.check_mode)
        module.exit_json(**said, read_at=read_at, windows=[plan.describe() for plan in schedule.plans()])
    except OverlapError as error:
        module.fail_json(msg=printable(f"{error}: -e maintenance_window_overlap=merge"))
    except (StateError, ValueError, OSError) as error:
        module.fail_json(msg=printable(str(error)))


if __name__ == "__main__":
    main()
