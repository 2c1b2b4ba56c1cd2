"""The role maintenance_window in a real run of Ansible: what it tells the operator."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

Play = Callable[..., str]
PLAY = """
- name: Window
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Make it the site's web host
      ansible.builtin.group_by:
        key: shop
      changed_when: false

    - name: Window
      ansible.builtin.include_role:
        name: intermission.django.maintenance_window
        tasks_from: {point}
"""
SITE = {
    "intermission_site": "shop",
    "intermission_server_names": ["shop.example"],
    "intermission_platform": "command",
    "maintenance_window_proof": False,
}
LINK = re.compile(r"^ +(\S+/_intermission/pass/)[A-Za-z0-9]{43}$", re.MULTILINE)


@pytest.fixture
def play(ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory) -> Play:
    """Run an entry point of the role for a site of this machine, without the proof; gives what was printed."""

    def run(point: str, status: int = 0, **inventory: Any) -> str:
        variables = {**SITE, "intermission_state_root": str(site.path.parent), **inventory}
        ran = ansible_playbook(PLAY.replace("{point}", point), "-e", json.dumps(variables))
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return run


@pytest.mark.parametrize(
    ("inventory", "link"),
    [
        ({}, "http://shop.example"),
        ({"maintenance_page_tls": {"listen": ["8443"]}}, "https://shop.example:8443"),
        ({"maintenance_window_proof_url": "https://[2001:db8::1]/"}, "https://shop.example"),
        ({"maintenance_window_proof_url": "http://127.0.0.1:8081/"}, "http://shop.example:8081"),
        ({"maintenance_window_site_url": "https://www.shop.example/"}, "https://www.shop.example"),
    ],
)
def test_the_link_is_where_visitors_reach_the_site(play: Play, inventory: dict[str, Any], link: str) -> None:
    assert LINK.findall(play("open", maintenance_window_pass=True, **inventory)) == [f"{link}/_intermission/pass/"]


@pytest.mark.parametrize("wrong", ["shop.example", "https://shop.example/shop/", "ftp://shop.example"])
def test_an_address_that_makes_no_link_is_refused(play: Play, site: StateDirectory, wrong: str) -> None:
    said = play("open", 2, maintenance_window_pass=True, maintenance_window_site_url=wrong)
    assert f"maintenance_window_site_url is '{wrong}'. Write the site's address" in " ".join(said.split())
    assert not site.flag.exists()


def cell(printed: str, title: str) -> str:
    """Take a cell out of the status table, whose host is the only one."""
    lines = printed.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("HOST "))
    return re.split(" {2,}", lines[at + 1][lines[at].index(title) :])[0]


def test_a_later_end_keeps_the_link_which_the_status_shows(play: Play, site: StateDirectory) -> None:
    nowhere = {"maintenance_window_proof_url": "http://127.0.0.1:1/"}
    play("open", maintenance_window_pass=True, maintenance_window_for="30m")
    (secret,) = (path.name for path in (site.flag / "pass").iterdir())
    printed = [play("open", maintenance_window_for="1h")]
    assert "The secret link of the window before it still lets its bearer pass." in printed[0]
    assert (site.flag / "pass" / secret).exists()
    printed.append(play("status", **nowhere))
    assert cell(printed[-1], "PASS") == "valid"
    printed.append(play("status", maintenance_window_format="json", **nowhere))
    assert '"has_pass": true' in printed[-1]
    assert secret not in "".join(printed)
    site.close("ada", "here")
    assert "still lets" not in play("open")
    assert cell(play("status", **nowhere), "PASS") == "-"
