"""What a failed deploy says of a database that a migration has touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = Path(__file__).parents[3] / "roles" / "django_release" / "templates" / "account.txt.j2"
ACCOUNT = f"""
- name: Account
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    __intermission_hosts: [localhost]
    intermission_site: shop
    __django_release_account: tea
    django_release_workers: [{{name: celery}}]
    __django_release_rescued: [localhost]
    __django_release_lost: []
    __django_release_failures: ["web1: Migrate: it failed"]
    __django_release_flag_now: {{status: {{"on": true}}}}
    __django_release_lock: {{ours: true}}
    __django_release_label: v2
    __django_release_id: abc
    __django_release_touched: true
  tasks:
    - name: Note it on the host
      ansible.builtin.set_fact:
        __django_release_flag_now: {{status: {{"on": true}}}}
        __django_release_stopped: {{msg: it does not stop}}

    - name: Say it
      intermission.django.report:
        text: "{{{{ lookup('ansible.builtin.template', '{TEMPLATE}') }}}}"
"""
RESULT = {
    "backup": "/b/shop.dump",
    "restore": ["mariadb --execute='DROP TABLE `new`' shop", "zcat /b/shop.sql.gz | mariadb shop"],
    "applied": ["tea.0002"],
    "failed_migration": "tea.0003",
}


@pytest.mark.parametrize(
    ("phase", "result", "said", "not_said"),
    [
        ("migrate", {"halfway": True}, ["It did not run in a transaction", *RESULT["restore"]], []),
        ("migrate", {"halfway": False}, ["on localhost as tea, and", *RESULT["restore"]], ["transaction"]),
        (
            "migrate",
            {"halfway": False, "backup": None, "restore": []},
            ["tea.0003 failed"],
            ["Or go back", "transaction"],
        ),
        ("close", {}, ["A deploy before this one left it closed", "this run has not migrated it"], ["tea.0003 failed"]),
        ("activate", {"halfway": False, "failed_migration": None}, RESULT["restore"], ["transaction"]),
    ],
)
def test_account(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
    phase: str,
    result: dict[str, Any],
    said: list[str],
    not_said: list[str],
) -> None:
    variables = {
        "__django_release_phase": phase,
        "__django_release_migrated": phase != "close",
        "__django_migrate_result": {**RESULT, **result},
    }
    ran = ansible_playbook(ACCOUNT, "-e", json.dumps(variables))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "stays closed: visitors see the maintenance page. Its background workers are stopped." in ran.stdout
    assert "The app still runs on localhost: it does not stop" in ran.stdout
    assert [text for text in said if text not in ran.stdout] == []
    assert [text for text in not_said if text in ran.stdout] == []


@pytest.mark.parametrize(
    ("changed", "managed", "said"),
    [
        (False, None, "shop serves what it served before."),
        (True, None, "shop serves the version from before; this run has renewed Nginx's gate and pages."),
        (False, {}, "this run has renewed what check and collectstatic --noinput wrote."),
        (True, {}, "has renewed Nginx's gate and pages, and what check and collectstatic --noinput wrote."),
    ],
)
def test_an_account_claims_no_more_than_is_so(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
    changed: bool,
    managed: dict[str, Any] | None,
    said: str,
) -> None:
    facts: dict[str, Any] = {"__maintenance_page_installed": {"changed": changed}}
    facts["__django_release_flag_now"] = {"status": {"on": False}}
    if managed is not None:
        facts["__django_release_managed"] = managed
    variables = {
        "__django_release_phase": "prepare",
        "__django_release_touched": False,
        "__django_release_nothing_is_live": False,
        "django_release_manage_commands": [["check"], ["collectstatic", "--noinput"]],
    }
    note = f"    - name: More\n      ansible.builtin.set_fact: {json.dumps(facts)}\n\n"
    playbook = ACCOUNT.replace("    - name: Say it", f"{note}    - name: Say it")
    ran = ansible_playbook(playbook, "-e", json.dumps(variables))
    assert said in ran.stdout, ran.stdout + ran.stderr


FAILURE = """
- name: Failure
  hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{vars}"]
  tasks:
    - name: Fail and say it
      block:
        - name: Check
          ansible.builtin.fail:
            msg: "{{{{ item | default('it') }}}} is wrong"
          {loop}
      rescue:
        - name: Say it
          ansible.builtin.debug:
            msg: "SAID={{{{ __django_release_failed_messages | join('; ') }}}}=END"
"""


@pytest.mark.parametrize(
    ("loop", "said"),
    [("", "it is wrong"), ("loop: [one, two]", "one is wrong; two is wrong"), ("loop: [one]", "one is wrong")],
)
def test_what_a_failed_task_says(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], loop: str, said: str
) -> None:
    ran = ansible_playbook(FAILURE.format(vars=TEMPLATE.parents[1] / "vars/main.yml", loop=loop))
    assert f"SAID={said}=END" in ran.stdout, ran.stdout + ran.stderr
