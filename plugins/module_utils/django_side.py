"""What runs inside the site's own Django, with the release's Python: the plan of migrations, and migrating.

This file and ``databases`` are fed to that Python on standard input (``migrations.program``), so that nothing is installed
into the site. It takes its request as one JSON argument and writes its result as JSON to the descriptor that the request names.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
import time
import traceback
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.databases import (
    DatabaseFault,
    back_up,
    database_of,
    forget_backups,
)


def set_up_django() -> None:
    """Start Django in the way the project's manage.py does, whatever it sets or reads before."""
    sys.path.insert(0, os.getcwd())
    sys.argv = ["manage.py", "version"]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def heads() -> dict[str, str]:
    """Give the last migration of each app in this release's code."""
    from django.db.migrations.loader import MigrationLoader

    return dict(MigrationLoader(None).graph.leaf_nodes())


def pending(alias: str, targets: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """List the migrations that are to be applied, in order, or to be reversed where the targets lie behind.

    ``targets`` maps an app to its last wanted migration, this release's own by default; apps that it does not name are
    taken back to nothing. Each entry has app, name, label (both), operations, atomic,
    backwards and reversible.
    """
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    connection = connections[alias]
    executor = MigrationExecutor(connection)
    return [
        {
            "app": migration.app_label,
            "name": migration.name,
            "label": f"{migration.app_label}.{migration.name}",
            "operations": [str(operation.describe()) for operation in migration.operations],
            "atomic": bool(migration.atomic and connection.features.can_rollback_ddl),
            "backwards": backwards,
            "reversible": all(operation.reversible for operation in migration.operations),
        }
        for migration, backwards in executor.migration_plan(target_nodes(executor.loader, targets))
    ]


def target_nodes(loader: Any, targets: dict[str, str] | None) -> list[tuple[str, str | None]]:
    """Give the nodes of the migration graph that the plan has to end at."""
    leaves: list[tuple[str, str | None]] = loader.graph.leaf_nodes()
    if targets is None:
        return leaves
    return [(app, targets.get(app)) for app, name in leaves if targets.get(app) != name]


def unknown(alias: str) -> list[str]:
    """List applied migrations that this release's code does not have, of the apps that it has: a newer one made them."""
    from django.db import connections
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connections[alias])
    replaced = {name for migration in loader.disk_migrations.values() for name in migration.replaces}
    known = {*loader.disk_migrations, *replaced}
    return [
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in loader.migrated_apps and (app, name) not in known
    ]


def plan(alias: str, targets: dict[str, str] | None, backup: bool) -> dict[str, Any]:
    """Tell which database it is, what stands against migrating it, what is pending, and where the migrations end."""
    from django.db import connections

    connection = connections[alias]
    database = database_of(connection)
    entries = pending(alias, targets)
    return {
        "engine": connection.settings_dict["ENGINE"],
        "vendor": connection.vendor,
        "database": database.name,
        "host": database.host,
        "pending": entries,
        "unknown": unknown(alias),
        "heads": heads(),
        "faults": database.faults(backup) if entries else [],
    }


def migrate(
    alias: str, targets: dict[str, str] | None, backup_directory: str | None, keep_backups: int
) -> dict[str, Any]:
    """Migrate under the lock, after a backup; a failure is told, not raised, with what was done before it.

    ``started`` tells whether the schema may have been touched, ``halfway`` whether a part of the migration that failed
    may be there.
    """
    from django.db import connections

    connection = connections[alias]
    database = database_of(connection)
    result: dict[str, Any] = plan(alias, targets, bool(backup_directory))
    result.update(backup=None, restore=[], applied=[], failure="", failed_migration=None, halfway=False)
    result.update(started=False, seconds=0.0, traceback="")
    try:
        if result["faults"]:
            raise DatabaseFault("; ".join(result["faults"]))
        with database.lock():
            before = pending(alias, targets)
            tables = set(connection.introspection.table_names())
            if backup_directory and before:
                connection.close()  # a long backup must not leave it to a server's or a firewall's idle timeout
                result["backup"] = back_up(database, backup_directory)
                forget_backups(database, backup_directory, keep_backups)
            result["started"] = True
            started = time.monotonic()
            try:
                run_migrations(alias, before, targets)
            finally:
                result["seconds"] = round(time.monotonic() - started, 3)
                if result["backup"]:
                    created = sorted(set(connection.introspection.table_names()) - tables)
                    result["restore"] = database.restore(result["backup"], created)
                left = [entry["label"] for entry in pending(alias, targets)]
                result["applied"] = [entry["label"] for entry in before if entry["label"] not in left]
                failed = next((entry for entry in before if entry["label"] in left), None)
                if failed:
                    result.update(failed_migration=failed["label"], halfway=not failed["atomic"])
    except DatabaseFault as error:
        result["failure"] = str(error)
    except Exception as error:
        result["failure"] = f"{type(error).__name__}: {error}"
        result["traceback"] = traceback.format_exc()[-4000:]
    return result


def run_migrations(alias: str, planned: list[dict[str, Any]], targets: dict[str, str] | None) -> None:
    """Run Django's own migrate command: forwards to the end, or each app back to its target."""
    from django.core.management import call_command

    options: dict[str, Any] = {"database": alias, "interactive": False, "verbosity": 0}
    if targets is None:
        call_command("migrate", **options)
        return
    for app in dict.fromkeys(entry["app"] for entry in planned):
        call_command("migrate", app, targets.get(app, "zero"), **options)


def main() -> None:
    """Answer the request in the first argument."""
    request = json.loads(sys.argv[1])
    set_up_django()
    if request["verb"] == "plan":
        result = plan(request["database"], request["targets"], bool(request["backup_directory"]))
    else:
        result = migrate(request["database"], request["targets"], request["backup_directory"], request["keep_backups"])
    with open(request["result"], "w", encoding="utf-8") as stream:
        json.dump(result, stream)
