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
    with host.sudo("ada"):
        status = host.check_output("intermission status shop --json")
        assert '"opened_by": "ada"' in status
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


def test_a_window_that_members_opened_is_closed_by_the_playbook(site: Fleet) -> None:
    for host in site.connections():
        host.check_output("sudo -g intermission -u daemon intermission on shop")
    assert site.kinds() == {"maintenance"}
    assert site.playbook("playbooks/maintenance_off.yml").status == 0
    assert site.kinds() == {"app"}
