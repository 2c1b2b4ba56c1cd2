"""What the collection says of itself, to ansible-galaxy and to Ansible."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
GALAXY: dict[str, Any] = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
RUNTIME: dict[str, Any] = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
GALAXY_TAGS = {
    "application",
    "cloud",
    "database",
    "infrastructure",
    "linux",
    "monitoring",
    "networking",
    "security",
    "tools",
}


def test_the_checkout_is_the_collection() -> None:
    link = CHECKOUT / "collections" / "ansible_collections" / GALAXY["namespace"] / GALAXY["name"]
    assert (GALAXY["namespace"], GALAXY["name"]) == ("intermission", "django")
    assert link.is_symlink()
    assert link.resolve() == CHECKOUT.resolve()


@pytest.mark.parametrize(
    "key", ["namespace", "name", "version", "readme", "authors", "description", "license", "repository"]
)
def test_galaxy_yml_has(key: str) -> None:
    assert GALAXY[key]


def test_the_version_is_semantic() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", GALAXY["version"])


def test_a_tag_that_galaxy_knows() -> None:
    assert GALAXY_TAGS & set(GALAXY["tags"])


def test_nothing_is_depended_on() -> None:
    assert GALAXY["dependencies"] == {}


def test_the_ansible_that_is_required() -> None:
    assert RUNTIME["requires_ansible"] == ">=2.19.0"


@pytest.mark.parametrize("ansible", ["2.19", "2.20", "2.21"])
def test_the_one_thing_that_sanity_does_not_ask_is_the_gpl(ansible: str) -> None:
    ignored = (CHECKOUT / "tests" / "sanity" / f"ignore-{ansible}.txt").read_text().splitlines()
    plugins = sorted(path for kind in ("callback", "modules") for path in CHECKOUT.glob(f"plugins/{kind}/*.py"))
    assert ignored == [f"{path.relative_to(CHECKOUT)} validate-modules:missing-gplv3-license" for path in plugins]


@pytest.mark.parametrize("role", sorted(path.parent.parent.name for path in CHECKOUT.glob("roles/*/meta/main.yml")))
def test_roles_require_the_same(role: str) -> None:
    about = yaml.safe_load((CHECKOUT / "roles" / role / "meta" / "main.yml").read_text())["galaxy_info"]
    assert RUNTIME["requires_ansible"] == f">={about['min_ansible_version']}.0"
    assert [about["license"]] == GALAXY["license"]
