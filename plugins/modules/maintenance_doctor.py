#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_doctor
short_description: Find what would go wrong with a host's own Nginx configuration
version_added: 0.1.0
description:
  - Reads the configuration that Nginx dumps, the site's flag and pages, and who may read them, and names the traps that they would fall into.
  - The host is read with Python's standard library. The rules run on the controller, which needs the Python package C(crossplane).
attributes:
  check_mode:
    support: full
    description: Reads in check mode too.
  diff_mode:
    support: none
    description: Nothing changes.
options:
  dump:
    description: The command that makes Nginx test and print its configuration.
    type: str
    required: true
  state_root:
    description: Directory that holds the state directories of all sites on the host.
    type: path
    default: /var/lib/intermission
  site:
    description: The site's name.
    type: str
    required: true
  names:
    description: The site's host names.
    type: list
    elements: str
    required: true
  pages:
    description: Path of each page that the role makes, and the content that it would write now.
    type: dict
    default: {}
  worker_user:
    description: The user that Nginx's workers run as, where Nginx's configuration names none, or who asks is not root.
    type: str
    default: www-data
  rate:
    description: Requests a second at the busiest time, for which Nginx has to have connections.
    type: int
    default: 100
  seconds:
    description: How long the command may take, in seconds.
    type: float
    default: 60
  look:
    description: Used by the part that runs on the controller. Paths to look at, instead of all else.
    type: list
    elements: path
  configured_user:
    description: Used by the part that runs on the controller. The user that Nginx's configuration names; in a container it need not be one of the host's.
    type: str
    default: ""
  pid_file:
    description: Used by the part that runs on the controller. The file with the number of Nginx's main process.
    type: path
    default: /run/nginx.pid
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Look for traps
  intermission.django.maintenance_doctor:
    dump: nginx -T
    site: shop
    names: [shop.example.com]
  register: doctor
"""

RETURN = r"""
closed:
  description: Whether the flag is there.
  returned: success
  type: bool
read_only:
  description: Whether the window lets GET and HEAD go on to the app.
  returned: success
  type: bool
findings:
  description: What was found, each with C(id), C(severity), C(host), C(file), C(line), C(what), C(why) and C(fix).
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.doctor_host import dump, known_user, look, read
from ansible_collections.intermission.django.plugins.module_utils.service import ServiceError

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "dump": {"type": "str", "required": True},
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "names": {"type": "list", "elements": "str", "required": True},
        "pages": {"type": "dict", "default": {}},
        "worker_user": {"type": "str", "default": "www-data"},
        "rate": {"type": "int", "default": 100},
        "seconds": {"type": "float", "default": 60},
        "look": {"type": "list", "elements": "path"},
        "configured_user": {"type": "str", "default": ""},
        "pid_file": {"type": "path", "default": "/run/nginx.pid"},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    try:
        if params["look"] is not None:
            user = known_user(params["configured_user"], params["worker_user"])
            pid_file = params["pid_file"]
            module.exit_json(looks={path: look(path, user, pid_file) for path in params["look"]})
        reading = read(params["state_root"], params["site"], params["pages"])
        asked = {name: params[name] for name in ("site", "names", "rate", "worker_user")}
        module.exit_json(reading={**asked, **reading, **dump(params["dump"], params["seconds"])})
    except KeyError:
        module.fail_json(
            msg=f"maintenance_page_worker_user '{params['worker_user']}': there is no such user. "
            "Name the user of Nginx's workers, for instance www-data."
        )
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
