"""What visitors get while a run works on a site."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.controller import identity
from ansible_collections.intermission.django.plugins.module_utils.site_probe import NAME, Probe, Target, count

Http = Callable[..., bytes]
Serve = Callable[..., Any]
REFUSED = "nobody listens there (connection refused)"
NOWHERE = Target("web2", "http://127.0.0.1:1/", "shop.example.com")


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def target(serve: Serve, answer: bytes) -> Target:
    return Target("web1", serve(answer).url, "shop.example.com")


def test_answers_are_counted_by_what_they_are_for_each_host(serve: Serve, http: Http) -> None:
    asked: list[str] = []

    class Counted(Target):
        def observe(self) -> str:
            asked.append(self.name)
            return super().observe()

    web1 = target(serve, http(200, b"shop"))
    counted = [Counted(web1.name, web1.url, web1.host), Counted(NOWHERE.name, NOWHERE.url, NOWHERE.host)]
    told = count(counted, 100, lambda: min(map(asked.count, ("web1", "web2"))) > 3)
    assert {name: set(seen) for name, seen in told["hosts"].items()} == {"web1": {"open"}, "web2": {REFUSED}}
    assert told["answers"] == {"open": told["hosts"]["web1"]["open"], REFUSED: told["hosts"]["web2"][REFUSED]}
    assert min(told["answers"].values()) >= 3
    assert told["longest_seconds"] >= 0


def test_it_ends_by_itself_when_its_time_is_over() -> None:
    assert set(count([NOWHERE], 100, lambda: False, seconds=0.3)["answers"]) == {REFUSED}


def test_what_was_counted_is_told_when_it_is_to_stop(tmp_path: Path, serve: Serve, http: Http) -> None:
    probe = Probe(tmp_path / "cache", identity(os.getpid()))
    probe.begin([target(serve, http(200, b"shop"))], 50)
    told = probe.end()
    assert told is not None
    assert set(told["answers"]) <= {"open"}
    assert [*(tmp_path / "cache").iterdir()] == []
    assert probe.end() is None


def test_it_ends_with_the_run_that_began_it_and_the_next_one_removes_what_is_left(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as run:
        probe = Probe(tmp_path, identity(run.pid))
        probe.begin([NOWHERE], 50)
        record = probe.job.record()
        assert record is not None
        assert record["running"]
        run.kill()
    wait_until(lambda: not (probe.job.record() or {})["running"])
    other = Probe(tmp_path, identity(os.getpid()))
    other.begin([NOWHERE], 50)
    assert [path.name for path in tmp_path.glob(NAME.format("*"))] == [NAME.format(os.getpid())]
    other.end()
