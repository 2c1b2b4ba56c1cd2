"""The role django_database in a real run of Ansible: what it refuses, and the URL that it gives."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.database_server import (
    scram_verifier,
    with_block,
)

Playbook = Callable[..., subprocess.CompletedProcess[str]]

HOSTS = """
- name: Inventory
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Make the site's web hosts
      ansible.builtin.add_host:
        name: "{{ item.name }}"
        groups: "{{ item.groups }}"
        ansible_connection: "{{ item.ansible_connection | default('local') }}"
        ansible_port: "{{ item.ansible_port | default(22) }}"
        ansible_host: "{{ item.address }}"
      loop: "{{ hosts }}"
      changed_when: false

- name: Database
  hosts: shop
  gather_facts: false
  vars:
    intermission_site: shop
    intermission_server_names: [shop.example]
  tasks:
    - name: Check
      ansible.builtin.include_role:
        name: intermission.django.django_database
        tasks_from: preflight
        public: true

    - name: Show
      ansible.builtin.debug:
        msg: "URL={{ __django_database_url }} CLIENTS={{ __django_database_clients | sort | join(' ') }} END"
"""
SERVE = """
    - name: Serve
      block:
        - name: All together
          any_errors_fatal: true
          block:
            - name: Database
              ansible.builtin.include_role:
                name: intermission.django.django_database
      rescue:
        - name: Show
          ansible.builtin.debug:
            msg: "RESCUED={{ inventory_hostname }} {{ ansible_failed_result.msg }}"
"""
WEB1 = {"name": "web1", "groups": ["shop"], "address": "10.0.0.1"}
WEB2 = {"name": "web2", "groups": ["shop"], "address": "10.0.0.2"}
DB1 = {"name": "db1", "groups": ["databases"], "address": "10.0.0.9"}
POSTGRESQL = {"django_database_engine": "postgresql", "django_database_password": "p@ss"}

ASK = (
    HOSTS[: HOSTS.index("    - name: Check\n")]
    + """
    - name: Ask
      ansible.builtin.include_role:
        name: intermission.django.django_database
        tasks_from: ask
"""
)
STATE = {"user": True, "owner": "shop", "encoding": "UTF8", "listen": "*", "hba": "/dev/null", "loaded": 1e12}


def run(
    ansible_playbook: Playbook, variables: dict[str, Any], *hosts: dict[str, Any], playbook: str = HOSTS
) -> tuple[int, str]:
    """Give the exit status and what was said, in one line."""
    ran = ansible_playbook(playbook, "-e", json.dumps({"hosts": hosts, **variables}))
    return ran.returncode, " ".join((ran.stdout + ran.stderr).split())


@pytest.mark.parametrize(
    ("variables", "hosts", "url", "clients"),
    [
        ({}, (WEB1, WEB2), "", "10.0.0.1 10.0.0.2"),
        (POSTGRESQL, (WEB1,), "postgres://shop:p%40ss@127.0.0.1:5432/shop", ""),
        (POSTGRESQL, (WEB1, WEB2), "postgres://shop:p%40ss@10.0.0.1:5432/shop", "10.0.0.1 10.0.0.2"),
        (
            {
                **POSTGRESQL,
                "django_database_engine": "mariadb",
                "django_database_host": "db1",
                "django_database_name": "tea",
            },
            (WEB1, WEB2, DB1),
            "mysql://shop:p%40ss@10.0.0.9:3306/tea",
            "10.0.0.1 10.0.0.2",
        ),
        (
            {**POSTGRESQL, "django_database_address": "db.lan", "django_database_port": "5433"},
            (WEB1, WEB2),
            "postgres://shop:p%40ss@db.lan:5433/shop",
            "10.0.0.1 10.0.0.2",
        ),
        ({"django_database_engine": "sqlite"}, (WEB1,), "sqlite:////srv/shop/shared/private/db.sqlite3", ""),
        (
            {"django_database_url": "postgis://u:p@db.lan/x"},
            (WEB1, WEB2),
            "postgis://u:p@db.lan/x",
            "10.0.0.1 10.0.0.2",
        ),
    ],
)
def test_url(
    ansible_playbook: Playbook, variables: dict[str, Any], hosts: tuple[dict[str, Any], ...], url: str, clients: str
) -> None:
    status, said = run(ansible_playbook, variables, *hosts)
    assert status == 0, said
    assert " ".join(f"URL={url} CLIENTS={clients} END".split()) in said


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"django_database_engine": "sqlite"}, "web1, web2 are 2 web hosts: each would have a database of its own"),
        ({"django_database_url": "sqlite:////srv/db"}, "The site's database is SQLite, a file on one host"),
        ({"django_database_url": "oracle://u:s3cret@h/n"}, "django_database_url starts with 'oracle:'"),
        ({**POSTGRESQL, "django_database_url": "mysql://u:s3cret@h/n"}, "django_database_engine is postgresql"),
        ({"django_database_engine": "postgresql"}, "django_database_password is not set"),
        ({**POSTGRESQL, "django_database_password": "s3cret\u00e9"}, "the printable ones of ASCII"),
        ({**POSTGRESQL, "django_database_host": "db7"}, "no host of the inventory has that name"),
        ({**POSTGRESQL, "django_database_name": "postgres"}, "django_database_name is 'postgres'"),
        ({**POSTGRESQL, "django_database_user": 'a"b'}, "and django_database_user is 'a\"b'"),
        ({**POSTGRESQL, "intermission_platform": "command"}, "no database server is installed"),
    ],
)
def test_what_is_refused(ansible_playbook: Playbook, variables: dict[str, Any], message: str) -> None:
    status, said = run(ansible_playbook, variables, WEB1, WEB2)
    assert status == 2, said
    assert message in said
    assert "s3cret" not in said


def play_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Put a shell script in the place of runuser(1), which runs psql."""
    runuser = tmp_path / "bin" / "runuser"
    runuser.parent.mkdir()
    runuser.write_text(f"#!/bin/sh\n{script}\n")
    runuser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{runuser.parent}:{os.environ['PATH']}")


@pytest.mark.skipif(os.getuid() != 0, reason="the server is asked by root")
def test_a_password_in_use_is_refused_before_anything_is_changed(
    ansible_playbook: Playbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = json.dumps({**STATE, "verifier": scram_verifier("in-use", b"salt")})
    play_server(monkeypatch, tmp_path, f"echo '{state}'")
    status, said = run(ansible_playbook, {**POSTGRESQL, "django_database_password": "s3cret"}, WEB1, playbook=ASK)
    assert status == 2, said
    assert "django_database_password does not let it log in" in said
    assert "s3cret" not in said
    change = {**POSTGRESQL, "django_database_change_password": True}
    status, said = run(ansible_playbook, change, WEB1, playbook=ASK)
    assert (status, "changed=1" in said) == (0, False), said


FORGET = ASK.replace("tasks_from: ask", "tasks_from: forget")


@pytest.mark.skipif(os.getuid() != 0, reason="the server is asked by root")
@pytest.mark.parametrize("former", [[], ["hostssl ..."]])
def test_former_clients_are_forgotten_where_there_are_any(
    ansible_playbook: Playbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, former: list[str]
) -> None:
    (tmp_path / "pg_hba.conf").write_text(with_block("local all\n", "shop", former))
    state = {**STATE, "verifier": scram_verifier("p@ss", b"salt"), "hba": str(tmp_path / "pg_hba.conf")}
    play_server(monkeypatch, tmp_path, f"""case "$(cat)" in *json_build_object*) echo '{json.dumps(state)}' ;; esac""")
    status, said = run(
        ansible_playbook, {**POSTGRESQL, "__django_database_served": {"former": former}}, WEB1, playbook=FORGET
    )
    assert status == 0, said
    assert ("hostssl" in (tmp_path / "pg_hba.conf").read_text(), "changed=1" in said) == (False, bool(former))


def test_a_database_host_that_cannot_be_reached_is_named_by_every_web_host(ansible_playbook: Playbook) -> None:
    """Ansible would take the web host that delegates to it for unreachable, and run no rescue there."""
    playbook = HOSTS.partition("    - name: Check\n")[0] + SERVE
    away = {"ansible_connection": "ansible.builtin.ssh", "ansible_port": 1, "address": "127.0.0.1"}
    variables = {**POSTGRESQL, "django_database_host": "db1", "intermission_platform": "systemd"}
    ran = ansible_playbook(playbook, "-e", json.dumps({"hosts": [WEB1, WEB2, {**DB1, **away}], **variables}))
    said = " ".join((ran.stdout + ran.stderr).split())
    for web in ("web1", "web2"):
        assert f"RESCUED={web} db1, which carries the database: it could not be reached: " in said
    assert "unreachable=1" not in said
