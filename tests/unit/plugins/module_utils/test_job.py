"""Work that outlives who began it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.job import Job

CHECKOUT = Path(__file__).parents[4]
BEGIN = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from ansible_collections.intermission.django.plugins.module_utils.job import Job

def work(tell):
    tell({"number": 1})
    while not Path(sys.argv[1] + ".go").exists():
        time.sleep(0.01)
    return {"done": True}

Job(Path(sys.argv[1])).begin("migrate", work)
print("begun", flush=True)
"""


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def told(job: Job) -> dict[str, Any]:
    record = job.record()
    assert record is not None
    return record


def test_the_result_is_there_when_the_work_is_over(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json")
    assert job.record() is None
    job.begin("add", lambda tell: {"sum": 3})
    record = job.follow(0, 20)
    wait_until(lambda: not told(job)["running"])
    record = told(job)
    assert (record["name"], record["result"], record["error"], record["running"]) == ("add", {"sum": 3}, None, False)
    assert job.path.stat().st_mode & 0o777 == 0o600
    job.forget()
    assert job.record() is None


def test_work_that_ends_while_it_is_looked_at_has_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not over when its file was read, and its process is gone when that is looked for."""
    job = Job(tmp_path / "job.json")
    job.begin("add", lambda tell: {"sum": 3})
    wait_until(lambda: not told(job)["running"])
    over = job.path.read_text()
    job.path.write_text(json.dumps({**json.loads(over), "result": None}))

    def goes(process: dict[str, Any]) -> bool:
        job.path.write_text(over)
        return False

    monkeypatch.setattr("ansible_collections.intermission.django.plugins.module_utils.job._lives", goes)
    assert (told(job)["result"], told(job)["running"]) == ({"sum": 3}, False)


def test_it_outlives_who_began_it_and_is_followed_by_another(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    begun = subprocess.run(
        [sys.executable, "-c", BEGIN, str(path), str(CHECKOUT / "collections")],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert begun.stdout == "begun\n"
    job = Job(path)
    record = job.follow(0, 20)
    assert (record["progress"], record["running"]) == ({"number": 1}, True)
    assert os.getsid(record["process"]["pid"]) != os.getsid(0)
    assert job.follow(record["news"], 0)["news"] == record["news"]
    job.begin("another", lambda tell: {})
    assert told(job)["name"] == "migrate"
    path.with_name("job.json.go").touch()
    record = job.follow(record["news"], 20)
    assert (record["result"], record["running"]) == ({"done": True}, False)


def test_work_of_this_process_is_told_of_while_it_is_done_and_readable_to_whom_it_is_to_be(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json", 0o644)
    seen: list[bool] = []

    def work(tell: Any) -> dict[str, Any]:
        seen.append(told(Job(job.path))["running"])
        return {"sum": 3}

    assert job.do("add", work)["result"] == {"sum": 3}
    assert seen == [True]
    assert (told(job)["running"], told(job)["result"]) == (False, {"sum": 3})
    assert job.path.stat().st_mode & 0o777 == 0o644
    assert job.do("fail", lambda tell: {"sum": 1 // 0})["error"].startswith("ZeroDivisionError")


def test_why_work_came_to_nothing_can_be_noted(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json")
    job.do("add", lambda tell: {})
    job.path.write_text(job.path.read_text().replace('"result": {}', '"result": null'))
    job.give_up("was interrupted")
    assert (told(job)["running"], told(job)["error"]) == (False, "was interrupted")


def test_work_that_is_over_makes_room_for_other_work(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json")
    for name in ("one", "two"):
        job.begin(name, lambda tell: {})
        wait_until(lambda: not told(job)["running"])
        assert told(job)["name"] == name


def test_what_the_work_raised_is_told(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json")

    def work(tell: Any) -> dict[str, Any]:
        raise ValueError("no")

    job.begin("fail", work)
    wait_until(lambda: not told(job)["running"])
    record = told(job)
    assert (record["result"], record["error"]) == (None, "ValueError: no")
    assert "raise ValueError" in record["traceback"]


def test_a_process_that_is_gone_without_a_result_does_not_run(tmp_path: Path) -> None:
    job = Job(tmp_path / "job.json")

    def work(tell: Any) -> dict[str, Any]:
        time.sleep(600)
        return {}

    job.begin("sleep", work)
    record = told(job)
    assert record["running"]
    os.kill(record["process"]["pid"], signal.SIGKILL)
    record = job.follow(0, 20)
    assert (record["running"], record["result"], record["error"]) == (False, None, None)


@pytest.mark.parametrize("part", ["machine", "started"])
def test_a_process_of_the_same_number_is_another_one(tmp_path: Path, part: str) -> None:
    job = Job(tmp_path / "job.json")
    job.begin("one", lambda tell: {})
    wait_until(lambda: not told(job)["running"])
    content = json.loads(job.path.read_text())
    content["process"].update(pid=os.getpid())
    content.update(result=None)
    content["process"][part] = "another"
    job.path.write_text(json.dumps(content))
    assert not told(job)["running"]


def test_without_a_place_for_its_file_nothing_begins(tmp_path: Path) -> None:
    job = Job(tmp_path / "missing" / "job.json")

    def work(tell: Any) -> dict[str, Any]:
        (tmp_path / "begun").touch()
        return {}

    with pytest.raises(OSError, match="No such file"):
        job.begin("one", work)
    assert not (tmp_path / "begun").exists()


def test_a_full_disk_does_not_stop_the_work(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    """What the work tells is lost while the disk is full; its result is written as soon as there is room."""
    job = Job(tmp_path / "job.json")

    def work(tell: Any) -> dict[str, Any]:
        with full_disk(10):
            tell("x" * 1000)
        (tmp_path / "went on").touch()
        return {"done": True}

    job.begin("one", work)
    wait_until(lambda: not told(job)["running"])
    assert told(job)["result"] == {"done": True}
    assert (tmp_path / "went on").exists()
