"""Each state of a web host, as visitors see it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from testinfra.host import Host

from driving import wait_until
from fleet import Fleet, reboot

testinfra_hosts = ["ansible://shop"]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
STATE = "/var/lib/intermission/shop"


@pytest.fixture
def flag(host: Host) -> Iterator[str]:
    """The flag's path; the flag is gone afterwards."""
    yield f"{STATE}/on"
    host.check_output(f"rm -f {STATE}/on")


def test_the_app_is_up(site: Fleet, node: str) -> None:
    answer = site.ask(node, "/orders/")
    assert (answer.status, answer.kind, answer.version) == (200, "app", "2")
    assert site.ask(node, "/static/orders/shop.css").headers["content-type"] == "text/css"


def test_the_app_is_down(site: Fleet, node: str, stopped_app: None) -> None:
    for method in METHODS:
        answer = site.ask(node, "/orders/new/", method)
        headers = answer.headers["retry-after"], answer.headers["cache-control"]
        assert (answer.status, *headers) == (502, "30", "no-store"), method
        assert answer.kind == ("nginx" if method == "HEAD" else "fallback"), method


def test_the_app_is_down_and_the_page_missing(host: Host, site: Fleet, node: str, stopped_app: None) -> None:
    page = f"{STATE}/pages/50x.en.html"
    host.check_output(f"mv {page} {page}.away")
    try:
        for method in METHODS:
            answer = site.ask(node, "/", method)
            assert (answer.status, answer.kind) == (502, "nginx"), method
            assert method == "HEAD" or "<h1>502 Bad Gateway</h1>" in answer.body, method
    finally:
        host.check_output(f"mv {page}.away {page}")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_the_apps_own_errors(site: Fleet, node: str, status: int) -> None:
    answer = site.ask(node, f"/status/{status}/", "POST")
    assert (answer.status, answer.kind) == (status, "app")


def test_the_apps_own_errors_are_intercepted_where_that_is_wanted(site: Fleet) -> None:
    assert site.playbook("molecule/lab/page.yml", maintenance_page_intercept_errors=True).status == 0
    try:
        for node in site.urls:
            await_kind(site, node, "fallback")
            assert site.ask(node, "/status/502/", "POST").status == 502
            assert site.ask(node, "/status/500/", "POST").kind == "app"
    finally:
        assert site.playbook("molecule/lab/page.yml").status == 0
    for node in site.urls:
        await_kind(site, node, "app")


def await_kind(site: Fleet, node: str, kind: str) -> None:
    """Nginx's former processes still answer for a moment after a reload."""
    wait_until(lambda: site.ask(node, "/status/502/", "POST").kind == kind, f"the app's 502 is answered by {kind}")


def test_a_flag_touched_by_hand(host: Host, site: Fleet, node: str, flag: str) -> None:
    host.check_output(f"touch {flag}")
    answer = site.ask(node, "/orders/new/", "POST")
    assert (answer.status, answer.kind, answer.headers["retry-after"]) == (503, "maintenance", "300")
    host.check_output(f"rm {flag}")
    assert site.ask(node).kind == "app"


def test_n10_the_worker_of_nginx_can_enter_the_state_directory_and_others_cannot_write_there(host: Host) -> None:
    with host.sudo("www-data"):
        assert host.run(f"test -x {STATE} && test -r {STATE}/pages/503.en.html").succeeded
        assert host.run(f"touch {STATE}/on").failed
    assert host.run(f"test -e {STATE}/on").failed


def test_a_restart_and_a_reinstallation_of_nginx_change_neither_state(
    host: Host, site: Fleet, node: str, flag: str
) -> None:
    for act in ("systemctl restart nginx", "DEBIAN_FRONTEND=noninteractive apt-get install --reinstall -q -y nginx"):
        host.check_output(f"touch {flag}")
        host.check_output(act)
        wait_until(lambda: host.service("nginx").is_running, "Nginx runs")
        assert site.ask(node).kind == "maintenance"
        host.check_output(f"rm {flag}")
        assert site.ask(node).kind == "app"


def test_a_window_is_opened_by_playbook_outlives_a_reboot_and_is_closed_by_playbook(site: Fleet) -> None:
    run = site.playbook("playbooks/maintenance_on.yml", maintenance_window_for="1h", maintenance_window_reason="<disk>")
    assert run.status == 0, run.output
    try:
        for host in site.connections():
            reboot(host)
        for node in site.urls:
            wait_until(partial(site.listens, node), "Nginx runs")
        answers = [site.ask(node, "/orders/new/", method) for node in site.urls for method in METHODS]
        assert {answer.status for answer in answers} == {503}
        assert all(answer.headers["retry-after"].endswith("GMT") for answer in answers)
        assert all("&lt;disk&gt;" in site.ask(node).body for node in site.urls)
    finally:
        assert site.playbook("playbooks/maintenance_off.yml").status == 0
    assert site.kinds() == {"app"}


def test_a_reboot_outside_a_window_leaves_the_host_open(host: Host, site: Fleet, node: str) -> None:
    reboot(host)
    wait_until(lambda: host.service("nginx").is_running, "Nginx runs")
    assert site.ask(node, "/orders/").kind == "app"
    assert host.service("shop-worker-ticker").is_running


def test_a16_a_reboot_in_the_middle_of_a_deploy_does_not_start_the_background_workers(
    host: Host, site: Fleet, node: str
) -> None:
    host.check_output(f"mkdir -p {STATE}/windows/deploy-test && ln -sfn windows/deploy-test {STATE}/on")
    try:
        reboot(host)
        wait_until(lambda: host.service("nginx").is_running, "Nginx runs")
        assert site.ask(node).kind == "maintenance"
        assert not host.service("shop-worker-ticker").is_running
        assert not host.service("shop").is_running
    finally:
        host.check_output(f"rm -rf {STATE}/on {STATE}/windows/deploy-test; systemctl start shop shop-worker-ticker")
