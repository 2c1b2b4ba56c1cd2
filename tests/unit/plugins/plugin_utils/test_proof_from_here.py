"""The proof, where the controller asks: in the task's own process, and as the module would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.programs

Playbook = Callable[..., subprocess.CompletedProcess[str]]


def play(become: bool = False, environment: dict[str, str] | None = None, **arguments: Any) -> str:
    wanted = {"host": "shop.example", "seconds": 0, **arguments}
    tasks: list[dict[str, Any]] = [
        {"intermission.django.maintenance_proof": wanted, "register": "answer"},
        {"ansible.builtin.debug": {"var": "answer"}},
    ]
    if environment:
        tasks[0]["environment"] = environment
    return yaml.dump([{"hosts": "all", "gather_facts": False, "connection": "local", "become": become, "tasks": tasks}])


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {"ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "true"}


def test_no_python_is_started_to_ask(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, serve: Any, closed_answer: bytes
) -> None:
    server = serve(closed_answer)
    ran = ansible_playbook(play(url=server.url, expected="closed"), **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "seen: closed" in ran.stdout
    assert "changed: false" in ran.stdout
    assert [request.split()[0] for request in server.requests] == ["GET", "POST"]
    assert not (tmp_path / "remote").exists()


def test_another_account_asks_by_the_module(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, serve: Any, closed_answer: bytes
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nuntil [ "$1" = /bin/sh ]; do shift; done\nexec "$@"\n')
    sudo.chmod(0o755)
    server = serve(closed_answer)
    ran = ansible_playbook(
        play(become=True, url=server.url, expected="closed"),
        ANSIBLE_BECOME_EXE=str(sudo),
        ANSIBLE_PYTHON_INTERPRETER=sys.executable,
        **settings,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "seen: closed" in ran.stdout
    assert (tmp_path / "remote/intermission").is_dir()


def test_where_the_task_has_an_environment_it_holds(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, serve: Any, closed_answer: bytes
) -> None:
    server = serve(closed_answer)
    ran = ansible_playbook(
        play(environment={"SSL_CERT_FILE": "/none"}, url=server.url, expected="closed"),
        ANSIBLE_PYTHON_INTERPRETER=sys.executable,
        **settings,
    )
    assert "seen: closed" in ran.stdout
    assert (tmp_path / "remote/intermission").is_dir()


def test_what_is_not_proven_fails(ansible_playbook: Playbook, settings: dict[str, str], serve: Any, http: Any) -> None:
    server = serve(http(200, b"shop"))
    ran = ansible_playbook(play(url=server.url, expected="closed", methods=["GET"]), **settings)
    assert ran.returncode == 2
    assert f"not proven to be closed: GET {server.url}: answered 200, not 503" in ran.stdout


def test_a_wrong_argument_is_named(ansible_playbook: Playbook, settings: dict[str, str]) -> None:
    ran = ansible_playbook(play(url="http://127.0.0.1:1", expected="shut"), **settings)
    assert ran.returncode == 2
    assert "value of expected must be one of: closed, open, shared, any, got: shut" in " ".join(ran.stdout.split())


def test_a_ca_is_found_in_the_home_directory(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    ran = ansible_playbook(
        play(url="http://127.0.0.1:1", expected="closed", ca="~/none.pem"), HOME=str(tmp_path), **settings
    )
    assert f"maintenance_window_proof_ca '{tmp_path}/none.pem' cannot be taken" in " ".join(ran.stdout.split())
