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
  - Its completion for bash and its manual page are made from its options, and written beside it.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: full
    description: Shows version and digest of the command before and after, and what changes in the other files.
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
  share:
    description:
      - Directory below which the completion is put as C(bash-completion/completions/NAME) and the manual page as C(man/man1/NAME.1), where NAME is that
        of the command. Directories that are missing are made. Left out, neither is put anywhere.
    type: path
  state:
    description: Whether the files are there. With V(absent), directories of O(share) that hold no other are removed too.
    type: str
    choices: [present, absent]
    default: present
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Install the command
  intermission.django.host_command:
    share: /usr/local/share
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
from ansible_collections.intermission.django.plugins.module_utils.files import is_empty, remove_empty, write_file
from ansible_collections.intermission.django.plugins.module_utils.host_command import (
    SHARED,
    describe,
    files,
    installed,
)
from ansible_collections.intermission.django.plugins.module_utils.places import PlaceError, make

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "path": {"type": "path", "default": "/usr/local/bin/intermission"},
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "hooks": {"type": "path"},
        "share": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    path, share = Path(module.params["path"]), module.params["share"] and Path(module.params["share"])
    wanted = files(path, module.params["state_root"], module.params["hooks"], share)
    removes = module.params["state"] == "absent"
    shared = [share / directory for directory in SHARED] if share else []
    try:
        former = {place: installed(place) for place in wanted}
        after = {place: (None, None) if removes else wanted[place] for place in wanted}
        changes = [place for place in wanted if former[place] != after[place]]
        changed = bool(changes) or (removes and any(map(is_empty, shared)))
        if not removes and not path.parent.is_dir():
            module.fail_json(
                msg=f"there is no directory {path.parent} to put the command in: make it, or set "
                "maintenance_window_command_path to another, for instance /usr/local/bin/intermission"
            )
        if not module.check_mode:
            for place in changes:
                if removes:
                    place.unlink()
                else:
                    make(place.parent)
                    write_file(place, *wanted[place])
            if removes:
                remove_empty(shared)
    except (PlaceError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = [
        {
            "before": describe(former[place][0]),
            "after": describe(after[place][0]),
            "before_header": str(place),
            "after_header": str(place),
        }
        for place in changes
    ]
    module.exit_json(changed=changed, version=VERSION, diff=diff)


if __name__ == "__main__":
    main()
