#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: page_files
short_description: Write pages to a directory
version_added: 0.1.0
description:
  - Brings all files of a directory that are named to their content, at once.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: A page is to be looked at, and not its lines.
options:
  directory:
    description: The directory; it is made where it is not there.
    type: path
    required: true
  pages:
    description: Name of each file and its content.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Write the pages, to be looked at
  intermission.django.page_files:
    directory: /tmp/maintenance-preview
    pages: {503.en.html: "<html><p>Back soon</p></html>\n"}
"""

RETURN = r"""
{}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.nginx import (
    changes,
    read_page,
    write_pages,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "directory": {"type": "path", "required": True},
        "pages": {"type": "dict", "required": True},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    pages = {f"{module.params['directory']}/{name}": content for name, content in module.params["pages"].items()}
    try:
        changed = bool(changes(pages, read_page)) if module.check_mode else write_pages(pages)
    except OSError as error:
        module.fail_json(msg=f"The pages cannot be written: {error}")
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
