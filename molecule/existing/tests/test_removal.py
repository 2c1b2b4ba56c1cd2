"""The role is taken off the hosts again, with the play that docs/nginx.md has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import testinfra
from testinfra.host import Host

from driving import Run
from fleet import Fleet


@pytest.fixture(scope="module")
def hosts(request: pytest.FixtureRequest, site: Fleet) -> dict[str, Host]:
    given = request.config.option
    options = {"ansible_inventory": given.ansible_inventory, "ssh_identity_file": given.ssh_identity_file}
    return {node: testinfra.get_host(f"ansible://{node}", **options) for node in site.urls}


@pytest.fixture(scope="module", autouse=True)
def role_is_back(site: Fleet) -> Iterator[None]:
    yield
    run = site.playbook("molecule/existing/converge.yml")
    assert run.status == 0, run.output


def listing(host: Host) -> list[str]:
    lines: list[str] = host.check_output("sh /root/listing.sh").splitlines()
    return lines


def traces(host: Host) -> set[str]:
    """Give what is other than before the role came."""
    return set(listing(host)) ^ set(host.check_output("cat /root/before").splitlines())


def changed(run: Run) -> set[int]:
    return {totals["changed"] for totals in run.recap().values()}


def test_it_is_refused_while_a_server_takes_the_snippet_in(
    site: Fleet, hosts: dict[str, Host], removal: str, assert_as_ever: Callable[[str], None]
) -> None:
    before = {node: listing(host) for node, host in hosts.items()}
    run = site.playbook(removal)
    assert run.status != 0
    for vhost in ("sites-enabled/shop.conf", "conf.d/10-shop.conf"):
        assert re.search(rf'intermission-shop.conf" failed \(2: [^)]+\) in /etc/nginx/{vhost}:\d+', run.words)
    for node, host in hosts.items():
        assert listing(host) == before[node]
        host.check_output("nginx -t && systemctl reload nginx")
        assert_as_ever(node)


def test_it_leaves_no_trace(
    site: Fleet, hosts: dict[str, Host], removal: str, assert_as_ever: Callable[[str], None]
) -> None:
    assert site.playbook("molecule/existing/vhosts.yml", lab_included=False).status == 0
    before = {node: listing(host) for node, host in hosts.items()}
    told = site.playbook(removal, "--check")
    assert told.status == 0, told.output
    assert {node: listing(host) for node, host in hosts.items()} == before

    done = site.playbook(removal)
    assert done.status == 0, done.output
    assert changed(done) == changed(told) == {5}
    for node, host in hosts.items():
        assert traces(host) == set()
        assert_as_ever(node)

    again = site.playbook(removal)
    assert again.status == 0, again.output
    assert changed(again) == {0}
    told = site.playbook("molecule/existing/converge.yml", "--check")
    assert told.status == 0, told.output
    for host in hosts.values():
        assert traces(host) == set(), "a check of the role has changed something"
