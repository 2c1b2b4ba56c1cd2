"""The role django_migrate in a play of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_project import ADD, ADD_MORE, FAIL, First, Project

pytestmark = pytest.mark.programs

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Migrate
      block:
        - name: Migrate
          ansible.builtin.import_role:
            name: intermission.django.django_migrate
      rescue:
        - name: Show
          intermission.django.report:
            text: "{{ inventory_hostname }} SAYS {{ ansible_failed_result.msg }} END"
"""


def migrated(path: Path, first: First) -> Project:
    path.mkdir()
    project = Project(path)
    project.database.write_bytes(first.database.read_bytes())
    return project


def site(name: str, project: Project, hosts: list[str]) -> dict[str, Any]:
    """Give the inventory group of a site with a database of its own."""
    its = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "intermission_site": name,
        "intermission_platform": "command",
        "intermission_server_names": [f"{name}.example"],
        "intermission_state_root": str(project.path.parent / "state"),
        "django_migrate_python": sys.executable,
        "django_migrate_project": str(project.path),
        "django_migrate_environment_file": str(project.environment),
        "django_migrate_backup_directory": str(project.backups),
    }
    return {"hosts": dict.fromkeys(hosts, {}), "vars": its}


def test_a12_each_database_of_an_inventory_is_migrated_once_and_its_hosts_alone_hear_of_it(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, first: First
) -> None:
    """`run_once` would migrate the first one only, and tell all hosts how that went."""
    shop, blog, mill = (migrated(tmp_path / name, first) for name in ("shop", "blog", "mill"))
    shop.add("tea", "0002_price", ADD, after="0001_initial")
    blog.add("tea", "0002_fail", FAIL, after="0001_initial")
    mill.add("tea", "0002_price", ADD, after="0001_initial")
    groups = {
        "shop": site("shop", shop, ["web1", "web2"]),
        "blog": site("blog", blog, ["pen1", "pen2"]),
        "mill": site("mill", mill, ["wheel"]),
    }
    for project in (shop, blog, mill):
        (project.path.parent / "state").mkdir()
    ran = ansible_playbook(PLAY, inventory=json.dumps({"all": {"children": groups}}))
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    columns = [project.tables()["tea_leaf"] for project in (shop, blog, mill)]
    assert columns == [["id", "name", "price"], ["id", "name"], ["id", "name", "price"]], said
    assert [len([*project.backups.iterdir()]) for project in (shop, blog, mill)] == [1, 1, 1]
    failed = [
        f"{name} SAYS RuntimeError: the tea is cold END" in said for name in ("web1", "web2", "pen1", "pen2", "wheel")
    ]
    assert failed == [False, False, True, True, False], said
    blog.add("tea", "0002_fail", ADD_MORE, after="0001_initial")
    shop.add("tea", "0003_more", ADD_MORE, after="0002_price")
    again = ansible_playbook(PLAY, inventory=json.dumps({"all": {"children": groups}}))
    assert again.stdout.count("changed=1") == 2, again.stdout + again.stderr
    backups = [len([*project.backups.iterdir()]) for project in (shop, blog, mill)]
    assert backups == [2, 1, 1], "after a failure it is that of before, which is the way back"
