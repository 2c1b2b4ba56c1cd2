"""Who has planned migrates too, where it is still there and the same; else another process does, and there are never two."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import migrations, standby

from django_project import Project

pytestmark = pytest.mark.programs

WRITES_DOWN_ITS_STARTS = """
with open({path!r}, "a") as stream:
    print(os.getpid(), file=stream)
"""
FIRST = ["cup.0001_initial", "tea.0001_initial"]


class Standing:
    """A project that writes down which processes have started its Django, and the socket at which one waits."""

    def __init__(self, project: Project, path: Path) -> None:
        self.project = project
        self.socket = path / "standby.sock"
        self.starts = path / "starts"
        settings = project.path / "settings.py"
        settings.write_text(settings.read_text() + WRITES_DOWN_ITS_STARTS.format(path=str(self.starts)))

    def plan(self, seconds: float = 60, **request: Any) -> int:
        """Plan, and give the process that stays."""
        plan = self.project.ask(standby=self.socket, stays=seconds, **request)
        assert [entry["label"] for entry in plan["pending"]] == FIRST
        return self.processes()[-1]

    def migrate(self) -> None:
        result = self.project.migrate(standby=self.socket)
        assert (result["applied"], result["failure"]) == (FIRST, "")

    def processes(self) -> list[int]:
        return [int(line) for line in self.starts.read_text().splitlines()]


@pytest.fixture
def standing(project: Project, tmp_path: Path) -> Iterator[Standing]:
    made = Standing(project, tmp_path)
    yield made
    standby.dismiss(made.socket)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_has_planned_migrates_and_ends(standing: Standing) -> None:
    process = standing.plan()
    assert lives(process)
    assert standing.socket.stat().st_mode & 0o777 == 0o600
    standing.migrate()
    assert standing.processes() == [process]
    assert not standing.socket.exists()
    wait_until(lambda: not lives(process))


def test_without_time_to_stay_nobody_does(standing: Standing) -> None:
    process = standing.plan(seconds=0)
    assert not lives(process)
    assert not standing.socket.exists()


def test_who_was_not_needed_in_its_time_ends(standing: Standing) -> None:
    process = standing.plan(seconds=0.05)
    wait_until(lambda: not lives(process))
    standing.migrate()
    assert len(standing.processes()) == 2


def test_who_is_dismissed_ends(standing: Standing) -> None:
    process = standing.plan()
    standby.dismiss(standing.socket)
    wait_until(lambda: not lives(process))
    assert not standing.socket.exists()
    standby.dismiss(standing.socket)


def test_one_that_plans_takes_the_place_of_another(standing: Standing) -> None:
    former = standing.plan()
    process = standing.plan()
    wait_until(lambda: not lives(former))
    standing.migrate()
    assert standing.processes() == [former, process]


@pytest.mark.parametrize("changed", ["environment", "variables", "program"])
def test_who_is_another_one_does_not_migrate(standing: Standing, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    process = standing.plan(variables={"GREETING": "good morning"} if changed == "variables" else None)
    if changed == "environment":
        with standing.project.environment.open("a") as stream:
            stream.write('SHOP_GREETING="good morning"\n')
    if changed == "program":
        monkeypatch.setattr(migrations, "PROGRAM", f"{migrations.PROGRAM}# of another version")
    standing.migrate()
    assert len(standing.processes()) == 2
    wait_until(lambda: not lives(process))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stuck"])
def test_who_does_not_answer_does_not_migrate_later_either(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    monkeypatch.setattr(standby, "ANSWER_SECONDS", 0.05)
    process = standing.plan()
    os.kill(process, end)
    standing.migrate()
    assert len(standing.processes()) == 2
    if end == signal.SIGSTOP:
        os.kill(process, signal.SIGCONT)
    wait_until(lambda: not lives(process))


def test_where_there_can_be_no_socket_nobody_stays(standing: Standing, tmp_path: Path) -> None:
    standing.socket = tmp_path / ("long" * 40) / "standby.sock"
    process = standing.plan()
    wait_until(lambda: not lives(process))
    standing.migrate()
    assert len(standing.processes()) == 2


def test_who_fails_says_so(standing: Standing) -> None:
    standing.plan()
    project = standing.project
    project.add("tea", "0002_fails", "migrations.RunPython(forwards)", after="0001_initial")
    result = project.migrate(standby=standing.socket)
    assert result["failure"] == "RuntimeError: the tea is cold"
    assert len(standing.processes()) == 1
