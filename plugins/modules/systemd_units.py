#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: systemd_units
short_description: Install the systemd units of a site
version_added: 0.1.0
description:
  - Writes all units of a site, makes systemd load and enable them, and removes those that the site had before and no longer has. They are not started.
  - Where systemd does not take a unit, the former ones are put back. A unit of other origin is never written over.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: full
    description: Shows what changes.
options:
  site:
    description: The site that the units belong to.
    type: str
    required: true
  units:
    description: Name of each unit, with its suffix, and its content. The mark of the site is added.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Install the app's service and its socket
  intermission.django.systemd_units:
    site: shop
    units:
      shop.socket: "{{ lookup('ansible.builtin.template', 'app.socket.j2') }}"
      shop.service: "{{ lookup('ansible.builtin.template', 'app.service.j2') }}"
"""

RETURN = r"""
{}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.units import (
    UnitError,
    Units,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "units": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    units = Units(module.params["site"])
    wanted = units.marked(module.params["units"])
    try:
        changes = units.changes(wanted)
        changed = bool(changes) if module.check_mode else units.install(wanted)
    except (UnitError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = [
        {"before_header": name, "after_header": name, "before": old or "", "after": new or ""}
        for name, (old, new) in changes.items()
    ]
    module.exit_json(changed=changed, diff=diff)


if __name__ == "__main__":
    main()
