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
  - Writes all units of a site, makes systemd load and enable them, and removes those that the site had before and no longer has.
  - Timers and paths are started, all else is not.
  - "A file that a unit says it writes, in a line C(# Writes: /path), is removed with the unit."
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
  part:
    description: A part of the site that has units for itself, of which all is true that is said here of the site's.
    type: str
    default: ""
  units:
    description:
      - Name of each unit, with its suffix, and its content. The mark of the site is added.
      - Where it is left out, the units of O(kept) are installed as they were, and nothing is done where there are none.
    type: dict
  kept:
    description:
      - File that keeps the units of an environment. It is written where it is not there.
      - Where it is, the services of O(units) get their content from it, for the environment is one that is gone back to. A socket stays
        with O(units), because Nginx leads to it.
      - Left out, units are not kept.
    type: path
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Install the app's service and its socket
  intermission.django.systemd_units:
    site: shop
    kept: /srv/shop/units/1a2b3c4d5e6f.json
    units:
      shop.socket: "{{ lookup('ansible.builtin.template', 'app.socket.j2') }}"
      shop.service: "{{ lookup('ansible.builtin.template', 'app.service.j2') }}"
"""

RETURN = r"""
names:
  description: The units that the site has now.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.units import (
    UnitError,
    Units,
    keep,
    kept,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "site": {"type": "str", "required": True},
        "part": {"type": "str", "default": ""},
        "units": {"type": "dict"},
        "kept": {"type": "path"},
    },
    "required_one_of": [("units", "kept")],
    "supports_check_mode": True,
}


def with_former_services(units: dict[str, str], former: dict[str, str]) -> dict[str, str]:
    """Give the units, the services among them with the content that they had."""
    return {name: former.get(name, text) if name.endswith(".service") else text for name, text in units.items()}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    units = Units(module.params["site"], part=module.params["part"])
    file, given = module.params["kept"] and Path(module.params["kept"]), module.params["units"]
    try:
        former = kept(file) if file else {}
        if given is None and not former:
            module.exit_json(changed=False, diff=[], names=[])
        wanted = units.marked(former if given is None else with_former_services(given, former))
        changes = units.changes(wanted)
        changed = bool(changes) if module.check_mode else units.install(wanted)
        if file and given and not former and not module.check_mode:
            keep(file, given)
    except (UnitError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = [
        {"before_header": name, "after_header": name, "before": old or "", "after": new or ""}
        for name, (old, new) in changes.items()
    ]
    module.exit_json(changed=changed, diff=diff, names=sorted(wanted))


if __name__ == "__main__":
    main()
