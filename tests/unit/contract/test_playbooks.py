"""What users call by name: playbooks, by path and by full name, and the documentation of each plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import forked_ansible

CHECKOUT = Path(__file__).parents[3]
PLAYBOOKS = sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml"))
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("[!_]*.py"))
FILTERS = sorted(path.stem for path in (CHECKOUT / "plugins" / "filter").glob("[!_]*.py"))
CALLBACKS = sorted(path.stem for path in (CHECKOUT / "plugins" / "callback").glob("[!_]*.py"))
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir())


def syntax_check(tmp_path: Path, *playbooks: str) -> str:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "intermission_selected: {hosts: {web1: }, children: {intermission_deployed: {hosts: {web1: }}}}\n"
    )
    ran = forked_ansible.run("ansible-playbook", "--syntax-check", "-i", str(inventory), *playbooks, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "WARNING" not in ran.stderr, ran.stderr
    return ran.stdout


def test_playbooks_by_path(tmp_path: Path) -> None:
    paths = [str(CHECKOUT / "playbooks" / f"{name}.yml") for name in PLAYBOOKS]
    said = syntax_check(tmp_path, str(CHECKOUT / "deploy.yml"), *paths)
    assert [line.partition(": ")[2] for line in said.splitlines() if line] == [str(CHECKOUT / "deploy.yml"), *paths]


def test_playbooks_by_full_name(tmp_path: Path) -> None:
    said = syntax_check(tmp_path, *(f"intermission.django.{name}" for name in PLAYBOOKS))
    assert said.count("playbook: ") == len(PLAYBOOKS)


@pytest.mark.parametrize("name", [*PLAYBOOKS, *ROLES, *MODULES, *FILTERS])
def test_names_can_be_called_by_full_name(name: str) -> None:
    assert name.isidentifier()
    assert name == name.lower()


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_has_no_logic(name: str) -> None:
    text = (CHECKOUT / "playbooks" / f"{name}.yml").read_text()
    assert "set_fact" not in text
    assert "shell" not in text
    for play in yaml.safe_load(text):
        assert play["name"]
        assert play.get("gather_facts", False) is False


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a11_a_playbook_lets_no_host_go_alone(name: str) -> None:
    """Whatever strategy the user's settings have."""
    for play in yaml.safe_load((CHECKOUT / "playbooks" / f"{name}.yml").read_text()):
        assert "import_playbook" in str(play) or play["strategy"] == "ansible.builtin.linear"
        assert "serial" not in play


@pytest.mark.parametrize(
    ("kind", "names"),
    [("module", MODULES), ("filter", FILTERS), ("callback", CALLBACKS), ("role", ROLES)],
)
def test_documentation(tmp_path: Path, kind: str, names: list[str]) -> None:
    full = [f"intermission.django.{name}" for name in names]
    ran = forked_ansible.run("ansible-doc", "--type", kind, "--json", *full, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "intermission" not in ran.stderr, ran.stderr
    documented: dict[str, Any] = json.loads(ran.stdout)
    assert sorted(documented) == sorted(full)
    assert [name for name, about in documented.items() if not about] == []
