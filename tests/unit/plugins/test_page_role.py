"""The role maintenance_page in a real run of Ansible: what it refuses, to be removed and to be installed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

pytestmark = pytest.mark.programs

REMOVE = """
- name: Remove
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    intermission_site: shop
    intermission_server_names: [shop.example]
    intermission_platform: command
  tasks:
    - name: Make it the site's web host
      ansible.builtin.group_by:
        key: shop
      changed_when: false

    - name: Remove
      ansible.builtin.include_role:
        name: intermission.django.maintenance_page
        tasks_from: remove
"""

PREFLIGHT = REMOVE.replace("tasks_from: remove", "tasks_from: preflight")
STATIC = {
    "/static/": "/srv/shop/static",
    "/a-b/c.d_~/": "/srv/shop/static/",
    "/static": "/srv/shop/static",
    "static/": "/srv/shop/static",
    "/": "/srv/shop/static",
    "/a/../": "/srv/shop/static",
    "/a b/": "/srv/shop/static",
    "/a/;": "/srv/shop/static",
    "/a/\n": "/srv/shop/static",
    "= /a/": "/srv/shop/static",
    "~ ^/a/": "/srv/shop/static",
    "/b/": "static",
    "/c/": "/srv/shop; autoindex on",
    "/d/": "/srv/$host",
    "/e/": "/srv/shop/..",
    "/f/": "/srv/'x",
    "/g/": '/srv/"x',
    "/h/": "/srv/\\x",
}


def test_a_removal_waits_for_the_deploy(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory
) -> None:
    holder = {"user": "ada", "host": "laptop", "pid": 1, "started": "now"}
    DeployRecord(site).begin(holder, "r1", take_over=False)
    ran = ansible_playbook(REMOVE, "-e", json.dumps({"intermission_state_root": str(site.path.parent)}))
    said = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode == 2, said
    assert "A deploy of shop on localhost is under way or has died" in said
    assert "Take the gate" not in said
    assert DeployRecord(site).held(holder)


def test_only_whole_prefixes_and_directories_are_served(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    commands = dict.fromkeys(("test", "start", "stop", "reload", "status"), "true")
    variables = {"maintenance_page_static": STATIC, "maintenance_page_commands": commands}
    ran = ansible_playbook(PREFLIGHT, "-e", json.dumps(variables))
    said = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode == 2, said
    prefixes = ["/static", "static/", "/", "/a/../", "/a b/", "/a/;", "/a/ ", "= /a/", "~ ^/a/"]
    directories = ["static", "/srv/shop; autoindex on", "/srv/$host", "/srv/shop/..", "/srv/'x", '/srv/"x', "/srv/\\x"]
    faults = [f"'{prefix}'" for prefix in prefixes]
    faults += [
        f"the directory '{directory}' for '/{at}/'" for at, directory in zip("bcdefgh", directories, strict=True)
    ]
    shown = said.replace("\\\\", "\\").replace('\\"', '"')
    assert f"maintenance_page_static has {' and '.join(faults)}. Write each prefix with a slash at both ends" in shown
