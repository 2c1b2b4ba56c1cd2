#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_migrate
short_description: Plan the migrations of a database, run them under its lock, or take them back
version_added: 0.1.0
description:
  - Asks the site's own Django, with the release's code, against the live database.
  - Migrating holds the database's migration lock and makes a backup before; a migration that fails is returned as C(failure)
    rather than failing the task, so that every host can act on it.
  - Migrating is a process of its own, which a controller that dies does not take with it; the next run follows it. O(job) tells of it.
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
  variables:
    description: Variables of the environment that come on top of those of O(environment_file).
    type: dict
    default: {}
  state:
    description:
      - Whether to plan, to migrate, or to take back what the last migrating has done.
      - V(followed) waits for news of what goes on already.
    type: str
    choices: [planned, migrated, undone, followed]
    default: planned
  job:
    description:
      - File that tells of the migrating, for root alone or whoever else runs this. Required unless O(state=planned).
      - With O(state=planned), what goes on still is waited for, up to O(lock_seconds).
    type: path
  name:
    description: The deploy that the migrating is of. What goes on under another name is not followed.
    type: str
    default: ""
  live:
    description: With O(state=migrated), the release that is live before; with O(state=undone), see O(before).
    type: str
    default: ""
  is_whole:
    description:
      - With O(state=planned) and O(job), the operator's word that no part is there any more of a migration that an earlier run has left
        halfway. It is noted, but with check mode.
    type: bool
    default: false
  before:
    description:
      - With O(state=undone), the migrations that were applied before, and whole.
      - For a host that has not migrated itself, and has no O(job) to know it from, because the one that has is gone.
    type: list
    elements: str
  news:
    description: How much news of the migrating is known already.
    type: int
    default: 0
  wait:
    description: How long to wait for the end, in seconds; with O(state=followed) for more news.
    type: float
    default: 5
  database:
    description: Alias of the database in Django's C(DATABASES).
    type: str
    default: default
  targets:
    description:
      - Last wanted migration of each app, to go back to; all apps that are not named are taken back to nothing.
      - Forwards to the end of the release's own migrations where it is left out.
    type: dict
  planned:
    description: With O(state=migrated), the migrations of the plan. Where others are pending by then, nothing is migrated.
    type: list
    elements: str
  stays:
    description:
      - With O(state=planned) and O(job), for how long who has planned is there to migrate at once, in seconds. Another process does it
        where that one has gone, or Django would have to be started in another way.
    type: float
    default: 0
  backup_directory:
    description:
      - Where to put a backup before migrating; none is made where it is left out.
      - Migrating makes the directory where it is missing. One that is there is left as it is, and O(user) has to be able to write in it.
    type: path
  keep_backups:
    description: How many backups to keep.
    type: int
    default: 5
  trial_megabytes:
    description: Up to which size of the database a backup is restored on trial beside it; 0 for none, which are read whole only.
    type: int
    default: 0
  restores:
    description: With O(state=undone), whether the backup may be restored where a migration cannot be reversed, or has taken data away.
    type: bool
    default: false
  lock_seconds:
    description: How long to wait for the database's migration lock, in seconds.
    type: float
    default: 0
  lock_timeout:
    description: How long a statement may wait for its locks, in seconds; 0 for no bound.
    type: float
    default: 0
  statement_timeout:
    description: How long a statement may take, in seconds; 0 for no bound.
    type: float
    default: 0
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
  returned: with O(state=planned) and O(state=migrated)
  type: str
vendor:
  description: What Django calls the engine's kind, V(sqlite), V(postgresql), V(mysql) (MariaDB too) or another.
  returned: with O(state=planned) and O(state=migrated)
  type: str
database:
  description: The database's name; the path of an SQLite database.
  returned: with O(state=planned) and O(state=migrated)
  type: str
host:
  description: The host of the database's server as the settings name it, or none.
  returned: with O(state=planned) and O(state=migrated)
  type: str
faults:
  description:
    - What stands against the pending migrations, or against the backup before them where O(backup_directory) is given;
      the backup is tried with the schema alone.
  returned: with O(state=planned) and O(state=migrated)
  type: list
  elements: str
pending:
  description:
    - The migrations that are not applied, each with C(app), C(name), C(label), C(operations), C(atomic), C(backwards) and C(reversible);
      and C(way), which is V(serving) or V(window), with what speaks for that in C(because).
  returned: with O(state=planned) and O(state=migrated)
  type: list
  elements: dict
unknown:
  description: Applied migrations that the release does not have, of the apps that it has.
  returned: with O(state=planned) and O(state=migrated)
  type: list
  elements: str
heads:
  description: The last migration of each app in this release.
  returned: with O(state=planned) and O(state=migrated)
  type: dict
restore:
  description: The shell commands that restore, on this host, the backup of this run or of one that did not finish.
  returned: with O(state=planned) and O(state=migrated)
  type: list
  elements: str
left:
  description:
    - Where O(job) is given, what a deploy has left that did not finish. C(halfway), whether a part of a migration may be in the database;
      C(parts), of which ones; and, each none where there is none, C(before), the migrations that were applied before, and C(backup), its path.
  returned: with O(state=planned)
  type: dict
running:
  description: Whether the migrating goes on; what follows is there when it is over.
  returned: unless O(state=planned)
  type: bool
news:
  description: How much news of it there was.
  returned: unless O(state=planned)
  type: int
progress:
  description:
    - What was told last, with C(stage); and with C(migration), C(number), C(of) and C(since) while a migration runs.
  returned: unless O(state=planned)
  type: dict
began:
  description: When it began, ISO 8601.
  returned: unless O(state=planned)
  type: str
before:
  description: The migrations that were applied before.
  returned: with O(state=migrated)
  type: list
  elements: str
live:
  description: The release that was live before, as O(live) named it.
  returned: unless O(state=planned)
  type: str
applied:
  description: What was applied or reversed.
  returned: with O(state=migrated)
  type: list
  elements: str
failure:
  description: What the migration raised, or none.
  returned: with O(state=migrated) and O(state=undone)
  type: str
failed_migration:
  description: The migration that failed, or none.
  returned: with O(state=migrated)
  type: str
traceback:
  description: Where it was raised, or none.
  returned: with O(state=migrated) and O(state=undone)
  type: str
seconds:
  description: How long the migrations took.
  returned: with O(state=migrated) and O(state=undone)
  type: float
started:
  description: Whether the schema may have been touched.
  returned: with O(state=migrated)
  type: bool
backup:
  description: Path of the backup.
  returned: with O(state=migrated)
  type: str
halfway:
  description: Whether a part of the migration that failed may be in the database, because it does not run in a transaction.
  returned: with O(state=migrated)
  type: bool
parts:
  description: The migrations of which a part may be there, by this run or one before that did not finish.
  returned: unless O(state=planned)
  type: list
  elements: str
undone:
  description: How it was taken back, V(nothing), V(reversed), V(applied) again where it was a rollback, or V(restored); empty where it was not.
  returned: with O(state=undone)
  type: str
"""


from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.migrating import WHOLE, Migrating
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
        "variables": {"type": "dict", "default": {}, "no_log": True},
        "user": {"type": "str"},
        "state": {"type": "str", "choices": ["planned", "migrated", "undone", "followed"], "default": "planned"},
        "job": {"type": "path"},
        "name": {"type": "str", "default": ""},
        "live": {"type": "str", "default": ""},
        "is_whole": {"type": "bool", "default": False},
        "before": {"type": "list", "elements": "str"},
        "news": {"type": "int", "default": 0},
        "wait": {"type": "float", "default": 5},
        "database": {"type": "str", "default": "default"},
        "targets": {"type": "dict"},
        "planned": {"type": "list", "elements": "str"},
        "stays": {"type": "float", "default": 0},
        "backup_directory": {"type": "path"},
        "keep_backups": {"type": "int", "default": 5},
        "trial_megabytes": {"type": "int", "default": 0},
        "restores": {"type": "bool", "default": False},
        "lock_seconds": {"type": "float", "default": 0},
        "lock_timeout": {"type": "float", "default": 0},
        "statement_timeout": {"type": "float", "default": 0},
    },
    "required_if": [("state", state, ("job",)) for state in ("migrated", "undone", "followed")],
    "supports_check_mode": True,
}
HOW = ("python", "project", "environment_file", "user", "variables")
WHAT = ("database", "targets", "planned", "backup_directory", "keep_backups", "trial_megabytes", "restores")
LIMITS = ("lock_seconds", "lock_timeout", "statement_timeout")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    how = {name: params[name] for name in HOW}
    request = {name: params[name] for name in (*WHAT, *LIMITS)}
    try:
        if params["state"] == "planned" and params["job"]:
            Migrating(Path(params["job"]), params["name"]).wait_for_former(params["lock_seconds"])
        if params["state"] == "planned" or module.check_mode:
            migrating = Migrating(Path(params["job"]), params["name"]) if params["job"] else None
            stays = 0 if module.check_mode or migrating is None else params["stays"]
            if migrating and params["is_whole"] and not module.check_mode:
                migrating.believe()
            left = {**(WHOLE if params["is_whole"] else migrating.left()), **migrating.kept()} if migrating else {}
            asked = {**request, "verb": "plan", "backup": left.get("backup")}
            plan = run(**how, standby=migrating.standby if migrating else None, stays=stays, **asked)
            changed = params["state"] == "migrated" and bool(plan["pending"])
            module.exit_json(changed=changed, left=left, **plan)
        migrating = Migrating(Path(params["job"]), params["name"])
        if params["state"] == "migrated":
            migrating.begin(how, {**request, "live": params["live"]})
        elif params["state"] == "undone":
            migrating.begin_undo(how, {**request, "before": params["before"], "live": params["live"]})
        wanted = params["news"] if params["state"] == "followed" else None
        told = migrating.wait(wanted, params["wait"])
    except PlaceError as error:
        module.fail_json(msg=f"The backup has no place: {error}", started=False)
    except (MigrationError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(told.get("applied")) or told.get("undone", "nothing") not in ("", "nothing"), **told)


if __name__ == "__main__":
    main()
