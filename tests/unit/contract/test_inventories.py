"""The inventories that users read are the ones that are tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
ALTERNATIVE: dict[str, Any] = yaml.safe_load((CHECKOUT / "molecule/alternative/inventory/hosts.yml").read_text())
PLACES = re.compile(r"_(root|dir|directory|path|user|group|name|names|service|socket|listen|site|cache|command_path)$")

# Why a place keeps its default in the scenario
EXCUSED = {
    "django_database_name": "SQLite has none",
    "django_database_user": "SQLite has none",
    "django_migrate_user": "the playbooks give it",
    "maintenance_page_worker_user": "Debian's Nginx runs as www-data",
    "maintenance_page_app_socket": "it is django_release_socket",
    "django_release_socket_user": "Debian's Nginx runs as www-data",
    "maintenance_window_command_user": "no window is scheduled there",
}


def block(page: str) -> str:
    """Give the first inventory on a page."""
    found: list[str] = re.findall(r"```yaml\n(shop:.*?)```", (CHECKOUT / page).read_text(encoding="utf-8"), re.DOTALL)
    return found[0]


def options() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for spec in (CHECKOUT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"].values():
            found |= entry["options"]
    return found


def test_the_readmes_inventory_is_the_one_that_is_deployed_with() -> None:
    assert block("README.md") == (CHECKOUT / "molecule/deploy/inventory/hosts.yml").read_text(encoding="utf-8")


def test_the_first_deploys_inventory_is_the_example() -> None:
    assert (
        (CHECKOUT / "inventory/example/hosts.yml").read_text(encoding="utf-8").endswith(block("docs/first-deploy.md"))
    )


@pytest.mark.parametrize("page", ["README.md", "docs/first-deploy.md"])
def test_an_inventory_has_all_that_the_roles_require_and_nothing_unknown(page: str) -> None:
    site = yaml.safe_load(block(page))["shop"]["vars"]
    assert set(site) <= {*options(), "ansible_become"}
    given_by_the_playbooks = {"django_migrate_python", "django_migrate_project", "django_migrate_environment_file"}
    required = {name for name, option in options().items() if option.get("required")} - given_by_the_playbooks
    assert required <= set(site)


def test_an_application_from_elsewhere_needs_no_other_variables_than_the_example() -> None:
    files = ("molecule/published/inventory/hosts.yml", "inventory/example/hosts.yml")
    published, example = (next(iter(yaml.safe_load((CHECKOUT / file).read_text()).values())) for file in files)
    assert set(published["vars"]) - set(example["vars"]) == set()
    assert [host for host, its in published["hosts"].items() if its] == []


@pytest.mark.parametrize("name", sorted(name for name in options() if PLACES.search(name) and name not in EXCUSED))
def test_the_alternative_scenario_has_another_value_for(name: str) -> None:
    site = ALTERNATIVE["tearoom"]["vars"]
    assert name in site
    assert site[name] != options()[name].get("default")
