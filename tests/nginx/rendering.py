"""The role's own files, rendered by Ansible's own templating from the role's own variables and task."""

import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

ROLES = Path(__file__).parents[2] / "roles"
MODULE = "intermission.django.nginx_files"
PAGES = "__maintenance_page_rendered"


@dataclass(frozen=True)
class RenderedRole:
    """What the role maintenance_page puts on a host, by path: Nginx's configuration, and the pages."""

    files: dict[str, str]
    pages: dict[str, str]


def render(inventory: Mapping[str, Any]) -> RenderedRole:
    """Render the role for an inventory's variables.

    It is done in another process, for Ansible's plugin loader changes how collections are imported in its own.
    """
    return RenderedRole(**json.loads(_other_process().submit(_render, dict(inventory)).result()))


@cache
def _other_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Load Ansible's plugins, and have each template compiled once: that is half of what a rendering takes."""
    init_plugin_loader([])
    compiled: dict[tuple[object, ...], CodeType] = {}
    compile_template = jinja2.Environment.compile

    def compile_once(self: jinja2.Environment, source: str, *arguments: Any, **options: Any) -> Any:
        which = source, arguments, *options.items(), self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline
        if which not in compiled:
            compiled[which] = compile_template(self, source, *arguments, **options)
        return compiled[which]

    jinja2.Environment.compile = compile_once  # type: ignore[assignment, method-assign]


def _render(inventory: dict[str, Any]) -> str:
    (arguments,) = [task[MODULE] for task in _load("maintenance_page/tasks/install.yml") if MODULE in task]
    variables = _variables(inventory)
    templar = Templar(loader=DataLoader(), variables=variables)
    # Rendered once: what the pages are made from stands in the files too, and takes longest
    variables[PAGES] = templar.template(variables[PAGES])
    return json.dumps({name: templar.template(arguments[name]) for name in ("files", "pages")})


def _variables(inventory: dict[str, Any]) -> dict[str, Any]:
    """Put the variables together in Ansible's order: defaults, inventory, the roles' vars."""
    role = ROLES / "maintenance_page"
    places = {
        "role_path": role,
        "playbook_dir": ROLES.parent / "playbooks",
        "inventory_dir": ROLES.parent / "inventory",
    }
    return {
        **_load("intermission/defaults/main.yml"),
        **_load("maintenance_page/defaults/main.yml"),
        **{name: str(path) for name, path in places.items()},
        "ansible_search_path": [str(role)],
        **inventory,
        **_load("intermission/vars/main.yml"),
        **_load("maintenance_page/vars/main/main.yml"),
    }


@cache
def _load(path: str) -> Any:
    """Read a YAML file of a role, its strings trusted as templates, as Ansible does."""
    return DataLoader().load_from_file(str(ROLES / path), trusted_as_template=True)
