#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_server
short_description: Make a site's database and its user on the server of this host
version_added: 0.1.0
description:
  - Creates the user and the database, lets the clients in, on Debian's PostgreSQL or MariaDB. It has to run as root.
  - A user who is there and whom O(password) does not let in is refused, before anything changes, unless O(change_password) is set.
  - The server is restarted only where it listens to this host alone and other hosts have to reach it.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it, also where the server is not installed yet.
  diff_mode:
    support: full
    description: Shows what changes, without passwords.
options:
  engine:
    description: The server.
    type: str
    choices: [postgresql, mariadb]
    required: true
  name:
    description:
      - The database. One that is there and belongs to another user is refused.
      - MariaDB's databases have no owner; one that is there is refused where other users have rights on it and O(user) has none.
      - Backups are tried in a second one, C(NAME_trial), which the user gets too.
    type: str
    required: true
  user:
    description: The user that it belongs to.
    type: str
    required: true
  password:
    description: The user's password.
    type: str
    required: true
  change_password:
    description: Give a user who is there O(password) instead of the one that it has. Whoever logs in with the old one cannot from then on.
    type: bool
    default: false
  clients:
    description: Addresses, networks or names of the other hosts that connect. With none, the server's own host alone gets in.
    type: list
    elements: str
    default: []
  former_clients:
    description:
      - What becomes of those whom a former call let in and who are not among O(clients).
      - With V(kept) they still get in, because the live release may come from there; RV(former) names them. V(dropped) is for
        when the new release works, and ends their sessions. On MariaDB these are all of the user's accounts for other hosts.
    type: str
    choices: [kept, dropped]
    default: kept
  port:
    description: The port that PostgreSQL listens on; it names its unix socket too.
    type: int
    default: 5432
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Make the shop's database
  intermission.django.database_server:
    engine: postgresql
    name: shop
    user: shop
    password: "{{ vault_database_password }}"
    clients: [10.0.0.0/24]
"""

RETURN = r"""
done:
  description: What was done, or would be, in check mode.
  returned: always
  type: list
  elements: str
former:
  description: The records of pg_hba.conf, or MariaDB's accounts, that still let former clients in.
  returned: always
  type: list
  elements: str
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.database_server import (
    SERVERS,
    ServerError,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "engine": {"type": "str", "choices": ["postgresql", "mariadb"], "required": True},
        "name": {"type": "str", "required": True},
        "user": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "change_password": {"type": "bool", "default": False, "no_log": False},
        "clients": {"type": "list", "elements": "str", "default": []},
        "former_clients": {"type": "str", "choices": ["kept", "dropped"], "default": "kept"},
        "port": {"type": "int", "default": 5432},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    wanted = {
        key: module.params[key]
        for key in ("name", "user", "password", "change_password", "clients", "former_clients", "port")
    }
    try:
        server = SERVERS[module.params["engine"]](**wanted)
        if os.geteuid() != 0:
            module.fail_json(msg=f"{server.label} is set up by root: set ansible_become: true for this host")
        if not server.installed() and not module.check_mode:
            module.fail_json(msg=f"{server.label} is not installed on this host")
        done, diff, former = server.ensure(module.check_mode)
    except (ServerError, OSError) as error:
        module.fail_json(msg=str(error))
    if done:
        diff.append({"before": "", "after": "".join(f"{what}\n" for what in done)})
    module.exit_json(changed=bool(done), done=done, former=former, diff=diff)


if __name__ == "__main__":
    main()
