"""A site on which every path, port, account and name is another one than the default."""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from testinfra.host import Host

from driving import CHECKOUT, wait_until
from fleet import Fleet

testinfra_hosts = ["ansible://tearoom"]

HOST = {"Host": "tea.example.com", "Accept": "text/html"}
FLAG = "/srv/state/tearoom/on"


@pytest.fixture(scope="module")
def visitor() -> Iterator[httpx.Client]:
    """Somebody who trusts the site's certificate and speaks HTTP/2."""
    trust = ssl.create_default_context(cafile=str(CHECKOUT / ".lab/tearoom.crt"))
    with httpx.Client(verify=trust, http2=True, headers=HOST) as client:
        yield client


def ask(visitor: httpx.Client, site: Fleet, path: str = "/", method: str = "GET") -> httpx.Response:
    address = next(iter(site.hosts.values()))["ansible_host"]
    request = visitor.build_request(method, f"https://{address}:8443{path}", extensions={"sni_hostname": HOST["Host"]})
    return visitor.send(request)


def test_the_app_answers_over_http_2_and_tls(visitor: httpx.Client, site: Fleet) -> None:
    answer = ask(visitor, site, "/orders/")
    assert (answer.status_code, answer.http_version, answer.headers["x-shop-version"]) == (200, "HTTP/2", "2")
    assert (answer.headers["x-tea"], answer.headers["strict-transport-security"]) == ("room", "max-age=3600")
    assert ask(visitor, site, "/static/orders/shop.css").status_code == 200


def test_plain_http_leads_to_tls_except_for_acme(host: Host, site: Fleet) -> None:
    address = next(iter(site.hosts.values()))["ansible_host"]
    answer = httpx.get(f"http://{address}:8080/orders/?a=b", headers=HOST)
    assert (answer.status_code, answer.headers["location"]) == (301, "https://tea.example.com:8443/orders/?a=b")
    host.check_output("mkdir -p /srv/tea/public/.well-known/acme-challenge")
    host.check_output("echo proof > /srv/tea/public/.well-known/acme-challenge/token")
    for act in ("true", f"touch {FLAG}"):
        host.check_output(act)
        try:
            challenge = httpx.get(f"http://{address}:8080/.well-known/acme-challenge/token", headers=HOST)
            assert (challenge.status_code, challenge.text) == (200, "proof\n")
        finally:
            host.check_output(f"rm -f {FLAG}")


def test_a_window_is_opened_proven_and_closed(visitor: httpx.Client, site: Fleet) -> None:
    assert site.playbook("playbooks/maintenance_on.yml", maintenance_window_reason="Tea").status == 0
    try:
        answer = ask(visitor, site, "/orders/new/", "POST")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "600")
        assert (answer.headers["x-frame-options"], '<html lang="fr"' in answer.text) == ("DENY", True)
        health = ask(visitor, site, "/tea/health")
        assert (health.status_code, health.text) == (503, "draining\n")
        assert "The Tea Room" in answer.text
        assert "https://status.example.com/" in answer.text
    finally:
        assert site.playbook("playbooks/maintenance_off.yml").status == 0
    assert ask(visitor, site).status_code == 200


def test_the_fallback(host: Host, visitor: httpx.Client, site: Fleet) -> None:
    host.check_output("systemctl stop tea-app.socket tea-app.service")
    try:
        answer = ask(visitor, site, "/", "POST")
        assert (answer.status_code, answer.headers["retry-after"]) == (502, "45")
        assert 'data-intermission="fallback"' in answer.text
    finally:
        host.check_output("systemctl start tea-app.socket tea-app.service")


def test_the_command_and_its_group(host: Host, visitor: httpx.Client, site: Fleet) -> None:
    host.check_output("id ada >/dev/null 2>&1 || useradd --groups teamakers ada")
    host.check_output("sudo -u ada /opt/bin/tea-maintenance on tearoom --for 10m")
    assert ask(visitor, site).status_code == 503
    host.check_output("sudo -u ada /opt/bin/tea-maintenance off tearoom")
    assert ask(visitor, site).status_code == 200


def test_the_metrics_follow_a_window_and_a_flag_set_by_hand(host: Host) -> None:
    def told(value: int) -> bool:
        line = f'intermission_maintenance_on{{site="tearoom"}} {value}\n'
        return line in host.check_output("cat /srv/tea/metrics/intermission-tearoom.prom || true") + "\n"

    acts = (
        "/opt/bin/tea-maintenance on tearoom",
        "/opt/bin/tea-maintenance off tearoom",
        f"touch {FLAG}",
        f"rm {FLAG}",
    )
    for act, value in zip(acts, (1, 0, 1, 0), strict=True):
        host.check_output(act)
        wait_until(partial(told, value), f"the metrics follow {act}")


def test_hooks_run_around_a_window_and_behind_one_that_closes_by_itself(host: Host) -> None:
    hook = "#!/bin/sh\necho $INTERMISSION_EVENT $(id -un) >> /tmp/hooks/ran\n"
    events = ("before-open", "after-open", "before-close", "after-close")
    host.check_output("id bob >/dev/null 2>&1 || useradd --groups teamakers bob")
    host.check_output("install -d -m 777 /tmp/hooks; install -m 666 /dev/null /tmp/hooks/ran")
    for event in events:
        host.check_output(f"mkdir -p /opt/tea/hooks/{event}.d")
        host.check_output(f"printf %s {shlex.quote(hook)} > /opt/tea/hooks/{event}.d/tell")
        host.check_output(f"chmod 755 /opt/tea/hooks/{event}.d/tell")

    def ran(*lines: str) -> bool:
        return bool(host.check_output("cat /tmp/hooks/ran").splitlines() == list(lines))

    try:
        host.check_output(
            "sudo -u bob /opt/bin/tea-maintenance on tearoom; sudo -u bob /opt/bin/tea-maintenance off tearoom"
        )
        by_bob = [f"{event} bob" for event in events]
        assert ran(*by_bob)
        host.check_output("sudo -u bob /opt/bin/tea-maintenance schedule tearoom --from 'in 5s' --for 5s")
        wait_until(partial(ran, *by_bob, "after-open root", "after-close root"), "the hooks behind have run")
    finally:
        host.check_output("rm -r /opt/tea/hooks /tmp/hooks; userdel bob")


@pytest.mark.parametrize(
    "path",
    [
        "/srv/tearoom",
        "/var/lib/intermission",
        "/var/backups/tearoom",
        "/usr/local/bin/intermission",
        "/usr/local/share/bash-completion/completions/intermission",
        "/usr/local/share/man/man1/intermission.1",
        "/etc/nginx/snippets/intermission-tearoom.conf",
        "/etc/nginx/conf.d/intermission-tearoom.conf",
        "/etc/systemd/system/tearoom.service",
        "/run/tearoom",
    ],
)
def test_nothing_is_where_the_defaults_would_have_it(host: Host, path: str) -> None:
    assert not host.file(path).exists


@pytest.mark.parametrize(
    ("path", "user", "mode"),
    [
        ("/srv/tea/app/current", "root", 0o755),
        ("/srv/state/tearoom", "root", 0o2775),
        ("/srv/tea/files/tea.sqlite3", "tea", 0o644),
        ("/srv/tea/backups", "tea", 0o700),
        ("/run/tea/http.sock", "www-data", 0o600),
        ("/etc/nginx/intermission/intermission-tearoom.conf", "root", 0o644),
        ("/opt/share/bash-completion/completions/tea-maintenance", "root", 0o644),
        ("/opt/share/man/man1/tea-maintenance.1", "root", 0o644),
        ("/etc/systemd/system/tea-app-worker-beat.service", "root", 0o644),
    ],
)
def test_everything_is_where_the_variables_say(host: Host, path: str, user: str, mode: int) -> None:
    file = host.file(path)
    assert (file.exists, file.user, file.mode) == (True, user, mode)


def test_the_group_owns_the_state_directory(host: Host) -> None:
    assert host.file("/srv/state/tearoom").group == "teamakers"
    assert not host.group("intermission").exists
    assert not host.user("tearoom").exists


def test_the_service_has_what_the_variables_add(host: Host) -> None:
    shown = host.check_output("systemctl show --property=MemoryMax,ExecStart tea-app.service")
    assert "MemoryMax=536870912" in shown
    assert "--threads 4" in shown
