"""Which hosts the playbooks take: the web hosts of one site, of those that a run has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.programs

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
PLAY = """
- name: Choose
  ansible.builtin.import_playbook: {playbook}

- name: Chosen
  hosts: {group}
  gather_facts: false
  tasks:
    - name: Show them
      intermission.django.report:
        text: >-
          CHOSEN {{{{ ansible_play_hosts_all | join(' ') }}}}
          GONE {{{{ groups['intermission_gone'] | default([]) | join(' ') }}}}
      run_once: true
"""
GROUPS: dict[str, Any] = {
    "balancers": {"hosts": {"balancer": {}}},
    "blog": {"hosts": {"pen": {}, "both": {}}, "vars": {"intermission_site": "blog"}},
    "shop": {"hosts": {"web1": {}, "web2": {}, "both": {}}, "vars": {"intermission_site": "shop"}},
}
Playbook = Callable[..., subprocess.CompletedProcess[str]]


def run(ansible_playbook: Playbook, *options: str, groups: dict[str, Any] = GROUPS) -> str:
    text = PLAY.format(playbook=PLAYBOOKS / "select.yml", group="intermission_selected")
    ran = ansible_playbook(text, *options, inventory=json.dumps({"all": {"children": groups}}))
    assert (ran.returncode == 0) == ("CHOSEN" in ran.stdout), ran.stdout + ran.stderr
    assert "changed=1" not in ran.stdout
    return " ".join(f"{ran.stdout} {ran.stderr}".split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-e", "intermission_site=shop"], "CHOSEN web1 web2 both GONE"),
        (["-e", "intermission_site=shop", "--check"], "CHOSEN web1 web2 both GONE"),
        (["-e", "intermission_site=blog"], "CHOSEN pen both GONE"),
        (["--limit", "pen"], "CHOSEN pen GONE"),
        (["--limit", "balancer,web2"], "CHOSEN web2 GONE"),
        ([], "This run has the sites blog and shop. Say which one is meant, for instance -e intermission_site=blog"),
        (
            ["--limit", "balancer"],
            "intermission_site is not set, and no host of this run is in an inventory group of that",
        ),
        (["-e", "intermission_site=shopp"], "intermission_site is shopp, and no host of this run is in an inventory"),
    ],
)
def test_the_web_hosts_of_one_site_are_chosen_or_it_is_said_which_there_are(
    ansible_playbook: Playbook, options: list[str], said: str
) -> None:
    assert said in run(ansible_playbook, *options)


@pytest.mark.parametrize("its", [{"intermission_site": "shopp"}, {"intermission_site": "{{ omit }}"}])
def test_no_host_of_the_sites_group_is_left_out_without_a_word(ansible_playbook: Playbook, its: dict[str, str]) -> None:
    groups = {"shop": {"hosts": {"web1": {}, "web2": its, "web3": {}}, "vars": {"intermission_site": "shop"}}}
    assert "web2 is in the group shop, and there intermission_site is not shop." in run(ansible_playbook, groups=groups)
    assert "CHOSEN web1 web3 GONE" in run(ansible_playbook, "--limit", "web1,web3", groups=groups)


def test_a_deploy_takes_all_but_those_that_it_may_go_on_without_and_that_are_gone(ansible_playbook: Playbook) -> None:
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"web1": {}, "web2": gone, "web3": gone, "web4": {}}
    shop = {"hosts": hosts, "vars": {"intermission_site": "shop", "ansible_connection": "local"}}
    text = PLAY.format(playbook=PLAYBOOKS / "select_deployed.yml", group="intermission_deployed")

    def said(names: str) -> str:
        ran = ansible_playbook(text, "-e", f"django_release_ignore_hosts={names}", inventory=json.dumps({"shop": shop}))
        return " ".join(f"{ran.stdout} {ran.stderr}".split())

    chosen, _, left = said("web2,web4").partition("CHOSEN ")[2].partition(" GONE ")
    assert sorted(chosen.split()) == ["web1", "web3", "web4"]
    assert left.split()[0] == "web2"
    del hosts["web1"], hosts["web4"]
    assert "None of web2, web3 can be reached." in said("web2,web3").replace("web3, web2", "web2, web3")
