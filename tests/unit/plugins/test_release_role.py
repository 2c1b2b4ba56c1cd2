"""The stages of a deploy: all hosts end one before any begins the next, whether they can wait for each other in a task or not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.programs

ROLE = Path(__file__).parents[3] / "roles/django_release"
HOSTS = ("web1", "web2", "web3")
NAMES = ("one", "two", "three")


def play(words: Path) -> str:
    """Write a play that goes through stages in which hosts write down what they do: the second is the first host's alone."""
    stages = []
    for name in NAMES:
        write = f"echo {name} {{{{ inventory_hostname }}}} >> {words}"
        service = {"name": name, "commands": dict.fromkeys(("start", "stop", "status"), "true") | {"reload": write}}
        step: dict[str, Any] = {"intermission.django.app_service": {**service, "state": "reloaded"}}
        if name == "two":
            step["when"] = "{{ inventory_hostname == 'web1' }}"
        stages.append({"name": name, "steps": [step]})
    go = {
        "ansible.builtin.include_tasks": str(ROLE / "tasks/stages.yml"),
        "vars": {"__django_release_stages": stages, "__django_release_noted": {}},
    }
    files = [str(ROLE / "vars/main" / name) for name in ("main.yml", "stages.yml")]
    return yaml.dump([{"hosts": "all", "gather_facts": False, "vars_files": files, "tasks": [go]}])


@pytest.mark.parametrize(
    ("forks", "alike", "in_step"), [("5", True, True), ("1", True, False), ("2", True, False), ("5", False, False)]
)
def test_all_end_a_stage_before_any_begins_the_next(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    forks: str,
    alike: bool,
    in_step: bool,
) -> None:
    words = tmp_path / "words"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    shared = {"__intermission_hosts": list(HOSTS), "__django_release_go_alike": alike}
    inventory = {"all": {"vars": shared, "hosts": dict.fromkeys(HOSTS, host)}}
    ran = ansible_playbook(play(words), f"--forks={forks}", inventory=json.dumps(inventory))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    done = [tuple(line.split()) for line in words.read_text().splitlines()]
    assert [name for name, _ in done] == ["one", "one", "one", "two", "three", "three", "three"]
    assert {host for name, host in done if name == "three"} == set(HOSTS)
    assert ("STEP  two\n" in ran.stdout) is in_step
