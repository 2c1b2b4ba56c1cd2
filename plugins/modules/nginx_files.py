#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nginx_files
short_description: Install Nginx configuration files that Nginx accepts, and pages
version_added: 0.1.0
description:
  - Writes all files, runs the test command, and starts or reloads Nginx. Where the test fails, the former files are put back
    and the module fails with Nginx's own message.
  - An installation that was cut short is finished by the next run.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: full
    description: Shows what changes; of a page that is not there yet, only how long it is.
options:
  files:
    description: Path of each file and its content; an empty content removes the file.
    type: dict
    required: true
  keep:
    description: Paths of O(files) that stay as they are where there is such a file already. Nginx's test sees their content all the same.
    type: list
    elements: path
    default: []
  pages:
    description: Path of each file that Nginx serves, and its content; they are written first and need no reload.
    type: dict
    default: {}
  tidy:
    description: Directories that are removed where nothing is left in them.
    type: list
    elements: path
    default: []
  pending:
    description: File that remembers the former contents until Nginx has taken up the new ones, in a directory that is root's alone.
    type: path
    required: true
  commands:
    description: Commands C(test), C(start), C(stop), C(reload) and C(status) of Nginx; C(status) ends with 0 while it runs.
    type: dict
    required: true
  seconds:
    description: How long each command may take, in seconds.
    type: float
    default: 60
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Install a vhost
  intermission.django.nginx_files:
    files:
      /etc/nginx/conf.d/shop.conf: "{{ lookup('ansible.builtin.template', 'vhost.conf.j2') }}"
    pending: /etc/nginx/.shop.pending
    commands:
      test: nginx -t
      start: systemctl start nginx
      stop: systemctl stop nginx
      reload: systemctl reload nginx
      status: systemctl is-active --quiet nginx
"""

RETURN = r"""
waiting:
  description: Those of O(keep) that stayed as they are, and have another content than O(files) gives them.
  returned: always
  type: list
  elements: str
former:
  description: Path of each of O(files) that was changed, and its content before; empty where there was none. It is what puts them back.
  returned: always
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.files import is_empty, remove_empty
from ansible_collections.intermission.django.plugins.module_utils.nginx import (
    NginxError,
    apply,
    changes,
    read_page,
    rests,
    write_pages,
)
from ansible_collections.intermission.django.plugins.module_utils.service import (
    Service,
    ServiceError,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "files": {"type": "dict", "required": True},
        "keep": {"type": "list", "elements": "path", "default": []},
        "pages": {"type": "dict", "default": {}},
        "tidy": {"type": "list", "elements": "path", "default": []},
        "pending": {"type": "path", "required": True},
        "commands": {"type": "dict", "required": True},
        "seconds": {"type": "float", "default": 60},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    wanted = {path: content or None for path, content in module.params["files"].items()}
    files = {
        path: content
        for path, content in wanted.items()
        if path not in module.params["keep"] or not Path(path).exists()
    }
    waiting = sorted(str(path) for path in changes(wanted) if str(path) not in files)
    pages = module.params["pages"]
    commands = module.params["commands"]
    service = Service("Nginx", commands, module.params["seconds"])
    pending = Path(module.params["pending"])
    tidy = [Path(directory) for directory in module.params["tidy"]]
    former = {str(path): old or "" for path, (old, _new) in changes(files).items()}
    told = {
        path: (old, new if old else f"{len(new or '')} characters\n")
        for path, (old, new) in changes(pages, read_page).items()
    }
    different = {**told, **changes(files)}
    diff = [
        {"before": old or "", "after": new or "", "before_header": str(path), "after_header": str(path)}
        for path, (old, new) in different.items()
    ]
    try:
        if module.check_mode:
            changed = bool(different or any(map(is_empty, tidy))) or pending.exists() or not rests(files, service)
        else:
            changed = write_pages(pages)
            tried = {path: content for path, content in wanted.items() if path in waiting}
            changed = apply(files, pending, commands["test"], service, tried) or changed
            changed = remove_empty(tidy) or changed
    except (NginxError, ServiceError, OSError) as error:
        module.fail_json(msg=str(error), diff=diff, former=former)
    module.exit_json(changed=changed, diff=diff, waiting=waiting, former=former)


if __name__ == "__main__":
    main()
