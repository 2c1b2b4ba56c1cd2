"""What visitors get while a run works on a site."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.controller import identity, process_started
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.site_probe import (
    NO_ANSWER,
    SLOW_SECONDS,
    Probe,
    Target,
    count,
)

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
        def observe(self, tls: ssl.SSLContext | None) -> str:
            asked.append(self.name)
            return super().observe(tls)

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


def test_it_ends_with_the_run_that_began_it_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as run:
        probe = Probe(tmp_path, identity(run.pid))
        probe.begin([NOWHERE], 50)
        record = probe.job.record()
        assert record is not None
        assert record["running"]
        run.kill()
    wait_until(lambda: not process_started(record["process"]["pid"]))
    assert [*tmp_path.iterdir()] == []


def test_it_ends_where_its_directory_has_been_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as run:
        probe = Probe(tmp_path / "cache", identity(run.pid))
        probe.begin([NOWHERE], 50)
        record = probe.job.record()
        assert record is not None
        shutil.rmtree(tmp_path / "cache")
        assert probe.end() is None
        run.kill()
    wait_until(lambda: not process_started(record["process"]["pid"]))


def test_what_others_have_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "loop.json").symlink_to("loop.json")
    ended = Job(tmp_path / "ended.json")
    ended.do("probe", lambda _tell: {})
    probe = Probe(tmp_path, identity(os.getpid()))
    probe.begin([NOWHERE], 50)
    assert {path.name for path in tmp_path.iterdir()} == {"empty.json", "loop.json", probe.job.path.name}
    probe.end()


def test_a_host_that_is_not_counted_is_told(tmp_path: Path) -> None:
    """What answers never, certificates that are not there, and a thread that cannot be had."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = Target("web1", f"http://127.0.0.1:{silent.getsockname()[1]}/", "shop.example.com")
        no_file = Target("web2", "https://127.0.0.1:1/", "shop.example.com", ca=str(tmp_path / "no.pem"))
        told = count([hangs, no_file], 50, lambda: False, seconds=SLOW_SECONDS + 0.5)
    assert told["hosts"]["web1"] == {NO_ANSWER: 1}
    assert told["longest_seconds"] > SLOW_SECONDS
    ((words, number),) = told["hosts"]["web2"].items()
    assert (words.startswith(f"not asked: {tmp_path}/no.pem: "), number) == (True, 1)


def test_a_rate_of_nothing_is_refused(run_module: Callable[..., dict[str, Any]]) -> None:
    target = {"name": "web1", "url": "http://127.0.0.1:1/", "host": "shop.example.com"}
    said = run_module(
        "site_probe", {"state": "started", "targets": [target], "rate": 0, "holder": identity(os.getpid())}
    )
    assert said["failed"]
    assert "rate is 0" in said["msg"]
