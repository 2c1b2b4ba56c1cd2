"""Modules that run in one go on a host: in their order, until one fails."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.intermission.django.plugins.action import together

pytestmark = pytest.mark.programs

Playbook = Callable[..., subprocess.CompletedProcess[str]]


def service(path: Path, word: str, **more: Any) -> dict[str, Any]:
    """Give a step that writes a word down where its service is started."""
    commands = {
        "start": f"echo {word} >> {path}",
        "status": f"grep -qx {word} {path}",
        "stop": "true",
        "reload": "true",
    }
    return {
        "intermission.django.app_service": {"name": word, "commands": commands, "state": "started", "seconds": 1},
        **more,
    }


def play(steps: list[dict[str, Any]]) -> str:
    tasks = [
        {"intermission.django.together": {"steps": steps}, "register": "answer"},
        {"ansible.builtin.debug": {"var": "answer"}},
    ]
    return yaml.dump([{"hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks}])


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {"ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"), "ANSIBLE_NOCOLOR": "1"}


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_steps_are_done_in_their_order_but_those_that_are_not_wanted(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, pipelining: str
) -> None:
    words = tmp_path / "words"
    words.touch()
    steps = [service(words, "one"), service(words, "two", when="no"), service(words, "three", when="yes")]
    ran = ansible_playbook(play(steps), **settings, ANSIBLE_PIPELINING=pipelining)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert words.read_text().split() == ["one", "three"]
    assert "changed: true" in ran.stdout
    again = ansible_playbook(play(steps), **settings, ANSIBLE_PIPELINING=pipelining)
    assert "changed: false" in again.stdout
    assert "running: true" in again.stdout


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_after_one_that_fails_none_is_done(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, pipelining: str
) -> None:
    words = tmp_path / "words"
    words.touch()
    broken = service(words, "two")
    broken["intermission.django.app_service"]["commands"]["start"] = "echo out of order >&2; false"
    ran = ansible_playbook(
        play([service(words, "one"), broken, service(words, "three")]), **settings, ANSIBLE_PIPELINING=pipelining
    )
    assert ran.returncode != 0
    assert "two did not start" in ran.stdout
    assert "out of order" in ran.stdout
    assert words.read_text().split() == ["one"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"intermission.django.app_service": {"name": "two"}}, "missing required arguments: commands, state"),
        ({"ansible.builtin.command": {"cmd": "true"}}, "a step is one of app_hold, "),
        (
            {"intermission.django.release": {"root": "/srv"}, "intermission.django.app_hold": {}},
            "a step is one of app_hold, ",
        ),
        ({"intermission.django.release": "root=/srv"}, "a step is one of app_hold, "),
        ({"intermission.django.app_hold": {}, "when": "perhaps"}, "is not a valid boolean"),
    ],
)
def test_none_is_done_where_one_is_not_understood(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, step: dict[str, Any], said: str
) -> None:
    words = tmp_path / "words"
    words.touch()
    ran = ansible_playbook(play([service(words, "one"), step]), **settings)
    assert ran.returncode != 0
    assert said in " ".join(ran.stdout.split())
    assert words.read_text() == ""


def test_a_task_without_steps_is_refused(ansible_playbook: Playbook, settings: dict[str, str]) -> None:
    ran = ansible_playbook(play([]).replace("steps:", "stages:"), **settings)
    assert ran.returncode != 0
    assert "missing required arguments: steps" in " ".join((ran.stdout + ran.stderr).split())


def test_check_mode_changes_nothing(ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.touch()
    ran = ansible_playbook(play([service(words, "one"), service(words, "two")]), "--check", **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "changed: true" in ran.stdout
    assert words.read_text() == ""


def test_results_are_put_together() -> None:
    said = [
        {"changed": True, "running": True, "diff": {"before": "a"}},
        {"changed": False, "running": False, "phase": "close", "diff": [{"before": "b"}, {"before": "c"}]},
    ]
    result = together.merged(said)
    assert (result["changed"], result["running"], result["phase"]) == (True, False, "close")
    assert [diff["before"] for diff in result["diff"]] == ["a", "b", "c"]
    assert "diff" not in together.merged([{"changed": False}])


def test_the_documentation_names_the_modules_that_can_be_steps() -> None:
    module = importlib.import_module("ansible_collections.intermission.django.plugins.modules.together")
    text = json.dumps(yaml.safe_load(module.DOCUMENTATION)["options"]["steps"]["description"])
    assert [name for name in together.KNOWN if f"C({name})" not in text] == []
