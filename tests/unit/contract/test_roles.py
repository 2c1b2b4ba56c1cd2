"""What the roles promise: every input is specified, documented in its README, used, and named after its role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from docs import roles

CHECKOUT = Path(__file__).parents[3]
ROLES = sorted(path for path in (CHECKOUT / "roles").iterdir() if path.is_dir())
PRODUCT = ("roles", "playbooks")
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@cache
def read(path: Path) -> Any:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def defaults(role: Path) -> dict[str, Any]:
    values: dict[str, Any] = read(role / "defaults" / "main.yml")
    return values


def commented(role: Path) -> set[str]:
    """Give the variables that defaults/main.yml names in comments: required ones, with an example."""
    text = (role / "defaults" / "main.yml").read_text()
    return set(re.findall(rf"^# ({role.name}_\w+): \S", text, re.MULTILINE))


def entry_points(role: Path) -> dict[str, Any]:
    specified: dict[str, Any] = read(role / "meta" / "argument_specs.yml")["argument_specs"]
    return specified


def options(role: Path) -> dict[str, Any]:
    """Give the options of all entry points of a role."""
    return {name: spec for point in entry_points(role).values() for name, spec in point["options"].items()}


def tasks(role: Path) -> Iterator[dict[str, Any]]:
    """Give all tasks of a role, also those in blocks."""
    queue = [task for path in sorted(role.glob("[th]a*/*.yml")) for task in read(path)]
    while queue:
        task = queue.pop(0)
        queue += [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]
        yield task


def test_there_are_roles() -> None:
    assert [role.name for role in ROLES if options(role) and list(tasks(role))] == [role.name for role in ROLES]
    assert ROLES


@each_role
def test_all_entry_points_take_the_same_options(role: Path) -> None:
    assert {name: point["options"] for name, point in entry_points(role).items()} == dict.fromkeys(
        entry_points(role), options(role)
    )


@each_role
def test_every_entry_point_is_a_file_of_tasks_and_described(role: Path) -> None:
    for name, point in entry_points(role).items():
        assert (role / "tasks" / f"{name}.yml").exists(), name
        assert point["short_description"]
        assert point["description"]


@each_role
def test_defaults_are_those_of_the_specification(role: Path) -> None:
    assert defaults(role) == {name: spec["default"] for name, spec in options(role).items() if "default" in spec}


def test_options_of_tls_have_the_defaults_of_the_specification() -> None:
    (role,) = [role for role in ROLES if role.name == "maintenance_page"]
    specified = options(role)["maintenance_page_tls"]["options"]
    filled_in = read(role / "vars" / "main" / "main.yml")["__maintenance_page_tls_defaults"]
    assert filled_in == {name: spec["default"] for name, spec in specified.items() if "default" in spec}


@each_role
def test_what_has_no_default_stands_in_the_defaults_as_a_comment(role: Path) -> None:
    without = {name for name, spec in options(role).items() if "default" not in spec}
    assert commented(role) - set(defaults(role)) >= without
    assert commented(role) <= set(options(role)), "a comment names what is no input"


def refused(inputs: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Give what Ansible has against the inputs; those that a template makes cannot be judged here."""
    known = {name: value for name, value in inputs.items() if not (isinstance(value, str) and "{{" in value)}
    specified = {
        name: {key: value for key, value in options[name].items() if key not in ("default", "required")}
        for name in known
        if name in options
    }
    messages: list[str] = ArgumentSpecValidator(specified).validate(known).error_messages
    return messages


@each_role
def test_defaults_are_what_the_specification_allows(role: Path) -> None:
    assert refused(defaults(role), options(role)) == []


@each_role
def test_the_readme_says_what_the_specification_says(role: Path) -> None:
    assert (role / "README.md").read_text(encoding="utf-8") == roles.readme(role), "make docs writes it"


def examples(role: Path) -> Iterator[dict[str, Any]]:
    """Give each mapping in the examples of a role's README."""
    queue = [yaml.safe_load(text) for text in EXAMPLE.findall((role / "README.md").read_text(encoding="utf-8"))]
    while queue:
        part = queue.pop(0)
        if isinstance(part, dict):
            yield part
            queue += part.values()
        elif isinstance(part, list):
            queue += part


@each_role
def test_the_readmes_example_names_inputs_and_entry_points_that_are_there(role: Path) -> None:
    everything = {name: option for each in ROLES for name, option in options(each).items()}
    parts = list(examples(role))
    used = {name: value for part in parts for name, value in part.get("vars", {}).items() if name != "ansible_become"}
    assert refused(used, everything) == []
    assert any(name.startswith(f"{role.name}_") for name in used)
    named = [part for part in parts if "tasks_from" in part]
    assert [
        part
        for part in named
        if part["tasks_from"] not in entry_points(CHECKOUT / "roles" / part["name"].split(".")[2])
    ] == []
    whole = re.findall(r"intermission\.django\.(\w+)", (role / "README.md").read_text(encoding="utf-8"))
    assert [
        name
        for name in whole
        if not (CHECKOUT / "roles" / name).exists() and not (CHECKOUT / f"playbooks/{name}.yml").exists()
    ] == []


@pytest.mark.parametrize("role", [role for role in ROLES if role.name != "intermission"], ids=lambda role: role.name)
def test_the_docs_name_no_input_that_is_not_there(role: Path) -> None:
    """But for the shared role's, whose prefix metrics have too."""
    pages = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
    named = re.findall(rf"(?<![\w/.-]){role.name}_\w+", "\n".join(page.read_text(encoding="utf-8") for page in pages))
    assert named
    assert set(named) <= set(options(role))


@each_role
def test_what_is_required_has_no_default(role: Path) -> None:
    assert [name for name, spec in options(role).items() if spec.get("required") and "default" in spec] == []


@each_role
def test_every_input_is_used(role: Path) -> None:
    texts = [
        path.read_text()
        for folder in PRODUCT
        for path in sorted((CHECKOUT / folder).rglob("*"))
        if path.is_file() and path.name != "argument_specs.yml" and path.suffix in (".yml", ".j2")
    ]
    code = "\n".join(re.sub(r"(?m)^\s*#.*$", "", text) for text in texts)
    for name in options(role):
        uses = re.findall(rf"(?<!\w){name}(?!\w)(?!\s*:)", code)
        assert uses, f"{name} is used nowhere"


def names_of(role: Path) -> Iterator[str]:
    """Give every name that a role makes: defaults, vars, registered and set."""
    yield from options(role)
    for folder in ("defaults", "vars"):
        for path in sorted((role / folder).rglob("*.yml")):
            yield from read(path)
    for task in tasks(role):
        if "register" in task:
            yield task["register"]
        for action in ("ansible.builtin.set_fact", "set_fact"):
            yield from task.get(action, {})


@each_role
def test_every_name_has_the_roles_prefix(role: Path) -> None:
    prefixes = (f"{role.name}_", f"__{role.name}_")
    assert [name for name in names_of(role) if not name.startswith(prefixes) and name != "cacheable"] == []


@each_role
def test_what_tasks_set_is_private(role: Path) -> None:
    public = set(options(role))
    made = [task["register"] for task in tasks(role) if "register" in task]
    made += [name for task in tasks(role) for name in task.get("ansible.builtin.set_fact", {})]
    assert public.isdisjoint(made), "a task changes an input"


OF_ANOTHER_HOST = re.compile(r"(?:hostvars\[[^]]+\]|\bits)\.(\w+)|'extract', hostvars, \[?'(\w+)'")


@each_role
def test_of_another_host_only_what_it_has_found_out_is_read(role: Path) -> None:
    """A role's defaults are not among a host's variables, so that what the inventory does not set would be undefined.

    ``group_names`` is Ansible's own, which each host has.
    """
    texts = [path.read_text() for path in role.rglob("*") if path.suffix in (".yml", ".j2")]
    names = {name for text in texts for match in OF_ANOTHER_HOST.findall(text) for name in match if name}
    assert {name for name in names if not name.startswith("__")} <= {
        "intermission_site",
        "ansible_host",
        "group_names",
    }


@each_role
def test_every_task_has_a_name_and_a_full_module_name(role: Path) -> None:
    keywords = {"name", "when", "vars", "loop", "loop_control", "register", "changed_when", "failed_when", "run_once"}
    keywords |= {
        "delegate_to",
        "delegate_facts",
        "become",
        "become_user",
        "no_log",
        "diff",
        "check_mode",
        "environment",
        "notify",
        "listen",
    }
    keywords |= {
        "block",
        "rescue",
        "always",
        "until",
        "retries",
        "delay",
        "any_errors_fatal",
        "ignore_errors",
        "ignore_unreachable",
        "tags",
        "timeout",
    }
    for task in tasks(role):
        assert task.get("name"), task
        assert [key for key in task if key not in keywords and key.count(".") < 2] == [], task["name"]
