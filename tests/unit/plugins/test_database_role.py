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

pytestmark = pytest.mark.programs

Playbook = Callable[..., subprocess.CompletedProcess[str]]

CHECK = """
- hosts: "*_web1"
  gather_facts: false
  tasks:
    - name: Take it or say what is wrong
      block:
        - name: Check
          ansible.builtin.include_role:
            name: intermission.django.django_database
            tasks_from: preflight
            public: true

        - name: Show
          intermission.django.report:
            text: >-
              {{ inventory_hostname }} SAYS URL={{ __django_database_url }}
              CLIENTS={{ __django_database_clients | sort | join(' ') }} END
      rescue:
        - name: Show
          intermission.django.report:
            text: "{{ inventory_hostname }} SAYS REFUSED={{ ansible_failed_result.msg }} END"
"""
SERVE = """
- hosts: shop
  gather_facts: false
  tasks:
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
ASK = """
- hosts: shop
  gather_facts: false
  tasks:
    - name: Ask
      ansible.builtin.include_role:
        name: intermission.django.django_database
        tasks_from: ask
"""
Hosts = dict[str, dict[str, Any]]
WEB1: Hosts = {"web1": {"ansible_host": "10.0.0.1"}}
WEB2: Hosts = {"web2": {"ansible_host": "10.0.0.2"}}
DB1: Hosts = {"db1": {"ansible_host": "10.0.0.9"}}
POSTGRESQL = {"django_database_engine": "postgresql", "django_database_password": "p@ss"}
STATE = {
    "user": True,
    "owner": "shop",
    "trial": "shop",
    "encoding": "UTF8",
    "listen": "*",
    "hba": "/dev/null",
    "loaded": 1e12,
}
FORGET = ASK.replace("tasks_from: ask", "tasks_from: forget")

URLS: list[tuple[dict[str, Any], Hosts, str, str]] = [
    ({}, WEB1 | WEB2, "", "10.0.0.1 10.0.0.2"),
    (POSTGRESQL, WEB1, "postgres://SITE:p%40ss@127.0.0.1:5432/SITE", ""),
    (POSTGRESQL, WEB1 | WEB2, "postgres://SITE:p%40ss@10.0.0.1:5432/SITE", "10.0.0.1 10.0.0.2"),
    (
        {
            **POSTGRESQL,
            "django_database_engine": "mariadb",
            "django_database_host": "url3_db1",
            "django_database_name": "pot",
        },
        WEB1 | WEB2 | DB1,
        "mysql://SITE:p%40ss@10.0.0.9:3306/pot",
        "10.0.0.1 10.0.0.2",
    ),
    (
        {**POSTGRESQL, "django_database_address": "db.lan", "django_database_port": "5433"},
        WEB1 | WEB2,
        "postgres://SITE:p%40ss@db.lan:5433/SITE",
        "10.0.0.1 10.0.0.2",
    ),
    ({"django_database_engine": "sqlite"}, WEB1, "sqlite:////srv/SITE/shared/private/db.sqlite3", ""),
    ({"django_database_url": "postgis://u:p@db.lan/x"}, WEB1 | WEB2, "postgis://u:p@db.lan/x", "10.0.0.1 10.0.0.2"),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"django_database_engine": "sqlite"},
        "refused0_web1, refused0_web2 are 2 web hosts: each would have a database of its own",
    ),
    ({"django_database_url": "sqlite:////srv/db"}, "The site's database is SQLite, a file on one host"),
    ({"django_database_url": "oracle://u:s3cret@h/n"}, "django_database_url starts with 'oracle:'"),
    ({**POSTGRESQL, "django_database_url": "mysql://u:s3cret@h/n"}, "django_database_engine is postgresql"),
    ({"django_database_engine": "postgresql"}, "django_database_password is not set"),
    ({**POSTGRESQL, "django_database_password": "s3cret\u00e9"}, "the printable ones of ASCII"),
    ({**POSTGRESQL, "django_database_host": "db7"}, "no host of the inventory has that name"),
    ({**POSTGRESQL, "django_database_name": "postgres"}, "django_database_name is 'postgres'"),
    ({**POSTGRESQL, "django_database_user": 'a"b'}, "and django_database_user is 'a\"b'"),
    ({**POSTGRESQL, "intermission_platform": "command"}, "no database server is installed"),
]


def inventory(sites: dict[str, tuple[dict[str, Any], Hosts]]) -> str:
    """Give an inventory of sites on this machine, with their variables and hosts; a host's name begins with its site's."""
    common = {"ansible_connection": "local", "intermission_server_names": ["shop.example"]}
    groups: dict[str, Any] = {"databases": {"hosts": {}, "vars": common}}
    for name, (variables, hosts) in sites.items():
        groups[name] = {"hosts": {}, "vars": {**common, "intermission_site": name, **variables}}
        for host, its in hosts.items():
            groups[name if host.startswith("web") else "databases"]["hosts"][f"{name}_{host}"] = its
    return json.dumps({"all": {"children": groups}})


def in_one_line(ran: subprocess.CompletedProcess[str]) -> str:
    return " ".join((ran.stdout + ran.stderr).split())


@pytest.fixture(scope="session")
def checked(shared_playbook: Playbook) -> dict[str, str]:
    """What the role has said to each site that is to be taken or refused."""
    sites = {f"url{number}": (variables, hosts) for number, (variables, hosts, *_) in enumerate(URLS)}
    sites |= {f"refused{number}": (variables, WEB1 | WEB2) for number, (variables, _) in enumerate(REFUSED)}
    ran = shared_playbook(CHECK, inventory=inventory(sites))
    said = in_one_line(ran)
    assert ran.returncode == 0, said
    assert "s3cret" not in said
    return {name: said.partition(f"{name}_web1 SAYS ")[2].partition(" END")[0] for name in sites}


@pytest.mark.parametrize("number", range(len(URLS)))
def test_url(checked: dict[str, str], number: int) -> None:
    _variables, _hosts, url, clients = URLS[number]
    name = f"url{number}"
    assert checked[name] == f"URL={url.replace('SITE', name)} CLIENTS={clients}".strip()


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused(checked: dict[str, str], number: int) -> None:
    _variables, message = REFUSED[number]
    assert checked[f"refused{number}"].startswith("REFUSED=")
    assert message in checked[f"refused{number}"]


def play_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Put a shell script in the place of runuser(1), which runs psql."""
    runuser = tmp_path / "bin" / "runuser"
    runuser.parent.mkdir()
    runuser.write_text(f"#!/bin/sh\n{script}\n")
    runuser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{runuser.parent}:{os.environ['PATH']}")


def one_site(variables: dict[str, Any], *hosts: Hosts) -> str:
    return inventory({"shop": (variables, {name: its for host in hosts for name, its in host.items()})})


@pytest.mark.skipif(os.getuid() != 0, reason="the server is asked by root")
def test_a_password_in_use_is_refused_before_anything_is_changed(
    ansible_playbook: Playbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = json.dumps({**STATE, "verifier": scram_verifier("in-use", b"salt")})
    play_server(monkeypatch, tmp_path, f"echo '{state}'")
    other = {**POSTGRESQL, "django_database_password": "s3cret"}
    ran = ansible_playbook(ASK, inventory=one_site(other, WEB1))
    said = in_one_line(ran)
    assert ran.returncode == 2, said
    assert "django_database_password does not let it log in" in said
    assert "s3cret" not in said
    change = {**POSTGRESQL, "django_database_change_password": True}
    ran = ansible_playbook(ASK, inventory=one_site(change, WEB1))
    assert (ran.returncode, "changed=1" in ran.stdout) == (0, False), in_one_line(ran)


@pytest.mark.skipif(os.getuid() != 0, reason="the server is asked by root")
@pytest.mark.parametrize("former", [[], ["hostssl ..."]])
def test_former_clients_are_forgotten_where_there_are_any(
    ansible_playbook: Playbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, former: list[str]
) -> None:
    (tmp_path / "pg_hba.conf").write_text(with_block("local all\n", "shop", former))
    state = {**STATE, "verifier": scram_verifier("p@ss", b"salt"), "hba": str(tmp_path / "pg_hba.conf")}
    later = json.dumps({**state, "loaded": "LATER"}).replace('"LATER"', "'$(date +%s%N)'")
    play_server(monkeypatch, tmp_path, f"""case "$(cat)" in *json_build_object*) echo '{later}' ;; esac""")
    variables = {**POSTGRESQL, "__django_database_served": {"former": former}}
    ran = ansible_playbook(FORGET, inventory=one_site(variables, WEB1))
    assert ran.returncode == 0, in_one_line(ran)
    assert ("hostssl" in (tmp_path / "pg_hba.conf").read_text(), "changed=1" in ran.stdout) == (False, bool(former))


def test_a_database_host_that_cannot_be_reached_is_named_by_every_web_host(ansible_playbook: Playbook) -> None:
    """Ansible would take the web host that delegates to it for unreachable, and run no rescue there."""
    away = {"ansible_connection": "ansible.builtin.ssh", "ansible_port": 1, "ansible_host": "127.0.0.1"}
    variables = {**POSTGRESQL, "django_database_host": "shop_db1", "intermission_platform": "systemd"}
    ran = ansible_playbook(SERVE, inventory=one_site(variables, WEB1, WEB2, {"db1": away}))
    said = in_one_line(ran)
    for web in ("shop_web1", "shop_web2"):
        assert f"RESCUED={web} shop_db1, which carries the database: it could not be reached: " in said
    assert "unreachable=1" not in said
