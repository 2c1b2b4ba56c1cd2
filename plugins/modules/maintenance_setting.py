#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_setting
short_description: Write the maintenance setting that an app reads from a file
version_added: 0.1.0
description:
  - Writes C(MAINTENANCE_MODE) into an environment file, or the state file of django-maintenance-mode, and notes in the journal who did it.
  - An environment file is read when the app starts. RV(applied) tells whether it has been since, and O(state=applied) notes that.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  path:
    description: The file.
    type: path
    required: true
  format:
    description: V(environment) for lines of C(NAME="value"), V(digit) for the state file of django-maintenance-mode.
    type: str
    choices: [environment, digit]
    default: environment
  state:
    description: What it is to say; V(told) only tells, and V(applied) notes that the app has taken it up.
    type: str
    choices: ["on", "off", applied, told]
    default: told
  reason:
    description: Why, with V(environment), as C(MAINTENANCE_REASON); and in the journal.
    type: str
    default: ""
  visitor_message:
    description: What else visitors are to read, with V(environment), as C(MAINTENANCE_MESSAGE).
    type: str
    default: ""
  end:
    description: When it ends, with V(environment), as C(MAINTENANCE_END); ISO 8601 with a zone.
    type: str
    default: ""
  read_only:
    description: With V(environment), let GET and HEAD pass, as C(MAINTENANCE_READ_ONLY).
    type: bool
    default: false
  state_root:
    description: Directory that holds the state directories of all sites on the host, for the journal and the deploy lock.
    type: path
    default: /var/lib/intermission
  site:
    description: The site's name.
    type: str
    required: true
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
- name: Close the shop by its own setting
  intermission.django.maintenance_setting:
    site: shop
    path: /srv/shop/maintenance.env
    state: "on"
    reason: A disk is changed
"""

RETURN = r"""
"on":
  description: Whether the file closes the site now (in check mode, before).
  returned: always
  type: bool
applied:
  description: Whether the app has taken it up.
  returned: always
  type: bool
"""

from pathlib import Path
from typing import Any, Union

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.setting import DigitSetting, EnvironmentSetting
from ansible_collections.intermission.django.plugins.module_utils.state import (
    StateDirectory,
    StateError,
    is_of_deploy,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "path": {"type": "path", "required": True},
        "format": {"type": "str", "choices": ["environment", "digit"], "default": "environment"},
        "state": {"type": "str", "choices": ["on", "off", "applied", "told"], "default": "told"},
        "reason": {"type": "str", "default": ""},
        "visitor_message": {"type": "str", "default": ""},
        "end": {"type": "str", "default": ""},
        "read_only": {"type": "bool", "default": False},
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "by": {"type": "str", "default": "unknown"},
        "from": {"type": "str", "default": "unknown"},
    },
    "supports_check_mode": True,
}


def change(setting: Union[DigitSetting, EnvironmentSetting], params: dict[str, Any], only_tell: bool) -> bool:
    """Write the setting where it says something else, and give whether it does. Raises StateError, OSError and ValueError."""
    on = params["state"] == "on"
    named = {"reason": "reason", "message": "visitor_message", "end": "end", "read_only": "read_only"}
    about = {name: params[parameter] for name, parameter in named.items()}
    differs = setting.differs(on, about)
    if not differs and setting.is_applied():
        return False
    directory = StateDirectory(params["state_root"], params["site"])
    if DeployRecord(directory).read() is not None or is_of_deploy(directory.flagged_id()):
        raise StateError(
            f"a deploy of {params['site']} is under way, or has died or failed, and the app is not restarted meanwhile. See "
            "maintenance_status.yml, and wait for it to end or deploy again; or close the site by the flag, with "
            "-e maintenance_window_mechanism=flag"
        )
    if differs and not only_tell:
        setting.write(on, about)
        event = "opened" if on else "closed"
        directory.record(event, params["by"], params["from"], setting=str(setting.path), reason=params["reason"])
    return differs


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    path = Path(params["path"])
    setting = DigitSetting(path) if params["format"] == "digit" else EnvironmentSetting(path)
    changed = False
    try:
        if params["state"] in ("on", "off"):
            changed = change(setting, params, module.check_mode)
        elif params["state"] == "applied" and isinstance(setting, EnvironmentSetting) and not setting.is_applied():
            changed = True
            if not module.check_mode:
                setting.note_applied()
        module.exit_json(changed=changed, on=setting.is_on(), applied=setting.is_applied())
    except (StateError, OSError, ValueError) as error:
        module.fail_json(msg=printable(str(error)))


if __name__ == "__main__":
    main()
