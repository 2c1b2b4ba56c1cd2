"""Modules that run in one go on a host: in their order, until one fails."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
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
    ran = ansible_playbook(play([]).replace("steps: []", "alone: true"), **settings)
    assert ran.returncode != 0
    assert "one of the following is required: steps, stages" in " ".join((ran.stdout + ran.stderr).split())


def test_check_mode_changes_nothing(ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.touch()
    ran = ansible_playbook(play([service(words, "one"), service(words, "two")]), "--check", **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "changed: true" in ran.stdout
    assert words.read_text() == ""


HOSTS = ("web1", "web2", "web3")
INVENTORY = "\n".join(f"{host} ansible_connection=local ansible_python_interpreter={sys.executable}" for host in HOSTS)


def stages(words: Path, names: Sequence[str], **broken: str) -> list[dict[str, Any]]:
    """Give stages in which each host writes down a stage's name and the number of the Python that it is done by."""
    listed = []
    for name in names:
        reload = f"echo {name} {{{{ inventory_hostname }}}} $PPID >> {words}"
        reload = f"[ {broken.get(name)} != {{{{ inventory_hostname }}}} ] && {reload}"
        commands = {"start": "true", "stop": "true", "reload": reload, "status": "true"}
        service = {"name": name, "commands": commands, "state": "reloaded"}
        listed.append({"name": name, "steps": [{"intermission.django.app_service": service}]})
    return listed


def passage(listed: list[dict[str, Any]], **more: Any) -> str:
    """Write a play whose hosts go through stages, of which a failure fails all."""
    task = {"intermission.django.together": {"stages": listed, "hosts": list(HOSTS), **more}, "register": "answer"}
    said = {
        "ansible.builtin.debug": {
            "msg": "{{ inventory_hostname }} done={{ answer.done }} begun={{ answer.begun | join(',') }}"
        }
    }
    asks = {"name": "it", "commands": dict.fromkeys(("start", "stop", "reload", "status"), "true"), "state": "told"}
    there: dict[str, Any] = {"intermission.django.app_service": asks}  # So that the modules' copy is there
    there["when"] = "ansible_connection == 'local'"
    rescued = [there, {"block": [task], "rescue": [said]}, said]
    return yaml.dump([{"hosts": "all", "gather_facts": False, "any_errors_fatal": True, "tasks": rescued}])


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_hosts_go_through_stages_together(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, pipelining: str
) -> None:
    words = tmp_path / "words"
    names = ("one", "two", "three")
    ran = ansible_playbook(
        passage(stages(words, names)), inventory=INVENTORY, **settings, ANSIBLE_PIPELINING=pipelining
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = [line.split() for line in words.read_text().splitlines()]
    assert [line[0] for line in lines] == [name for name in names for _ in HOSTS]
    assert {(line[0], line[1]) for line in lines} == {(name, host) for name in names for host in HOSTS}
    pythons = {host: {line[2] for line in lines if line[1] == host} for host in HOSTS}
    assert {len(numbers) for numbers in pythons.values()} == ({1} if pipelining == "true" else {3})
    assert [ran.stdout.count(f"STEP  {name}\n") for name in names] == [1, 1, 1]
    assert "web1 done=True begun=one,two,three" in ran.stdout


def test_where_one_host_fails_none_begins_the_next_stage(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    words = tmp_path / "words"
    listed = stages(words, ("one", "two", "three"), two="web2")
    ran = ansible_playbook(passage(listed), inventory=INVENTORY, **settings)
    assert "two did not reload" in ran.stdout
    assert "stage: two" in ran.stdout
    assert sorted(line.split()[:2] for line in words.read_text().splitlines()) == [
        *(["one", host] for host in HOSTS),
        ["two", "web1"],
        ["two", "web3"],
    ]
    for host in HOSTS:
        assert f"{host} done=False begun=one,two" in ran.stdout


def test_more_hosts_than_processes_go_each_by_itself(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    words = tmp_path / "words"
    ran = ansible_playbook(
        passage(stages(words, ("one", "two")), alone=True), "--forks=1", inventory=INVENTORY, **settings
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line.split()[1] for line in words.read_text().splitlines()] == [host for host in HOSTS for _ in range(2)]
    assert "STEP  one\n" not in ran.stdout, "it would be said for each host"


def test_a_proof_is_asked_from_the_controller_in_a_stage_of_its_own(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    asks = {"url": "https://127.0.0.1:1/", "host": "shop.example", "expected": "closed", "ca": "~/$PLACE/ca.pem"}
    proof = {"intermission.django.maintenance_proof": asks}
    alone = ansible_playbook(
        passage([{"name": "one", "steps": [proof]}]), inventory=INVENTORY, **settings, PLACE="some", HOME=str(tmp_path)
    )
    assert f"maintenance_window_proof_ca '{tmp_path}/some/ca.pem' cannot be taken" in alone.stdout
    for wrong in (
        play([proof]),
        passage([{"name": "one", "steps": [proof, *stages(tmp_path, ["one"])[0]["steps"]]}]),
    ):
        ran = ansible_playbook(wrong, inventory=INVENTORY, **settings)
        assert "a step is one of app_hold, " in ran.stdout


def test_without_one_of_the_hosts_nothing_is_begun(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    words = tmp_path / "words"
    ran = ansible_playbook(passage(stages(words, ("one",))), "--limit=web1,web3", inventory=INVENTORY, **settings)
    assert ran.returncode != 0 or "rescued=2" in ran.stdout
    assert "web2 dropped out, and would serve the old code on the new database" in ran.stdout
    assert not words.exists()


def test_a_host_that_cannot_be_reached_stops_the_others(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    words = tmp_path / "words"
    away = INVENTORY.replace(
        "web2 ansible_connection=local", "web2 ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1"
    )
    ran = ansible_playbook(passage(stages(words, ("one", "two"))), inventory=away, **settings)
    assert "web2: UNREACHABLE!" in ran.stdout + ran.stderr or "unreachable=1" in ran.stdout
    assert "two" not in words.read_text()


def test_what_is_known_of_the_migrations_goes_into_a_note() -> None:
    noted = {"phase": "activate", "details": {"applied": None, "way": "window"}}
    assert together.filled(noted, {"applied": ["0002"]})["details"] == {"applied": ["0002"], "way": "window"}
    assert together.filled(noted, {})["details"] == {"way": "window"}
    assert together.filled({"root": "/srv"}, {"applied": ["0002"]}) == {"root": "/srv"}


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
