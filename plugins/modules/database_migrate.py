#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_migrate
short_description: Plan the migrations of a database, or run them under its lock
version_added: 0.1.0
description:
  - Asks the site's own Django, with the release's code, against the live database.
  - Migrating holds the database's migration lock and makes a backup before; a migration that fails is returned as C(failure) rather than failing the task, so that every host can act on it.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  python:
    description: The release's Python.
    type: path
    required: true
  project:
    description: Directory of C(manage.py).
    type: path
    required: true
  environment_file:
    description: The site's environment file.
    type: path
  state:
    description: Whether to plan or to migrate.
    type: str
    choices: [planned, migrated]
    default: planned
  database:
    description: Alias of the database in Django's C(DATABASES).
    type: str
    default: default
  targets:
    description:
      - Last wanted migration of each app, to go back to; all apps that are not named are taken back to nothing.
      - Forwards to the end of the release's own migrations where it is left out.
    type: dict
  backup_directory:
    description:
      - Where to put a backup before migrating; none is made where it is left out.
      - Migrating makes the directory where it is missing. One that is there is left as it is, and O(user) has to be able to write in it.
    type: path
  keep_backups:
    description: How many backups to keep.
    type: int
    default: 5
  user:
    description: The account that the site's code runs as; this one where it is not named.
    type: str
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: What is pending?
  intermission.django.database_migrate:
    python: /srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python
    project: /srv/shop/releases/1a2b3c4d5e6f
    environment_file: /srv/shop/environment
"""

RETURN = r"""
engine:
  description: Django's database engine.
  returned: always
  type: str
vendor:
  description: What Django calls the engine's kind, V(sqlite), V(postgresql), V(mysql) (MariaDB too) or another.
  returned: always
  type: str
database:
  description: The database's name; the path of an SQLite database.
  returned: always
  type: str
host:
  description: The host of the database's server as the settings name it, or none.
  returned: always
  type: str
faults:
  description: What stands against the pending migrations, or against the backup before them where O(backup_directory) is given; the backup is tried with the schema alone.
  returned: always
  type: list
  elements: str
pending:
  description: The migrations that are not applied, each with C(app), C(name), C(label), C(operations), C(atomic), C(backwards) and C(reversible).
  returned: always
  type: list
  elements: dict
unknown:
  description: Applied migrations that the release does not have, of the apps that it has.
  returned: always
  type: list
  elements: str
heads:
  description: The last migration of each app in this release.
  returned: always
  type: dict
applied:
  description: What was applied or reversed.
  returned: with O(state=migrated)
  type: list
  elements: str
failure:
  description: What the migration raised, or none.
  returned: with O(state=migrated)
  type: str
failed_migration:
  description: The migration that failed, or none.
  returned: with O(state=migrated)
  type: str
traceback:
  description: Where it was raised, or none.
  returned: with O(state=migrated)
  type: str
seconds:
  description: How long the migrations took.
  returned: with O(state=migrated)
  type: float
started:
  description: Whether the schema may have been touched.
  returned: with O(state=migrated)
  type: bool
backup:
  description: Path of the backup.
  returned: with O(state=migrated)
  type: str
restore:
  description: The shell commands that restore the backup on this host.
  returned: with O(state=migrated)
  type: list
  elements: str
halfway:
  description: Whether a part of the migration that failed may be in the database, because it does not run in a transaction.
  returned: with O(state=migrated)
  type: bool
"""


from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.migrations import (
    MigrationError,
    run,
)
from ansible_collections.intermission.django.plugins.module_utils.places import PlaceError

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "python": {"type": "path", "required": True},
        "project": {"type": "path", "required": True},
        "environment_file": {"type": "path"},
        "user": {"type": "str"},
        "state": {"type": "str", "choices": ["planned", "migrated"], "default": "planned"},
        "database": {"type": "str", "default": "default"},
        "targets": {"type": "dict"},
        "backup_directory": {"type": "path"},
        "keep_backups": {"type": "int", "default": 5},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    migrating = params["state"] == "migrated" and not module.check_mode
    try:
        result = run(
            params["python"],
            params["project"],
            params["environment_file"],
            params["user"],
            verb="migrate" if migrating else "plan",
            database=params["database"],
            targets=params["targets"],
            backup_directory=params["backup_directory"],
            keep_backups=params["keep_backups"],
        )
    except PlaceError as error:
        module.fail_json(msg=f"The backup has no place: {error}", started=False)
    except (MigrationError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    changed = bool(result["applied"]) if migrating else params["state"] == "migrated" and bool(result["pending"])
    module.exit_json(changed=changed, **result)


if __name__ == "__main__":
    main()
