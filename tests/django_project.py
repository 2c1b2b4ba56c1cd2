"""A small Django project, with two apps and an SQLite database, for tests that plan and run migrations."""

from __future__ import annotations

import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils import environment
from ansible_collections.intermission.django.plugins.module_utils.migrations import run

MANAGE = """
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")


def main():
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
"""
SETTINGS = """
import os

print("settings are noisy")
SECRET_KEY = os.environ["SHOP_SECRET"]
INSTALLED_APPS = ["tea", "cup"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
"""
MIGRATION = """
from django.db import migrations, models


def forwards(apps, schema_editor):
    raise RuntimeError("the tea is cold")


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = {dependencies!r}
    operations = [{operations}]
"""
ANSWERS = "stream = open(json.loads(sys.argv[2])['result'], 'w')\n"
COLUMNS = "[('id', models.AutoField(primary_key=True)), ('name', models.CharField(max_length=9))]"
CREATE = f"migrations.CreateModel('Leaf', {COLUMNS})"
ADD = "migrations.AddField('leaf', 'price', models.IntegerField(default=1))"
ADD_MORE = "migrations.AddField('leaf', 'stock', models.IntegerField(default=1))"
FAIL = "migrations.RunPython(forwards)"
ONE_WAY = "migrations.RunSQL('CREATE TABLE one_way (id integer)')"


class Project:
    """A Django project with two apps, tea and cup, and an SQLite database."""

    def __init__(self, path: Path) -> None:
        self.path = path / "project"
        self.database = path / "data" / "shop.sqlite3"
        self.database.parent.mkdir()
        self.backups = path / "backups"
        self.environment = path / "environment"
        measured = {name: os.environ[name] for name in ("COVERAGE_PROCESS_CONFIG",) if name in os.environ}
        shop = {"SHOP_SECRET": "$s3cret", "SHOP_DATABASE": self.database}
        self.environment.write_text(environment.dump({**shop, **measured}))
        for app in ("tea", "cup"):
            (self.path / app / "migrations").mkdir(parents=True)
            (self.path / app / "__init__.py").touch()
            (self.path / app / "migrations" / "__init__.py").touch()
        (self.path / "manage.py").write_text(MANAGE)
        (self.path / "settings.py").write_text(SETTINGS)
        self.add("cup", "0001_initial", CREATE)
        self.add("tea", "0001_initial", CREATE)

    def add(self, app: str, name: str, operations: str, after: str | None = None, atomic: bool = True) -> None:
        """Add a migration to an app."""
        dependencies = [(app, after)] if after else []
        text = MIGRATION.format(dependencies=dependencies, operations=operations, atomic=atomic)
        (self.path / app / "migrations" / f"{name}.py").write_text(text)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Plan."""
        request = {"verb": "plan", "database": "default", "targets": None, "backup_directory": None, **request}
        return run(sys.executable, str(self.path), str(self.environment), **request)

    def migrate(self, **request: Any) -> dict[str, Any]:
        """Migrate, with a backup."""
        backups = {"backup_directory": str(self.backups), "keep_backups": 5}
        return self.ask(verb="migrate", **{**backups, **request})

    def tables(self, database: Path | None = None) -> dict[str, list[str]]:
        """Give the columns of each table of the apps."""
        connection = sqlite3.connect(database or self.database)
        try:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
                for name in sorted(names)
                if not name.startswith(("django_", "sqlite_"))
            }
        finally:
            connection.close()


@dataclass(frozen=True)
class First:
    """The first migrations of a project: the database after them, and the answers to both verbs."""

    database: Path
    plan: dict[str, Any]
    result: dict[str, Any]


def fails_halfway(project: Project, name: str, after: str) -> None:
    """Add a migration that leaves a part of itself behind."""
    project.add("tea", name, f"{ADD_MORE}, {FAIL}", after=after, atomic=False)
