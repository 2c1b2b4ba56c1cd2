"""The way back of a deploy's own migrations, what a deploy that goes on keeps, and what is told meanwhile."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from django_project import ADD, ADD_MORE, CREATE, FAIL, ONE_WAY, Project, fails_halfway

pytestmark = pytest.mark.programs


def rows(project: Project) -> list[str]:
    with sqlite3.connect(project.database) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM tea_leaf ORDER BY id")]


def prices(project: Project) -> list[int]:
    with sqlite3.connect(project.database) as connection:
        return [row[0] for row in connection.execute("SELECT price FROM tea_leaf")]


def fill(project: Project, *names: str) -> None:
    with sqlite3.connect(project.database) as connection:
        connection.executemany("INSERT INTO tea_leaf (name) VALUES (?)", [(name,) for name in names])


def undo(project: Project, result: dict[str, Any], **request: Any) -> dict[str, Any]:
    kept = {name: result[name] for name in ("before", "backup", "halfway")}
    return project.ask(verb="undo", **{**kept, **request})


def test_just_what_the_run_applied_is_reversed(migrated: Project) -> None:
    migrated.add("cup", "0002_price", ADD.replace("leaf", "leaf"), after="0001_initial")
    migrated.migrate()
    fill(migrated, "oolong")
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.add("tea", "0003_fail", f"{ADD_MORE}, {FAIL}", after="0002_price")
    result = migrated.migrate()
    assert result["before"] == ["cup.0001_initial", "cup.0002_price", "tea.0001_initial"]
    undone = undo(migrated, result)
    assert (undone["undone"], undone["failure"]) == ("reversed", "")
    assert migrated.tables() == {"cup_leaf": ["id", "name", "price"], "tea_leaf": ["id", "name"]}
    assert rows(migrated) == ["oolong"]
    assert undo(migrated, result)["undone"] == "nothing"


def test_all_is_reversed_where_nothing_was_before(project: Project) -> None:
    project.add("tea", "0002_fail", FAIL, after="0001_initial")
    result = project.migrate(backup_directory=None)
    assert (result["before"], undo(project, result)["undone"]) == ([], "reversed")
    assert project.tables() == {}


@pytest.mark.parametrize("why", ["one way", "halfway"])
def test_the_backup_is_restored_where_it_may_be(migrated: Project, why: str) -> None:
    fill(migrated, "oolong", "assam")
    if why == "one way":
        migrated.add("tea", "0002_one_way", ONE_WAY, after="0001_initial")
        migrated.add("tea", "0003_fail", FAIL, after="0002_one_way")
    else:
        fails_halfway(migrated, "0002_fail", "0001_initial")
    result = migrated.migrate()
    assert result["halfway"] is (why == "halfway")
    with sqlite3.connect(migrated.database) as connection:
        connection.execute("DELETE FROM tea_leaf")
    said = "cannot be reversed" if why == "one way" else "a part of a migration may be in the database"
    refused = undo(migrated, result)
    assert refused["undone"] == ""
    assert said in refused["failure"]
    assert "django_migrate_restore: true" in refused["failure"]
    assert "there is no backup" in undo(migrated, result, restores=True, backup=None)["failure"]
    restored = undo(migrated, result, restores=True)
    assert (restored["undone"], restored["failure"]) == ("restored", "")
    assert migrated.tables()["tea_leaf"] == ["id", "name"]
    assert rows(migrated) == ["oolong", "assam"]
    assert "one_way" not in migrated.tables()


def test_a_way_back_that_ends_elsewhere_has_failed(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    result = migrated.migrate()
    result["before"].append("tea.0009_never")
    assert "afterwards other migrations were applied than before" in undo(migrated, result)["failure"]


def test_a_deploy_that_goes_on_keeps_the_way_back_of_the_one_that_died(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    first = migrated.migrate()
    migrated.add("tea", "0003_stock", ADD_MORE, after="0002_price")
    second = migrated.migrate(before=first["before"], backup=first["backup"])
    assert (second["applied"], second["before"], second["backup"]) == (
        ["tea.0003_stock"],
        first["before"],
        first["backup"],
    )
    assert len(list(migrated.backups.iterdir())) == 1
    assert undo(migrated, second)["undone"] == "reversed"
    assert migrated.tables()["tea_leaf"] == ["id", "name"]


def test_what_is_done_is_told_when_it_begins(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.add("tea", "0003_stock", ADD_MORE, after="0002_price")
    news: list[dict[str, Any]] = []
    result = migrated.migrate(tell=news.append)
    assert [piece["stage"] for piece in news] == ["backup", "migrating", "migrating", "migrating"]
    assert [(piece["migration"], piece["number"], piece["of"]) for piece in news[2:]] == [
        ("tea.0002_price", 1, 2),
        ("tea.0003_stock", 2, 2),
    ]
    for piece in news[1:]:
        assert (piece["before"], piece["backup"]) == (result["before"], result["backup"])
    news.clear()
    undo(migrated, result, tell=news.append)
    assert [(piece.get("migration"), piece.get("number")) for piece in news[1:]] == [
        ("tea.0003_stock", 1),
        ("tea.0002_price", 2),
    ]


@pytest.mark.parametrize(
    "line", ["{}", "[]", "no", '{"stage": 1}', '{"stage": "x", "ansible_facts": {}}', "[" * 100000]
)
def test_news_that_are_none_are_passed_over(project: Project, line: str) -> None:
    settings = project.path / "settings.py"
    forged = (
        f"import json, sys\nopen(json.loads(sys.orig_argv[-1])['news'], 'w', closefd=False).write({line!r} + chr(10))\n"
    )
    settings.write_text(settings.read_text() + forged)
    news: list[dict[str, Any]] = []
    project.ask(tell=news.append)
    assert news == []


def test_a_migration_waits_for_another_and_tells_so(project: Project) -> None:
    news: list[dict[str, Any]] = []
    with Path(f"{project.database}.migrate-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def tell(piece: dict[str, Any]) -> None:
            news.append(piece)
            if piece["stage"] == "waiting":
                fcntl.flock(lock, fcntl.LOCK_UN)

        result = project.migrate(lock_seconds=60, tell=tell)
    assert result["failure"] == ""
    assert [piece["stage"] for piece in news[:2]] == ["waiting", "backup"]


LOSES_ROWS = """
import sqlite3, sys

engine = sys.modules["ansible_collections.intermission.django.plugins.module_utils.engine_sqlite"].SQLite
dump = engine.dump


def lossy(self, path):
    dump(self, path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM tea_leaf")


engine.dump = lossy
"""


def test_a_backup_that_is_not_whole_stops_before_anything_is_touched(migrated: Project) -> None:
    fill(migrated, "oolong")
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    settings = migrated.path / "settings.py"
    settings.write_text(settings.read_text() + LOSES_ROWS)
    result = migrated.migrate(trial_megabytes=100)
    assert result["failure"].endswith("was tried, and is not whole: tea_leaf has 0 of 1 rows")
    assert (result["started"], result["backup"], list(migrated.backups.iterdir())) == (False, None, [])
    assert migrated.tables()["tea_leaf"] == ["id", "name"]
    assert migrated.migrate(trial_megabytes=0)["failure"] == ""


def test_a_backup_is_whole_although_the_site_goes_on_writing(migrated: Project) -> None:
    fill(migrated, "oolong")
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    settings = migrated.path / "settings.py"
    meanwhile = LOSES_ROWS.replace("connect(path)", "connect(self.name)").replace(
        "DELETE FROM tea_leaf", "INSERT INTO tea_leaf (name) VALUES ('assam')"
    )
    settings.write_text(settings.read_text() + meanwhile)
    assert migrated.migrate(trial_megabytes=100)["failure"] == ""
    assert rows(migrated) == ["oolong", "assam"]


MARK = "\n    intermission = {mark!r}\n    operations = ["


def mark(project: Project, name: str, mark: str) -> None:
    path = project.path / f"tea/migrations/{name}.py"
    path.write_text(path.read_text().replace("\n    operations = [", MARK.format(mark=mark)))


def way(project: Project, **request: Any) -> tuple[str, str]:
    entry = project.ask(**request)["pending"][-1]
    return entry["way"], entry["because"]


def test_the_author_says_which_way(migrated: Project) -> None:
    migrated.add("tea", "0002_fail", FAIL, after="0001_initial")
    assert way(migrated) == ("window", "nothing says that the code from before could live with it")
    mark(migrated, "0002_fail", "serving")
    assert way(migrated) == ("serving", "its author says so")
    path = migrated.path / "tea/migrations/0002_fail.py"
    path.write_text(path.read_text().replace("'serving'", "'hold'"))
    assert way(migrated) == ("hold", "its author says so")
    path.write_text(path.read_text().replace("'hold'", "'sometimes'"))
    with pytest.raises(
        Exception, match="tea.0002_fail is marked intermission = 'sometimes'; the ways are serving, hold, window"
    ):
        migrated.ask()


def test_what_goes_back_needs_a_window(migrated: Project) -> None:
    assert way(migrated, targets={"tea": "0001_initial"}) == ("window", "it goes back")


LINTER = """
class MigrationLinter:
    def __init__(self, database, no_output, all_warnings_as_errors):
        assert (database, no_output, all_warnings_as_errors) == ("default", True, True)
        self.nb_valid = 0

    def lint_migration(self, migration):
        if "bad" in migration.name:
            self.print_errors([Error("DROPPING columns"), Error("RENAMING tables")])
        elif "broken" in migration.name:
            raise ValueError(migration.name)
        elif "ignored" not in migration.name:
            self.nb_valid += 1


class Error:
    def __init__(self, message):
        self.message = message
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "0002_good",
            ("serving", "django-migration-linter finds nothing that the code from before could not live with"),
        ),
        ("0002_bad", ("window", "DROPPING columns; RENAMING tables")),
        (
            "0002_ignored",
            ("window", "django-migration-linter does not judge it"),
        ),
        (
            "0002_broken",
            ("window", "django-migration-linter failed: ValueError"),
        ),
    ],
)
def test_the_linter_has_its_say(migrated: Project, name: str, expected: tuple[str, str]) -> None:
    (migrated.path / "django_migration_linter.py").write_text(LINTER)
    migrated.add("tea", name, ADD, after="0001_initial")
    assert way(migrated) == expected


def test_what_was_reversed_is_applied_again_or_restored_with_what_was_in_it(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.migrate()
    with sqlite3.connect(migrated.database) as connection:
        connection.execute("INSERT INTO tea_leaf (name, price) VALUES ('oolong', 7)")
    result = migrated.migrate(targets={"tea": "0001_initial", "cup": "0001_initial"})
    assert (result["applied"], migrated.tables()["tea_leaf"]) == (["tea.0002_price"], ["id", "name"])
    again = undo(migrated, result)
    assert (again["undone"], again["failure"], prices(migrated)) == ("applied", "", [1])
    migrated.migrate(targets={"tea": "0001_initial", "cup": "0001_initial"})
    restored = undo(migrated, result, restores=True)
    assert (restored["undone"], restored["failure"], prices(migrated)) == ("restored", "", [7])


def squash(project: Project) -> None:
    """Squash the two migrations of the app, which has both."""
    (project.path / "tea/migrations/0001_squashed.py").write_text(f"""
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("tea", "0001_initial"), ("tea", "0002_price")]
    dependencies = []
    operations = [{CREATE}, {ADD}]
""")


@pytest.mark.parametrize("restores", [False, True])
def test_what_is_squashed_only_is_not_taken_back(migrated: Project, restores: bool) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.migrate()
    squash(migrated)
    migrated.add("cup", "0002_more", ADD_MORE, after="0001_initial")
    result = migrated.migrate()
    assert result["applied"] == ["cup.0002_more"]
    undone = undo(migrated, result, restores=restores)
    assert (undone["undone"], undone["failure"]) == ("reversed", "")
    assert migrated.tables() == {"cup_leaf": ["id", "name"], "tea_leaf": ["id", "name", "price"]}
    assert undo(migrated, result)["undone"] == "nothing"


def test_the_way_back_does_not_lead_over_what_was_there_before(migrated: Project) -> None:
    """Of a squash that stands for a migration from before and for one of this run."""
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    result = migrated.migrate()
    squash(migrated)
    undone = undo(migrated, result)
    assert undone["failure"].startswith("the way back leads over tea.0001_squashed, of which a part was there before")
    assert migrated.tables()["tea_leaf"] == ["id", "name", "price"]
    assert undo(migrated, result, restores=True)["undone"] == "restored"
    assert migrated.tables()["tea_leaf"] == ["id", "name"]
