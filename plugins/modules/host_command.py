#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_command
short_description: Install the command intermission on a host
version_added: 0.1.0
description:
  - Writes one file that C(/usr/bin/python3) runs, and that needs nothing but Python's standard library.
  - It opens, closes and shows the windows of the sites on its host, with the code that the playbooks use.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: full
    description: Shows version and digest before and after.
options:
  path:
    description: Where the command is put. Its directory has to be there.
    type: path
    default: /usr/local/bin/intermission
  state_root:
    description: Directory that holds the state directories of all sites on the host.
    type: path
    default: /var/lib/intermission
  hooks:
    description: Directory that holds the hooks of all sites on the host. Left out, none are run.
    type: path
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Install the command
  intermission.django.host_command:
"""

RETURN = r"""
version:
  description: The version of the command.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.command_line import VERSION
from ansible_collections.intermission.django.plugins.module_utils.files import write_file
from ansible_collections.intermission.django.plugins.module_utils.host_command import (
    MODE,
    build,
    describe,
    installed,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "path": {"type": "path", "default": "/usr/local/bin/intermission"},
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "hooks": {"type": "path"},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    path = Path(module.params["path"])
    wanted = build(module.params["state_root"], module.params["hooks"])
    try:
        if not path.parent.is_dir():
            module.fail_json(
                msg=f"there is no directory {path.parent} to put the command in: make it, or set "
                "maintenance_window_command_path to another, for instance /usr/local/bin/intermission"
            )
        former, mode = installed(path)
        changed = (former, mode) != (wanted, MODE)
        if changed and not module.check_mode:
            write_file(path, wanted, MODE)
    except OSError as error:
        module.fail_json(msg=str(error))
    diff = {
        "before": describe(former),
        "after": describe(wanted),
        "before_header": str(path),
        "after_header": str(path),
    }
    module.exit_json(changed=changed, version=VERSION, diff=diff)


if __name__ == "__main__":
    main()
