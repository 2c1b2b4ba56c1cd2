"""What runs inside the site's own Django, with the release's Python: the plan of migrations, and migrating.

This file is fed to that Python on standard input (``migrations.run``), so that nothing is installed into the site. It takes
its request as one JSON argument and writes its result as JSON to the file that the request names.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import runpy
import sqlite3
import sys
import time
import traceback
from datetime import datetime, timezone
from typing import Any

SQLITE = "django.db.backends.sqlite3"


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
    taken back to nothing. Each entry has app, name, operations, backwards and reversible.
    """
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[alias])
    return [
        {
            "app": migration.app_label,
            "name": migration.name,
            "operations": [operation.describe() for operation in migration.operations],
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


def plan(alias: str, targets: dict[str, str] | None) -> dict[str, Any]:
    """Tell which database it is, what is pending on it, and where this release's migrations end."""
    from django.conf import settings

    database = settings.DATABASES[alias]
    return {
        "engine": database["ENGINE"],
        "database": str(database["NAME"]),
        "pending": pending(alias, targets),
        "unknown": unknown(alias),
        "heads": heads(),
    }


@contextlib.contextmanager
def migration_lock(database: str) -> Any:
    """Hold the database's migration lock: flock(2) on a file beside an SQLite database; the kernel frees it."""
    with open(f"{database}.migrate-lock", "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another migration of {database} is running") from error
        yield


def back_up(database: str, directory: str) -> str:
    """Copy an SQLite database while it is in use, and check that the copy is whole; gives its path."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    made = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    copy = os.path.join(directory, f"{os.path.basename(database)}.{made}")
    partial = f"{copy}.partial"
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.close(descriptor)
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(partial)) as target,
    ):
        source.backup(target)
        verdict = target.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise RuntimeError(f"the backup {partial} is damaged: {verdict}")
    with open(partial, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, copy)
    return copy


def forget_backups(database: str, directory: str, keep: int) -> None:
    """Remove all but the newest backups of a database, at least one, and nothing that is no backup."""
    backup = re.compile(re.escape(os.path.basename(database)) + r"\.\d{8}T\d{6}\.\d{6}Z")
    copies = sorted(name for name in os.listdir(directory) if backup.fullmatch(name))
    for name in copies[: -max(keep, 1)]:
        os.unlink(os.path.join(directory, name))


def migrate(
    alias: str, targets: dict[str, str] | None, backup_directory: str | None, keep_backups: int
) -> dict[str, Any]:
    """Migrate under the lock, after a backup; a failure is told, not raised, with what was done before it.

    ``started`` tells whether the schema may have been touched.
    """
    result: dict[str, Any] = plan(alias, targets)
    result.update(backup=None, applied=[], failure="", failed_migration=None, started=False, seconds=0.0)
    try:
        with migration_lock(result["database"]):
            before = pending(alias, targets)
            if backup_directory and before:
                result["backup"] = back_up(result["database"], backup_directory)
                forget_backups(result["database"], backup_directory, keep_backups)
            result["started"] = True
            started = time.monotonic()
            try:
                run_migrations(alias, before, targets)
            finally:
                result["seconds"] = round(time.monotonic() - started, 3)
                left = [f"{entry['app']}.{entry['name']}" for entry in pending(alias, targets)]
                names = [f"{entry['app']}.{entry['name']}" for entry in before]
                result["applied"] = [name for name in names if name not in left]
                result["failed_migration"] = next((name for name in names if name in left), None)
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
        result = plan(request["database"], request["targets"])
    else:
        result = migrate(request["database"], request["targets"], request["backup_directory"], request["keep_backups"])
    with open(request["result"], "w", encoding="utf-8") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    main()
