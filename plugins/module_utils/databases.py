"""The database behind a connection of Django's, and the backups of it.

It runs inside the site's own Django, sent along with ``django_side``.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.engine import Database, compare, private
from ansible_collections.intermission.django.plugins.module_utils.engine_mysql import MySQL
from ansible_collections.intermission.django.plugins.module_utils.engine_postgresql import PostgreSQL
from ansible_collections.intermission.django.plugins.module_utils.engine_sqlite import SQLite

ENGINES: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL, "mysql": MySQL}


def database_of(connection: Any) -> Database:
    """Give the database behind a connection of Django's, by its vendor: GIS backends have that of their base."""
    return ENGINES.get(connection.vendor, Database)(connection)


def back_up(database: Database, directory: str, trial_megabytes: int) -> str:
    """Write a database's backup, whole or not at all; gives its path. Raises DatabaseFault and OSError.

    It is restored on trial where the database is not larger than so many megabytes.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    made = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    backup = os.path.join(directory, f"{backup_stem(database)}.{made}{database.suffix}")
    partial = f"{backup}.partial"
    with open(partial, "wb", opener=private):
        pass
    try:
        before = database.own_rows() if database.is_tried(trial_megabytes) else None
        database.dump(partial)
        if before is not None:
            compare(database.name, before, database.own_rows(), database.try_backup(partial, before))
        for path in (partial, directory):
            sync(path)
        os.replace(partial, backup)
        sync(directory)
    except BaseException:
        os.unlink(partial)
        raise
    return backup


def backup_stem(database: Database) -> str:
    """Give what the names of all backups of a database start with."""
    return re.sub(r"[^\w.-]", "_", os.path.basename(database.name))


def forget_backups(database: Database, made: str, keep: int) -> None:
    """Remove all but the newest backups of a database where one was ``made``, and nothing that is no backup.

    That one stays, also where its name is older than the others': the clock may have been ahead when they were made.
    """
    directory, newest = os.path.split(made)
    backup = re.compile(re.escape(backup_stem(database)) + r"\.\d{8}T\d{6}\.\d{6}Z" + re.escape(database.suffix))
    others = sorted(name for name in os.listdir(directory) if backup.fullmatch(name) and name != newest)
    for name in others[: max(len(others) + 1 - max(keep, 1), 0)]:
        os.unlink(os.path.join(directory, name))


def sync(path: str) -> None:
    """Make a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
