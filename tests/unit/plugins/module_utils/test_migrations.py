from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import environment
from ansible_collections.intermission.django.plugins.module_utils.databases import back_up
from ansible_collections.intermission.django.plugins.module_utils.engine_sqlite import SQLite
from ansible_collections.intermission.django.plugins.module_utils.migrations import (
    PLAN,
    RESULT,
    MigrationError,
    process_environment,
    run,
    understood,
)
from ansible_collections.intermission.django.plugins.module_utils.places import PlaceError

from django_project import ADD, ADD_MORE, ANSWERS, FAIL, MANAGE, ONE_WAY, SETTINGS, First, Project

pytestmark = pytest.mark.programs


def names(pending: list[dict[str, Any]]) -> list[str]:
    return [f"{entry['app']}.{entry['name']}" for entry in pending]


def test_plan(project: Project) -> None:
    project.add("tea", "0002_price", f"{ADD}, {ONE_WAY}", after="0001_initial")
    plan = project.ask()
    assert (plan["engine"], plan["database"]) == ("django.db.backends.sqlite3", str(project.database))
    assert plan["heads"] == {"tea": "0002_price", "cup": "0001_initial"}
    assert names(plan["pending"]) == ["cup.0001_initial", "tea.0001_initial", "tea.0002_price"]
    price = plan["pending"][-1]
    assert price["operations"] == ["Add field price to leaf", "Raw SQL operation"]
    assert (price["backwards"], price["reversible"]) == (False, False)
    assert plan["pending"][0]["reversible"] is True
    assert project.tables() == {}


def test_migrate_then_nothing_is_pending(project: Project) -> None:
    result = project.migrate()
    assert (result["failure"], result["failed_migration"], result["started"]) == ("", None, True)
    assert result["applied"] == ["cup.0001_initial", "tea.0001_initial"]
    assert project.tables() == {"cup_leaf": ["id", "name"], "tea_leaf": ["id", "name"]}
    again = project.migrate()
    assert (again["applied"], again["backup"], again["pending"]) == ([], None, [])
    assert len(list(project.backups.iterdir())) == 1


def test_the_backup_can_be_restored(migrated: Project) -> None:
    with sqlite3.connect(migrated.database) as connection:
        connection.execute("INSERT INTO tea_leaf (name) VALUES ('oolong')")
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    result = migrated.migrate()
    backup = Path(result["backup"])
    assert backup.parent == migrated.backups
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(migrated.backups.stat().st_mode) == 0o700
    assert migrated.tables()["tea_leaf"] == ["id", "name", "price"]

    backup.replace(migrated.database)
    assert migrated.tables()["tea_leaf"] == ["id", "name"]
    with sqlite3.connect(migrated.database) as connection:
        assert connection.execute("SELECT name FROM tea_leaf").fetchall() == [("oolong",)]
    assert names(migrated.ask()["pending"]) == ["tea.0002_price"]


def test_the_backup_is_of_a_database_in_use(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    reader = sqlite3.connect(migrated.database)
    reader.execute("PRAGMA journal_mode = WAL")
    reader.execute("INSERT INTO tea_leaf (name) VALUES ('still in the log')")
    reader.commit()
    result = migrated.migrate()
    reader.close()
    assert result["failure"] == ""
    with sqlite3.connect(result["backup"]) as connection:
        assert connection.execute("SELECT name FROM tea_leaf").fetchall() == [("still in the log",)]


def test_a_backup_never_takes_the_place_of_another(project: Project) -> None:
    sqlite3.connect(project.database).close()
    database = SQLite(SimpleNamespace(settings_dict={"NAME": project.database}))
    copies = {back_up(database, str(project.backups), 0) for _ in range(3)}
    assert len(copies) == len(list(project.backups.iterdir())) == 3


def test_old_backups_are_forgotten_and_other_files_are_not(project: Project) -> None:
    project.backups.mkdir()
    old = [f"shop.sqlite3.2020010{day}T000000.000000Z" for day in range(1, 5)]
    others = ["shop.sqlite3", "shop.sqlite3.mine", f"{old[0]}.partial", f"other{old[0]}"]
    for name in old + others:
        (project.backups / name).touch()
    result = project.migrate(keep_backups=2)
    assert {entry.name for entry in project.backups.iterdir()} == {old[-1], Path(result["backup"]).name, *others}


def test_a_failure_half_way_tells_what_was_done(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.add("tea", "0003_fail", f"{ADD_MORE}, {FAIL}", after="0002_price")
    migrated.add("tea", "0004_never", ONE_WAY, after="0003_fail")
    result = migrated.migrate()
    assert result["failure"] == "RuntimeError: the tea is cold"
    assert "in forwards" in result["traceback"]
    assert result["applied"] == ["tea.0002_price"]
    assert result["failed_migration"] == "tea.0003_fail"
    assert result["started"] is True
    assert migrated.tables()["tea_leaf"] == ["id", "name", "price"]
    assert migrated.tables(Path(result["backup"]))["tea_leaf"] == ["id", "name"]
    assert names(migrated.ask()["pending"]) == ["tea.0003_fail", "tea.0004_never"]


def test_a_database_that_is_gone_since_the_plan_is_not_made_anew(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    planned = [entry["label"] for entry in migrated.ask()["pending"]]
    kept = migrated.database.rename(migrated.database.with_suffix(".kept"))
    result = migrated.migrate(planned=planned)
    assert "cup.0001_initial, tea.0001_initial is pending now, and was not then" in result["failure"]
    assert (result["started"], result["backup"], migrated.tables()) == (False, None, {})
    kept.replace(migrated.database)
    assert migrated.migrate(planned=planned)["applied"] == planned == ["tea.0002_price"]
    assert migrated.migrate(planned=planned)["applied"] == []


def test_another_migration_holds_the_lock(project: Project) -> None:
    with Path(f"{project.database}.migrate-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = project.migrate()
    assert result["failure"] == f"another migration of {project.database} is running"
    assert (result["started"], result["applied"], result["backup"]) == (False, [], None)
    assert project.tables() == {}


def test_a_backup_that_cannot_be_made_stops_before_anything_is_touched(project: Project) -> None:
    project.backups.touch()
    with pytest.raises(PlaceError, match="backups is not a directory"):
        project.migrate()
    assert project.tables() == {}
    plan = project.ask(backup_directory=str(project.backups))
    assert plan["faults"] == [
        f"The backup has no place: {project.backups} is not a directory: remove it, or name another place"
    ]


def test_a_plan_makes_no_directory(project: Project) -> None:
    assert project.ask(backup_directory=str(project.backups))["faults"] == []
    assert not project.backups.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
def test_a_directory_that_is_there_is_never_given_to_the_account(project: Project, public_path: Path) -> None:
    answer = project.ask()
    python = public_path / "python"
    python.write_text(f"#!/usr/bin/python3\nimport json, sys\n{ANSWERS}json.dump({answer!r}, stream)\n")
    python.chmod(0o755)
    others, link = public_path / "others", public_path / "backups"
    others.mkdir()
    link.symlink_to(others)
    os.lchown(link, pwd.getpwnam("nobody").pw_uid, -1)
    for place, message in ((others, "nobody cannot write in it"), (link, "is a symlink that nobody has made")):
        arguments: dict[str, Any] = {
            "user": "nobody",
            "database": "default",
            "targets": None,
            "backup_directory": str(place),
        }
        plan = run(str(python), str(public_path), None, verb="plan", **arguments)
        assert [fault for fault in plan["faults"] if message in fault]
        with pytest.raises(PlaceError, match=message):
            run(str(python), str(public_path), None, verb="migrate", keep_backups=5, **arguments)
    assert (others.stat().st_uid, others.stat().st_mode & 0o777) == (0, 0o755)


def test_migrations_of_a_newer_release_are_told(project: Project) -> None:
    project.add("tea", "0002_price", ADD, after="0001_initial")
    project.migrate()
    assert project.ask()["unknown"] == []
    (project.path / "tea/migrations/0002_price.py").unlink()
    older = project.ask()
    assert (older["pending"], older["unknown"]) == ([], ["tea.0002_price"])


def test_back_to_targets(migrated: Project) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrated.add("tea", "0003_stock", ADD_MORE, after="0002_price")
    migrated.migrate()
    targets = {"tea": "0001_initial", "cup": "0001_initial"}
    result = migrated.migrate(targets=targets)
    assert names(result["pending"]) == ["tea.0003_stock", "tea.0002_price"]
    assert all(entry["backwards"] for entry in result["pending"])
    assert (result["failure"], result["applied"]) == ("", ["tea.0003_stock", "tea.0002_price"])
    assert migrated.tables() == {"cup_leaf": ["id", "name"], "tea_leaf": ["id", "name"]}
    assert migrated.ask(targets=targets)["pending"] == []


def test_an_app_that_is_no_target_is_taken_back_to_nothing(migrated: Project) -> None:
    result = migrated.migrate(targets={"tea": "0001_initial"}, backup_directory=None)
    assert (result["applied"], result["backup"]) == (["cup.0001_initial"], None)
    assert not migrated.backups.exists()
    assert list(migrated.tables()) == ["tea_leaf"]


def test_what_cannot_be_reversed_is_listed_and_left(migrated: Project) -> None:
    migrated.add("tea", "0002_one_way", ONE_WAY, after="0001_initial")
    migrated.add("tea", "0003_price", ADD, after="0002_one_way")
    migrated.migrate()
    targets = {"tea": "0001_initial", "cup": "0001_initial"}
    result = migrated.migrate(targets=targets)
    reversible = {entry["name"]: entry["reversible"] for entry in result["pending"]}
    assert reversible == {"0003_price": True, "0002_one_way": False}
    assert result["failure"].startswith("IrreversibleError")
    assert result["failed_migration"] == "tea.0002_one_way"


def test_a_target_that_the_release_does_not_know_is_told(migrated: Project) -> None:
    with pytest.raises(MigrationError, match="0009_unknown"):
        migrated.ask(targets={"tea": "0009_unknown", "cup": "0001_initial"})


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("settings.py", "raise RuntimeError('the settings are bad')", "the settings are bad"),
        ("settings.py", SETTINGS.replace("SHOP_SECRET", "SHOP_MISSING"), "SHOP_MISSING"),
        ("manage.py", "import sys; sys.exit('no settings for this host')", "no settings for this host"),
        ("tea/migrations/0002_bad.py", "import nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_a_project_that_does_not_start_is_told(project: Project, file: str, content: str, message: str) -> None:
    (project.path / file).write_text(content)
    with pytest.raises(MigrationError, match=message):
        project.ask()


def forged(answer: dict[str, Any], **more: Any) -> str:
    return json.dumps({**answer, **more})


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (
            lambda answer: forged(answer, ansible_facts={"django_release_service_extra": "ExecStartPre=+id"}),
            "ansible_facts",
        ),
        (lambda answer: forged(answer, pending=[{**answer["pending"][0], "more": 1}]), "(pending)"),
        (lambda answer: forged(answer, heads={"tea": ["0001"]}, faults="none"), "(faults, heads)"),
        (lambda answer: json.dumps({name: value for name, value in answer.items() if name != "host"}), "(host)"),
        (lambda answer: "[]", "another answer"),
        (lambda answer: "[" * 100000, "another answer"),
        (lambda answer: forged(answer) + " " * 2**24, "another answer"),
    ],
)
def test_an_answer_that_is_forged_is_refused(first: First, forge: Callable[[dict[str, Any]], str], said: str) -> None:
    for answer, shape in ((first.plan, PLAN), (first.result, RESULT)):
        assert understood(forged(answer).encode(), shape) == answer
        with pytest.raises(MigrationError, match=re.escape(said)):
            understood(forge(answer).encode(), shape)


FORGER = """
import json

dump = json.dump
json.dump = lambda result, stream: {forgery}
"""


@pytest.mark.parametrize(
    ("forgery", "said"),
    [
        ("dump({**result, 'ansible_facts': {'shell': 'id'}}, stream)", "ansible_facts"),
        ("stream.write(json.dumps(result) + ' ' * 2**24)", "another answer"),
    ],
)
def test_the_sites_code_cannot_forge_an_answer(project: Project, forgery: str, said: str) -> None:
    (project.path / "settings.py").write_text(SETTINGS + FORGER.replace("{forgery}", forgery))
    for ask in (project.ask, project.migrate):
        with pytest.raises(MigrationError, match=re.escape(said)):
            ask()


def test_a_manage_py_that_exits_is_understood(project: Project) -> None:
    (project.path / "manage.py").write_text(MANAGE.replace("    main()\n", "    sys.exit(main())\n"))
    assert len(project.ask()["pending"]) == 2


def test_a_python_without_django_is_told(project: Project) -> None:
    project.environment.write_text(environment.dump({"PYTHONPATH": str(project.path / "hides")}))
    (project.path / "hides" / "django").mkdir(parents=True)
    (project.path / "hides" / "django" / "__init__.py").write_text("raise ImportError('no django here')")
    with pytest.raises(MigrationError, match="no django here"):
        project.ask()


def test_the_environment_has_only_basics_and_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("AWS_SECRET", "of the one who deploys")
    known = process_environment(str(project.environment))
    assert known["SHOP_SECRET"] == "$s3cret"
    assert (known["PATH"], known["LANG"]) == (os.environ["PATH"], "C.UTF-8")
    assert "AWS_SECRET" not in known
    assert "SHOP_SECRET" not in process_environment(None)
