"""The command on the host: members of the group toggle without root, others are told why they may not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from fleet import Fleet

testinfra_hosts = ["ansible://shop"]


@pytest.fixture
def people(host: Host) -> Iterator[None]:
    """Ada is in the group, bob is not, and neither may become root."""
    host.check_output("useradd --groups intermission ada; useradd bob")
    yield
    host.check_output("userdel ada; userdel bob")


def test_a_member_of_the_group_closes_and_opens_the_host(host: Host, site: Fleet, node: str, people: None) -> None:
    with host.sudo("ada"):
        assert host.run("sudo -n true").failed
        said = host.check_output('umask 077; intermission on shop --for 10m --reason "disk"')
    assert "shop" in said
    answer = site.ask(node, "/orders/new/", "POST")
    assert (answer.status, answer.kind) == (503, "maintenance")
    assert "disk" in answer.body
    status = {entry["host"]: entry for entry in site.current_status()["hosts"]}
    assert (status[node]["state"], status[node]["window"]["opened_by"], status[node]["visitors_get"]) == (
        "closed",
        "ada",
        "closed",
    )
    with host.sudo("ada"):
        host.check_output("intermission off shop")
    assert site.ask(node).kind == "app"


def test_somebody_outside_of_the_group_is_refused_and_told_what_to_do(
    host: Host, site: Fleet, node: str, people: None
) -> None:
    with host.sudo("bob"):
        refused = host.run('intermission on shop --for 10m --reason "disk"')
        assert host.run("intermission status shop").succeeded
    assert refused.rc == 77
    assert "bob may not close shop" in refused.stderr
    assert "adduser bob intermission" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert site.ask(node).kind == "app"


def test_a_window_that_a_member_opened_is_closed_by_the_playbook(
    host: Host, site: Fleet, node: str, people: None
) -> None:
    with host.sudo("ada"):
        host.check_output("intermission on shop")
    assert site.playbook("playbooks/maintenance_off.yml", "--limit", node).status == 0
    assert site.ask(node).kind == "app"
