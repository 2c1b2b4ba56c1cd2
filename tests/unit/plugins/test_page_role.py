"""The role maintenance_page in a real run of Ansible: when it does not let itself be removed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

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
