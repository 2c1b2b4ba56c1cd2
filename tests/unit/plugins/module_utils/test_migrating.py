"""Migrating goes on when its controller has died; who comes next follows it, and knows the way back."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.migrating import (
    DIED,
    RESTORED,
    WHOLE,
    Migrating,
    left_by,
)
from ansible_collections.intermission.django.plugins.module_utils.migrations import MigrationError

from django_project import ADD, ADD_MORE, FAIL, Project, fails_halfway

pytestmark = pytest.mark.programs

SLOW = """
from django.db import migrations
import pathlib, time


def forwards(apps, schema_editor):
    pathlib.Path({path!r} + ".here").touch()
    while not pathlib.Path({path!r}).exists():
        time.sleep(0.01)


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("tea", {after!r})]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
"""


class Waiting:
    """A migration that waits for a file."""

    def __init__(self, project: Project, name: str, after: str, atomic: bool = True) -> None:
        self.file = project.path / f"{name}.go"
        text = SLOW.format(path=str(self.file), after=after, atomic=atomic)
        (project.path / f"tea/migrations/{name}.py").write_text(text)

    def is_at_it(self) -> bool:
        return Path(f"{self.file}.here").exists()

    def go_on(self) -> None:
        self.file.touch()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return tmp_path / "job.json"


def how(project: Project) -> dict[str, Any]:
    return {"python": sys.executable, "project": str(project.path), "environment_file": str(project.environment)}


def request(project: Project, **more: Any) -> dict[str, Any]:
    return {"database": "default", "backup_directory": str(project.backups), **more}


def begin(project: Project, job: Path, name: str = "r1") -> Migrating:
    migrating = Migrating(job, name)
    migrating.begin(how(project), request(project))
    return migrating


def test_the_release_that_was_live_before_the_first_of_them_stays_the_way_back(migrated: Project, job: Path) -> None:
    """The second deploy finds the first one's release live on the host, and not proven to be so on all hosts."""
    before = ["cup.0001_initial", "tea.0001_initial"]
    for number, (live, after) in enumerate([("r0", "0001_initial"), ("r1", "0002_more")], 2):
        migrated.add("tea", f"000{number}_more", [ADD, ADD_MORE][number - 2], after=after)
        migrating = Migrating(job, f"r{number}")
        migrating.begin(how(migrated), request(migrated, live=live))
        told = migrating.wait(None, 60)
        assert (told["failure"], told["live"], told["before"]) == ("", "r0", before)
    migrating.begin_undo(how(migrated), request(migrated))
    undone = migrating.wait(None, 60)
    assert (undone["undone"], undone["live"]) == ("reversed", "r0")
    migrating.job.forget()
    migrating.begin(how(migrated), request(migrated, live="r1"))
    assert migrating.wait(None, 60)["live"] == "r1"


def test_a_host_that_has_not_migrated_takes_back_what_another_has(migrated: Project, job: Path) -> None:
    before = ["cup.0001_initial", "tea.0001_initial"]
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    assert migrated.migrate()["applied"] == ["tea.0002_price"]
    migrating = Migrating(job, "r1")
    with pytest.raises(MigrationError, match="it is not known which migrations were applied before"):
        migrating.begin_undo(how(migrated), request(migrated, before=None))
    migrating.begin_undo(how(migrated), request(migrated, before=before, live="r0"))
    told = migrating.wait(None, 60)
    assert (told["undone"], told["live"], told["failure"]) == ("reversed", "r0", "")
    assert migrated.tables()["tea_leaf"] == ["id", "name"]


def told_of(migrating: Migrating) -> dict[str, Any]:
    record = migrating.job.record()
    assert record is not None
    return record["progress"] or {}


def kill(migrating: Migrating, only_the_sites: bool = False) -> None:
    """End the process and the site's own below it, as a host does that runs out of power; or that one, as it does out of memory."""
    record = migrating.job.record()
    assert record is not None
    pid = record["process"]["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in (*([] if only_the_sites else [pid]), *map(int, children)):
        os.kill(process, signal.SIGKILL)


def test_a_short_one_is_over_at_once(migrated: Project, job: Path) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    told = begin(migrated, job).wait(None, 60)
    assert (told["running"], told["failure"], told["applied"]) == (False, "", ["tea.0002_price"])
    assert told["before"] == ["cup.0001_initial", "tea.0001_initial"]


def test_a_long_one_is_followed_by_whoever_comes(migrated: Project, job: Path) -> None:
    slow = Waiting(migrated, "0002_slow", "0001_initial")
    told = begin(migrated, job).wait(None, 0)
    assert told["running"]
    wait_until(slow.is_at_it)
    again = begin(migrated, job)
    wait_until(lambda: "migration" in told_of(again))
    news = again.wait(0, 60)
    assert (news["progress"]["migration"], news["progress"]["number"], news["progress"]["of"]) == (
        "tea.0002_slow",
        1,
        1,
    )
    assert again.wait(news["news"], 0)["news"] == news["news"]
    slow.go_on()
    told = again.wait(None, 60)
    assert (told["running"], told["failure"], told["applied"]) == (False, "", ["tea.0002_slow"])


def test_another_deploys_migrating_is_not_taken_for_ones_own(migrated: Project, job: Path) -> None:
    slow = Waiting(migrated, "0002_slow", "0001_initial")
    first = begin(migrated, job)
    wait_until(slow.is_at_it)
    with pytest.raises(MigrationError, match=r"at it still \(migrate r1, since "):
        begin(migrated, job, "r2")
    slow.go_on()
    first.wait(None, 60)
    assert begin(migrated, job, "r2").wait(None, 60)["failure"] == ""


@pytest.mark.parametrize("atomic", [True, False])
def test_that_the_sites_own_process_is_killed_is_told_as_a_failure_in_the_middle(
    migrated: Project, job: Path, atomic: bool
) -> None:
    slow = Waiting(migrated, "0002_slow", "0001_initial", atomic)
    migrating = begin(migrated, job)
    wait_until(slow.is_at_it)
    wait_until(lambda: told_of(migrating).get("migration") == "tea.0002_slow")
    kill(migrating, only_the_sites=True)
    told = migrating.wait(None, 60)
    assert (told["running"], told["failure"], told["started"]) == (False, "signal 9 has ended it", True)
    assert (told["before"], told["halfway"]) == (["cup.0001_initial", "tea.0001_initial"], not atomic)
    assert told["backup"]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_process_that_is_killed_is_told_and_the_way_back_is_kept(migrated: Project, job: Path, atomic: bool) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    slow = Waiting(migrated, "0003_slow", "0002_price", atomic)
    migrating = begin(migrated, job)
    wait_until(slow.is_at_it)
    wait_until(lambda: told_of(migrating).get("migration") == "tea.0003_slow")  # What it says comes a moment later
    kill(migrating)
    told = migrating.wait(None, 60)
    assert (told["running"], told["failure"], told["started"]) == (False, DIED, True)
    assert (told["before"], told["halfway"]) == (["cup.0001_initial", "tea.0001_initial"], not atomic)
    backup = told["backup"]
    slow.go_on()
    told = begin(migrated, job).wait(None, 60)
    assert (told["failure"], told["applied"], told["backup"]) == ("", ["tea.0003_slow"], backup)
    migrating.begin_undo(how(migrated), request(migrated))
    told = migrating.wait(None, 60)
    assert (told["undone"], told["failure"], told["before"]) == (
        "reversed",
        "",
        ["cup.0001_initial", "tea.0001_initial"],
    )
    assert migrated.tables()["tea_leaf"] == ["id", "name"]


def test_an_undo_that_is_killed_can_be_done_again(migrated: Project, job: Path) -> None:
    migrated.add("tea", "0002_price", ADD, after="0001_initial")
    migrating = begin(migrated, job)
    assert migrating.wait(None, 60)["applied"] == ["tea.0002_price"]
    settings = migrated.path / "settings.py"
    text = settings.read_text()
    settings.write_text(f"{text}\nimport time\ntime.sleep(600)\n")
    migrating.begin_undo(how(migrated), request(migrated))
    kill(migrating)
    assert migrating.wait(None, 60)["failure"] == DIED
    settings.write_text(text)
    migrating.begin_undo(how(migrated), request(migrated))
    assert migrating.wait(None, 60)["undone"] == "reversed"


def test_what_does_not_start_is_told_and_has_touched_nothing(migrated: Project, job: Path) -> None:
    (migrated.path / "settings.py").write_text("raise RuntimeError('the settings are bad')")
    told = begin(migrated, job).wait(None, 60)
    assert (told["started"], told["running"], told["before"]) == (False, False, None)
    assert "the settings are bad" in told["failure"]


def test_without_a_note_nothing_is_taken_back(migrated: Project, job: Path) -> None:
    with pytest.raises(MigrationError, match="not known which migrations were applied before"):
        Migrating(job, "r1").begin_undo(how(migrated), request(migrated))


def test_a_failure_is_the_result(migrated: Project, job: Path) -> None:
    migrated.add("tea", "0002_fail", FAIL, after="0001_initial")
    told = begin(migrated, job).wait(None, 60)
    assert (told["failure"], told["halfway"]) == ("RuntimeError: the tea is cold", False)


def test_a_part_that_one_run_has_left_is_there_for_the_next_that_fails_too(migrated: Project, job: Path) -> None:
    """That one runs in a transaction, and is another release's: it leaves nothing itself, and the database is not as it was."""
    fails_halfway(migrated, "0002_fail", "0001_initial")
    left = begin(migrated, job).wait(None, 60)
    part = {"halfway": True, "parts": ["tea.0002_fail"]}
    assert Migrating(job, "r2").left() == part
    migrated.add("tea", "0002_fail", f"{ADD_MORE}, {FAIL}", after="0001_initial")
    again = begin(migrated, job, "r2")
    told = again.wait(None, 60)
    assert told["failure"] == "RuntimeError: the tea is cold"
    assert (told["backup"], again.left()) == (left["backup"], part)
    again.begin_undo(how(migrated), request(migrated))
    kept = again.wait(None, 60)
    assert (kept["undone"], kept["halfway"]) == ("", True)
    assert kept["failure"].startswith("a part of a migration may be in the database")
    again.begin_undo(how(migrated), request(migrated, restores=True))
    back = again.wait(None, 60)
    assert (back["undone"], again.left()) == ("restored", WHOLE)
    assert migrated.tables()["tea_leaf"] == ["id", "name"]


def test_who_says_that_the_database_is_whole_is_believed(migrated: Project, job: Path) -> None:
    """Also by the one who takes back what comes next, without having migrated."""
    fails_halfway(migrated, "0002_fail", "0001_initial")
    first = begin(migrated, job)
    left = first.wait(None, 60)
    first.believe()
    again = Migrating(job, "r2")
    assert again.left() == WHOLE
    again.begin_undo(how(migrated), request(migrated))
    undone = again.wait(None, 60)
    assert (undone["undone"], undone["halfway"], undone["backup"]) == ("nothing", False, left["backup"])


def test_who_says_so_of_one_whose_process_is_gone_is_believed(migrated: Project, job: Path) -> None:
    slow = Waiting(migrated, "0002_slow", "0001_initial", atomic=False)
    migrating = begin(migrated, job)
    wait_until(slow.is_at_it)
    assert migrating.left() == WHOLE, "it still runs"
    wait_until(lambda: told_of(migrating).get("migration") == "tea.0002_slow")
    kill(migrating)
    assert migrating.wait(None, 60)["failure"] == DIED
    assert migrating.left() == {"halfway": True, "parts": ["tea.0002_slow"]}
    migrating.believe()
    assert migrating.left() == WHOLE


TOLD = {"migration": "tea.0003", "atomic": False, "parts": ["tea.0002"]}


@pytest.mark.parametrize(
    ("told", "applied", "parts"),
    [
        (TOLD, ["tea.0002"], ["tea.0003"]),
        (TOLD, [], ["tea.0002", "tea.0003"]),
        (TOLD, ["tea.0003"], ["tea.0002"]),
        ({**TOLD, "migration": "tea.0002"}, [], ["tea.0002"]),
        ({**TOLD, "atomic": True}, [], ["tea.0002"]),
        ({"parts": []}, [], []),
        ({"stage": "restoring", "atomic": False}, [], [RESTORED]),
        ({"stage": "restoring", "atomic": True, "parts": ["tea.0002"]}, [], ["tea.0002"]),
    ],
)
def test_what_is_left_by_one_that_came_to_no_end(told: dict[str, Any], applied: list[str], parts: list[str]) -> None:
    assert left_by(told, applied) == {"halfway": bool(parts), "parts": parts}


def test_a_part_is_there_where_the_database_could_not_be_asked_afterwards(migrated: Project, job: Path) -> None:
    """Its server is gone in the middle of a migration that is not atomic, and so is what tells how far it came."""
    lose = "editor.connection.settings_dict.update(NAME='/nowhere/at/all'), editor.connection.close()"
    gone = f"migrations.RunPython(lambda apps, editor: ({lose}))"
    migrated.add("tea", "0002_price", f"{ADD}, {gone}", after="0001_initial", atomic=False)
    migrating = begin(migrated, job)
    assert "unable to open database file" in migrating.wait(None, 60)["failure"]
    assert migrating.left() == {"halfway": True, "parts": ["tea.0002_price"]}


def test_a_way_back_that_stops_halfway_leaves_a_part_too(migrated: Project, job: Path) -> None:
    back = f"migrations.RunPython(migrations.RunPython.noop, forwards), {ADD}"
    migrated.add("tea", "0002_price", back, after="0001_initial", atomic=False)
    migrating = begin(migrated, job)
    assert migrating.wait(None, 60)["failure"] == ""
    migrating.begin_undo(how(migrated), request(migrated))
    assert migrating.wait(None, 60)["failure"] == "RuntimeError: the tea is cold"
    assert migrating.left() == {"halfway": True, "parts": ["tea.0002_price"]}
