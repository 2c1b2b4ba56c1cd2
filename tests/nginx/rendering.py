"""The role's own files, rendered by Ansible's own templating from the role's own variables and task."""

import json
import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, lookup_loader
from ansible.template import Templar

ROLES = Path(__file__).parents[2] / "roles"
MODULE = "intermission.django.nginx_files"
PAGES, POLICY = "__maintenance_page_rendered", "__maintenance_page_csp"
OF_NGINX_ALONE = {
    f"maintenance_page_{name}"
    for name in (
        *(
            "app_socket",
            "bypass_networks",
            "bypass_paths",
            "conf_dir",
            "cors_origins",
            "document_root",
            "form",
            "headers",
        ),
        *("health_during", "health_path", "intercept_errors", "listen", "server_extra", "snippet_dir", "static", "tls"),
    )
}


@dataclass(frozen=True)
class RenderedRole:
    """What the role maintenance_page puts on a host, by path: Nginx's configuration, and the pages."""

    files: dict[str, str]
    pages: dict[str, str]


def render(inventory: Mapping[str, Any]) -> RenderedRole:
    """Render the role for an inventory's variables, once for the same ones.

    It is done in another process, for Ansible's plugin loader changes how collections are imported in its own.
    """
    return RenderedRole(**json.loads(_in_other_process(json.dumps(inventory))))


@cache
def _in_other_process(inventory: str) -> str:
    return _other_process().submit(_render, inventory).result()


@cache
def _other_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Load Ansible's plugins, and leave out what takes half of a rendering: to compile templates again, and to copy all variables."""
    init_plugin_loader([])
    compiled: dict[tuple[object, ...], CodeType] = {}
    compile_template = jinja2.Environment.compile

    def compile_once(self: jinja2.Environment, source: str, *arguments: Any, **options: Any) -> Any:
        which = source, arguments, *options.items(), self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline
        if which not in compiled:
            compiled[which] = compile_template(self, source, *arguments, **options)
        return compiled[which]

    jinja2.Environment.compile = compile_once  # type: ignore[assignment, method-assign]
    sys.modules[lookup_loader.get("ansible.builtin.template").__module__].deepcopy = dict  # type: ignore[attr-defined]


def _render(inventory: str) -> str:
    """Render in the other process, from which Ansible's own errors cannot be brought back."""
    try:
        return _render_here(json.loads(inventory))
    except AnsibleError as error:
        raise RuntimeError(str(error)) from None


def _render_here(inventory: dict[str, Any]) -> str:
    (arguments,) = [task[MODULE] for task in _load("maintenance_page/tasks/install.yml") if MODULE in task]
    made = _pages(json.dumps({name: value for name, value in inventory.items() if name not in OF_NGINX_ALONE}))
    templar = Templar(loader=DataLoader(), variables={**_variables(inventory), **made})
    return json.dumps({name: templar.template(arguments[name]) for name in ("files", "pages")})


@cache
def _pages(inventory: str) -> dict[str, Any]:
    """Render what takes longest. Were it made from more of the inventory, that would be a variable which is not defined."""
    variables = _variables(json.loads(inventory))
    known = {name: value for name, value in variables.items() if name not in OF_NGINX_ALONE}
    templar = Templar(loader=DataLoader(), variables=known)
    known[PAGES] = templar.template(known[PAGES])
    return {PAGES: known[PAGES], POLICY: templar.template(known[POLICY])}


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
